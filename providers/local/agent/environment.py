"""The environment of a container, as a kubelet makes it. Pure.

Source: Kubernetes "Define Environment Variables for a Container", "Expose Pod Information to Containers", and its
package third_party/forked/golang/expansion."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydantic import JsonValue

from providers.local.agent.template import Bundle, Container, KeyRef, Source, Template
from providers.local.agent.volumespec import ResourceFieldRef

_REFERENCE: Final = re.compile(r"\$(?:\$|\(([^)]*)\))")
_SUBSCRIPT: Final = re.compile(r"^metadata\.(labels|annotations)\['([^']+)'\]$")


class ConfigError(Exception):
    """A container can't be configured; the message names what is missing, never a value."""


@dataclass(frozen=True)
class Identity:
    """What a pod knows about itself; `allocatable` is the capacity of the sub-cluster (`cpu` cores, `memory` bytes)."""

    name: str
    namespace: str
    uid: str
    address: str
    host_address: str
    node: str
    allocatable: Mapping[str, float]


@dataclass(frozen=True)
class Configuration:
    """The ConfigMaps and Secrets that came with a workload."""

    objects: Sequence[Mapping[str, JsonValue]] = field(repr=False)

    def find(self, kind: str, name: str) -> dict[str, str] | None:
        """The data of an object as text; None when there is no such object. Raises: ConfigError (broken base64)."""
        for item in self.objects:
            metadata = item.get("metadata")
            if item.get("kind") == kind and isinstance(metadata, dict) and metadata.get("name") == name:
                return _data(kind, name, item)
        return None

    def find_bytes(self, kind: str, name: str) -> dict[str, bytes] | None:
        """The same for files: with the `binaryData` of a ConfigMap, too. Raises: ConfigError (broken base64)."""
        texts = self.find(kind, name)
        if texts is None:
            return None
        found = {key: text.encode("utf-8", "surrogateescape") for key, text in texts.items()}
        for item in self.objects:
            metadata = item.get("metadata")
            if kind == "ConfigMap" == item.get("kind") and isinstance(metadata, dict) and metadata.get("name") == name:
                found |= _decoded(kind, name, _section(item, "binaryData"))
        return found


def _section(item: Mapping[str, JsonValue], key: str) -> dict[str, str]:
    found = item.get(key)
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _data(kind: str, name: str, item: Mapping[str, JsonValue]) -> dict[str, str]:
    if kind == "ConfigMap":
        return _section(item, "data")
    decoded = _decoded(kind, name, _section(item, "data"))
    texts = {key: value.decode("utf-8", "surrogateescape") for key, value in decoded.items()}
    return texts | _section(item, "stringData")


def _decoded(kind: str, name: str, section: Mapping[str, str]) -> dict[str, bytes]:
    try:
        return {key: base64.b64decode(value, validate=True) for key, value in section.items()}
    except (binascii.Error, ValueError):
        raise ConfigError(f'the data of {kind} "{name}" is not base64') from None


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`text` with `$(NAME)` replaced; an unknown name stays as it is, and `$$` is an escaped `$`."""

    def replacement(match: re.Match[str]) -> str:
        name = match.group(1)
        return "$" if name is None else variables.get(name, match.group(0))

    return _REFERENCE.sub(replacement, text)


def variables_of(container: Container, template: Template, identity: Identity, config: Configuration) -> dict[str, str]:
    """What the template itself sets for a container, in order: `envFrom`, then `env`, later entries over earlier ones.

    Raises: ConfigError, naming the first reference that leads nowhere."""
    variables: dict[str, str] = {}
    for bundle in container.env_from:
        variables |= _bundle(bundle, config)
    for variable in container.env:
        if variable.value_from is None:
            variables[variable.name] = expand(variable.value, variables)
            continue
        value = _resolve(variable.value_from, container, template, identity, config)
        if value is not None:
            variables[variable.name] = value
    for name, value in variables.items():
        if "\0" in value:
            raise ConfigError(f"the value of {name} holds a NUL character, which no environment can carry")
    return variables


def arguments_of(container: Container, variables: Mapping[str, str]) -> list[str]:
    """`command` and `args` with the container's variables in them. Raises: ConfigError (NUL character)."""
    arguments = [expand(text, variables) for text in (*container.command, *container.args)]
    if any("\0" in text for text in arguments):
        raise ConfigError("the command holds a NUL character")
    return arguments


def _bundle(bundle: Bundle, config: Configuration) -> dict[str, str]:
    found: dict[str, str] = {}
    for kind, reference in (("ConfigMap", bundle.config_map_ref), ("Secret", bundle.secret_ref)):
        if reference is None:
            continue
        data = config.find(kind, reference.name)
        if data is None:
            if reference.optional:
                continue
            raise ConfigError(f'{kind} "{reference.name}" not found')
        found |= {bundle.prefix + key: value for key, value in data.items() if _usable(bundle.prefix + key)}
    return found


def _usable(name: str) -> bool:
    return bool(name) and "=" not in name and "\0" not in name


def _resolve(
    source: Source, container: Container, template: Template, identity: Identity, config: Configuration
) -> str | None:
    if source.config_map_key_ref:
        return _key("ConfigMap", source.config_map_key_ref, config)
    if source.secret_key_ref:
        return _key("Secret", source.secret_key_ref, config)
    if source.field_ref:
        return field_value(source.field_ref.field_path, template, identity)
    if source.resource_field_ref:
        return resource_value(source.resource_field_ref, container, template, identity)
    return None


def _key(kind: str, reference: KeyRef, config: Configuration) -> str | None:
    data = config.find(kind, reference.name)
    if data is not None and reference.key in data:
        return data[reference.key]
    if reference.optional:
        return None
    if data is None:
        raise ConfigError(f'{kind} "{reference.name}" not found')
    raise ConfigError(f'key "{reference.key}" not found in {kind} "{reference.name}"')


def field_value(path: str, template: Template, identity: Identity) -> str:
    """The downward API's `fieldPath`. Raises: ConfigError, for a field that a pod here has not."""
    fields = {
        "metadata.name": identity.name,
        "metadata.namespace": identity.namespace,
        "metadata.uid": identity.uid,
        "spec.nodeName": identity.node,
        "spec.serviceAccountName": template.spec.service_account_name or "default",
        "status.podIP": identity.address,
        "status.podIPs": identity.address,
        "status.hostIP": identity.host_address,
        "status.hostIPs": identity.host_address,
    }
    if path in fields:
        return fields[path]
    match = _SUBSCRIPT.match(path)
    if match is None:
        raise ConfigError(f"fieldPath \"{path}\" is not one of {', '.join(fields)}, metadata.labels['x']")
    section, key = match.groups()
    values = template.metadata.labels if section == "labels" else template.metadata.annotations
    return values.get(key, "")


def resource_value(reference: ResourceFieldRef, container: Container, template: Template, identity: Identity) -> str:
    """The downward API's `resourceFieldRef`. Raises: ConfigError, for what it does not know."""
    named = reference.container_name or container.name
    owner = next((item for item in template.containers() if item.name == named), None)
    section, _, resource = reference.resource.partition(".")
    if owner is None:
        raise ConfigError(f'resourceFieldRef names the container "{named}", which is not in the pod')
    if section == "limits":
        # Without a limit a container may use the whole node: that is what Kubernetes answers, too.
        amount = owner.resources.limits.get(resource, identity.allocatable.get(resource, 0.0))
    elif section == "requests":
        amount = owner.resources.request(resource)
    else:
        raise ConfigError(f'resource "{reference.resource}" is not limits.* or requests.*')
    # Rounded first: 0.1 + 0.2 cores are not to become one more than they are.
    return str(math.ceil(round(amount / (reference.divisor or 1.0), 9)))
