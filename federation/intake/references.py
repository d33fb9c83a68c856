"""What belongs to a workload: the objects it refers to, and those that refer to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from federation.intake.objects import Identity, KubeObject
from federation.model.meta import Selector

Wanted = tuple[str, str, str]
"""Kind, namespace, name."""

_ROUTES = frozenset({"HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute"})


class Index:
    """All Kubernetes objects read, found by name and by what they select. Costs one pass over the objects."""

    def __init__(self, objects: Iterable[KubeObject]):
        self._named: dict[Wanted, KubeObject] = {}
        self._order: dict[Identity, int] = {}
        self._services: dict[tuple[str, str, str], list[KubeObject]] = defaultdict(list)
        self._selecting: dict[str, list[tuple[Selector, KubeObject]]] = defaultdict(list)
        self._referring: dict[Wanted, list[KubeObject]] = defaultdict(list)
        for position, item in enumerate(objects):
            self._order[item.identity] = position
            self._named.setdefault((item.kind, item.namespace, item.name), item)
            self._enter(item)

    def named(self, kind: str, namespace: str, name: str) -> KubeObject | None:
        """The object of that kind and name."""
        return self._named.get((kind, namespace, name))

    def services_of(self, namespace: str, labels: Mapping[str, str]) -> list[KubeObject]:
        """The Services of the namespace that select pods with these labels, in the order they were read."""
        found = {
            service.identity: service
            for label in labels.items()
            for service in self._services.get((namespace, *label), ())
            if service.value["spec"]["selector"].items() <= labels.items()
        }
        return sorted(found.values(), key=lambda one: self._order[one.identity])

    def belonging_to(
        self, workload: KubeObject, template: Mapping[str, Any], services: list[KubeObject]
    ) -> list[KubeObject]:
        """Everything that belongs to `workload`, itself first, then in the order it was read."""
        labels = (template.get("metadata") or {}).get("labels") or {}
        found = {one.identity: one for one in (workload, *services)}
        for selector, item in self._selecting.get(workload.namespace, ()):
            if selector.matches(labels):
                found.setdefault(item.identity, item)
        waiting: list[Wanted] = [*_template_references(template, workload.namespace), *_claims(workload)]
        waiting += [(one.kind, one.namespace, one.name) for one in found.values()]
        seen: set[Wanted] = set()
        while waiting:
            wanted = waiting.pop()
            if wanted in seen:
                continue
            seen.add(wanted)
            known = self._named.get(wanted)
            if known is not None:
                found.setdefault(known.identity, known)
                waiting += _references(known)
            for referring in self._referring.get(wanted, ()):
                waiting.append((referring.kind, referring.namespace, referring.name))
        others = sorted(
            (one for one in found.values() if one is not workload), key=lambda one: self._order[one.identity]
        )
        return [workload, *others]

    def _enter(self, item: KubeObject) -> None:
        spec = item.value.get("spec")
        if item.built_in and item.kind == "Service":
            for label in (item.value["spec"].get("selector") or {}).items():
                self._services[item.namespace, *label].append(item)
                # One label is enough to find it: which one makes no difference.
                break
        elif item.built_in and item.kind in ("PodDisruptionBudget", "NetworkPolicy") and isinstance(spec, dict):
            selector = spec.get("selector" if item.kind == "PodDisruptionBudget" else "podSelector")
            if selector is not None:
                self._selecting[item.namespace].append((Selector.model_validate(selector), item))
        for wanted in _refers_to_workload(item):
            self._referring[wanted].append(item)


def _template_references(template: Mapping[str, Any], namespace: str) -> Iterator[Wanted]:
    spec = template.get("spec") or {}
    yield "ServiceAccount", namespace, spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    yield "PriorityClass", "", spec.get("priorityClassName") or ""
    yield "RuntimeClass", "", spec.get("runtimeClassName") or ""
    for secret in _maps(spec, "imagePullSecrets"):
        yield "Secret", namespace, str(secret.get("name"))
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in _maps(spec, kind):
            for variable in _maps(container, "env"):
                yield from _sources(variable.get("valueFrom"), namespace)
            for source in _maps(container, "envFrom"):
                yield from _sources(source, namespace)
    for volume in _maps(spec, "volumes"):
        yield from _sources(volume, namespace)
        for source in _maps(volume.get("projected"), "sources"):
            yield from _sources(source, namespace)
        claim = volume.get("persistentVolumeClaim")
        if isinstance(claim, dict):
            yield "PersistentVolumeClaim", namespace, str(claim.get("claimName"))
        for driver in ("csi", "flexVolume", "cephfs", "iscsi"):
            reference = _at(volume, driver, "nodePublishSecretRef") or _at(volume, driver, "secretRef")
            if isinstance(reference, dict):
                yield "Secret", namespace, str(reference.get("name"))


def _sources(source: Any, namespace: str) -> Iterator[Wanted]:
    if not isinstance(source, dict):
        return
    for field in ("configMap", "configMapRef", "configMapKeyRef"):
        if isinstance(source.get(field), dict):
            yield "ConfigMap", namespace, str(source[field].get("name"))
    for field in ("secret", "secretRef", "secretKeyRef"):
        if isinstance(source.get(field), dict):
            yield "Secret", namespace, str(source[field].get("secretName") or source[field].get("name"))


def _claims(workload: KubeObject) -> Iterator[Wanted]:
    spec = workload.value.get("spec")
    for claim in _maps(spec, "volumeClaimTemplates"):
        yield "StorageClass", "", str(_at(claim, "spec", "storageClassName"))
    if isinstance(spec, dict) and workload.kind == "StatefulSet" and isinstance(spec.get("serviceName"), str):
        yield "Service", workload.namespace, spec["serviceName"]


def _references(item: KubeObject) -> Iterator[Wanted]:
    """What an attached object in turn needs."""
    value, spec = item.value, item.value.get("spec")
    if item.kind == "ServiceAccount":
        for field in ("secrets", "imagePullSecrets"):
            for secret in _maps(value, field):
                yield "Secret", item.namespace, str(secret.get("name"))
    elif item.kind == "PersistentVolumeClaim" and isinstance(spec, dict):
        yield "StorageClass", "", str(spec.get("storageClassName"))
        yield "PersistentVolume", "", str(spec.get("volumeName"))
    elif item.kind in ("RoleBinding", "ClusterRoleBinding") and isinstance(value.get("roleRef"), dict):
        kind, name = str(value["roleRef"].get("kind")), str(value["roleRef"].get("name"))
        yield kind, item.namespace if kind == "Role" else "", name
    elif item.kind == "Ingress" and isinstance(spec, dict):
        yield "IngressClass", "", str(spec.get("ingressClassName"))
        for entry in _maps(spec, "tls"):
            yield "Secret", item.namespace, str(entry.get("secretName"))


def _refers_to_workload(item: KubeObject) -> Iterator[Wanted]:
    """The workloads, Services and accounts that bring `item` along."""
    spec = item.value.get("spec")
    for field in ("scaleTargetRef", "targetRef"):
        target = _at(spec, field)
        if isinstance(target, dict) and item.kind in (
            "HorizontalPodAutoscaler",
            "VerticalPodAutoscaler",
            "ScaledObject",
        ):
            yield str(target.get("kind") or "Deployment"), item.namespace, str(target.get("name"))
    if item.kind in ("RoleBinding", "ClusterRoleBinding"):
        for subject in _maps(item.value, "subjects"):
            if subject.get("kind") == "ServiceAccount":
                yield "ServiceAccount", str(subject.get("namespace") or item.namespace), str(subject.get("name"))
    if item.kind == "Ingress":
        for backend in _backends(spec):
            name = _at(backend, "service", "name") or _at(backend, "serviceName")
            yield "Service", item.namespace, str(name)
    if item.kind in _ROUTES:
        for rule in _maps(spec, "rules"):
            for backend in _maps(rule, "backendRefs"):
                yield "Service", str(backend.get("namespace") or item.namespace), str(backend.get("name"))
    if item.kind in ("Endpoints", "EndpointSlice"):
        yield "Service", item.namespace, item.labels.get("kubernetes.io/service-name", item.name)


def _backends(spec: Any) -> Iterator[Any]:
    yield _at(spec, "defaultBackend")
    yield _at(spec, "backend")
    for rule in _maps(spec, "rules"):
        for path in _maps(rule.get("http"), "paths"):
            yield path.get("backend")


def _maps(value: Any, field: str) -> list[dict[str, Any]]:
    """The objects in the list `field` of `value`; nothing where it is something else (the kind is not checked)."""
    items = value.get(field) if isinstance(value, dict) else None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _at(value: Any, *path: str) -> Any:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value
