"""Which Kubernetes kinds there are, as far as a misspelt one should be told, and what Roam takes them for."""

from __future__ import annotations

from federation.intake import shapes

_CORE = (
    "ConfigMap Endpoints Event LimitRange Namespace Node PersistentVolume PersistentVolumeClaim Pod PodTemplate "
    "ReplicationController ResourceQuota Secret Service ServiceAccount"
)
GROUPS: dict[str, frozenset[str]] = {
    group: frozenset(kinds.split())
    for group, kinds in {
        "": _CORE,
        "apps": "ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet",
        "autoscaling": "HorizontalPodAutoscaler",
        "batch": "CronJob Job",
        "extensions": "DaemonSet Deployment Ingress NetworkPolicy PodSecurityPolicy ReplicaSet",
        "networking.k8s.io": "IPAddress Ingress IngressClass NetworkPolicy ServiceCIDR",
        "policy": "PodDisruptionBudget PodSecurityPolicy",
        "rbac.authorization.k8s.io": "ClusterRole ClusterRoleBinding Role RoleBinding",
        "scheduling.k8s.io": "PriorityClass",
    }.items()
}
"""Kinds by group, of the groups whose kinds are all known here. Source: Kubernetes API reference, v1.34 and before."""

CLUSTER_WIDE = frozenset(
    {
        "APIService",
        "CSIDriver",
        "CertificateSigningRequest",
        "ClusterIssuer",
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "GatewayClass",
        "IngressClass",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PodSecurityPolicy",
        "PriorityClass",
        "RuntimeClass",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
        "VolumeAttachment",
        "VolumeSnapshotClass",
    }
)
"""Kinds that stand in no namespace."""

WORKLOADS: dict[str, type[shapes.Shape]] = {
    "Deployment": shapes.Workload,
    "StatefulSet": shapes.Workload,
    "DaemonSet": shapes.Workload,
    "ReplicaSet": shapes.Workload,
    "ReplicationController": shapes.Controller,
    "Job": shapes.Job,
    "CronJob": shapes.CronJob,
    "Pod": shapes.Pod,
}
"""Kinds that become a microservice, in the order in which they keep their name where two kinds share one."""

SHAPES: dict[str, type[shapes.Shape]] = {
    **WORKLOADS,
    "Service": shapes.Service,
    "ConfigMap": shapes.ConfigMap,
    "Secret": shapes.Secret,
    "PodDisruptionBudget": shapes.DisruptionBudget,
    "HorizontalPodAutoscaler": shapes.Autoscaler,
    "NetworkPolicy": shapes.NetworkPolicy,
}
"""What is checked of a kind; of all others only the metadata."""


def is_built_in(group: str, kind: str) -> bool:
    """Whether it is Kubernetes' own kind and not another's of the same name (Knative has Services, too)."""
    return kind in GROUPS.get(group, ())


def groups_of(kind: str) -> list[str]:
    """The groups that have a kind of that name."""
    return [group for group, kinds in GROUPS.items() if kind in kinds]
