"""Roam's own kinds: strict validation, plug-ins' parts included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from federation.atlas.lookup import place_of
from federation.atlas.machines import check_instances
from federation.errors import InvalidInput, InvalidInputs
from federation.intake import shapes
from federation.intake.checking import Spot, check, fields_of, unknown_field
from federation.intake.schemas import Schemas
from federation.model.kinds import BY_KIND
from federation.model.meta import API_VERSION, Resource
from federation.model.microservice import Microservice
from federation.model.nearest import suggestion
from federation.model.policy import ClusterPlacementPolicy, PlacementPolicy, PolicySpec
from federation.model.subcluster import Gateway, GatewaySpec, SubCluster

GROUP = API_VERSION.partition("/")[0]
UNSTORED = {"Scenario": "roam simulate", "PolicyTest": "roam test"}
"""Kinds that only a verb reads, by name."""


def validate(value: Mapping[str, Any], schemas: Schemas, *, namespace: str = "default") -> Resource:
    """One object of Roam's kinds from its JSON form.

    Args: namespace, for an object that names none. Raises: InvalidInputs with all faults found, each with its field.
    """
    errors: list[InvalidInput] = []
    resource = check_resource(value, schemas, namespace, Spot(None, None), errors)
    if resource is None or errors:
        raise InvalidInputs(tuple(errors))
    return resource


def check_resource(
    value: Mapping[str, Any], schemas: Schemas, namespace: str, spot: Spot, errors: list[InvalidInput]
) -> Resource | None:
    """As `validate`, but faults go to `errors`; None when there are any."""
    before = len(errors)
    kind = value.get("kind")
    model = BY_KIND.get(kind) if isinstance(kind, str) else None
    if value.get("apiVersion") != API_VERSION:
        errors.append(
            spot.error(f"unknown apiVersion `{value.get('apiVersion')}`; write {API_VERSION}", ("apiVersion",))
        )
        return None
    if isinstance(kind, str) and kind in UNSTORED:
        errors.append(spot.error(f"a {kind} is no resource: it is for `{UNSTORED[kind]}`", ("kind",)))
        return None
    if model is None:
        errors.append(
            spot.error(f"unknown kind `{kind}` of {API_VERSION}; {suggestion(str(kind), BY_KIND)}", ("kind",))
        )
        return None
    resource = check(model, _scoped(model, value, namespace, spot, errors), spot, errors)
    spec = value.get("spec")
    if isinstance(spec, dict):
        # Also where the rest has faults, so that all can be mended at once.
        _check_parts(model, spec, schemas, spot, errors)
    if isinstance(resource, SubCluster):
        _check_place(resource, schemas, spot, errors)
    elif isinstance(resource, PlacementPolicy | ClusterPlacementPolicy) and len(errors) == before:
        _check_purpose(resource.spec, schemas, spot, errors)
    return resource if len(errors) == before else None


def _scoped(
    model: type[Resource], value: Mapping[str, Any], namespace: str, spot: Spot, errors: list[InvalidInput]
) -> Mapping[str, Any]:
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        return value
    given = metadata.get("namespace")
    if model.namespaced:
        if isinstance(given, str) and given:
            check(shapes.AnyMeta, {"name": "x", "namespace": given}, spot.inside(("metadata",)), errors)
        return value if given else {**value, "metadata": {**metadata, "namespace": namespace}}
    if given:
        message = f"a {model.kind_name} belongs to the fleet, to no namespace; remove this field"
        errors.append(spot.error(message, ("metadata", "namespace")))
    return value


def _check_parts(
    model: type[Resource], spec: Mapping[str, Any], schemas: Schemas, spot: Spot, errors: list[InvalidInput]
) -> None:
    """What the model leaves open: plug-ins' parts and pod templates."""
    if model is SubCluster:
        _check_connection("provider", spec.get("provider"), schemas.providers, spec, spot, errors)
    elif model is Gateway:
        driver = spec.get("driver", GatewaySpec.model_fields["driver"].default)
        _check_connection("driver", driver, schemas.gateways, spec, spot, errors)
    elif model in (PlacementPolicy, ClusterPlacementPolicy):
        _check_sections(spec, schemas, spot, errors)
    elif model is Microservice and isinstance(spec.get("template"), dict):
        check(shapes.PodTemplate, spec["template"], spot.inside(("spec", "template")), errors)


def _check_purpose(spec: PolicySpec, schemas: Schemas, spot: Spot, errors: list[InvalidInput]) -> None:
    if not spec.sections and spec.migration is None and not spec.tolerations:
        message = f"says nothing; give at least one of {', '.join(sorted(schemas.sections))}, migration, tolerations"
        errors.append(spot.error(message, ("spec",)))


def _check_place(resource: SubCluster, schemas: Schemas, spot: Spot, errors: list[InvalidInput]) -> None:
    try:
        check_instances(resource.spec, place_of(resource.spec, schemas.clouds.get(resource.spec.provider)))
    except InvalidInput as error:
        steps = (error.field or "spec").split(".")
        errors.append(spot.error(error.message, tuple(int(step) if step.isdigit() else step for step in steps)))


def _check_connection(
    field: str,
    name: object,
    known: Mapping[str, type[BaseModel]],
    spec: Mapping[str, Any],
    spot: Spot,
    errors: list[InvalidInput],
) -> None:
    if not isinstance(name, str):
        return
    if name in known:
        connection = spec.get("connection", {})
        if isinstance(connection, dict):
            check(known[name], connection, spot.inside(("spec", "connection")), errors)
        return
    names = ", ".join(sorted(known)) or "none"
    close = suggestion(name, known)
    hint = f"{close} Known: {names}" if close.startswith("did") else f"known: {names}"
    errors.append(spot.error(f"unknown {field} `{name:.80}`; {hint}", ("spec", field)))


def _check_sections(spec: Mapping[str, Any], schemas: Schemas, spot: Spot, errors: list[InvalidInput]) -> None:
    fields = fields_of(PolicySpec)
    if spec.get("migration") == {}:
        errors.append(spot.error("says nothing; give mode, payback, windows, strategy, ...", ("spec", "migration")))
    for name in sorted(spec.keys() - set(fields)):
        if name in schemas.sections:
            check(schemas.sections[name], spec[name], spot.inside(("spec", name)), errors)
        else:
            errors.append(spot.error(unknown_field(name, sorted({*schemas.sections, *fields})), ("spec", name)))
