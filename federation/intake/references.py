"""What belongs to a workload: the objects it refers to, and those that refer to it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from federation.intake.objects import Identity, KubeObject
from federation.model.meta import Selector

Wanted = tuple[str, str, str]
"""Kind, namespace, name."""

_ROUTES = frozenset({"HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute"})


class _Selecting:
    """Selectors of one namespace, found by the labels that they match.

    Each is filed under its rarest label, so that one label common to all makes no selector a candidate for all.
    """

    def __init__(self, entries: list[tuple[Selector, KubeObject]]):
        frequency = Counter(label for selector, _ in entries for label in selector.match_labels.items())
        self._filed: dict[tuple[str, str] | None, list[tuple[Selector, KubeObject]]] = defaultdict(list)
        for entry in entries:
            rarest = min(entry[0].match_labels.items(), key=lambda label: (frequency[label], label), default=None)
            self._filed[rarest].append(entry)

    def matching(self, labels: dict[str, str]) -> Iterator[KubeObject]:
        """The objects whose selector matches, in no particular order."""
        for label in (None, *labels.items()):
            for selector, item in self._filed.get(label, ()):
                if selector.matches(labels):
                    yield item


class Index:
    """All Kubernetes objects read, found by name and by what they select. Costs one pass over the objects."""

    def __init__(self, objects: Iterable[KubeObject]):
        self._named: dict[Wanted, KubeObject] = {}
        self._order: dict[Identity, int] = {}
        self._referring: dict[Wanted, list[KubeObject]] = defaultdict(list)
        services: dict[str, list[tuple[Selector, KubeObject]]] = defaultdict(list)
        others: dict[str, list[tuple[Selector, KubeObject]]] = defaultdict(list)
        for position, item in enumerate(objects):
            self._order[item.identity] = position
            self._named.setdefault((item.kind, item.namespace, item.name), item)
            for wanted in _refers_to_workload(item):
                self._referring[wanted].append(item)
            selector = _selector(item)
            if selector is not None:
                (services if item.kind == "Service" else others)[item.namespace].append((selector, item))
        self._services = {namespace: _Selecting(entries) for namespace, entries in services.items()}
        self._others = {namespace: _Selecting(entries) for namespace, entries in others.items()}

    def services_of(self, namespace: str, labels: Mapping[str, str]) -> list[KubeObject]:
        """The Services of the namespace that select pods with these labels, in the order they were read."""
        found = self._services[namespace].matching(dict(labels)) if namespace in self._services else ()
        return sorted(found, key=lambda one: self._order[one.identity])

    def belonging_to(
        self, workload: KubeObject, template: Mapping[str, Any], services: list[KubeObject]
    ) -> list[KubeObject]:
        """Everything that belongs to `workload`, itself first, then in the order it was read."""
        labels = (template.get("metadata") or {}).get("labels") or {}
        found = {one.identity: one for one in (workload, *services)}
        if workload.namespace in self._others:
            found.update((item.identity, item) for item in self._others[workload.namespace].matching(dict(labels)))
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


def _selector(item: KubeObject) -> Selector | None:
    """What selects pods in `item`; None where nothing does (for a Service also an empty selector)."""
    if not item.built_in:
        return None
    spec = item.value.get("spec")
    if item.kind == "Service":
        labels = spec.get("selector") if isinstance(spec, dict) else None
        return Selector(match_labels=labels) if labels else None
    field = {"PodDisruptionBudget": "selector", "NetworkPolicy": "podSelector"}.get(item.kind)
    selector = spec.get(field) if field and isinstance(spec, dict) else None
    return None if selector is None else Selector.model_validate(selector)


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
