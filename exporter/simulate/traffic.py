"""A plausible day: who talks to whom, how much, and when; columnar throughout."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from exporter.simulate.flows import (
    FLAGS,
    FLOW_SCHEMA,
    ICMP,
    LEAST_PACKETS,
    TCP,
    UDP,
    records_each,
    records_of,
    silent_records,
)
from exporter.simulate.incidents import Incident
from exporter.simulate.scene import OUTSIDE, Ints, Scene, addresses_at_random
from exporter.simulate.windows import SLOT, busyness, complete, ephemeral_ports, sizes, slots


@dataclass(frozen=True, slots=True)
class Talk:
    """One kind of conversation: who asks whom (pools of `Scene`), on which ports, and the middle sizes in bytes.

    `share` is out of the sum of all shares, in flows.  `across`: client and server stand in different VPCs.
    """

    name: str
    share: float
    client: str
    server: str
    ports: tuple[int, ...]
    request: int = 1_500
    response: int = 9_000
    protocol: int = TCP
    across: bool = False


TALKS: tuple[Talk, ...] = (
    Talk("web", 20, "clients", "alb", (443, 443, 443, 80), 1_800, 14_000),
    Talk("web over IPv6", 5, "clients6", "alb6", (443,), 1_900, 14_000),
    Talk("web by the content network", 4, "cdn", "alb", (443,), 2_500, 30_000),
    Talk("load balancer to web", 13, "alb", "web", (8080,), 2_200, 16_000),
    Talk("web to application", 12, "web", "app", (9000,), 2_400, 8_000),
    Talk("queries", 10, "app", "database", (5432,), 3_000, 12_000),
    Talk("sessions", 8, "app", "cache", (6379,), 700, 1_500),
    Talk("replication across zones", 2, "database", "database", (5432,), 200_000, 9_000),
    Talk("telemetry", 3, "clients", "nlb", (8883,), 900, 400),
    Talk("telemetry to application", 3, "nlb", "app", (8883,), 900, 400),
    Talk("function to database", 1, "lambda", "database", (5432,), 2_000, 5_000),
    Talk("function to S3", 1, "lambda", "s3", (443,), 3_000, 400_000),
    Talk("interface endpoint", 3, "app", "endpoint", (443,), 3_500, 4_500),
    Talk("reports to S3", 3, "batch", "s3", (443,), 500_000, 8_000),
    Talk("files from S3", 2, "app", "s3", (443,), 2_500, 90_000),
    Talk("tables", 3, "app", "dynamodb", (443,), 2_200, 3_500),
    Talk("AWS's interfaces", 1, "batch", "apis", (443,), 4_000, 9_000),
    Talk("partners", 3, "app", "partners", (443,), 3_000, 11_000),
    Talk("packages", 0.7, "batch", "partners", (443, 80), 1_500, 600_000),
    Talk("names", 5, "app", "resolvers", (53,), 75, 190, UDP),
    Talk("names for web", 3, "web", "resolvers", (53,), 75, 190, UDP),
    Talk("time", 0.7, "web", "time servers", (123,), 76, 76, UDP),
    Talk("ping across", 0.5, "bastion", "app", (0,), 420, 420, ICMP, across=True),
    Talk("ping", 0.7, "batch", "app", (0,), 420, 420, ICMP),
    Talk("administrators", 0.3, "admins", "bastion", (22,), 9_000, 25_000),
    Talk("shell across", 0.5, "bastion", "app", (22,), 6_000, 18_000, across=True),
)
"""The ordinary conversations.  One whose pools the network lacks does not take place."""

CHUNK = 100_000
"""Records that are made at a time, about: it bounds the memory, and is a part of what makes the bytes."""

NOISE_SHARE = 0.04
"""Of the records, how many are rejected attempts from all over the internet."""

NOISE_PORTS = (23, 22, 445, 3389, 8080, 5060, 6379, 2323, 81, 1433, 5555, 8443, 3306, 25, 21, 9200, 2375, 27017)

SILENT_SHARES = {"NODATA": 0.006, "SKIPDATA": 0.0004}
"""Of the records, how many tell of a minute without traffic, or without capacity to log it."""

STAGES = {"whole": 0.62, "opening": 0.1, "middle": 0.15, "closing": 0.1, "reset": 0.03}
"""The parts of TCP connections that windows saw."""

_STAGE_TABLE = np.array([[*FLAGS[stage], LEAST_PACKETS[stage]] for stage in STAGES])


def chunks(start: int, end: int, count: int, limit: int) -> Iterator[tuple[int, int, int]]:
    """Cuts a time range into (start, end, records) of about `limit` records: some slots, or a part of one."""
    times = slots(start, end)
    if not len(times):
        raise ValueError("the time range is empty: its end must be after its start")
    shares = np.diff(np.round(np.cumsum(busyness(times)) * count).astype(np.int64), prepend=0)
    first, held = 0, 0
    for place, share in enumerate(shares.tolist()):
        held += share
        if held >= limit or place == len(times) - 1:
            parts = max(1, round(held / limit)) if place == first else 1
            for part in range(parts):
                records = held * (part + 1) // parts - held * part // parts
                yield int(times[first]), int(times[place]) + SLOT, records
            first, held = place + 1, 0


@dataclass(frozen=True, slots=True)
class Order:
    """What traffic is wanted: times in seconds since 1970, widened to whole slots, and `count` ordinary records."""

    start: int
    end: int
    count: int
    seed: int = 1
    incidents: tuple[Incident, ...] = ()


def frames(scene: Scene, order: Order, limit: int = CHUNK) -> Iterator[pl.DataFrame]:
    """Frames of records in order of time: `order.count` of ordinary traffic in all, and those of the incidents."""
    started: set[int] = set()
    for number, (first, last, share) in enumerate(chunks(order.start, order.end, order.count, limit)):
        rng = np.random.default_rng([order.seed, 3, number])
        frame = ordinary(scene, first, last, share, rng)
        new = [slot for slot in slots(first, last).tolist() if slot not in started]
        started.update(new)
        happened = happenings(scene, order, new)
        yield pl.concat([frame, happened]).sort("end", maintain_order=True) if happened.height else frame


def records(scene: Scene, order: Order) -> pl.DataFrame:
    """All of `frames` as one frame, for what fits into memory."""
    return pl.concat(list(frames(scene, order)))


def happenings(scene: Scene, order: Order, when: Sequence[int]) -> pl.DataFrame:
    """The incidents' records in the slots `when` of the range: of a steady one in each, of others in the middle one."""
    times = slots(order.start, order.end)
    middle = int(times[len(times) // 2])
    flows = [
        incident.flows(scene, slot, np.random.default_rng([order.seed, 4, slot]))
        for incident in order.incidents
        for slot in when
        if incident.steady or slot == middle
    ]
    return records_of(scene, pl.concat([pl.DataFrame(schema=FLOW_SCHEMA), *flows]))


def ordinary(scene: Scene, start: int, end: int, count: int, rng: np.random.Generator) -> pl.DataFrame:
    """Exactly `count` records of ordinary traffic with ends from `start` to before `end`; every flow is whole."""
    times = slots(start, end)
    silent = [
        frame
        for status, share in SILENT_SHARES.items()
        if (frame := _silent(scene, times, share * count, status, rng)).height
    ]
    left = count - sum(frame.height for frame in silent)
    wanted = left - round(left * NOISE_SHARE)
    flows = _conversations(scene, times, wanted, rng)
    each = records_each(scene, flows)
    kept = flows.filter(each.cum_sum() <= wanted)
    noise_scene, noise = _noise(scene, times, left - int(each.head(kept.height).sum()), rng)
    spoken = records_of(noise_scene, pl.concat([kept, noise]))
    return pl.concat([spoken, *silent]).sort("end", maintain_order=True) if silent else spoken


def _conversations(scene: Scene, times: Ints, wanted: int, rng: np.random.Generator) -> pl.DataFrame:
    """Flows of all talks in a random order, enough for `wanted` records (each makes two at least, or one)."""
    talks = [(talk, pools) for talk in TALKS if (pools := _pools(scene, talk))]
    if not talks or wanted <= 0:
        return pl.DataFrame(schema=FLOW_SCHEMA)
    shares = np.array([talk.share for talk, _ in talks])
    counts = rng.multinomial(math.ceil(wanted / 2), shares / shares.sum())
    made = [_talk(scene, talk, pools, times, int(n), rng) for (talk, pools), n in zip(talks, counts, strict=True) if n]
    flows = pl.concat(made)
    return flows[rng.permutation(flows.height)]


def _pools(scene: Scene, talk: Talk) -> list[tuple[Ints, Ints]]:
    """The pairs of pools between which a talk takes place: in each VPC, between two, or with the outside."""
    pairs = [(at, to) for at in scene.places(talk.client) for to in scene.places(talk.server)]
    if talk.across:
        pairs = [(at, to) for at, to in pairs if at != to][:1]
    else:
        pairs = [(at, to) for at, to in pairs if at == to or OUTSIDE in (at, to)]
    found = [(scene.pools[at, talk.client], scene.pools[to, talk.server]) for at, to in pairs]
    return [(clients, servers) for clients, servers in found if talk.client != talk.server or len(servers) > 1]


def _talk(  # noqa: PLR0913, PLR0917 (one kind of conversation: where, what, between whom, when, how much)
    scene: Scene, talk: Talk, pools: list[tuple[Ints, Ints]], times: Ints, count: int, rng: np.random.Generator
) -> pl.DataFrame:
    """`count` flows of one talk, over its pairs of pools by how many interfaces they have."""
    outside = talk.client in {pool for place, pool in scene.pools if place == OUTSIDE}
    weights = np.array([len(servers if outside else clients) for clients, servers in pools], dtype=np.float64)
    ends = [
        _choose(clients, servers, int(n), rng)
        for (clients, servers), n in zip(pools, rng.multinomial(count, weights / weights.sum()), strict=True)
    ]
    stages = _STAGE_TABLE[rng.choice(len(STAGES), count, p=list(STAGES.values()))]
    if talk.protocol != TCP:
        stages = np.tile([0, 0, 1], (count, 1))
    request = sizes(talk.request, stages[:, 2], talk.protocol, rng)
    response = sizes(talk.response, stages[:, 2], talk.protocol, rng)
    columns = {
        "client": np.concatenate([client for client, _ in ends]),
        "server": np.concatenate([server for _, server in ends]),
        "client_port": np.zeros(count, dtype=np.int64) if talk.protocol == ICMP else ephemeral_ports(count, rng),
        "server_port": rng.choice(talk.ports, count),
        "protocol": np.full(count, talk.protocol),
        "request_packets": request[0],
        "request_bytes": request[1],
        "response_packets": response[0],
        "response_bytes": response[1],
        "request_flags": stages[:, 0],
        "response_flags": stages[:, 1],
    }
    return complete(scene, columns, times, rng)


def _choose(clients: Ints, servers: Ints, count: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Both ends of `count` flows: some clients come far more often than others, and none talks to itself."""
    client = (rng.random(count) ** 2 * len(clients)).astype(np.int64)
    if clients is servers:
        return clients[client], servers[(client + rng.integers(1, len(servers), count)) % len(servers)]
    return clients[client], servers[rng.integers(0, len(servers), count)]


def _noise(scene: Scene, times: Ints, count: int, rng: np.random.Generator) -> tuple[Scene, pl.DataFrame]:
    """Rejected attempts, one record each, from addresses that come back three times on average, joined to the scene."""
    exposed = [scene.pools[place, "public"] for place in scene.places("public")]
    scene = scene.joined("scanners", addresses_at_random(rng, max(1, count // 4)))
    packets = rng.integers(1, 4, count)
    columns = {
        "client": rng.choice(scene.pool("scanners"), count),
        "server": rng.choice(np.concatenate(exposed), count),
        "client_port": rng.integers(1_024, 65_536, count),
        "server_port": rng.choice(NOISE_PORTS, count),
        "protocol": np.full(count, TCP),
        "request_packets": packets,
        "request_bytes": packets * rng.choice([40, 44, 60], count),
        **{f"response_{what}": np.zeros(count, dtype=np.int64) for what in ("packets", "bytes", "flags")},
        "request_flags": np.full(count, FLAGS["syn"][0]),
    }
    return scene, complete(scene, columns, times, rng, rejected=True)


def _silent(scene: Scene, times: Ints, expected: float, status: str, rng: np.random.Generator) -> pl.DataFrame:
    """About `expected` records without a flow: NODATA of interfaces that never have any traffic, SKIPDATA of all."""
    idle = [scene.pools[place, "standby"] for place in scene.places("standby")]
    reporters = (
        scene.ends["interface"].gather(np.concatenate(idle))
        if idle
        else pl.int_range(scene.interfaces.height, eager=True)
    )
    everybody = np.arange(scene.interfaces.height)
    count = int(expected + rng.random())
    minutes = rng.choice(times, count) + 60 * rng.integers(1, SLOT // 60 + 1, count) - 1
    chosen = rng.choice(reporters.to_numpy() if status == "NODATA" else everybody, count)
    return silent_records(scene, chosen, minutes, status)
