"""A real agent with real processes: nothing of it is lost while it lives, nothing of it stays when it dies."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import urllib3
from local_agent import PORT, RunningAgent, marked, running_agent, wait_until, write_token

from federation.contracts.driver import PodState, Workload
from federation.errors import InvalidInput, NoCapacity
from federation.model.meta import Key
from federation.model.microservice import Port
from federation.testing.driver import SERVER, View
from providers.local.agent.priority import BEHIND, may_be_changed

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("local-agent")]

KEY = Key("shop", "web")
WITHIN_S = 20.0
# Leaves a child in its session, one in a session of its own, and one that hides its environment, too.
FAMILY = "sleep 1000 & setsid sleep 1000 & env -i setsid sleep 1000 & exec sleep 1000"


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[RunningAgent]:
    with running_agent(tmp_path) as agent:
        yield agent


def workload(*command: str, replicas: int = 1, key: Key = KEY, revision: str = "1", **pod: Any) -> Workload:
    container = {"name": "main", "command": list(command), **pod.pop("container", {})}
    return Workload(
        key, revision, replicas, {"spec": {"containers": [container], "terminationGracePeriodSeconds": 1, **pod}}
    )


def server(**container: Any) -> dict[str, Any]:
    env = [
        {"name": "SERVER", "value": SERVER},
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    ]
    return {"env": env, "ports": [{"name": "http", "containerPort": 8080}], **container}


PYTHON = ("python3", "-c", "$(SERVER)")


def run(agent: RunningAgent, wanted: Workload, ready: int | None = None) -> list[PodState]:
    agent.driver.apply(wanted, deadline_s=5)
    view = View(agent.driver, 5)
    view.until(lambda view: view.ready(wanted.key) == (wanted.replicas if ready is None else ready), WITHIN_S)
    return list(view.workloads[wanted.key].pods)


def pod_of(agent: RunningAgent, key: Key = KEY) -> PodState:
    seen = agent.driver.observe(None, wait_s=0, deadline_s=5)
    return next(state for state in seen.workloads if state.key == key).pods[0]


def see(agent: RunningAgent, condition: Any, key: Key = KEY) -> PodState:
    View(agent.driver, 5).until(lambda view: any(condition(pod) for pod in view.workloads[key].pods), WITHIN_S)
    return pod_of(agent, key)


def log_of(agent: RunningAgent, pod: PodState, container: str = "main") -> str:
    file = agent.directory / "pods" / f"{KEY.namespace}_{pod.name}" / f"{container}.log"
    return file.read_text() if file.exists() else ""


def sleepers(agent: RunningAgent) -> list[int]:
    """Everything below the agent, also what hides its environment."""
    output = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(line.split()[0]): int(line.split()[1]) for line in output.splitlines()}
    found = {agent.process.pid}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found - {agent.process.pid})


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b") Z " not in Path(f"/proc/{pid}/stat").read_bytes()
    return False


def test_a_killed_process_comes_back_within_a_second(agent: RunningAgent) -> None:
    run(agent, workload(*PYTHON, container=server(readinessProbe={"tcpSocket": {"port": "http"}})))
    (victim,) = agent.descendants()
    os.kill(victim, signal.SIGKILL)
    began = time.monotonic()
    see(agent, lambda pod: not pod.ready)
    pod = see(agent, lambda pod: pod.ready)
    assert time.monotonic() - began < 1.5
    assert pod.restarts == 1
    assert agent.descendants() != [victim]


def test_nothing_outlives_a_killed_agent(agent: RunningAgent) -> None:
    run(agent, workload("sh", "-c", FAMILY, replicas=2))
    wait_until(lambda: len(sleepers(agent)) == 9)
    below = sleepers(agent)
    agent.process.kill()
    wait_until(lambda: not any(alive(pid) for pid in below), 3)
    assert marked(agent.mark) == []


def test_nothing_outlives_a_stopped_agent(agent: RunningAgent) -> None:
    run(agent, workload("sh", "-c", FAMILY))
    wait_until(lambda: len(sleepers(agent)) == 5)
    below = sleepers(agent)
    agent.process.terminate()
    assert agent.process.wait(10) == 0
    assert not any(alive(pid) for pid in below)


def test_a_pods_daemons_go_with_it(agent: RunningAgent) -> None:
    run(agent, workload("sh", "-c", "setsid sleep 1000 & sleep 1000 & exec sleep 1000"))
    wait_until(lambda: len(agent.descendants()) == 3)
    agent.driver.delete(KEY, deadline_s=5)
    wait_until(lambda: not agent.descendants(), what="no process left of the pod")
    wait_until(lambda: not list((agent.directory / "pods").iterdir()), what="no directory left of the pod")


def test_a_killed_runner_is_replaced(agent: RunningAgent) -> None:
    run(agent, workload(*PYTHON, container=server(readinessProbe={"tcpSocket": {"port": "http"}})))
    runner = next(pid for pid in marked(agent.mark) if pid not in agent.descendants() and pid != agent.process.pid)
    os.kill(runner, signal.SIGKILL)
    pod = see(agent, lambda pod: pod.restarts == 1 and pod.ready)
    assert pod.restarts == 1


def test_the_grace_period_is_kept(agent: RunningAgent) -> None:
    slow = "trap 'sleep 0.7; echo finished > $HOME/../../done; exit 0' TERM; while :; do sleep 0.05; done"
    run(agent, workload("sh", "-c", slow, terminationGracePeriodSeconds=10))
    agent.driver.delete(KEY, deadline_s=5)
    assert pod_of(agent).phase == "Terminating"
    assert not pod_of(agent).ready
    wait_until(lambda: not agent.driver.observe(None, wait_s=0, deadline_s=5).workloads)
    assert (agent.directory / "pods" / "done").read_text() == "finished\n"


def test_the_grace_period_ends(agent: RunningAgent) -> None:
    run(agent, workload("sh", "-c", "trap '' TERM; while :; do sleep 0.05; done", terminationGracePeriodSeconds=1))
    began = time.monotonic()
    agent.driver.delete(KEY, deadline_s=5)
    wait_until(lambda: not agent.descendants())
    assert 0.9 < time.monotonic() - began < 4


def test_pre_stop_comes_before_the_signal(agent: RunningAgent) -> None:
    hook = {"preStop": {"exec": {"command": ["sh", "-c", "echo hook >> $HOME/../../order"]}}}
    main = "trap 'echo signal >> $HOME/../../order; exit 0' TERM; while :; do sleep 0.05; done"
    run(agent, workload("sh", "-c", main, container={"lifecycle": hook}, terminationGracePeriodSeconds=10))
    agent.driver.delete(KEY, deadline_s=5)
    wait_until(lambda: not agent.descendants())
    assert (agent.directory / "pods" / "order").read_text() == "hook\nsignal\n"


def test_liveness_restarts(agent: RunningAgent) -> None:
    alive_until = {
        "exec": {"command": ["sh", "-c", "test ! -e $HOME/broken"]},
        "periodSeconds": 1,
        "failureThreshold": 1,
    }
    up = {"exec": {"command": ["sh", "-c", "test -e $HOME/up"]}, "periodSeconds": 1}
    container = {"livenessProbe": alive_until, "readinessProbe": up}
    run(agent, workload("sh", "-c", "rm -f broken; touch up; exec sleep 1000", container=container))
    see(agent, lambda pod: pod.ready)
    pod = pod_of(agent)
    (agent.directory / "pods" / f"shop_{pod.name}" / "scratch" / "broken").touch()
    assert see(agent, lambda pod: pod.restarts == 1 and pod.ready).name == pod.name


def test_startup_probe_holds_back_the_others(agent: RunningAgent) -> None:
    container = {
        "startupProbe": {"exec": {"command": ["sh", "-c", "test -e $HOME/up"]}, "periodSeconds": 1},
        "livenessProbe": {"exec": {"command": ["false"]}, "failureThreshold": 1},
    }
    agent.driver.apply(workload("sleep", "1000", container=container), deadline_s=5)
    pod = see(agent, lambda pod: pod.phase == "Running")
    assert not pod.ready
    (agent.directory / "pods" / f"shop_{pod.name}" / "scratch" / "up").touch()
    see(agent, lambda pod: pod.restarts > 0)


def test_what_starts_gives_way_to_what_serves(agent: RunningAgent) -> None:
    readiness = {"readinessProbe": {"exec": {"command": ["sh", "-c", "test -e $HOME/up"]}, "periodSeconds": 1}}
    program = "while :; do nice > $HOME/new; mv $HOME/new $HOME/nice; sleep 0.05; done"
    agent.driver.apply(workload("sh", "-c", program, container=readiness), deadline_s=5)
    pod = see(agent, lambda pod: pod.phase == "Running")
    scratch = agent.directory / "pods" / f"shop_{pod.name}" / "scratch"
    own = os.getpriority(os.PRIO_PROCESS, 0)
    behind = own + (BEHIND if may_be_changed() else 0)
    wait_until(lambda: (scratch / "nice").exists() and (scratch / "nice").read_text() == f"{behind}\n")
    (scratch / "up").touch()
    see(agent, lambda pod: pod.ready)
    wait_until(lambda: (scratch / "nice").read_text() == f"{own}\n")


def test_a_crash_loop_says_why(agent: RunningAgent) -> None:
    agent.driver.apply(workload("sh", "-c", "exit 3"), deadline_s=5)
    pod = see(agent, lambda pod: pod.restarts >= 2 and pod.reason == "CrashLoopBackOff")
    assert "exit code 3" in pod.message


def test_a_missing_program_is_named(agent: RunningAgent) -> None:
    agent.driver.apply(workload("no-such-program", "--password=hush"), deadline_s=5)
    pod = see(agent, lambda pod: "no-such-program" in pod.message)
    assert not pod.ready
    assert "hush" not in pod.message


@pytest.mark.parametrize(
    ("policy", "code", "phase", "reason"),
    [
        ("Never", 0, "Succeeded", "Completed"),
        ("Never", 4, "Failed", "Error"),
        ("OnFailure", 0, "Succeeded", "Completed"),
    ],
)
def test_restart_policies(agent: RunningAgent, policy: str, code: int, phase: str, reason: str) -> None:
    agent.driver.apply(workload("sh", "-c", f"exit {code}", restartPolicy=policy), deadline_s=5)
    pod = see(agent, lambda pod: pod.reason == reason)
    assert (pod.phase, pod.restarts, pod.ready) == (phase, 0, False)


def test_init_containers_run_first_and_sidecars_stay(agent: RunningAgent) -> None:
    inits = [
        {"name": "first", "command": ["sh", "-c", "echo first >> order"]},
        {"name": "side", "command": ["sh", "-c", "echo side >> order; exec sleep 1000"], "restartPolicy": "Always"},
        {"name": "last", "command": ["sh", "-c", "sleep 0.2; echo last >> order"]},
    ]
    pods = run(agent, workload("sh", "-c", "cat order; exec sleep 1000", initContainers=inits))
    wait_until(lambda: log_of(agent, pods[0]).split() == ["first", "side", "last"])
    assert len(agent.descendants()) == 2


def test_a_sidecar_ends_with_what_it_serves(agent: RunningAgent) -> None:
    """In a Job, it would keep the pod from its end."""
    side = {"name": "side", "command": ["sh", "-c", "exec sleep 1000"], "restartPolicy": "Always"}
    agent.driver.apply(a_job("exit 0", initContainers=[side]), deadline_s=5)
    see(agent, lambda pod: pod.phase == "Succeeded")
    wait_until(lambda: not agent.descendants(), what="the sidecar has ended")


def a_job(script: str, *, uid: str = "1", **more: Any) -> Workload:
    """A Job; what is not for its pod is for its spec."""
    pod = {key: more.pop(key) for key in ("initContainers",) if key in more}
    template = workload("sh", "-c", script, restartPolicy="Never", **pod)
    job: Any = {"kind": "Job", "metadata": {"name": KEY.name}, "spec": more}
    return replace(template, objects=(job,), labels={"roam.federation/uid": uid})


def outcome(agent: RunningAgent) -> str:
    seen = agent.driver.observe(None, wait_s=0, deadline_s=5)
    return next((state.outcome for state in seen.workloads if state.key == KEY), "")


def test_a_job_that_ended_is_not_run_again_by_another_agent(tmp_path: Path) -> None:
    mark = tmp_path / "runs"
    script = f"echo run >> {mark}"
    with running_agent(tmp_path) as first:
        first.driver.apply(a_job(script, completions=2), deadline_s=5)
        wait_until(lambda: outcome(first) == "Complete")
    with running_agent(tmp_path) as second:
        second.driver.apply(a_job(script, completions=2), deadline_s=5)
        wait_until(lambda: outcome(second) == "Complete")
        assert mark.read_text() == "run\nrun\n"
        second.driver.delete(KEY, deadline_s=5)
        wait_until(lambda: not second.driver.observe(None, wait_s=0, deadline_s=5).workloads)
        second.driver.apply(a_job(script, uid="2"), deadline_s=5)
        wait_until(lambda: outcome(second) == "Complete")
        assert mark.read_text() == "run\nrun\nrun\n"


def test_a_job_has_its_deadline(agent: RunningAgent) -> None:
    agent.driver.apply(a_job("sleep 1000", activeDeadlineSeconds=1), deadline_s=5)
    wait_until(lambda: outcome(agent) == "Failed")
    state = agent.driver.observe(None, wait_s=0, deadline_s=5).workloads[0]
    assert "DeadlineExceeded" in state.message
    wait_until(lambda: not agent.descendants())


def test_a_job_that_ended_leaves_its_room(agent: RunningAgent) -> None:
    cores = {"resources": {"requests": {"cpu": "4"}}}
    agent.driver.apply(replace(a_job("exit 0"), template=workload(
        "true", restartPolicy="Never", container=cores).template), deadline_s=5)  # fmt: skip
    wait_until(lambda: outcome(agent) == "Complete")
    other = workload("sleep", "1000", key=Key("shop", "other"), container=cores)
    agent.driver.apply(other, deadline_s=5)
    View(agent.driver, 5).until(lambda view: view.ready(other.key) == 1, WITHIN_S)


def test_what_runs_by_the_clock_is_refused(agent: RunningAgent) -> None:
    clock: Any = {"kind": "CronJob", "spec": {"schedule": "* * * * *"}}
    with pytest.raises(InvalidInput, match="CronJob"):
        agent.driver.apply(replace(workload("true"), objects=(clock,)), deadline_s=5)


def test_an_only_pod_on_a_full_place_waits_for_room(agent: RunningAgent) -> None:
    """It keeps serving, says how much is missing, and is replaced as soon as there is room."""

    def cores(count: str) -> dict[str, Any]:
        return {"resources": {"requests": {"cpu": count}}}

    other = workload("sleep", "1000", key=Key("shop", "other"), container=cores("3"))
    run(agent, other)
    only = replace(workload("sleep", "1000", container=cores("1")), min_available=1)
    run(agent, only)
    agent.driver.apply(
        replace(workload("sleep", "1001", revision="2", container=cores("1")), min_available=1), deadline_s=5
    )
    view = View(agent.driver, 5)
    view.until(lambda view: view.workloads[KEY].waiting, WITHIN_S)
    assert "one more pod needs 1 cores, 0 cores are free" in view.workloads[KEY].message
    assert [(pod.revision, pod.ready) for pod in view.workloads[KEY].pods] == [("1", True)]
    agent.driver.delete(other.key, deadline_s=5)

    def renewed(view: View) -> bool:
        assert view.ready(KEY) >= 1
        return [pod.revision for pod in view.workloads[KEY].pods] == ["2"]

    view.until(renewed, WITHIN_S)
    assert not view.workloads[KEY].waiting


def test_headroom_is_for_pods_that_replace_others(tmp_path: Path) -> None:
    cores = {"resources": {"requests": {"cpu": "4"}}}
    with running_agent(tmp_path, headroom={"cpu": "4", "memory": "1Gi"}) as agent:
        run(agent, workload("sleep", "1000", container=cores))
        with pytest.raises(NoCapacity):
            agent.driver.apply(workload("sleep", "1", key=Key("shop", "more"), container=cores), deadline_s=5)
        agent.driver.apply(workload("sleep", "1001", revision="2", container=cores), deadline_s=5)
        View(agent.driver, 5).until(
            lambda view: [(p.revision, p.ready) for p in view.workloads[KEY].pods] == [("2", True)], WITHIN_S
        )


def test_a_replaced_pod_serves_on_for_a_while(tmp_path: Path) -> None:
    """Gateways hear of its end only afterwards."""
    ports = (Port(port=80, target_port="http"),)
    with running_agent(tmp_path, linger="2s") as agent:
        probe = {"readinessProbe": {"tcpSocket": {"port": "http"}}}
        first = replace(workload(*PYTHON, container=server(**probe)), ports=ports)
        (old,) = run(agent, first)
        second = replace(workload(*PYTHON, container=server(**probe), hostname="new", revision="2"), ports=ports)
        agent.driver.apply(second, deadline_s=5)
        see(agent, lambda pod: pod.name == old.name and pod.phase == "Terminating")
        began = time.monotonic()
        with contextlib.closing(http.client.HTTPConnection(old.address, 8080, timeout=5)) as late:
            late.connect()
        View(agent.driver, 5).until(lambda view: len(view.workloads[KEY].pods) == 1, WITHIN_S)
        assert time.monotonic() - began > 1.0


def test_pods_get_their_own_environment_and_nothing_else(agent: RunningAgent) -> None:
    pods = run(agent, workload("sh", "-c", "env; pwd; exec sleep 1000"))
    wait_until(lambda: log_of(agent, pods[0]).endswith("/scratch\n"))
    text = log_of(agent, pods[0])
    names = {line.partition("=")[0] for line in text.splitlines()[:-1]}
    assert names <= {"PATH", "HOME", "TMPDIR", "LANG", "TZ", "HOSTNAME", "ROAM_PROCESS", "PWD", "OLDPWD", "SHLVL", "_"}
    assert "agent-secret" not in text


def test_logs_are_bounded_and_private(agent: RunningAgent) -> None:
    pods = run(agent, workload("sh", "-c", "yes 0123456789abcdef | head -c 5000000; echo end; exec sleep 1000"))
    directory = agent.directory / "pods" / f"shop_{pods[0].name}"
    wait_until(lambda: log_of(agent, pods[0]).endswith("end\n"))
    assert sum(file.stat().st_size for file in directory.glob("main.log*")) <= 2 * 2**20
    assert {oct(path.stat().st_mode & 0o077) for path in (directory, *directory.rglob("*"))} == {"0o0"}


def test_an_image_alone_cannot_run(agent: RunningAgent) -> None:
    with pytest.raises(InvalidInput, match="has only an image"):
        agent.driver.apply(
            Workload(KEY, "1", 1, {"spec": {"containers": [{"name": "c", "image": "nginx"}]}}), deadline_s=5
        )


def test_capacity_is_kept(agent: RunningAgent) -> None:
    def cores(count: str) -> dict[str, Any]:
        return {"resources": {"requests": {"cpu": count}}}

    run(agent, workload("sleep", "1000", replicas=3, container=cores("1")))
    with pytest.raises(NoCapacity, match="needs 2 cores; 1 cores of 4 cores are free"):
        agent.driver.apply(workload("sleep", "1", key=Key("shop", "more"), container=cores("2")), deadline_s=5)
    agent.driver.apply(workload("sleep", "1000", replicas=4, container=cores("1")), deadline_s=5)
    # No room for one more than asked for: one at a time makes way.
    agent.driver.apply(workload("sleep", "1001", replicas=4, revision="2", container=cores("1")), deadline_s=5)

    def renewed(view: View) -> bool:
        pods = view.workloads[KEY].pods
        assert len(pods) <= 4
        return [(pod.revision, pod.ready) for pod in pods] == [("2", True)] * 4

    View(agent.driver, 5).until(renewed, WITHIN_S)


def test_one_writer_is_gone_before_the_next_starts(agent: RunningAgent) -> None:
    stateful = ({"kind": "StatefulSet", "metadata": {"name": "web"}, "spec": {}},)
    first = workload("sleep", "1000")
    agent.driver.apply(Workload(first.key, "1", 1, first.template, objects=stateful), deadline_s=5)
    view = View(agent.driver, 5)
    view.until(lambda view: view.ready(KEY) == 1, WITHIN_S)
    second = workload("sleep", "1001")
    agent.driver.apply(Workload(first.key, "2", 1, second.template, objects=stateful), deadline_s=5)

    def renewed(view: View) -> bool:
        assert len(view.workloads[KEY].pods) <= 1
        return view.ready(KEY) == 1 and view.workloads[KEY].pods[0].revision == "2"

    view.until(renewed, WITHIN_S)


def test_the_gateway_is_kept_running(tmp_path: Path) -> None:
    with running_agent(tmp_path, gateway=["sleep", "1000"]) as agent:

        def pid() -> int | None:
            gateway = agent.driver.status(deadline_s=5).gateway
            return gateway.pid if gateway else None

        wait_until(pid)
        first = pid()
        assert first is not None
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: pid() not in (None, first))


def request(agent: RunningAgent, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    token = (agent.directory.parent / "token").read_text()
    connection = http.client.HTTPConnection(urllib3.util.parse_url(agent.url).host or "", PORT, timeout=5)
    with contextlib.closing(connection):
        connection.request(method, path, body, {"Authorization": f"Bearer {token}", **headers})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/v1/workloads/shop/web", b"{", 400),
        ("PUT", "/v1/workloads/shop/web", b"[" * 100_000, 400),
        ("PUT", "/v1/workloads/shop/web", b"{}", 400),
        ("PUT", "/v1/workloads/shop/web", b'{"key":["a","b"],"revision":"1","replicas":1,"template":{}}', 400),
        ("PUT", "/v1/workloads/shop/web", b'{"key":["shop","web"],"revision":"1","replicas":-1,"template":{}}', 400),
        ("PUT", "/v1/workloads/shop/web", b'\xff\xfe', 400),
        ("GET", "/v1/workloads?wait=long", None, 400),
        ("GET", "/v1/workloads?wait=1e9", None, 400),
        ("GET", "/v1/workloads/../../etc/passwd", None, 404),
        ("GET", "/elsewhere", None, 404),
        ("POST", "/v1/workloads/shop/web", b"{}", 405),
        ("DELETE", "/v1/offers", None, 405),
    ],
)  # fmt: skip
def test_bad_requests_are_answered_not_suffered(
    agent: RunningAgent, method: str, path: str, body: bytes | None, status: int
) -> None:
    found, answer = request(agent, method, path, body)
    assert found == status
    assert answer["message"]
    assert "Traceback" not in json.dumps(answer)
    assert agent.driver.status(deadline_s=5).workloads == 0


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic x", "Bearer \xff" * 50])
def test_without_the_token_nothing_is_answered(agent: RunningAgent, header: str) -> None:
    for path in ("/v1/status", "/v1/offers", "/v1/workloads", "/elsewhere"):
        status, answer = request(agent, "GET", path, Authorization=header)
        assert (status, answer["reason"]) == (401, "Denied")


def test_a_huge_body_is_refused(agent: RunningAgent) -> None:
    with contextlib.suppress(ConnectionError, http.client.HTTPException, json.JSONDecodeError):
        status, _ = request(agent, "PUT", "/v1/workloads/shop/web", b" " * (17 << 20))
        assert status in (400, 413)
    assert agent.driver.status(deadline_s=5).workloads == 0


def test_many_watchers_do_not_block_the_rest(agent: RunningAgent) -> None:
    cursor = agent.driver.observe(None, wait_s=0, deadline_s=5).cursor
    with ThreadPoolExecutor(24) as pool:
        watching = [pool.submit(request, agent, "GET", f"/v1/workloads?wait=3&cursor={cursor}") for _ in range(24)]
        time.monotonic()
        threading.Event().wait(0.3)
        began = time.monotonic()
        agent.driver.offers(deadline_s=2)
        assert time.monotonic() - began < 1
        assert {found.result()[0] for found in watching} == {200}


def test_two_agents_do_not_share_a_directory(agent: RunningAgent, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "providers.local.agent", "--config", str(tmp_path / "agent.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    assert "another agent runs in" in done.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"address": "10.0.0.1"}, "address: must be a loopback address"),
        ({"block": "127.1.0.0/30"}, "block: must be a block of at least 1,024"),
        ({"capacity": {"cpu": "lots", "memory": "1Gi"}}, "capacity.cpu"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_configuration_is_explained(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    config = {
        "name": "test", "address": "127.99.0.1", "port": PORT, "block": "127.99.0.0/16",
        "capacity": {"cpu": "1", "memory": "1Gi"},
        "directory": str(tmp_path / "agent"), "tokenFile": str(write_token(tmp_path / "token")), **change,
    }  # fmt: skip
    (tmp_path / "agent.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "providers.local.agent", "--config", str(tmp_path / "agent.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 64
    assert said in done.stderr


def test_what_has_no_probe_and_ends_at_once_replaces_nothing(agent: RunningAgent) -> None:
    """It is ready whenever it was just started; that says nothing."""
    old = {pod.name for pod in run(agent, workload("sleep", "1000", replicas=2))}
    agent.driver.apply(workload("sh", "-c", "exit 3", replicas=2, revision="2"), deadline_s=5)
    see(agent, lambda pod: pod.revision == "2" and pod.restarts >= 3)
    view = View(agent.driver, 5)
    view.refresh()
    assert old <= view.names(KEY)
    agent.driver.apply(workload("sleep", "1001", replicas=2, revision="3"), deadline_s=5)
    view.until(lambda view: [(p.revision, p.ready) for p in view.workloads[KEY].pods] == [("3", True)] * 2, WITHIN_S)
