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
from providers.local.agent.mounts import check_mounts
from providers.local.agent.rollout import has_one_writer
from providers.local.agent.template import Template, parse, parse_template
from providers.local.agent.volumespec import ClaimTemplates

RESOURCES: Final = ("cpu", "memory")
UNPROBED_S: Final = 1.0


@dataclass(frozen=True)
class Order:
    """A workload, checked: `ports` maps each service port to the pod's port; `requests` is what one pod reserves; `job`
    when it runs to an end; `content` tells what its pods are made of; `min_ready_s`, how long a
    new pod has to be ready before another one makes way for it; `claims`, the volumes that each of its pods has one of
    its own of, kept for its successor; `unmounted`, the volumes that it has to do without."""

    workload: Workload
    template: Template
    ports: dict[int, int]
    requests: Mapping[str, float]
    one_writer: bool
    job: JobSpec | None = None
    content: str = ""
    min_ready_s: float = 0.0
    claims: tuple[str, ...] = ()
    unmounted: tuple[str, ...] = ()


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
    claims = _claims(workload)
    check_mounts(template, claims)
    claimed = any(volume.persistent_volume_claim for volume in template.spec.volumes)
    return Order(
        workload,
        template,
        ports,
        requests,
        one_writer=claimed or has_one_writer(workload.objects),
        job=job_of(workload.objects),
        content=_content(workload, ports),
        min_ready_s=_min_ready_s(workload, template),
        claims=claims,
        unmounted=_unmounted(template, claims),
    )


def _claims(workload: Workload) -> tuple[str, ...]:
    """The names of the `volumeClaimTemplates`."""
    claims = []
    for item in workload.objects:
        spec = item.get("spec") if item.get("kind") == "StatefulSet" else None
        if isinstance(spec, dict) and spec.get("volumeClaimTemplates"):
            parsed = parse(ClaimTemplates, {"items": spec["volumeClaimTemplates"]}, field="volumeClaimTemplates")
            claims += [claim.metadata.name for claim in parsed.items]
    return tuple(claims)


def _unmounted(template: Template, claims: tuple[str, ...]) -> tuple[str, ...]:
    mounted = {mount.name for container in template.containers() for mount in container.volume_mounts}
    volumes = (volume for volume in template.spec.volumes if volume.name in mounted and volume.name not in claims)
    return tuple(sorted(volume.name for volume in volumes if not volume.mounted))


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
