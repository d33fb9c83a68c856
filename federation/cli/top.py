"""`roam top`: what pods use, beside what they ask for and what there is."""

from __future__ import annotations

from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from federation.cli.client import BASE, Client
from federation.cli.output import blamed, note, print_json
from federation.cli.parsing import add_all_namespaces, add_connection, add_namespace, add_output, connect
from federation.cli.table import print_table

if TYPE_CHECKING:
    from federation.model.podtemplate import Requests

Object = Mapping[str, Any]
_MIB = 2.0**20
_SERVICES = ("SERVICE", "SUB-CLUSTER", "PODS", "CPU", "OF", "MEMORY", "OF")
_SUBCLUSTERS = ("SUB-CLUSTER", "PODS", "CPU", "REQUESTED", "OF", "MEMORY", "REQUESTED", "OF")
_EPILOG = """services      what each service uses in each sub-cluster, of what its pods there ask for
subclusters   what is used and asked for, of what there is

CPU in cores (m: thousandths), over the last second or so.
"""


@dataclass
class Sum:
    """What some pods use and ask for: cores and bytes. `asked` None: nobody knows."""

    pods: int = 0
    cores: float = 0.0
    memory: float = 0.0
    asked_cores: float = 0.0
    asked_memory: float = 0.0

    def add(self, pod: Object, asked: Requests | None) -> None:
        """Count one more pod."""
        self.pods += 1
        self.cores += pod["cpuCores"]
        self.memory += pod["memoryBytes"]
        if asked is not None:
            self.asked_cores += asked.cpu_cores
            self.asked_memory += asked.memory_bytes


def _sort(word: str) -> str:
    """Also in the singular, and as the short names of kinds."""
    short = {"service": "services", "ms": "services", "subcluster": "subclusters", "sub": "subclusters"}
    return short.get(word, word)


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = _EPILOG
    parser.add_argument("what", nargs="?", choices=("services", "subclusters"), default="services", type=_sort)
    add_namespace(parser)
    add_all_namespaces(parser)
    add_output(parser, "table", "json")
    add_connection(parser)


def run(args: Any) -> int:
    """Show what is used now. Exits with 1 if no sub-cluster could say."""
    with connect(args) as client:
        everything = args.all_namespaces or args.what == "subclusters"
        query = {} if everything else {"namespace": args.namespace}
        usage = client.get(f"{BASE}/usage", query)
        if args.output == "json":
            print_json(usage)
        elif args.what == "services":
            _services(client, usage["items"], args)
        else:
            _subclusters(client, usage["items"])
    for problem in usage["problems"]:
        note(f"roam: {blamed(problem['subcluster'], problem['message'])}")
    return 1 if usage["problems"] and not usage["items"] else 0


def _services(client: Client, pods: Sequence[Object], args: Any) -> None:
    namespace = None if args.all_namespaces else args.namespace
    if not pods:
        note(f"No pods run in {'any namespace' if namespace is None else f'namespace {namespace}'}.")
        return
    asked = _requests(client, namespace)
    sums: dict[tuple[str, str, str], Sum] = defaultdict(Sum)
    for pod in pods:
        name = pod["namespace"], pod["service"]
        sums[(*name, pod["subcluster"])].add(pod, asked.get(name))
    rows = [
        (*([space] if namespace is None else []), name, where, str(one.pods), *_cpu(one), *_memory(one))
        for (space, name, where), one in sorted(sums.items())
    ]
    print_table((*(["NAMESPACE"] if namespace is None else []), *_SERVICES), rows)


def _subclusters(client: Client, pods: Sequence[Object]) -> None:
    asked = _requests(client, None)
    sums: dict[str, Sum] = defaultdict(Sum)
    for pod in pods:
        sums[pod["subcluster"]].add(pod, asked.get((pod["namespace"], pod["service"])))
    rows = []
    for item in client.items("subclusters")[0]:
        name = item["metadata"]["name"]
        one, offers = sums[name], [each for each in item["status"]["offers"] if not each.get("instanceType")]
        cores = sum(offer["cpuCores"] for offer in offers)
        memory = sum(offer["memoryBytes"] for offer in offers)
        total = (_cores(cores), _mebibytes(memory)) if offers else ("<unknown>", "<unknown>")
        rows.append((name, str(one.pods), *_cpu(one), total[0], *_memory(one), total[1]))
    print_table(_SUBCLUSTERS, rows)


def _requests(client: Client, namespace: str | None) -> dict[tuple[str, str], Requests]:
    """What one pod of each service asks for."""
    from federation.model.podtemplate import requests

    return {
        (item["metadata"]["namespace"], item["metadata"]["name"]): requests(item["spec"]["template"])
        for item in client.items("microservices", namespace)[0]
    }


def _cpu(one: Sum) -> tuple[str, str]:
    return _cores(one.cores), _cores(one.asked_cores)


def _memory(one: Sum) -> tuple[str, str]:
    return _mebibytes(one.memory), _mebibytes(one.asked_memory)


def _cores(value: float) -> str:
    return f"{round(value * 1000)}m" if value < 1 else f"{value:.3g}"


def _mebibytes(value: float) -> str:
    return f"{value / _MIB:.0f}Mi" if value < 10240 * _MIB else f"{value / _MIB / 1024:.1f}Gi"
