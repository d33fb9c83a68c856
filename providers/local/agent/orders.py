"""Orders: workloads, checked, as this agent can run them. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from federation.contracts.driver import Workload
from federation.errors import InvalidInput
from providers.local.agent.jobs import JobSpec, job_of
from providers.local.agent.rollout import has_one_writer
from providers.local.agent.template import Template, parse_template

RESOURCES: Final = ("cpu", "memory")
UNPROBED_S: Final = 1.0


@dataclass(frozen=True)
class Order:
    """A workload, checked: `ports` maps each service port to the pod's port; `requests` is what one pod reserves; `job`
    when it runs to an end; `content` tells what its pods are made of; `min_ready_s`, how long a
    new pod has to be ready before another one makes way for it."""

    workload: Workload
    template: Template
    ports: dict[int, int]
    requests: Mapping[str, float]
    one_writer: bool
    job: JobSpec | None = None
    content: str = ""
    min_ready_s: float = 0.0


def prepare(workload: Workload) -> Order:
    """Check a workload. Pure. Raises: InvalidInput, when it can't be run by processes, naming the field."""
    template = parse_template(workload.template)
    ports = {}
    for index, port in enumerate(workload.ports):
        target = template.port(port.target_port if port.target_port is not None else port.port)
        if target is None:
            raise InvalidInput(
                f"no container has a port named {port.target_port!r}", field=f"ports[{index}].targetPort"
            )
        ports[port.port] = target
    requests = {resource: template.request(resource) for resource in RESOURCES}
    if any(item.get("kind") == "CronJob" for item in workload.objects):
        raise InvalidInput("a CronJob runs by the clock, and this sub-cluster keeps none: apply a Job")
    one_writer, job = has_one_writer(workload.objects), job_of(workload.objects)
    min_ready_s = _min_ready_s(workload, template)
    return Order(workload, template, ports, requests, one_writer, job, _content(workload, ports), min_ready_s)


def _min_ready_s(workload: Workload, template: Template) -> float:
    """As the Deployment states. Else a moment for what has no probe: that it was started does not say that it works."""
    for item in workload.objects:
        spec = item.get("spec")
        stated = spec.get("minReadySeconds") if isinstance(spec, dict) else None
        if isinstance(stated, int) and stated > 0:
            return float(stated)
    return 0.0 if all(container.readiness_probe for container in template.spec.containers) else UNPROBED_S


def _content(workload: Workload, ports: Mapping[int, int]) -> str:
    """A hash of what pods are made of."""
    configuration = [item for item in workload.objects if item.get("kind") in ("ConfigMap", "Secret")]
    text = json.dumps([workload.template, sorted(ports.items()), configuration], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
