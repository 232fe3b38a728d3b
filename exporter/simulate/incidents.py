"""The incidents that can be switched on, each with exactly what it contains.

`INCIDENTS` is the table; docs/incidents.md is `document()` of it.  The figures hold for the plausible network, where
private instances reach the internet through a NAT gateway, which triples the records of such a flow.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from exporter.simulate.flows import FLAGS, TCP
from exporter.simulate.scene import STRANGERS, Ints, Scene
from exporter.simulate.windows import SLOT, complete, ephemeral_ports

SCAN_PORTS: tuple[int, ...] = (
    *(20, 21, 22, 23, 25, 53, 80, 81, 88, 110, 111, 135, 139, 143, 161, 179, 389, 443, 445, 465),
    *(500, 514, 587, 631, 636, 873, 993, 995, 1080, 1433, 1521, 1723, 1883, 2049, 2181, 2375, 3128, 3306, 3389, 4369),
    *(5000, 5060, 5432, 5601, 5672, 5900, 5985, 6379, 6443, 7001, 8000, 8080, 8443, 8888, 9000, 9090, 9200, 9300),
    *(11211, 27017),
)

LATERAL_PORTS = (22, 23, 135, 139, 445, 3389, 5985, 8080)
LATERAL_TARGETS = 24
LATERAL_ROLES = ("database", "cache", "web", "app", "batch")
LATERAL_ACCEPTED = 6
"""The first port is open on every sixth target."""

MINING_PORTS = (4444, 8333, 9999, 14444)

Flows = Callable[[Scene, int, np.random.Generator], pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Incident:
    """One row: what it contains in words, how many records in a slot, and what makes its flows.

    A steady one happens in every five-minute slot of the time range, another only in the middle one.
    """

    name: str
    what: str
    who: str
    whom: str
    ports: str
    records: int
    flows: Flows
    steady: bool = False


def port_scan(scene: Scene, slot: int, rng: np.random.Generator) -> pl.DataFrame:
    """Two rejected SYNs to each of `SCAN_PORTS`."""
    ports = np.repeat(SCAN_PORTS, 2)
    columns = _tcp(scene.pool("port scanner")[:1], _exposed(scene), ports, "syn", rng, (1, 1), 44)
    return complete(scene, columns, np.array([slot]), rng, rejected=True)


def ssh_brute_force(scene: Scene, slot: int, rng: np.random.Generator) -> pl.DataFrame:
    """60 short logins that fail, then 180 SYNs that are rejected."""
    attacker, bastion, times = scene.pool("ssh attacker")[:1], _exposed(scene), np.array([slot])
    short = _tcp(attacker, bastion, np.full(60, 22), "whole", rng, (10, 20), 110)
    refused = _tcp(attacker, bastion, np.full(180, 22), "syn", rng, (1, 3), 60)
    return pl.concat([complete(scene, short, times, rng), complete(scene, refused, times, rng, rejected=True)])


def lateral_movement(scene: Scene, slot: int, rng: np.random.Generator) -> pl.DataFrame:
    """Every target tried on every port; SSH of every sixth target answers."""
    source = scene.primaries("batch")[:1]
    targets = scene.beside(int(source[0]), LATERAL_ROLES)[:LATERAL_TARGETS]
    if len(targets) <= 10:  # noqa: PLR2004 (more than ten targets make it a lateral movement)
        raise ValueError(
            f"lateral-movement needs more than 10 targets beside its source, the network has {len(targets)}"
        )
    times = np.array([slot])
    open_ones = targets[::LATERAL_ACCEPTED]
    pairs = [(t, p) for t in targets for p in LATERAL_PORTS if p != LATERAL_PORTS[0] or t not in open_ones]
    closed = np.array(pairs, dtype=np.int64)
    tried = _tcp(source, closed[:, 0], closed[:, 1], "syn", rng, (1, 3), 60)
    entered = _tcp(source, open_ones, np.full(len(open_ones), LATERAL_PORTS[0]), "whole", rng, (30, 60), 160)
    return pl.concat([complete(scene, tried, times, rng, rejected=True), complete(scene, entered, times, rng)])


def exfiltration(scene: Scene, slot: int, rng: np.random.Generator) -> pl.DataFrame:
    """Three windows of 20 MB and more to each drop site."""
    sites = np.repeat(scene.pool("drop sites"), 3)
    columns = _tcp(scene.primaries("app")[:1], sites, np.full(len(sites), 443), "middle", rng, (15_000, 60_000), 1_400)
    answers = {
        "response_packets": columns["request_packets"] // 8,
        "response_bytes": columns["request_packets"] // 8 * 52,
    }
    return complete(scene, {**columns, **answers}, np.array([slot]), rng)


def crypto_mining(scene: Scene, slot: int, rng: np.random.Generator) -> pl.DataFrame:
    """One window of a standing connection to each pool."""
    columns = _tcp(
        scene.primaries("batch")[1:2], scene.pool("mining pools"), np.array(MINING_PORTS), "middle", rng, (8, 40), 180
    )
    return complete(scene, columns, np.array([slot]), rng)


def syn_without_syn_ack(scene: Scene, slot: int, rng: np.random.Generator) -> pl.DataFrame:
    """150 accepted SYNs, and no answer to any."""
    columns = _tcp(scene.pool("syn sender")[:1], scene.primaries("nlb")[:1], np.full(150, 443), "syn", rng, (1, 3), 60)
    return complete(scene, columns, np.array([slot]), rng, answered=False)


def wrong_security_group(scene: Scene, slot: int, rng: np.random.Generator) -> pl.DataFrame:
    """Ten connections that the database's security group refuses."""
    columns = _tcp(
        scene.primaries("app")[1:2], scene.primaries("database")[:1], np.full(10, 5432), "syn", rng, (1, 3), 60
    )
    return complete(scene, columns, np.array([slot]), rng, rejected=True)


INCIDENTS: tuple[Incident, ...] = (
    Incident(
        "port-scan",
        "60 ports, two attempts each, all rejected: a SYN in one packet of 44 bytes.",
        f"one source outside, {STRANGERS['port scanner'][0]}",
        "the first bastion's interface",
        f"60 different ones from {min(SCAN_PORTS)} to {max(SCAN_PORTS)}",
        120,
        port_scan,
    ),
    Incident(
        "ssh-brute-force",
        "240 attempts: 60 accepted ones of 10 to 20 packets each way (two records each) and 180 rejected SYNs.",
        f"one source outside, {STRANGERS['ssh attacker'][0]}",
        "the first bastion's interface",
        "22",
        300,
        ssh_brute_force,
    ),
    Incident(
        "lateral-movement",
        "192 attempts, 24 targets on 8 ports each: 188 are rejected at the target (the source logs its SYN as accepted,"
        " the target as rejected), 4 reach SSH and are answered (four records each).",
        "one source inside, the first batch instance of production",
        "24 databases, caches and instances of the same VPC",
        ", ".join(map(str, LATERAL_PORTS)),
        392,
        lateral_movement,
    ),
    Incident(
        "exfiltration",
        "120 accepted flows to 40 destinations, three each, of 21 to 84 MB (15,000 to 60,000 packets of 1,400 bytes)."
        " Each makes six records: two at the instance, four at the NAT gateway of its zone.",
        "the first app instance of production",
        f"40 addresses outside, {STRANGERS['drop sites'][0]} to {STRANGERS['drop sites'][-1]}",
        "443",
        720,
        exfiltration,
    ),
    Incident(
        "crypto-mining",
        "Four accepted flows of a standing connection, one a port; six records each, as they pass the NAT gateway.",
        "the second batch instance of production",
        f"four addresses outside, {', '.join(STRANGERS['mining pools'])}, one a port",
        ", ".join(map(str, MINING_PORTS)),
        24,
        crypto_mining,
        steady=True,
    ),
    Incident(
        "syn-without-syn-ack",
        "150 flows of which the interface logs an accepted SYN (tcp-flags 2, 1 to 3 packets of 60 bytes), no answer.",
        f"one source outside, {STRANGERS['syn sender'][0]}",
        "the first network load balancer's interface",
        "443",
        150,
        syn_without_syn_ack,
    ),
    Incident(
        "wrong-security-group",
        "Ten connections, each one record accepted at the instance and one rejected at the database; the other"
        " instances' queries go on.",
        "the second app instance of production",
        "the first database interface of production",
        "5432",
        20,
        wrong_security_group,
        steady=True,
    ),
)


def named(names: Sequence[str]) -> tuple[Incident, ...]:
    """The incidents of those names, once each; all of them for `all`; a ValueError for a name that there is not."""
    known = {incident.name: incident for incident in INCIDENTS}
    if unknown := set(names) - known.keys() - {"all"}:
        raise ValueError(f"there is no incident {', '.join(sorted(unknown))}; there are: {', '.join(known)}, all")
    return INCIDENTS if "all" in names else tuple(known[name] for name in dict.fromkeys(names))


def document() -> str:
    """The text of docs/incidents.md."""
    return _INTRODUCTION + "".join(_section(incident) for incident in INCIDENTS)


_INTRODUCTION = f"""# The incidents of the traffic generator

`vpcflow-exporter generate --incident NAME` adds an incident to the ordinary traffic; the option can be repeated, and
`--incident all` adds all of them. Their records come on top of `--records`. The figures below are exact for the
network that the generator makes up. With `--inventory` the same happens to the interfaces that fit best, and without
a NAT gateway each flow to the internet makes two records where the text says six.

The outside addresses are made up: they say nothing of whoever holds them.

An incident happens in the middle five minutes of the time range, a steady one in each five minutes ({SLOT} seconds).
"""


def _section(incident: Incident) -> str:
    when = "every five minutes" if incident.steady else "the middle five minutes"
    return f"""
## {incident.name}

{incident.what}

| | |
| --- | --- |
| who | {incident.who} |
| whom | {incident.whom} |
| ports | {incident.ports} |
| records | {incident.records} in {when} |
"""


def _exposed(scene: Scene) -> Ints:
    """The first bastion, or where there is none the first interface with a public address."""
    return scene.primaries("bastion" if scene.places("bastion") else "public")[:1]


def _tcp(  # noqa: PLR0913, PLR0917 (the parts of a flow)
    client: Ints,
    server: Ints,
    ports: Ints,
    stage: str,
    rng: np.random.Generator,
    packets: tuple[int, int],
    packet_bytes: int,
) -> dict[str, Ints]:
    """The columns of one flow a port, with packets in that range, inclusive, and that many bytes in each."""
    count = len(ports)
    if not len(client) or not len(server):
        raise ValueError("the network has too few interfaces for this incident")
    request, response = rng.integers(packets[0], packets[1] + 1, (2, count))
    flags = FLAGS[stage]
    return {
        "client": np.broadcast_to(client, count),
        "server": np.broadcast_to(server, count),
        "client_port": ephemeral_ports(count, rng),
        "server_port": np.asarray(ports, dtype=np.int64),
        "protocol": np.full(count, TCP),
        "request_packets": request,
        "request_bytes": request * packet_bytes,
        "response_packets": response,
        "response_bytes": response * packet_bytes,
        "request_flags": np.full(count, flags[0]),
        "response_flags": np.full(count, flags[1]),
    }
