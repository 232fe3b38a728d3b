"""Why an address is whose it is: the verdict is the daemon's, and the reasons told beside it lead to it."""

import re
from itertools import product
from typing import Any

import pytest

from exporter.addresses import keys_of_texts
from exporter.enrich.ends import RESOLVED, enrich
from exporter.enrich.explained import Asked, explain, moment
from exporter.enrich.history import View, folded
from exporter.enrich.index import ALWAYS, NEVER
from exporter.enrich.inventory import Snapshot
from exporter.metrics import Metrics
from tests.commands.remembered import GAP, MIDNIGHT, Interface, answers, clock, snapshot

from .day import timed

VIEW = folded(answers(), GAP).view()
ADDRESSES = (
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.4",
    "10.0.0.5",
    "10.0.0.60",
    "10.0.1.20",
    "10.9.0.1",
    "10.9.0.9",
    "54.0.0.1",
)
TIMES = ("07:00:00", "08:00:59", "08:01:00", "09:31:00", "10:03:00", "10:04:50", "10:05:20", "10:08:00", "10:09:50")
PLACES: tuple[tuple[str | None, str | None], ...] = (
    (None, None),
    ("vpc-a", None),
    ("vpc-b", None),
    ("vpc-c", None),
    (None, "twin-1"),
    (None, "far"),
    ("vpc-a", "next"),
)

NAMED = re.compile(r"(?<!times it )(?:was|it is) (?=\S+'s (?:from|primary))(?!more than)([^']+)'s")
"""An owner that is told as sure."""


def counted(known: View | Snapshot, asked: Asked) -> tuple[str, str | None]:
    """How the daemon counts the source of a record, and whom it names there."""
    columns: dict[str, list[str | None]] = {"srcaddr": [asked.text]}
    columns |= {
        name: [value] for name, value in (("vpc_id", asked.vpc), ("interface_id", asked.interface)) if value is not None
    }
    seconds, metrics = asked.second - int(MIDNIGHT.timestamp()), Metrics()
    found = enrich(timed(columns, [(seconds, seconds)]), known, metrics)
    words = (*RESOLVED, "not_then", "ambiguous", "unknown")
    (word,) = [each for each in words if metrics.value("ends_total", end="source", resolved=each)]
    row: Any = found.frame["source_owner"].item()
    return word, None if row is None else known.owners["interface_id"][row]


@pytest.mark.parametrize("address", ADDRESSES)
def test_the_verdict_is_the_daemon_s_and_the_first_rule_that_finds_somebody_is_told(address: str) -> None:
    for time, (vpc, interface) in product(TIMES, PLACES):
        asked = Asked(
            keys_of_texts([address]), address, int((MIDNIGHT + clock(time)).timestamp()), vpc=vpc, interface=interface
        )
        told = explain(VIEW, asked)
        owner = told.owner and told.owner["interface_id"]
        assert (told.resolved, owner) == counted(VIEW, asked), asked
        assert [rule for rule, _ in told.findings] == list(RESOLVED)
        finding = [(rule, name) for rule, text in told.findings for name in NAMED.findall(text)]
        assert finding[:1] == ([] if owner is None else [(told.resolved, owner)]), (asked, told)


def test_a_snapshot_holds_at_all_times() -> None:
    (_, snapshot), *_ = answers()
    told = explain(snapshot, Asked(keys_of_texts(["10.0.0.1"]), "10.0.0.1", 1_000_000_000, vpc="vpc-a"))
    assert told.findings[0] == ("own_vpc", "10.0.0.1 in vpc-a was web's from ever to ever")
    assert (told.resolved, told.owner and told.owner["instance_id"]) == ("own_vpc", "i-web")


def test_of_many_owners_those_nearest_in_time_are_told() -> None:
    series = [("r", _alone(f"o{hour}", f"0{hour}:00:00", f"0{hour}:10:00")) for hour in range(1, 8)]
    view = folded(series, GAP).view()
    second = int((MIDNIGHT + clock("04:30:00")).timestamp())
    told = explain(view, Asked(keys_of_texts(["10.0.0.9"]), "10.0.0.9", second, vpc="vpc-a"))
    day = f"{MIDNIGHT:%Y-%m-%d}T"
    others = ", ".join(f"o{number}'s from {day}0{number}:00:00Z to {day}0{number}:09:50Z" for number in (3, 4, 5))
    assert told.findings[0][1] == (
        f"10.0.0.9 in vpc-a is surely nobody's then; at other times it was {others}, and 4 times more"
    )
    assert told.resolved == "not_then"


def _alone(name: str, attached: str, taken: str) -> Snapshot:
    """One interface that has the address, and nothing else."""
    there = Interface(name, ("10.0.0.9",), attached=attached, instance=f"i-{name}")
    return snapshot(MIDNIGHT + clock(taken), MIDNIGHT, there, networks={}, links=())


def test_times_as_people_read_them() -> None:
    assert [moment(each) for each in (NEVER, 1_772_359_200, ALWAYS)] == ["ever", "2026-03-01T10:00:00Z", "ever"]
