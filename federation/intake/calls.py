"""Calls between services, as environment variables tell them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from federation.model.addresses import Directory, expand, mentions
from federation.model.podtemplate import config_variables, containers, environment

ConfigMaps = Mapping[str, Mapping[str, str]]
"""ConfigMap name -> its data, of one namespace."""


def calls_in(
    template: Mapping[str, Any], namespace: str, services: Directory, config_maps: ConfigMaps | None = None
) -> tuple[tuple[str, int | None], ...]:
    """The services that a pod's environment names: (`namespace/name`, port), each once, in order of appearance.

    Args: namespace, the pod's; services, `namespace/name` -> ports; config_maps, those that variables may come from.
    The port is None where none is named and the service has several, or where it is not one of the service's.
    Init containers count as well. See `federation.model.addresses.mentions` for what counts as an address.
    """
    found: dict[tuple[str, int | None], None] = {}
    for container in containers(template):
        for variable, value in expand(_environment(container, config_maps or {})).items():
            for one in mentions(variable, value, services, namespace):
                ports = services[one.service]
                port = one.port if one.listed else None
                if port is None and one.listed and len(ports) == 1:
                    port = ports[0]
                found[one.service, port] = None
    with_port = {service for service, port in found if port is not None}
    return tuple((service, port) for service, port in found if port is not None or service not in with_port)


def _environment(container: Mapping[str, Any], config_maps: ConfigMaps) -> dict[str, str]:
    """The container's variables, from ConfigMaps first, as Kubernetes has it."""
    found: dict[str, str] = {}
    for config, key, variable in config_variables({"spec": {"containers": [container]}}):
        data = config_maps.get(config, {})
        if key is None:
            found.update({variable + each: value for each, value in data.items()})
        elif key in data:
            found[variable] = data[key]
    return {**found, **environment(container)}
