"""The part of a pod template that is about volumes, and what the rest of it is made of.

Source: Kubernetes API reference, core/v1 Volume, VolumeMount, PersistentVolumeClaim."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic import model_validator as validator
from pydantic.alias_generators import to_camel

from federation.model.quantity import parse_quantity

Amount = Annotated[float, BeforeValidator(parse_quantity)]
VolumeName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]


class Part(BaseModel):
    """Base: unknown fields are ignored (others read them), and null means absent, as in Kubernetes."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True
    )

    @validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: object) -> object:
        return {key: item for key, item in value.items() if item is not None} if isinstance(value, dict) else value


class FieldRef(Part):
    """A field of the pod."""

    field_path: str


class ResourceFieldRef(Part):
    """A request or limit of a container, in units of `divisor`."""

    resource: str
    container_name: str | None = None
    divisor: Amount = 0.0


class Item(Part):
    """One key of a ConfigMap or Secret as a file; `path` is relative to the volume."""

    key: str
    path: str
    mode: int | None = None


class ConfigMapFiles(Part):
    """The keys of a ConfigMap as files: all of them, or those of `items`."""

    name: str = ""
    items: tuple[Item, ...] = ()
    default_mode: int | None = None
    optional: bool = False


class SecretFiles(ConfigMapFiles):
    """The keys of a Secret as files. The name stands in `secretName`, or in `name` within `projected`."""

    secret_name: str = ""


class FieldFile(Part):
    """A field of the pod as a file."""

    path: str
    field_ref: FieldRef | None = None
    resource_field_ref: ResourceFieldRef | None = None
    mode: int | None = None


class FieldFiles(Part):
    """Fields of the pod as files."""

    items: tuple[FieldFile, ...] = ()
    default_mode: int | None = None


class Projection(Part):
    """One source of a volume of files; what is none of these (a token of the API server) brings nothing."""

    config_map: ConfigMapFiles | None = None
    secret: SecretFiles | None = None
    downward_api: FieldFiles | None = Field(default=None, alias="downwardAPI")


class Projected(Part):
    """Several sources in one volume."""

    sources: tuple[Projection, ...] = ()
    default_mode: int | None = None


class Claim(Part):
    """A claim that outlives the pod."""

    claim_name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]


class Volume(Projection):
    """A volume of the pod: a source of files, or one of these. What is none of them is not mounted."""

    name: VolumeName
    empty_dir: dict[str, Any] | None = None
    ephemeral: dict[str, Any] | None = None
    persistent_volume_claim: Claim | None = None
    projected: Projected | None = None

    @validator(mode="before")
    @classmethod
    def _with_default(cls, value: object) -> object:
        """A volume that says nothing but its name is an empty directory, as in Kubernetes."""
        bare = isinstance(value, dict) and all(item is None for key, item in value.items() if key != "name")
        return {**value, "emptyDir": {}} if bare and isinstance(value, dict) else value

    @property
    def mounted(self) -> bool:
        """Whether an agent can mount it."""
        return any(getattr(self, name) is not None for name in type(self).model_fields if name != "name")


class ClaimMetadata(Part):
    """The name of a volume that each pod of a StatefulSet has one of."""

    name: VolumeName


class ClaimTemplate(Part):
    """What a StatefulSet claims for each of its pods."""

    metadata: ClaimMetadata


class ClaimTemplates(Part):
    """All that it claims."""

    items: tuple[ClaimTemplate, ...] = ()


class Mount(Part):
    """Where a volume is in a container."""

    name: str
    mount_path: str
    sub_path: str = ""
    sub_path_expr: str = ""
