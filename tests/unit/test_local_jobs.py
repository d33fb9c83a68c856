"""Jobs of a local sub-cluster: as many successes as asked for, never more at once, never again after the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from federation.errors import InvalidInput
from providers.local.agent.jobs import KEPT_PODS, Job, JobPod, JobSpec, job_of


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    completions=st.none() | st.integers(1, 5),
    parallelism=st.none() | st.integers(1, 4),
    limit=st.integers(0, 3),
    room=st.integers(1, 3),
    fates=st.lists(st.booleans(), max_size=30),
    restart_at=st.integers(0, 40),
)
def test_every_job_ends(
    tmp_path: Path,
    completions: int | None,
    parallelism: int | None,
    limit: int,
    room: int,
    fates: list[bool],
    restart_at: int,
) -> None:
    spec = JobSpec(completions=completions, parallelism=parallelism, backoff_limit=limit)
    file = tmp_path / "job.json"
    file.unlink(missing_ok=True)
    job, pods, born, now = Job.open(spec, "uid", file, 0.0), list[JobPod](), 0, 0.0
    most = 1 if parallelism is None else parallelism
    for turn in range(400):
        now += 1.0
        if turn == restart_at:  # the agent dies with its pods, and another one takes over
            job, pods = Job.open(spec, "uid", file, now), []
        steps = job.step(pods, room - sum(not pod.ended for pod in pods), now)
        pods = [pod for pod in pods if pod.name not in steps.stop]
        for _ in range(steps.start):
            born += 1
            pods.append(JobPod(f"p{born}", False, False, False, 0, born))
        running = [pod for pod in pods if not pod.ended]
        assert len(running) <= min(most, room)
        if job.ended:
            break
        if running:
            fate = fates.pop() if fates else True
            done = running[turn % len(running)]
            pods[pods.index(done)] = replace(done, ended=True, succeeded=fate, message="exit code 1")
    progress = job.progress
    assert job.ended
    assert not [pod for pod in pods if not pod.ended]
    if progress.outcome == "Complete":
        assert progress.succeeded >= (spec.needed or 1)
        assert spec.needed is None or progress.succeeded <= spec.needed + most
    else:
        assert progress.failed > limit
        assert "BackoffLimitExceeded" in job.message
    again = Job.open(spec, "uid", file, now)
    assert again.ended
    assert again.step([], room, now).start == 0
    assert not Job.open(spec, "another", file, now).ended


def test_old_pods_go_but_for_a_few(tmp_path: Path) -> None:
    job = Job.open(JobSpec(completions=20), "uid", tmp_path / "job.json", 0.0)
    pods = [JobPod(f"p{n}", True, True, False, 0, n) for n in range(KEPT_PODS + 2)]
    assert job.step(pods, 5, 1.0).stop == ("p0", "p1")


def test_a_retry_waits_longer_each_time(tmp_path: Path) -> None:
    job = Job.open(JobSpec(), "uid", tmp_path / "job.json", 0.0)
    failed = JobPod("p1", True, False, False, 0, 1, "exit code 1")
    steps = job.step([failed], 5, 10.0)
    assert (steps.start, steps.again_s) == (0, pytest.approx(0.05))
    assert job.step([failed], 5, 10.1).start == 1
    assert "exit code 1" in job.message


def test_a_suspended_job_starts_nothing(tmp_path: Path) -> None:
    job = Job.open(JobSpec(suspend=True), "uid", tmp_path / "job.json", 0.0)
    assert job.step([], 5, 1.0).start == 0
    assert not job.ended


def test_a_wrong_job_is_refused_with_its_field() -> None:
    assert job_of([{"kind": "Deployment"}]) is None
    with pytest.raises(InvalidInput, match="completions"):
        job_of([{"kind": "Job", "spec": {"completions": "many"}}])
