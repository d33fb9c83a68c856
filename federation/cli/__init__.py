"""The `roam` command.

`main` picks the verb; each verb is a module with `configure(parser)` and `run(args) -> int`, imported only when it is
asked for. `client` speaks to the server and imports nothing but the standard library; `kinds` and `columns` say what
`get` knows; `output` prints; `world` gathers what `plan` and `why` look at; `waiting` shows what is waited for.
"""
