"""Which volumes a pod template mounts where, checked. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from federation.errors import InvalidInput
from providers.local.agent.paths import is_inside, normal_mount
from providers.local.agent.template import Template
from providers.local.agent.volumespec import Mount


def check_mounts(template: Template, claims: Sequence[str]) -> None:
    """Refuse what is mounted nowhere or out of its volume; `claims` are volumes, too. Raises: InvalidInput."""
    volumes = {volume.name for volume in template.spec.volumes}.union(claims)
    for kind, containers in (
        ("initContainers", template.spec.init_containers),
        ("containers", template.spec.containers),
    ):
        for index, container in enumerate(containers):
            for number, mount in enumerate(container.volume_mounts):
                problem, name = _problem(mount, volumes)
                if problem:
                    field = f"template.spec.{kind}[{index}].volumeMounts[{number}].{name}"
                    raise InvalidInput(problem, field=field)


def _problem(mount: Mount, volumes: set[str]) -> tuple[str, str]:
    if mount.name not in volumes:
        return f"there is no volume {mount.name!r}", "name"
    if normal_mount(mount.mount_path) is None:
        return f"must be an absolute path below /, without ..; it is {mount.mount_path!r}", "mountPath"
    if mount.sub_path_expr:
        return "is not known to a local sub-cluster; give a subPath", "subPathExpr"
    if mount.sub_path and not is_inside(mount.sub_path):
        return f"must be a relative path without ..; it is {mount.sub_path!r}", "subPath"
    return "", ""
