"""What plug-ins bring for strict validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel


@dataclass(frozen=True)
class Schemas:
    """The schemas of what differs from plug-in to plug-in.

    `providers` and `gateways`: driver name -> schema of its `connection`; `sections`: key in a policy's spec -> schema
    of that section; `clouds`: provider -> the cloud it drives (aws, gcp, azure, ...), absent where it drives any.
    """

    providers: Mapping[str, type[BaseModel]] = field(default_factory=dict)
    gateways: Mapping[str, type[BaseModel]] = field(default_factory=dict)
    sections: Mapping[str, type[BaseModel]] = field(default_factory=dict)
    clouds: Mapping[str, str] = field(default_factory=dict)
