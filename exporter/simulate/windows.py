"""When flows are seen, and how large they are: windows within five-minute slots, ports, heavy-tailed sizes."""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from exporter.simulate.flows import FLOW_SCHEMA, GATEWAY_SERVICES, ICMP, TCP
from exporter.simulate.scene import Ints, Scene

SLOT = 300
"""Seconds that one object covers."""

LARGEST = 16_000_000
"""Bytes of the largest ordinary direction of a window; what the exfiltration sends in one is more."""

_HEADERS = {TCP: 40, ICMP: 84}
"""Bytes of the smallest packet; 28 for the rest, an IPv4 and a UDP header."""


def slots(start: int, end: int) -> Ints:
    """The five-minute slots from `start` to before `end`, seconds since 1970, widened to whole slots."""
    return np.arange(start // SLOT * SLOT, math.ceil(end / SLOT) * SLOT, SLOT, dtype=np.int64)


def busyness(times: Ints) -> npt.NDArray[np.float64]:
    """Each slot's share of the traffic: a day's curve, at its peak (15:00 UTC) three times as high as at its low."""
    hours = times % 86_400 / 3_600
    curve = 1 + 0.5 * np.cos((hours - 15) / 24 * 2 * np.pi)
    return np.asarray(curve / curve.sum())


def ephemeral_ports(count: int, rng: np.random.Generator) -> Ints:
    """Ports as Linux gives them to clients."""
    return rng.integers(32_768, 61_000, count)


def sizes(middle: int, least_packets: Ints, protocol: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Packets and bytes of one direction, log-normal about `middle` bytes, 28 to 1,500 bytes a packet."""
    count = len(least_packets)
    wanted = np.minimum(middle * rng.lognormal(0, 1.3 if protocol == TCP else 0.3, count), LARGEST)
    full = rng.integers(600, 1_400, count)
    packets = np.maximum(np.ceil(wanted / full), least_packets).astype(np.int64)
    return packets, np.maximum(wanted.astype(np.int64), packets * _HEADERS.get(protocol, 28))


def complete(  # noqa: PLR0913 (what flows have in common)
    scene: Scene,
    columns: Mapping[str, Ints],
    times: Ints,
    rng: np.random.Generator,
    *,
    answered: bool = True,
    rejected: bool = False,
) -> pl.DataFrame:
    """Flows from their columns, with a way out, and windows of at most a minute within the slots, by busyness."""
    flows = pl.DataFrame(columns)
    count, ends = flows.height, scene.ends
    slot = times[np.searchsorted(np.cumsum(busyness(times))[:-1], rng.random(count), side="right")]
    seconds = (60 * rng.random(count) ** 2).astype(np.int64)
    start = slot + (rng.random(count) * (SLOT - seconds)).astype(np.int64)
    server = ends[flows["server"]].select(
        by_nat=pl.col("interface").is_null() & pl.col("service").is_in(GATEWAY_SERVICES).not_().fill_null(value=True)
    )
    return (
        flows.with_columns(server, way=ends["nat"].gather(flows["client"]))
        .with_columns(
            nat=pl.when("by_nat").then("way").otherwise(-1),
            nat_port=pl.lit(pl.Series(ephemeral_ports(count, rng))),
            start=pl.lit(pl.Series(start)),
            end=pl.lit(pl.Series(start + seconds)),
            answered=pl.lit(answered and not rejected),
            rejected=pl.lit(rejected),
        )
        .select(FLOW_SCHEMA.names())
        .cast(FLOW_SCHEMA)
    )
