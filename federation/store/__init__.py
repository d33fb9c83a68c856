"""The resource store: list, watch and compare-and-swap, on SQL.

`sql.open_store` is the way in. `schema` holds the tables and their upgrades, `database` connections and errors,
`documents` objects as text, `ledger` what a write means (pure), `turns` how concurrent writes share one commit,
`rows` the statements, `listing` and `history` how lists and changes are asked for, `retention` what is forgotten.
`sealing` encrypts what is secret, `keyfile` finds the keys, `vault` makes a store and its keys fit; `hold` keeps a
second controller out, `snapshot` makes backups and restores them.
"""
