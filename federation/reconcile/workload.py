"""A microservice as one sub-cluster shall run it: addresses rewritten, overrides applied, a revision for all of it."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from federation.contracts.driver import Workload
from federation.model.microservice import Microservice
from federation.model.overrides import apply_plainly
from federation.model.podtemplate import config_variables, containers, environment, rewrite, rewrite_objects
from federation.model.subcluster import SubCluster
from federation.reconcile.desired import min_available

SERVICE_LABEL = "roam.federation/service"
UID_LABEL = "roam.federation/uid"
_WORD = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
Addresses = Mapping[tuple[str, int], str]


def build_workload(
    service: Microservice, subcluster: SubCluster, replicas: int, addresses: Addresses | None
) -> Workload:
    """The workload. `addresses`: (service name, port) -> host:port of the gateway there, for sub-clusters that need
    addresses rewritten; None where names resolve by themselves.

    With a patch of the sub-cluster that does not apply, the patches are left out: such a place is forbidden to the
    service, and what is made here is not delivered.
    Equal arguments give an equal revision in every process; numbers of replicas are not part of it."""
    template: Mapping[str, Any] = service.spec.template
    objects: tuple[Mapping[str, Any], ...] = service.spec.objects
    if addresses is not None:
        namespace = service.metadata.namespace
        objects = rewrite_objects(objects, template, addresses, namespace)
        template = rewrite(template, addresses, namespace)
    template, objects, failed = apply_plainly(service, template, objects, subcluster.spec.overrides)
    ports = service.spec.ports
    content = [template, [port.model_dump(mode="json") for port in ports], [_unscaled(item) for item in objects]]
    if failed:
        content.append(failed)
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return Workload(
        key=service.key,
        revision=hashlib.sha256(text.encode()).hexdigest()[:12],
        replicas=replicas,
        template=template,
        ports=ports,
        labels={**service.metadata.labels, SERVICE_LABEL: service.metadata.name, UID_LABEL: service.metadata.uid},
        objects=objects,
        min_available=least_available(service, replicas),
    )


def least_available(service: Microservice, replicas: int) -> int:
    """How many of `replicas` in one place must stay ready: their part of the whole, rounded up, so that all places
    together keep the whole whatever the others do."""
    whole = min_available(service.spec.replicas, service.spec.disruption.min_available)
    return min(replicas, math.ceil(whole * replicas / max(service.spec.replicas, 1)))


def _unscaled(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """A workload's object without its number of replicas: to scale is not to change."""
    spec = item.get("spec")
    if not isinstance(spec, Mapping) or "replicas" not in spec:
        return item
    return {**item, "spec": {key: value for key, value in spec.items() if key != "replicas"}}


def spoken_words(service: Microservice) -> frozenset[str]:
    """The words in a service's environment and calls that may be names or namespaces of services: a superset of what
    `rewrite` can find there, cheap to make, good for telling whom a change of an address concerns."""
    template = service.spec.template
    texts = [value for container in containers(template) for value in environment(container).values()]
    used = {name for name, _, _ in config_variables(template)}
    for item in service.spec.objects:
        data, metadata = item.get("data"), item.get("metadata")
        if item.get("kind") != "ConfigMap" or not isinstance(data, dict) or not isinstance(metadata, dict):
            continue
        if metadata.get("name") in used:
            texts += [value for value in data.values() if isinstance(value, str) and len(value.split()) == 1]
    texts += [call.service for call in service.spec.calls]
    return frozenset(word for text in texts for word in _WORD.findall(text))
