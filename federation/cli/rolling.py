"""How far the present template of a service has come, as its placement tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from federation.cli.columns import where

Object = Mapping[str, Any]
HOPELESS = frozenset({"Denied", "NoCapacity", "ProgressDeadlineExceeded", "Failed"})
"""Reasons for which waiting alone does not help."""


class Standing(NamedTuple):
    """`done`: all of it runs with the present template; else `reason`, one word, and `text` say what is missing."""

    done: bool
    reason: str
    text: str


def standing(placement: Object | None, service: Object | None) -> Standing:
    """Where a service is on the way to what was last asked for. One of no replicas is there at once; a Job is there
    when it runs, or has run to its end well."""
    if service is None:
        return Standing(False, "Deleted", "deleted meanwhile")
    if placement is None:
        return Standing(False, "Pending", "not planned yet")
    wanted = service["spec"]["replicas"]
    targets = placement["spec"]["targets"]
    if sum(target["replicas"] for target in targets) < wanted:
        placed = _condition(placement, "Placed")
        if placed is not None and placed["status"] == "False":
            return Standing(False, placed["reason"], placed["message"])
        return Standing(False, "Pending", "not planned yet")
    for kind in ("Failed", "Complete"):
        ended = _condition(placement, kind)
        if ended is not None and ended["status"] == "True":
            return Standing(kind == "Complete", kind, ended["message"])
    return _rollout(placement, service, wanted)


def _rollout(placement: Object, service: Object, wanted: int) -> Standing:
    """Pods of an older template do not count, however well they serve."""
    targets = placement["spec"]["targets"]
    rollout = placement["status"].get("rollout") or {}
    if rollout.get("generation") != service["metadata"]["generation"]:
        return Standing(False, "Starting", "the controller has not looked at it yet")
    places = {target["subcluster"] for target in targets}
    ready = sum(one["updated"] for one in placement["status"]["running"] if one["subcluster"] in places)
    if ready >= wanted and not rollout["old"]:
        return Standing(True, "Ready", f"{ready}/{wanted} ready in {where(targets)}")
    progressing = _condition(placement, "Progressing")
    if progressing is not None and progressing["status"] == "False":
        return Standing(False, progressing["reason"], progressing["message"])
    old = f", {rollout['old']} with an older template" if rollout["old"] else ""
    faults = _faults(placement, progressing)
    text = f"{ready}/{wanted} ready in {where(targets)}{old}" + (f": {faults}" if faults else "")
    return Standing(False, "Starting", text)


def _faults(placement: Object, progressing: Object | None) -> str:
    told = (progressing or {}).get("message", "").partition("; ")[2]
    return told or "; ".join(one["message"] for one in placement["status"]["running"] if one["message"])


def _condition(item: Object, kind: str) -> Object | None:
    return next((one for one in item["status"]["conditions"] if one["type"] == kind), None)
