"""A real agent's volumes: what is claimed outlives processes, pods and agents, and goes with its workload."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from local_agent import RunningAgent, running_agent, wait_until
from test_local_agent import KEY, WITHIN_S, log_of, pod_of, run, see, workload

from federation.contracts.driver import Workload
from federation.errors import InvalidInput
from federation.model.meta import Key
from federation.model.microservice import Port
from federation.testing.driver import View

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("local-agent")]

# Counts its starts in a file, and says so.
COUNT = "echo x >> /data/starts; wc -l < /data/starts; exec sleep 1000"


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[RunningAgent]:
    with running_agent(tmp_path, linger="0s") as agent:
        yield agent


def with_volume(source: dict[str, Any], script: str = COUNT, **container: Any) -> Workload:
    mounts = [{"name": "data", "mountPath": "/data"}]
    return workload(
        "sh", "-c", script, container={"volumeMounts": mounts, **container}, volumes=[{"name": "data", **source}]
    )


def stateful(revision: str = "1", replicas: int = 1, script: str = COUNT) -> Workload:
    wanted = with_volume({"emptyDir": {}}, script)
    template = {**wanted.template, "spec": {**wanted.template["spec"], "volumes": []}}  # type: ignore[dict-item]
    claims = [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}]
    objects = ({"kind": "StatefulSet", "spec": {"volumeClaimTemplates": claims}},)
    template["metadata"] = {"annotations": {"revision": revision}}
    return replace(wanted, template=template, objects=objects, revision=revision, replicas=replicas)


def said(agent: RunningAgent, text: str) -> None:
    wait_until(lambda: log_of(agent, pod_of(agent)).strip() == text, what=f"the pod says {text}")


def volumes(agent: RunningAgent) -> list[str]:
    directory = agent.directory / "volumes"
    return sorted(str(each.relative_to(directory)) for each in directory.glob("*/*"))


def test_what_is_claimed_outlives_a_killed_process_a_replaced_pod_and_a_killed_agent(tmp_path: Path) -> None:
    with running_agent(tmp_path, linger="0s") as agent:
        run(agent, stateful())
        said(agent, "1")
        os.kill(agent.descendants()[0], signal.SIGKILL)
        see(agent, lambda pod: pod.restarts == 1 and pod.ready)
        said(agent, "2")
        first = pod_of(agent).name
        run(agent, stateful("2"))
        see(agent, lambda pod: pod.ready and pod.name != first)
        said(agent, "3")
        agent.process.kill()
        agent.process.wait()
    with running_agent(tmp_path, linger="0s") as agent:
        run(agent, stateful("2"))
        said(agent, "4")
        assert volumes(agent) == ["shop_web/data-web-0"]
        agent.driver.delete(KEY, deadline_s=5)
        wait_until(lambda: not list((agent.directory / "volumes").iterdir()), what="nothing left of what was claimed")
        run(agent, stateful("2"))
        said(agent, "1")


def test_what_was_claimed_goes_although_the_agent_was_away(tmp_path: Path) -> None:
    with running_agent(tmp_path) as agent:
        run(agent, stateful())
        said(agent, "1")
    with running_agent(tmp_path) as agent:
        assert volumes(agent) == ["shop_web/data-web-0"]
        agent.driver.delete(KEY, deadline_s=5)
        wait_until(lambda: not list((agent.directory / "volumes").iterdir()), what="nothing left of what was claimed")


def test_each_pod_of_a_stateful_set_keeps_its_own(agent: RunningAgent) -> None:
    run(agent, stateful(replicas=2))
    assert volumes(agent) == ["shop_web/data-web-0", "shop_web/data-web-1"]
    run(agent, stateful("2", replicas=2))
    starts = agent.directory / "volumes" / "shop_web"
    wait_until(lambda: [(starts / f"data-web-{n}" / "starts").read_text() for n in (0, 1)] == ["x\nx\n"] * 2)


def test_what_is_not_claimed_goes_with_its_pod(agent: RunningAgent) -> None:
    run(agent, with_volume({"emptyDir": {}}))
    said(agent, "1")
    first = pod_of(agent).name
    run(agent, replace(with_volume({"emptyDir": {}}, f"true; {COUNT}"), revision="2"))
    wait_until(lambda: pod_of(agent).name != first)
    said(agent, "1")
    agent.driver.delete(KEY, deadline_s=5)
    wait_until(lambda: not list((agent.directory / "pods").iterdir()), what="no directory left of the pod")


def test_programs_probes_and_directories_find_the_volume(agent: RunningAgent) -> None:
    """A path in an argument, in a value, in a probe, as the working directory, and of a file made from a ConfigMap."""
    script = 'cat mode "$FILE"; echo ok > /data/out/ready; exec sleep 1000'
    container = {
        "workingDir": "/etc/config",
        "env": [{"name": "FILE", "value": "/etc/config/mode"}],
        "readinessProbe": {"exec": {"command": ["cat", "/data/out/ready"]}, "periodSeconds": 1},
        "volumeMounts": [
            {"name": "data", "mountPath": "/data/out", "subPath": "a"},
            {"name": "config", "mountPath": "/etc/config"},
        ],
    }
    wanted = workload(
        "sh", "-c", script, container=container,
        volumes=[{"name": "data", "emptyDir": {}}, {"name": "config", "configMap": {"name": "config"}}],
    )  # fmt: skip
    config = {"kind": "ConfigMap", "metadata": {"name": "config"}, "data": {"mode": "fast\n"}}
    (pod,) = run(agent, replace(wanted, objects=(config,)))
    assert log_of(agent, pod) == "fast\nfast\n"


def test_what_can_not_be_mounted_is_told(agent: RunningAgent) -> None:
    run(agent, with_volume({"hostPath": {"path": "/"}}, "exec sleep 1000"))
    (state,) = agent.driver.observe(None, wait_s=0, deadline_s=5).workloads
    assert state.message == "runs without data: this sub-cluster mounts no volumes of that kind"
    agent.driver.apply(replace(with_volume({"secret": {"secretName": "gone"}}), revision="2"), deadline_s=5)
    pod = see(agent, lambda pod: pod.reason == "CreateContainerConfigError")
    assert pod.ready or pod.message == 'Secret "gone" not found'


def test_a_mount_of_nothing_is_refused(agent: RunningAgent) -> None:
    mounts = [{"name": "other", "mountPath": "/data"}]
    with pytest.raises(InvalidInput, match="there is no volume 'other'"):
        agent.driver.apply(workload("true", container={"volumeMounts": mounts}), deadline_s=5)


def test_a_replaced_writer_does_not_lose_its_room_to_others(tmp_path: Path) -> None:
    """A pod of another service, replaced and lingering, is where the writer was: its successor starts all the same."""
    web, other = Key("shop", "web"), Key("shop", "other")
    core = {"resources": {"requests": {"cpu": "1"}}}
    writer = ({"kind": "StatefulSet", "spec": {}},)
    size = {"capacity": {"cpu": "2", "memory": "1Gi"}, "headroom": {"cpu": "1", "memory": "1Gi"}, "linger": "60s"}

    def version(key: Key, revision: str) -> Workload:
        script = f"true {revision}; exec sleep 1000"
        first = workload("sh", "-c", script, key=key, revision=revision, container=core)
        return replace(first, objects=writer) if key == web else replace(first, ports=(Port(port=80),))

    with running_agent(tmp_path, **size) as agent:
        view = View(agent.driver, 5)

        def until(key: Key, revision: str, phases: set[str]) -> None:
            agent.driver.apply(version(key, revision), deadline_s=5)
            view.until(
                lambda view: (
                    (pods := view.workloads[key].pods)[-1].revision == revision
                    and pods[-1].ready
                    and {pod.phase for pod in pods} == phases
                ),
                WITHIN_S,
            )

        until(other, "1", {"Running"})
        until(web, "1", {"Running"})
        until(other, "2", {"Running", "Terminating"})
        until(web, "2", {"Running"})
        assert {pod.phase for pod in view.workloads[other].pods} == {"Running", "Terminating"}
        for key in (web, other):
            agent.driver.delete(key, deadline_s=5)
        wait_until(lambda: agent.driver.status(deadline_s=5).used.cpu_cores == 0, what="all room is given back")
