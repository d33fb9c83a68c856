"""The volumes of pods, as directories below the agent's own: mode 0700, files 0600 or 0700.

What is claimed stays while its workload does, over replaced pods and restarts of the agent; everything else goes with
its pod. Source: Kubernetes "Volumes", "Projected Volumes", "StatefulSet" (names of claims)."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from federation.model.meta import Key
from providers.local.agent.environment import ConfigError, Configuration, Identity, field_value, resource_value
from providers.local.agent.paths import Paths, is_inside, normal_mount
from providers.local.agent.template import Container, Template
from providers.local.agent.volumespec import ConfigMapFiles, FieldFiles, Mount, Projection, SecretFiles, Volume

EXECUTABLE: Final = 0o111
CLUSTERS_OWN: Final = "kube-root-ca.crt"
"""A ConfigMap that a cluster puts into every namespace for those who call its API server; there is none here."""
_REMOVED: Final = ".removed-"


class Claims:
    """What workloads claimed, below one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def of(self, key: Key) -> Path:
        """The directory of a workload's claims, whether or not it is there."""
        return self._directory / f"{key.namespace}_{key.name}"

    def discard(self, key: Key) -> Callable[[], None] | None:
        """Take away what a workload claimed, at once. Idempotent.

        Returns: what then frees the disk, for a thread; None when nothing was claimed."""
        aside = self._directory / f"{_REMOVED}{secrets.token_hex(6)}"
        try:
            self.of(key).rename(aside)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
                return None
            raise
        return lambda: shutil.rmtree(aside, ignore_errors=True)

    def sweep(self) -> None:
        """Free what an earlier agent discarded and had no time to free."""
        for aside in self._directory.glob(f"{_REMOVED}*"):
            shutil.rmtree(aside, ignore_errors=True)


def free_claims(workload: str, volumes: Sequence[str], taken: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The claims of one more pod of a StatefulSet, by volume: the lowest number that no other pod has. Pure."""
    if not volumes:
        return {}
    used = {claim for each in taken for claim in each.values()}
    number = next(n for n in itertools.count() if f"{volumes[0]}-{workload}-{n}" not in used)
    return {volume: f"{volume}-{workload}-{number}" for volume in volumes}


@dataclass(frozen=True)
class VolumePlan:
    """Where the volumes of one pod are: `directory` goes with the pod, `claims` stays; `templates` maps the name of a
    volume that a StatefulSet makes for each of its pods to the name of this pod's claim."""

    directory: Path
    claims: Path
    templates: Mapping[str, str]


def mount_volumes(
    plan: VolumePlan, template: Template, identity: Identity, config: Configuration
) -> dict[str, Path | None]:
    """Make all volumes of a pod. Returns: the directory of each by its name; None for those that can't be mounted here.

    Raises: ConfigError, naming what is missing; OSError."""
    made: dict[str, Path | None] = {}
    for name, claim in plan.templates.items():
        made[name] = _own_directory(plan.claims, claim)
    for volume in template.spec.volumes:
        if volume.name not in made:
            made[volume.name] = _make(volume, plan, template, identity, config)
    return made


def paths_of(container: Container, volumes: Mapping[str, Path | None]) -> Paths:
    """The mounts of a container. Raises: ConfigError (a `subPath` that leads out of its volume); OSError."""
    mounts = {}
    for mount in container.volume_mounts:
        directory, path = volumes.get(mount.name), normal_mount(mount.mount_path)
        if directory is not None and path is not None:
            mounts[path] = str(_below(directory, mount))
    return Paths(mounts)


def _below(directory: Path, mount: Mount) -> Path:
    """The part of a volume that is mounted: a directory is made where nothing is."""
    if not mount.sub_path:
        return directory
    found = directory / mount.sub_path
    if not found.resolve().is_relative_to(directory.resolve()):
        raise ConfigError(f'subPath "{mount.sub_path}" leads out of volume "{mount.name}"')
    if not found.exists():
        found.mkdir(mode=0o700, parents=True)
    return found


def _own_directory(parent: Path, name: str) -> Path:
    """A directory that is one: a pod may have put a link in its place."""
    directory = parent / name
    for each in (parent, directory):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
        if each.is_symlink():
            raise ConfigError(f'the directory of claim "{name}" was replaced by a link')
    return directory


def _make(
    volume: Volume, plan: VolumePlan, template: Template, identity: Identity, config: Configuration
) -> Path | None:
    if volume.persistent_volume_claim is not None:
        return _own_directory(plan.claims, volume.persistent_volume_claim.claim_name)
    if not volume.mounted:
        return None
    directory = plan.directory / volume.name
    directory.mkdir(mode=0o700, parents=True)
    for source in volume.projected.sources if volume.projected is not None else (volume,):
        for path, content, mode in _files(source, template, identity, config):
            _write(directory, path, content, mode or _default_mode(volume))
    return directory


def _default_mode(volume: Volume) -> int:
    sources = (volume.config_map, volume.secret, volume.downward_api, volume.projected)
    return next((source.default_mode for source in sources if source is not None and source.default_mode), 0)


def _write(directory: Path, path: str, content: bytes, mode: int) -> None:
    """One file, for the agent's own user alone, whatever its mode says of others."""
    file = directory / path
    if not is_inside(path):
        raise ConfigError(f'"{path}" is not a path within a volume')
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        file.unlink()
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o700 if mode & EXECUTABLE else 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)


def _files(
    source: Projection, template: Template, identity: Identity, config: Configuration
) -> Iterator[tuple[str, bytes, int | None]]:
    """Path, content and mode of each file."""
    if source.config_map is not None:
        yield from _keys("ConfigMap", source.config_map.name, source.config_map, config)
    if source.secret is not None:
        yield from _keys("Secret", source.secret.secret_name or source.secret.name, source.secret, config)
    if source.downward_api is not None:
        yield from _fields(source.downward_api, template, identity)


def _keys(
    kind: str, name: str, wanted: ConfigMapFiles | SecretFiles, config: Configuration
) -> Iterator[tuple[str, bytes, int | None]]:
    data = config.find_bytes(kind, name)
    if data is None:
        if not wanted.optional and name != CLUSTERS_OWN:
            raise ConfigError(f'{kind} "{name}" not found')
        return
    if not wanted.items:
        yield from ((key, content, None) for key, content in data.items())
    for item in wanted.items:
        if item.key in data:
            yield item.path, data[item.key], item.mode
        elif not wanted.optional:
            raise ConfigError(f'key "{item.key}" not found in {kind} "{name}"')


def _fields(wanted: FieldFiles, template: Template, identity: Identity) -> Iterator[tuple[str, bytes, int | None]]:
    for item in wanted.items:
        if item.field_ref is not None:
            text = _field(item.field_ref.field_path, template, identity)
        elif item.resource_field_ref is not None:
            text = resource_value(item.resource_field_ref, template.spec.containers[0], template, identity)
        else:
            raise ConfigError(f'the file "{item.path}" has neither fieldRef nor resourceFieldRef')
        yield item.path, text.encode(), item.mode


def _field(path: str, template: Template, identity: Identity) -> str:
    whole = {"metadata.labels": template.metadata.labels, "metadata.annotations": template.metadata.annotations}
    if path in whole:
        quoted = ((key, value.replace("\\", "\\\\").replace('"', '\\"')) for key, value in sorted(whole[path].items()))
        return "\n".join(f'{key}="{value}"' for key, value in quoted)
    return field_value(path, template, identity)
