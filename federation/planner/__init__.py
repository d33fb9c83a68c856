"""Where everything should run: (fleet, services, opinions, now) -> a plan with costs, reasons and a certificate. Pure.

`world` reads the stored objects into columns, `feasibility` says what no policy has to, `problem` sums the opinions up,
`state`, `construct`, `search` and `exact` solve, `bound` certifies, `decide` and `explain` say it to people.
"""
