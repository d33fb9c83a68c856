"""The embedded default: four local sub-clusters on this machine, a shop, and load on it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from federation.sandbox.controller import environment
    from federation.sandbox.inspect import status
    from federation.sandbox.layout import EDGE, SandboxState, SubClusterState
    from federation.sandbox.lifecycle import down, kill, start, up

# Loaded when used: the load generator and the command line should not wait for what they do not need.
_HOMES: Final = {
    "EDGE": "layout",
    "SandboxState": "layout",
    "SubClusterState": "layout",
    "down": "lifecycle",
    "environment": "controller",
    "kill": "lifecycle",
    "start": "lifecycle",
    "status": "inspect",
    "up": "lifecycle",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


__all__ = ["EDGE", "SandboxState", "SubClusterState", "down", "environment", "kill", "start", "status", "up"]
