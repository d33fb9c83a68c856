"""The four places of the sandbox: where they are, how big, at which prices; and the fleet they make as resources.

Prices are what a general-purpose machine of 4 vCPU and 16 GiB costs on demand (Linux) in that region, in USD per hour,
divided by cores and GiB:

- GCE N2 in europe-west3: Google prices cores and GiB apart: 0.04073 and 0.005458 (n2-standard-4: 0.2502).
- EC2 m6i.xlarge in eu-central-1: 0.23, divided in Google's proportion of a core to a GiB (7.46 : 1).
- Azure D4s v4 in westeurope: 0.23, divided the same way.

Source: the price table of Apache Libcloud 3.9.1 (libcloud/data/pricing.json), as of 2025-03-02.
On-premises: a server of 32 cores and 256 GiB for 8,000 USD, written off in 4 years, 0.4 kW at 0.25 USD per kWh, half of
it used: 0.33 USD per hour, divided the same way. Little of it is left for Roam."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from pydantic import JsonValue

from federation.model.meta import API_VERSION

Document = dict[str, JsonValue]


@dataclass(frozen=True)
class SandboxPlace:
    """One sub-cluster. `cpu` and `memory` are Kubernetes quantities; prices are USD per hour; `index` orders blocks."""

    index: int
    name: str
    title: str
    region: str | None
    cpu: str
    memory: str
    cpu_hour: float
    memory_gib_hour: float
    labels: dict[str, str]
    location: Document = field(default_factory=dict)
    attestations: tuple[str, ...] = ()

    def document(self, connection: Document) -> Document:
        """It as a `SubCluster`, reached through `connection`."""
        place: Document = {}
        if self.region:
            place["region"] = self.region
        if self.location:
            place["location"] = self.location
        return {
            "apiVersion": API_VERSION,
            "kind": "SubCluster",
            "metadata": {"name": self.name, "labels": dict(self.labels)},
            "spec": {
                "provider": "local",
                **place,
                "connection": connection,
                "capacity": {"cpu": self.cpu, "memory": self.memory},
                "pricing": {"cpuHour": self.cpu_hour, "memoryGiBHour": self.memory_gib_hour},
                "attestations": list(self.attestations),
            },
        }


_PUBLIC: Final = {"tier": "public"}
_FRANKFURT: Final[Document] = {
    "country": "DE",
    "latitude": 50.11,
    "longitude": 8.68,
    "operator": "Example GmbH",
    "operatorCountry": "DE",
}

_ATTESTED: Final = ("iso27001", "soc2", "c5")

PLACES: Final = (
    SandboxPlace(
        index=0,
        name="onprem-frankfurt",
        title="on-premises, Frankfurt",
        region=None,
        cpu="1",
        memory="4Gi",
        cpu_hour=0.01,
        memory_gib_hour=0.00134,
        labels={"tier": "onprem"},
        location=_FRANKFURT,
        attestations=("iso27001",),
    ),
    SandboxPlace(
        index=1,
        name="gce-frankfurt",
        title="GCE, Frankfurt",
        region="europe-west3",
        cpu="64",
        memory="256Gi",
        cpu_hour=0.04073,
        memory_gib_hour=0.005458,
        labels=_PUBLIC,
        attestations=_ATTESTED,
    ),
    SandboxPlace(
        index=2,
        name="ec2-frankfurt",
        title="EC2, Frankfurt",
        region="eu-central-1",
        cpu="64",
        memory="256Gi",
        cpu_hour=0.03744,
        memory_gib_hour=0.005015,
        labels=_PUBLIC,
        attestations=_ATTESTED,
    ),
    SandboxPlace(
        index=3,
        name="azure-netherlands",
        title="Azure, Netherlands",
        region="westeurope",
        cpu="64",
        memory="256Gi",
        cpu_hour=0.03744,
        memory_gib_hour=0.005015,
        labels=_PUBLIC,
        attestations=_ATTESTED,
    ),
)
