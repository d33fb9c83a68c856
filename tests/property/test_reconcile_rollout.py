"""How a rollout is judged: done when all is ready, late when nothing happens for too long, never both."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from federation.contracts.driver import PodState, WorkloadState
from federation.model.meta import Key, Metadata
from federation.model.microservice import Microservice, MicroserviceSpec
from federation.reconcile.rollout import PROGRESS_DEADLINE_S, RolloutFacts, due_at, judge_rollout, progress

KEY = Key("default", "web")


def service(replicas: int, generation: int = 1, deadline: int | None = None) -> Microservice:
    spec: dict[str, object] = {"progressDeadlineSeconds": deadline} if deadline else {}
    objects = ({"kind": "Deployment", "spec": spec},)
    return Microservice(
        metadata=Metadata(name="web", namespace="default", generation=generation),
        spec=MicroserviceSpec(replicas=replicas, template={}, objects=objects),  # type: ignore[arg-type]
    )


def facts(wanted: int, new_ready: int, new: int, old: int, message: str = "") -> RolloutFacts:
    pods = [PodState(f"n{n}", "10.0.0.1", n < new_ready, "new", {}, message=message) for n in range(new)]
    pods += [PodState(f"o{n}", "10.0.0.2", True, "old", {}) for n in range(old)]
    state = WorkloadState(KEY, "new", wanted, tuple(pods))
    return RolloutFacts({"a": wanted}, {"a": "new"}, {"a": state}, {})


@given(st.integers(0, 4), st.integers(0, 5), st.integers(0, 5), st.integers(0, 3), st.floats(0, 1000))
def test_done_is_when_all_is_ready_and_nothing_old_is_left(
    wanted: int, ready: int, unready: int, old: int, later: float
) -> None:
    found = facts(wanted, ready, ready + unready, old)
    rollout = judge_rollout(None, service(wanted), found, 1000.0)
    assert rollout.done == (ready >= wanted and not old)
    condition = progress(service(wanted), rollout, found, 1000.0 + later)
    late = due_at(service(wanted), rollout)
    assert (late is None) == rollout.done
    assert (condition.status == "False") == (late is not None and 1000.0 + later >= late)
    # Nothing new: nothing to write, and the clock of the deadline runs on.
    assert judge_rollout(rollout, service(wanted), found, 1000.0 + later) is rollout


def test_each_step_forward_gives_it_more_time() -> None:
    one = judge_rollout(None, service(2), facts(2, 0, 1, 2), 0.0)
    assert due_at(service(2), one) == PROGRESS_DEADLINE_S
    two = judge_rollout(one, service(2), facts(2, 1, 1, 1), 100.0)
    assert due_at(service(2), two) == 100.0 + PROGRESS_DEADLINE_S
    assert due_at(service(2, deadline=7), two) == 107.0


def test_late_says_why() -> None:
    broken = facts(1, 0, 1, 1, "container main: exit code 3; the next start is in 5 s")
    rollout = judge_rollout(None, service(1), broken, 0.0)
    condition = progress(service(1), rollout, broken, PROGRESS_DEADLINE_S)
    assert (condition.status, condition.reason) == ("False", "ProgressDeadlineExceeded")
    assert condition.message == (
        "no progress for 120 s: 0 of 1 ready with the new template, 1 with an older one; "
        "a: pod n0: container main: exit code 3"
    )


def test_what_was_done_stays_done_until_there_is_another_template() -> None:
    done = judge_rollout(None, service(2), facts(2, 2, 2, 0), 0.0)
    hurt = judge_rollout(done, service(2), facts(2, 1, 2, 0), 5.0)
    assert hurt.done
    assert not judge_rollout(hurt, service(2, generation=2), facts(2, 1, 2, 0), 6.0).done
