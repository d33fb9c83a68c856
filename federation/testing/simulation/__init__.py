"""The real engine over scripted sub-clusters and gateways, on one thread, a virtual clock and one seed.

`scenario` makes a schedule from a seed; `simulation` runs it; `world`, `gateways` and `storage` are what the engine
talks to and what goes wrong there; `checks` holds what must always be true; `shrink` finds the shortest schedule that
still fails. Run it with `python -m federation.testing.simulate`.
"""
