"""The demo's judgement of its own run: each bar is missed by just what misses it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from federation.cli.demo.evaluate import Act, build_report, missed_bars, report_act
from federation.sandbox.load import Record

BEFORE = (0.0, 10.0)
PLANNED = Act("migrate", "catalogue", "onprem", "ec2", planned=True, start_s=10.0, end_s=20.0, retried=0)
KILL = replace(PLANNED, name="kill", planned=False)


def requests(latency_ms: float = 5.0, start_s: float = 0.0, end_s: float = 20.0) -> list[Record]:
    return [Record(start_s + i / 100, latency_ms, "home") for i in range(int((end_s - start_s) * 100))]


def bars(act: Act, records: list[Record]) -> list[str]:
    return missed_bars(act, report_act(act, records, BEFORE))


def test_a_calm_planned_act_misses_nothing() -> None:
    assert bars(PLANNED, requests()) == []


def test_one_failed_request_is_one_too_many() -> None:
    assert bars(PLANNED, [*requests(), Record(15.0, 3.0, "home", "status", "503")]) == [
        "migrate: 1 requests failed, none may"
    ]


def test_a_failure_before_the_act_is_not_the_acts() -> None:
    assert bars(PLANNED, [*requests(), Record(5.0, 3.0, "home", "status", "503")]) == []


@pytest.mark.parametrize(("retried", "missed"), [(1, 0), (2, 1)])
def test_a_thousandth_may_be_retried(retried: int, missed: int) -> None:
    assert len(bars(replace(PLANNED, retried=retried), requests())) == missed


@pytest.mark.parametrize(("during_ms", "missed"), [(10.0, 0), (10.1, 1)])
def test_p99_may_double(during_ms: float, missed: int) -> None:
    records = requests(5.0, 0.0, 10.0) + requests(during_ms, 10.0, 20.0)
    assert len(bars(PLANNED, records)) == missed


@pytest.mark.parametrize(("known_after_s", "missed"), [(4.9, 0), (5.1, 1)])
def test_after_a_kill_failures_must_end(known_after_s: float, missed: int) -> None:
    failure = Record(12.0, (known_after_s - 2.0) * 1000.0, "home", "timeout")
    assert len(bars(KILL, [*requests(), failure])) == missed


def test_an_act_without_load_proves_nothing() -> None:
    assert bars(PLANNED, []) == ["migrate: no request was made"]


def test_the_report_counts_violations_and_everything_that_failed() -> None:
    acts = [replace(PLANNED, violations=("cart runs in ec2, where personal-data forbids it",)), KILL]
    records = [*requests(), Record(12.0, 3.0, "home", "status", "503")]
    report = build_report(acts, [BEFORE, BEFORE], records, retried=7)
    assert (report["requests"], report["failed"], report["retried"], report["violations"]) == (2001, 1, 7, 1)
    assert [(act["name"], act["from"], act["to"], act["failed"]) for act in report["acts"]] == [
        ("migrate", "onprem", "ec2", 1),
        ("kill", "onprem", "ec2", 1),
    ]
    assert report["missed"] == [
        "migrate: cart runs in ec2, where personal-data forbids it",
        "migrate: 1 requests failed, none may",
    ]
