"""The index of claims against a plain reading of what it promises, second by second."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.addresses import Integers, keys_of_texts
from exporter.enrich.index import ALWAYS, NEVER, Claims, Index, Intervals, Kind, Versions, indexed, masked

ADDRESSES = ("10.0.0.1", "10.0.0.2", "54.0.0.1")
VPC_OF = (0, 0, 0, 1, 1)
"""Five interfaces in two VPCs."""

TIMES = st.integers(0, 40)


@dataclass(frozen=True, slots=True)
class Claim:
    """An interface's claim to an address, both seconds included."""

    owner: int
    address: int
    since: int
    until: int


CLAIMS = st.lists(
    st.builds(
        lambda owner, address, since, length: Claim(owner, address, since, since + length),
        st.integers(0, 4),
        st.integers(0, 2),
        TIMES,
        st.integers(-1, 15),
    ),
    max_size=14,
)


def index_of(claims: list[Claim], assume: int = 0) -> Index:
    def column(name: str) -> Integers:
        return np.array([getattr(each, name) for each in claims], dtype=np.int64)

    kinds = [Kind.PUBLIC.code if each.address == 2 else Kind.OWN.code for each in claims]
    rows = np.arange(5)
    return indexed(
        interfaces=[f"eni-{row}" for row in rows],
        accounts={},
        vpcs={"vpc-0": 0, "vpc-1": 1},
        vpc_of=np.array(VPC_OF),
        claims=Claims(
            keys_of_texts(ADDRESSES[each.address] for each in claims),
            np.full(len(claims), 128),
            column("owner"),
            np.array(kinds, dtype=np.int64),
            column("since"),
            column("until"),
        ),
        versions=Versions(rows, rows, np.full(5, NEVER), np.full(5, ALWAYS), rows),
        assume=assume,
    )


def holders(claims: list[Claim], address: int, vpc: int, second: int) -> set[int]:
    """Who claims an address at a second: in a VPC, or anywhere where it is public."""
    return {
        each.owner
        for each in claims
        if each.address == address
        and each.since <= second <= each.until
        and (address == 2 or VPC_OF[each.owner] == vpc)
    }


@settings(max_examples=300, deadline=None)
@given(CLAIMS, st.integers(0, 2), st.integers(0, 1), TIMES, st.integers(0, 10))
def test_who_held_an_address_all_through_a_time(
    claims: list[Claim], address: int, vpc: int, first: int, length: int
) -> None:
    index = index_of(claims)
    (slot,) = index.slots(keys_of_texts([ADDRESSES[address]]))
    key = index.place_key(slot, index.world if address == 2 else vpc)
    found = int(index.held.at(key, np.array([first]), np.array([first + length]))[0])
    seconds = [holders(claims, address, vpc, second) for second in range(first, first + length + 1)]
    sole = seconds[0] if len(seconds[0]) == 1 and all(each == seconds[0] for each in seconds) else set()
    assert {found} - {-1} == sole


@settings(max_examples=300, deadline=None)
@given(CLAIMS, st.integers(1, 12), st.integers(0, 70))
def test_what_is_assumed_never_reaches_where_two_might(claims: list[Claim], assume: int, second: int) -> None:
    """Around what is sure, as far as `assume`: only where no other interval of another comes as near."""
    index = index_of(claims, assume)
    (slot,) = index.slots(keys_of_texts([ADDRESSES[0]]))
    found = int(index.held.at(index.place_key(slot, 0), np.array([second]), np.array([second]))[0])
    near = [holders(claims, 0, 0, each) for each in range(second - assume, second + assume + 1)]
    there = holders(claims, 0, 0, second)
    if len(there) == 1:
        assert {found} == there
    elif there:
        assert found == -1
    else:
        alone = {owner for each in near if len(each) == 1 for owner in each}
        assert found == -1 or found in alone
        assert found != -1 or len(alone) != 1 or any(len(each) > 1 for each in near) or apart(near, alone)


def apart(near: list[set[int]], alone: set[int]) -> bool:
    """Whether the one owner's intervals come near from both sides, so that both reach here and neither counts."""
    middle = len(near) // 2
    return any(each == alone for each in near[:middle]) and any(each == alone for each in near[middle:])


def test_an_interval_grows_up_to_its_neighbour() -> None:
    index = index_of([Claim(0, 0, 10, 20), Claim(1, 0, 30, 40)])
    assert index.held.since[:2].tolist() == [10, 30]
    index.primary_interval[:2] = [0, 1]  # as if it were their primary address, one after the other
    index.extend(np.array([0]), np.array([5]), np.array([35]))
    index.extend(np.array([1]), np.array([8]), np.array([50]))
    assert (index.held.since[:2].tolist(), index.held.until[:2].tolist()) == ([5, 30], [29, 50])
    (slot,) = index.slots(keys_of_texts(["10.0.0.1"]))
    key = index.place_key(slot, 0)
    for second, owner in ((4, -1), (5, 0), (29, 0), (30, 1), (50, 1), (51, -1)):
        assert index.held.at(key, np.array([second]), np.array([second])).tolist() == [owner]


@pytest.mark.parametrize(
    ("key", "first", "last", "expected"), [(7, 1, 3, 70), (7, 1, 5, -1), (7, 5, 9, 71), (8, 1, 3, -1), (-1, 1, 3, -1)]
)
def test_intervals(key: int, first: int, last: int, expected: int) -> None:
    intervals = Intervals.of(*(np.array(column) for column in ([7, 7, 9], [5, 0, 0], [9, 4, 9], [71, 70, 90])))
    assert intervals.at(np.array([key]), np.array([first]), np.array([last])).tolist() == [expected]


def test_no_intervals() -> None:
    none = np.array([], dtype=np.int64)
    assert Intervals.of(none, none, none, none).at(np.array([3]), np.array([0]), np.array([1])).tolist() == [-1]


@pytest.mark.parametrize(
    ("address", "bits", "network"),
    [
        ("10.0.1.31", 124, "10.0.1.16"),
        ("2600:1f18:0:1:a:b:c:d", 80, "2600:1f18:0:1:a::"),
        ("10.0.1.31", 128, "10.0.1.31"),
    ],
)
def test_the_network_of_an_address(address: str, bits: int, network: str) -> None:
    assert masked(keys_of_texts([address]), bits).tolist() == keys_of_texts([network]).tolist()
