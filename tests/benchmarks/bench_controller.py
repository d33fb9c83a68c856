"""How quick and how thrifty the whole controller is: a real `roam serve` with scripted sub-clusters and gateways.

`python tests/benchmarks/bench_controller.py [deliver|change|idle ...]` prints one line of JSON per measurement:

- deliver: seconds from the first request of `apply` until 2,000 microservices run in the drivers;
- change: one microservice of 10,000 is patched through the API; milliseconds until its driver is told, for a change of
  the template (`p50_ms`, `p99_ms`) and of the number of replicas (`replicas_p50_ms`, `replicas_p99_ms`);
- idle: share of one core (percent) and memory (MiB) of the controller while nothing happens to 10,000 placements.

The store is a file with full durability in a temporary directory; the client is a process of its own.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
API = "/apis/roam.federation/v1alpha1"
PLACES = ("azure", "ec2", "gce", "onprem")
BATCH = 500
"""Objects in one request, as `roam apply` sends them."""
CHANGES = 200
IDLE_S = 30.0
KEPT_S = 10.0
"""An idle connection is not used again after this long: the server closes it some time."""
LONGEST_S = 600.0
ENTRY_POINTS = "[roam.providers]\nscripted = scripted:PROVIDER\n\n[roam.gateways]\nscripted = scripted:GATEWAY\n"


@dataclass
class Controller:
    """A running `roam serve`, and what its drivers were told so far: by service name, (revision, replicas, time)."""

    process: subprocess.Popen[str]
    connection: http.client.HTTPConnection
    token: str
    log: Path
    told: dict[str, list[tuple[str, int, float]]] = field(default_factory=dict)
    _read: int = 0
    _asked_at: float = 0.0

    def ask(self, method: str, path: str, body: object = None, media_type: str = "application/json") -> Any:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": media_type}
        text = None if body is None else json.dumps(body)
        self.connection.close() if time.monotonic() - self._asked_at > KEPT_S else None
        self.connection.request(method, API + path, text, headers)
        answer = self.connection.getresponse()
        content = answer.read()
        self._asked_at = time.monotonic()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:500]!r}")
        return json.loads(content)

    def look(self) -> None:
        """Read what the drivers were told since the last look."""
        with self.log.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        text = text[: text.rfind(b"\n") + 1]
        self._read += len(text)
        for line in text.decode().splitlines():
            name, revision, replicas, at = line.split()
            self.told.setdefault(name, []).append((revision, int(replicas), float(at)))

    def wait(self, what: str, done: Callable[[], bool], step_s: float = 0.02) -> None:
        ends_at = time.monotonic() + LONGEST_S
        while not done():
            if time.monotonic() > ends_at:
                raise TimeoutError(f"{what}: not within {LONGEST_S:g} s")
            if self.process.poll() is not None:
                raise RuntimeError(f"the controller ended with {self.process.returncode}")
            time.sleep(step_s)
            self.look()

    def cpu_s(self) -> float:
        """Seconds of processor time it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mib(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024


@contextmanager
def controller(folder: Path) -> Iterator[Controller]:
    """A `roam serve` on a new store in `folder`, with its fleet."""
    plugin = folder / "plugin" / "scripted-1.dist-info"
    plugin.mkdir(parents=True)
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: scripted\nVersion: 1\n")
    (plugin / "entry_points.txt").write_text(ENTRY_POINTS)
    log = folder / "applied"
    log.touch()
    environment = {
        **os.environ,
        "PYTHONPATH": f"{plugin.parent}{os.pathsep}{HERE}",
        "ROAM_BENCH_APPLIED": str(log),
        "ROAM_HOME": str(folder / "home"),
    }
    command = [sys.executable, *os.environ.get("ROAM_BENCH_PYTHON", "").split(), "-m", "federation", "serve"]
    process = subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0"], env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        address = next((word for word in line.split() if word.startswith("http://")), "")
        if not address:
            raise RuntimeError(f"the controller did not start: {line}{process.stderr.read()}")
        connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=120)
        served = Controller(process, connection, (folder / "home" / "token").read_text().strip(), log)
        served.ask("POST", "/apply", {"items": fleet()})
        yield served
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()


def document(kind: str, name: str, spec: object, namespace: str = "") -> dict[str, object]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "roam.federation/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def fleet() -> list[dict[str, object]]:
    items = []
    for number, name in enumerate(PLACES):
        place = {"country": "DE", "latitude": 50.0 + number, "longitude": 8.0, "cloud": name, "operatorCountry": "DE"}
        spec = {"provider": "scripted", "connection": {"index": number}, "location": place}
        gateway = {"driver": "scripted", "subcluster": name, "address": f"127.0.0.{10 + number}"}
        items += [document("SubCluster", name, spec), document("Gateway", name, gateway)]
    return items


def service(number: int) -> dict[str, object]:
    """One of an application of ten, each of which calls the next."""
    container = {
        "name": "main",
        "image": "app:1",
        "env": [{"name": "NEXT_ADDR", "value": f"s{number + 1}:8080"}, {"name": "VERSION", "value": "1"}],
        "resources": {"requests": {"cpu": "250m", "memory": "256Mi"}},
    }
    spec: dict[str, object] = {
        "replicas": 2,
        "template": {"metadata": {"labels": {"app": f"s{number}"}}, "spec": {"containers": [container]}},
        "ports": [{"port": 8080, "protocol": "http"}],
        "calls": [{"service": f"s{number + 1}", "gibPerHour": 0.1}] if number % 10 < 9 else [],
    }
    return document("Microservice", f"s{number}", spec, "bench")


def deliver(served: Controller, services: int) -> float:
    """Seconds from the first request until all run in the drivers."""
    began = time.monotonic()
    for first in range(0, services, BATCH):
        served.ask("POST", "/apply", {"items": [service(n) for n in range(first, min(first + BATCH, services))]})
        served.look()
    served.wait(f"deliver {services}", lambda: len(served.told) >= services)
    return max(times[0][2] for times in served.told.values()) - began


def settle(served: Controller) -> None:
    """Wait until every placement is reported available, and the processor has gone quiet."""

    def available() -> bool:
        more, count = "", 0
        while True:
            page = served.ask("GET", f"/placements?limit=500&continue={more}")
            for item in page["items"]:
                if not any(c["type"] == "Available" and c["status"] == "True" for c in item["status"]["conditions"]):
                    return False
            count += len(page["items"])
            more = page["metadata"].get("continue")
            if not more:
                return count >= len(served.told)

    served.wait("available", available, 2.0)
    quiet(served)


def quiet(served: Controller) -> None:
    spent = [served.cpu_s()]

    def is_quiet() -> bool:
        spent.append(served.cpu_s())
        return len(spent) > 3 and spent[-1] - spent[-4] < 0.3

    served.wait("quiet", is_quiet, 1.0)


def patch(served: Controller, name: str, spec: object) -> float:
    """Milliseconds from the PATCH until a driver is told."""
    before = len(served.told[name])
    began = time.monotonic()
    served.ask("PATCH", f"/namespaces/bench/microservices/{name}", {"spec": spec}, "application/merge-patch+json")
    served.look()
    served.wait(f"change of {name}", lambda: len(served.told[name]) > before, 0.005)
    return (served.told[name][before][2] - began) * 1e3


def change(served: Controller, services: int) -> dict[str, object]:
    """Changes one after the other, spread over the fleet and over what the controller does by the clock."""
    times: dict[str, object] = {}
    for kind in ("", "replicas_"):
        took_ms = []
        for number in range(CHANGES):
            target = (number * 7919 + len(kind)) % services
            spec: Any = service(target)["spec"]
            spec["template"]["spec"]["containers"][0]["env"][1]["value"] = f"change-{number}"
            took_ms.append(patch(served, f"s{target}", {"replicas": 3} if kind else {"template": spec["template"]}))
            time.sleep(0.01 + 0.003 * (number % 30))
        times.update({f"{kind}p{share}_ms": percentile(took_ms, share) for share in (50, 99)})
        quiet(served)
    return {"bench": "change", "placements": services, **times, "changes": CHANGES}


def percentile(values: list[float], share: int) -> float:
    """The smallest value that `share` percent of the values do not exceed."""
    return round(sorted(values)[max(-(-len(values) * share // 100) - 1, 0)], 1)


def idle(served: Controller, services: int) -> dict[str, object]:
    quiet(served)
    used, began = served.cpu_s(), time.monotonic()
    time.sleep(IDLE_S)
    percent = 100.0 * (served.cpu_s() - used) / (time.monotonic() - began)
    return {
        "bench": "idle",
        "placements": services,
        "cpu_percent": round(percent, 2),
        "rss_mib": round(served.rss_mib(), 1),
    }


def main(asked: list[str]) -> None:
    wanted = asked or ["deliver", "change", "idle"]
    few, many = (
        int(os.environ.get(f"ROAM_BENCH_{name}", default)) for name, default in (("FEW", 2_000), ("MANY", 10_000))
    )
    if "deliver" in wanted:
        with tempfile.TemporaryDirectory() as folder, controller(Path(folder)) as served:
            before_s, took_s = served.cpu_s(), deliver(served, few)
            cpu_s = round(served.cpu_s() - before_s, 2)
            report({"bench": "deliver", "services": few, "seconds": round(took_s, 2), "cpu_seconds": cpu_s})
    if "change" in wanted or "idle" in wanted:
        with tempfile.TemporaryDirectory() as folder, controller(Path(folder)) as served:
            took_s = deliver(served, many)
            settle(served)
            if "idle" in wanted:
                report({**idle(served, many), "delivered_s": round(took_s, 1)})
            if "change" in wanted:
                report(change(served, many))


def report(line: dict[str, object]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
