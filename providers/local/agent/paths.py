"""Where a container finds its volumes: `mountPath`s in its settings become directories of this machine. Pure.

Processes here have no mount namespace of their own, so what a kubelet does with a mount is done by writing the real
directory wherever a container's command, arguments, environment, working directory or exec probe names the mount."""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

# `/data` is the mount in `--dir=/data`, `"/data/x"`, `PATH=/bin:/data` and `file:///data/x`; it is another path in
# `/srv/data`, `var/data`, `$HOME/data`, `${ROOT}/data`, `/data2`, `/data.old` and `http://data/x`.
_BEFORE = r"(?:(?<![\w./~)}\]*?\\-])|(?<=://)|(?<=:///))"
_AFTER = r"(?![\w~@%+-]|\.[\w.-])"


@dataclass(frozen=True)
class Paths:
    """The mounts of one container: normal absolute `mountPath`s and what stands for them on this machine."""

    mounts: Mapping[str, str] = field(default_factory=dict)

    def real(self, text: str) -> str:
        """`text` with each mount, as a whole path or as the beginning of one, in the terms of this machine.

        The longest mount wins; what was put in is not looked at again, and all else stays as it is."""
        if not self.mounts:
            return text
        return self._pattern.sub(lambda match: self.mounts[match.group()], text)

    @functools.cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self.mounts, key=len, reverse=True)
        return re.compile(f"{_BEFORE}(?:{'|'.join(map(re.escape, longest_first))}){_AFTER}")


def normal_mount(path: str) -> str | None:
    """A `mountPath` without doubled or trailing slashes; None for one that names no place below the root."""
    normal = "/" + posixpath.normpath(path).lstrip("/")
    return normal if path.startswith("/") and normal != "/" and is_inside(path.lstrip("/")) else None


def is_inside(path: str) -> bool:
    """Whether a relative path names something below where it starts, without going up."""
    return bool(path) and not path.startswith("/") and "\0" not in path and ".." not in path.split("/")
