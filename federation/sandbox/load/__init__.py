"""The load that `roam demo` puts on the shop, and the figures made from it.

`python -m federation.sandbox.load --url http://127.0.0.1:20001` generates it in a process of its own; `LoadProcess`
starts and stops that process; `summarise` evaluates a window of its records.
"""

from federation.sandbox.load.process import LoadProcess
from federation.sandbox.load.records import Figures, Record, Summary, Totals, read_records, summarise

__all__ = ["Figures", "LoadProcess", "Record", "Summary", "Totals", "read_records", "summarise"]
