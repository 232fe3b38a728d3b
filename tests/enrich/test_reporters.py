"""Whose view of a flow a record is: hand-made records of both interfaces, of one, and of a gateway between them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from exporter.enrich import reporters
from exporter.enrich.ends import enrich
from exporter.enrich.reporters import SLACK, Reporters, Times
from exporter.flow import REPORTING, Batch
from exporter.metrics import Metrics

from .cases import Interface, batch, snapshot

A, B, NAT, FAR = "10.0.0.1", "10.0.0.2", "10.0.0.9", "93.184.216.34"
INTO, OUT_OF, FIREWALL = "10.0.0.100", "10.0.0.101", "10.0.0.50"
"""A transit gateway's interfaces on the two sides (of one VPC here, for the rule is the same), and an appliance's."""
TYPES = {
    ("eni-a", A): "interface",
    ("eni-b", B): "interface",
    ("eni-nat", NAT): "nat_gateway",
    ("eni-into", INTO): "transit_gateway",
    ("eni-out", OUT_OF): "transit_gateway",
    ("eni-fw", FIREWALL): "interface",
}
BARE = snapshot([Interface(name, "vpc", (address,)) for name, address in TYPES], networks=("10.0.0.0/16",))
INVENTORY = replace(BARE, owners=BARE.owners.with_columns(interface_type=pl.Series(list(TYPES.values()))))
NOON = datetime(2026, 1, 31, 12, 0)  # noqa: DTZ001 - a frame's times have no zone


@dataclass(frozen=True, slots=True)
class Record:
    """What counts of a record; `at` is seconds after noon at which it began, a minute before its end."""

    interface_id: str | None
    srcaddr: str | None
    dstaddr: str | None
    flow_direction: str | None
    pkt_srcaddr: str | None = None
    pkt_dstaddr: str | None = None
    action: str = "ACCEPT"
    tgw_id: str | None = None
    tgw_src_vpc_id: str | None = None
    tgw_dst_vpc_id: str | None = None
    at: int = 0


FIELDS = (
    *("tgw_id", "tgw_src_vpc_id", "tgw_dst_vpc_id", "interface_id", "srcaddr", "dstaddr", "flow_direction"),
    *("pkt_srcaddr", "pkt_dstaddr", "action"),
)


def made(records: Sequence[Record], leave_out: tuple[str, ...] = ()) -> Batch:
    made = batch({name: [getattr(each, name) for each in records] for name in FIELDS if name not in leave_out})
    start = pl.Series("start", [NOON + timedelta(seconds=each.at) for each in records], dtype=pl.Datetime("us"))
    times = [each for each in (start, (start + timedelta(seconds=60)).alias("end")) if each.name not in leave_out]
    return enrich(replace(made, frame=made.frame.with_columns(times)), INVENTORY, Metrics())


def views(marked: Batch) -> list[str | None]:
    return [None if code is None else REPORTING[code] for code in marked.frame["reporting"].to_list()]


OF_A = Record("eni-a", A, B, "egress")
OF_B = Record("eni-b", A, B, "ingress")
SILENT = Record("eni-b", None, None, None)
NAT_IN = Record("eni-nat", A, NAT, "ingress", A, FAR)
NAT_OUT = Record("eni-nat", NAT, FAR, "egress", NAT, FAR)
NAT_BACK = Record("eni-nat", FAR, NAT, "ingress", FAR, NAT)
NAT_BACK_IN = Record("eni-nat", NAT, A, "egress", FAR, A)
A_OUT = Record("eni-a", A, FAR, "egress", A, FAR)
A_BACK = Record("eni-a", FAR, A, "ingress", FAR, A)


THROUGH = [
    Record("eni-a", A, B, "egress", A, B),
    Record("eni-into", A, INTO, "ingress", A, B),
    Record("eni-out", OUT_OF, B, "egress", A, B),
    Record("eni-b", A, B, "ingress", A, B),
]
"""A to B through a transit gateway, as all four interfaces on the way report it."""

PASSED = [replace(OF_A, interface_id="eni-fw", flow_direction="ingress"), replace(OF_A, interface_id="eni-fw")]
"""A to B as an appliance reports it that routes it: in, and out."""

GATEWAYS_OWN = [
    Record(None, A, B, way, tgw_id="tgw-1", tgw_src_vpc_id="vpc", tgw_dst_vpc_id="vpc") for way in ("ingress", "egress")
]
"""A to B as a transit gateway's own flow log has it."""


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (THROUGH, ["source", "copy", "copy", "destination"]),
        ([OF_A, *PASSED, OF_B], ["source", "copy", "copy", "destination"]),
        (PASSED, ["only", "only"]),
        ([OF_A, *GATEWAYS_OWN, OF_B], ["source", "copy", "copy", "destination"]),
        ([*GATEWAYS_OWN], ["only", "copy"]),
        ([Record("eni-gone", "10.0.0.77", B, "egress"), Record("eni-b", "10.0.0.77", B, "ingress")], ["copy", "only"]),
    ],
    ids=[
        "a transit gateway's interfaces",
        "an appliance between two",
        "an appliance alone",
        "a transit gateway's own log, beside the ends",
        "a transit gateway's own log alone",
        "an interface that the inventory does not know: the other end's record counts for both",
    ],
)
def test_what_stands_on_the_way_tells_copies(records: list[Record], expected: list[str | None]) -> None:
    assert views(Reporters()(made(records))) == expected


def test_an_interface_that_reports_on_and_on_keeps_counting() -> None:
    """Every ten minutes for two days, with A's flows between them; and what is written moves on with it."""
    kept: list[Times] = []
    known = Reporters(keep=kept.append)
    for minute in range(0, 2 * 24 * 60, 10):
        known(made([replace(OF_B, at=minute * 60)]))
        if minute % 60 == 50:
            assert views(known(made([replace(OF_A, at=minute * 60 + 300)]))) == ["source"], minute
            known.keep()
    lasts = [last for times in kept for name, (_, last) in times.items() if name == "eni-b"]
    assert lasts[-1] - lasts[0] > 45 * 3600
    assert max(np.diff(lasts)) <= 2 * 3600


def test_a_long_silence_begins_anew() -> None:
    """A log that was off for a month: what its partners told meanwhile they told alone."""
    day = 86_400
    known = Reporters()
    known(made([OF_B]))
    known(made([replace(OF_B, at=30 * day)]))
    found = [views(known(made([replace(OF_A, at=at)])))[0] for at in (0, 15 * day, 30 * day)]
    assert found == ["only", "only", "source"]


def test_times_that_cannot_be_prove_nothing() -> None:
    known = Reporters(clock=lambda: NOON.replace(tzinfo=UTC).timestamp())
    known(made([replace(OF_B, at=3 * 86_400)]))
    assert views(known(made([replace(OF_A, at=3 * 86_400)]))) == ["only"], "three days ahead of the clock"


def test_what_could_not_be_written_is_written_the_next_time() -> None:
    kept: list[Times] = []

    def keep(times: Times) -> None:
        kept.append(times)
        if len(kept) == 1:
            raise OSError("disk full")

    known = Reporters(keep=keep)
    known(made([OF_B]))
    with pytest.raises(OSError, match="disk full"):
        known.keep()
    known.keep()
    known.keep()
    assert kept == [kept[0], kept[0]]


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([OF_A, OF_B], ["source", "destination"]),
        ([OF_B, OF_A], ["destination", "source"]),
        ([OF_A], ["only"]),
        ([OF_B], ["only"]),
        ([OF_A, SILENT], ["source", None]),
        ([A_OUT], ["only"]),
        ([replace(OF_A, flow_direction=None), OF_B], ["source", "destination"]),
        ([Record("eni-gone", A, B, None), OF_A, OF_B], ["only", "source", "destination"]),
        ([replace(OF_A, action="REJECT"), OF_B], ["only", "destination"]),
        ([OF_A, replace(OF_B, action="REJECT")], ["source", "destination"]),
        (
            [A_OUT, NAT_IN, NAT_OUT, NAT_BACK, NAT_BACK_IN, A_BACK],
            ["only", "copy", "only", "only", "copy", "only"],
        ),
        ([NAT_IN, NAT_OUT], ["only", "only"]),
        ([SILENT], [None]),
    ],
    ids=[
        "both",
        "both, the other way round",
        "the destination is silent",
        "the source is silent",
        "NODATA is a report too",
        "outside",
        "direction by the addresses",
        "an interface that nobody knows",
        "rejected on its way out: the other one never saw it",
        "rejected on its way in: both saw it",
        "a NAT gateway: its inner side repeats what the inside says, its outer side is a way of its own",
        "a NAT gateway alone: nobody else tells of it",
        "no flow",
    ],
)
def test_whose_view_a_record_is(records: list[Record], expected: list[str | None]) -> None:
    assert views(Reporters()(made(records))) == expected


def test_a_sum_over_either_view_counts_each_way_once() -> None:
    """10 of A to B, told by both; 5 of A to the outside, told by A and by a NAT gateway on either of its sides."""
    records = [OF_A, OF_B, A_OUT, NAT_IN, NAT_OUT]
    sizes = dict(zip(records, (10, 10, 5, 5, 5), strict=True))
    told = views(Reporters()(made(records)))
    counted = {
        reporter: sum(sizes[record] for record, view in zip(records, told, strict=True) if view in (reporter, "only"))
        for reporter in ("source", "destination")
    }
    assert counted == {"source": 10 + 5 + 5, "destination": 10 + 5 + 5}


def test_who_reports_is_remembered_from_file_to_file() -> None:
    known = Reporters()
    assert views(known(made([OF_A]))) == ["only"], "nobody knows yet that B reports"
    assert views(known(made([OF_B]))) == ["destination"]
    assert views(known(made([OF_A]))) == ["source"]


@pytest.mark.parametrize(
    ("after", "expected"),
    [(SLACK - 60, "source"), (SLACK + 60, "only"), (-SLACK - 60, "source"), (-SLACK - 180, "only")],
)
def test_an_interface_that_stopped_reporting_counts_no_more(after: int, expected: str) -> None:
    """B's only record goes from noon to a minute later; A's end counts, a minute after its start."""
    known = Reporters()
    known(made([OF_B]))
    assert views(known(made([replace(OF_A, at=after)]))) == [expected]


def test_what_was_learned_outlasts_a_restart() -> None:
    kept: list[Times] = []
    known = Reporters(keep=kept.append)
    known(made([OF_B]))
    known.keep()
    known.keep()
    noon = int(NOON.replace(tzinfo=UTC).timestamp())
    assert kept == [{"eni-b": (noon, noon + 60)}]
    again = Reporters((name, first, last) for name, (first, last) in kept[0].items())
    assert views(again(made([OF_A]))) == ["source"]


def test_records_without_packets_ends_at_a_nat_gateway() -> None:
    """Version 2: all that a NAT gateway tells of the inside is a copy; of the outside there is no other."""
    records = [A_OUT, NAT_IN, NAT_OUT, NAT_BACK, NAT_BACK_IN, A_BACK]
    marked = Reporters()(made(records, leave_out=("pkt_srcaddr", "pkt_dstaddr")))
    assert views(marked) == ["only", "copy", "only", "only", "copy", "only"]


def test_columns_that_a_format_lacks() -> None:
    assert views(Reporters()(made([OF_A, OF_B], leave_out=("action", "start")))) == ["source", "destination"]
    assert views(Reporters()(made([OF_A, OF_B], leave_out=("start", "end")))) == ["only", "only"], "no times: no proof"
    assert views(Reporters()(made([OF_A], leave_out=("dstaddr",)))) == [None]


def test_without_an_inventory_each_record_stands_alone() -> None:
    plain = batch({"interface_id": ["eni-a", "eni-b"], "srcaddr": [A, None], "dstaddr": [B, None]})
    assert views(Reporters()(enrich(plain, None, Metrics()))) == ["only", None]


def test_no_records() -> None:
    assert views(Reporters()(made([]))) == []


def test_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those go that were silent longest; what is written down is what is still known."""
    monkeypatch.setattr(reporters, "MOST", 20)
    kept: list[Times] = []
    known = Reporters(keep=kept.append)
    for number in range(21):
        known(made([Record(f"eni-{number:02}", A, B, "egress", at=number)]))
    known.keep()
    assert sorted(kept[0]) == [f"eni-{number:02}" for number in range(2, 21)]


def test_the_other_columns_stay() -> None:
    given = made([OF_A, SILENT, OF_B])
    marked = Reporters()(given)
    assert marked.frame.drop("reporting").equals(given.frame)
    assert np.array_equal(marked.frame["row"].to_numpy(), given.frame["row"].to_numpy())
