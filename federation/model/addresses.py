"""Addresses of services in environment variables: finding them and putting others in their place.

One parser serves both: intake finds calls with it, drivers rewrite the addresses to the local gateway's.
A service is written `namespace/name` here. `Directory` maps each known service to its ports, the first one first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

Directory = Mapping[str, tuple[int, ...]]
"""`namespace/name` -> ports."""

_HOST = r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?"
_PORT = r":(?P<port>[0-9]{1,5})(?![0-9])"
_URL = re.compile(r"(?<![A-Za-z0-9+.-])(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,30})://(?:[^\s/?#@\"']*@)?")
_MEMBER = re.compile(rf"(?P<host>{_HOST})\.?(?:{_PORT})?(?![-A-Za-z0-9_@])")
_WITH_PORT = re.compile(rf"(?:(?<=//)|(?<![^\s,;=@(\[|\"']))(?P<host>{_HOST})\.?{_PORT}(?![-A-Za-z0-9_.])")
_QUALIFIED = re.compile(
    r"(?<![^\s,;=@(\[|\"'])(?P<host>[a-z0-9][-a-z0-9.]{0,240}\.svc(?:\.[a-z0-9](?:[-a-z0-9.]{0,100}[a-z0-9])?)?)\.?"
    r"(?![-A-Za-z0-9_.:])"
)
_BARE = re.compile(rf"(?:(?<=,)|^)\s*(?P<host>{_HOST})\.?\s*(?=,|$)")
_POD = re.compile(r"-[0-9]{1,5}$")
_REFERENCE = re.compile(r"\$\$|\$\(([-._A-Za-z0-9]+)\)")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_ADDRESS_ENDINGS = ("HOST", "HOSTS", "HOSTNAME", "HOSTNAMES", "ADDR", "ADDRS", "URL", "URLS", "URI", "URIS", "SERVERS")
# fmt: off
_ADDRESS_WORDS = frozenset((
    "ADDRESS", "ADDRESSES", "SERVICE", "SERVICES", "SVC", "ENDPOINT", "ENDPOINTS", "SERVER", "BROKER", "BROKERS",
    "UPSTREAM", "UPSTREAMS", "BACKEND", "BACKENDS", "TARGET", "TARGETS", "DSN", "PEERS", "SEEDS", "CONNECT", "PROXY",
))
# fmt: on
_SCHEME_PORTS = {
    "http": 80,
    "https": 443,
    "ws": 80,
    "wss": 443,
    "redis": 6379,
    "rediss": 6379,
    "postgres": 5432,
    "postgresql": 5432,
    "mysql": 3306,
    "mongodb": 27017,
    "amqp": 5672,
    "amqps": 5671,
    "nats": 4222,
}
"""Ports that clients assume (IANA Service Name and Port Number Registry, and the projects' own documentation)."""


class Mention(NamedTuple):
    """`value[start:end]` is an address of `service`; `port` is None where neither it nor the scheme names one.

    `listed` tells whether the service is known to listen on `port`. `bare`: the host stands alone, no port, no scheme.
    """

    start: int
    end: int
    service: str
    port: int | None
    listed: bool
    bare: bool


class _Candidate(NamedTuple):
    start: int
    end: int
    host: str
    port: int | None
    kind: str
    default_port: int | None = None
    unread_port: bool = False


def names_an_address(variable: str) -> bool:
    """Whether a variable's name says that its value is an address: `CART_ADDR`, `redisHost`, `PGHOST`, `X_SERVICE`."""
    words = _WORD.findall(variable)
    if not words:
        return False
    last = words[-1].upper()
    return last in _ADDRESS_WORDS or last.endswith(_ADDRESS_ENDINGS)


def find_service(host: str, directory: Directory, namespace: str) -> str | None:
    """The service that a DNS name means to a pod of `namespace`, or None.

    Takes `name`, `name.namespace`, `name.namespace.svc[.any.domain]`, and the same behind a StatefulSet pod's name
    (`db-0.db`). Source: Kubernetes documentation, "DNS for Services and Pods".
    """
    labels = host.split(".")
    if len(labels) > 2 and "svc" in labels[2:4]:
        labels = labels[: labels.index("svc", 2)]
    options = [labels]
    if len(labels) in (2, 3) and _POD.search(labels[0]):
        options.append(labels[1:])
    for option in options:
        if len(option) == 1 and f"{namespace}/{option[0]}" in directory:
            return f"{namespace}/{option[0]}"
        if len(option) == 2 and f"{option[1]}/{option[0]}" in directory:
            return f"{option[1]}/{option[0]}"
    return None


def mentions(variable: str, value: str, directory: Directory, namespace: str) -> tuple[Mention, ...]:
    """Every address of a known service in `value`, in order, without overlap.

    Counted are hosts of URLs; `host:port` where the service listens on that port; `name.namespace.svc...`; and, only
    where the variable's name says that it holds an address, lone names, `name.namespace` and unlisted ports.
    """
    hinted = names_an_address(variable)
    found: list[Mention] = []
    for candidate in sorted(_candidates(value), key=lambda one: (one.start, -one.end)):
        service = find_service(candidate.host, directory, namespace)
        if service is None or (found and candidate.start < found[-1].end):
            continue
        ports = directory[service]
        port, bare = candidate.port, candidate.kind == "bare"
        if port is None and not candidate.unread_port and candidate.default_port in ports:
            port = candidate.default_port
        listed = port in ports or (port is None and not candidate.unread_port)
        if (bare or (candidate.kind == "host:port" and not listed)) and not hinted:
            continue
        found.append(Mention(candidate.start, candidate.end, service, port, listed, bare))
    return tuple(found)


def expand(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with `$(NAME)` of an earlier variable replaced by its value, where it is known; else left as it is.

    Source: Kubernetes API reference, EnvVar.value. A value longer than 64 KiB after replacement is left unexpanded.
    """
    done: dict[str, str] = {}
    for name, value in environment.items():
        full = value
        if "$(" in value:
            full = _REFERENCE.sub(lambda match: done.get(match[1] or "", match[0]), value)
        done[name] = full if len(full) <= 65536 else value
    return done


def replace(
    environment: Mapping[str, str], directory: Directory, namespace: str, address: Callable[[str, int], str]
) -> dict[str, str]:
    """`environment` with each address of a known service replaced by what `address(service, port)` gives, `host:port`.

    An address without a port gets the scheme's, else the service's first. Where a variable holds a name alone and a
    sibling its port (`DB_HOST`, `DB_PORT`), the two get host and port. A service without ports and an address with
    a port that the service does not list stay as they are, as does everything else.
    """
    result = dict(environment)
    for name, full in expand(environment).items():
        found = [
            one
            for one in mentions(name, full, directory, namespace)
            if one.listed and (one.port or directory[one.service])
        ]
        if len(found) == 1 and found[0].bare and found[0].end - found[0].start == len(full.strip()):
            sibling = _port_sibling(name, environment)
            if sibling is not None:
                _replace_pair(result, (name, sibling), directory[found[0].service], found[0].service, address)
                continue
        if found:
            result[name] = _spliced(full, found, directory, address)
    return result


def _candidates(value: str) -> list[_Candidate]:
    found: list[_Candidate] = []
    for url in _URL.finditer(value):
        default_port = _SCHEME_PORTS.get(url["scheme"].lower())
        at = url.end()
        while member := _MEMBER.match(value, at):
            found.append(_candidate(member, "url", default_port))
            at = member.end()
            if not value.startswith(",", at):
                break
            at += 1
    found += [_candidate(match, "host:port") for match in _WITH_PORT.finditer(value)]
    found += [_candidate(match, "qualified") for match in _QUALIFIED.finditer(value)]
    found += [_candidate(match, "bare") for match in _BARE.finditer(value)]
    return found


def _candidate(match: re.Match[str], kind: str, default_port: int | None = None) -> _Candidate:
    port = match.groupdict().get("port")
    start, end = match.start("host"), match.end("host")
    if port is not None:
        end = match.end("port")
    elif match.string[end : end + 1] == ".":
        end += 1
    number = int(port) if port is not None else None
    # `http://cart:$(PORT)/` with a port that is not known here: a call, but nothing to put another address in for.
    unread = number is None and match.string.startswith(":", end)
    return _Candidate(start, end, match["host"], number, kind, default_port, unread)


def _port_sibling(name: str, environment: Mapping[str, str]) -> str | None:
    for ending in ("HOSTNAME", "HOST", "ADDRESS", "ADDR", "SERVER", "SERVICE"):
        for suffix, port in ((ending, "PORT"), (ending.lower(), "port"), (ending.capitalize(), "Port")):
            if name.endswith(suffix) and (sibling := name.removesuffix(suffix) + port) in environment:
                return sibling
    return None


def _replace_pair(
    result: dict[str, str],
    pair: tuple[str, str],
    ports: tuple[int, ...],
    service: str,
    address: Callable[[str, int], str],
) -> None:
    name, sibling = pair
    text = result[sibling].strip()
    if text.isascii() and text.isdigit() and len(text) < 6 and int(text) in ports:
        result[name], _, result[sibling] = address(service, int(text)).rpartition(":")


def _spliced(value: str, found: list[Mention], directory: Directory, address: Callable[[str, int], str]) -> str:
    parts: list[str] = []
    at = 0
    for one in found:
        parts += [value[at : one.start], address(one.service, one.port or directory[one.service][0])]
        at = one.end
    return "".join([*parts, value[at:]])
