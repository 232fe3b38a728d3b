"""Which flows are the exporter's own, by addresses that names have at the time."""

import logging
import socket
from collections.abc import Iterable
from threading import Event

import pytest

from exporter import config
from exporter.filter.own_traffic import MOST, REMEMBERED, OwnTraffic, local, resolved
from exporter.filter.rules import Filter
from exporter.flow import Batch
from tests.ecs.cases import V2, V5, batches

HERE, THERE, OTHER = "10.0.1.5", "52.10.0.1", "93.184.216.34"


class Names:
    """A name service: what it answers, or raises, by name; and this machine's addresses."""

    def __init__(self, **answers: list[str] | Exception) -> None:
        self.answers = answers
        self.here: list[str] = [HERE]
        self.now = 0.0
        self.asked: list[tuple[str, int]] = []

    def resolve(self, host: str, port: int) -> list[str]:
        self.asked.append((host, port))
        answer = self.answers[host]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def local(self, targets: Iterable[tuple[str, int]]) -> list[str]:
        self.targets = list(targets)
        return self.here

    def own(self, *hosts: tuple[str, int], own_addresses: tuple[str, ...] = ()) -> OwnTraffic:
        return OwnTraffic(hosts, own_addresses, resolve=self.resolve, local=self.local, clock=lambda: self.now)


def flows(*flows: str, header: str = V2) -> Batch:
    """Records of `srcaddr srcport dstaddr dstport`."""
    lines = []
    for flow in flows:
        source, sport, destination, dport, *more = flow.split()
        ends = f"{source} {destination} {sport} {dport} 6 1 40 1769860800 1769860860 ACCEPT OK"
        lines.append(" ".join(["5 012345678901 eni-web", ends, *more]))
    (batch,) = batches(header, *lines)
    return batch


@pytest.mark.parametrize(
    ("flow", "own"),
    [
        (f"{HERE} 40000 {THERE} 9200", True),
        (f"{THERE} 9200 {HERE} 40000", True),
        (f"{HERE} 40000 {THERE} 9300", False),
        (f"{HERE} 9200 {THERE} 40000", False),
        (f"{THERE} 40000 {HERE} 9200", False),
        (f"{HERE} 40000 {OTHER} 9200", False),
        (f"{OTHER} 40000 {THERE} 9200", False),
        ("10.0.1.6 40000 52.10.0.1 9200", False),
        ("192.168.7.9 40000 52.10.0.1 9200", True),
        ("192.168.8.9 40000 52.10.0.1 9200", False),
        (f"{HERE} 40000 52.10.0.2 443", True),
        (f"{HERE} 40000 52.10.0.2 9200", False),
        ("2a05:d014::5 40000 2600:1f18::9 9200", True),
        ("- - - -", False),
    ],
)
def test_both_halves_of_connections_to_the_cluster_s_port(flow: str, own: bool) -> None:  # noqa: FBT001  a table's
    names = Names(es=[THERE, "2600:1f18::9"], cloud=["52.10.0.2"])
    names.here = [HERE, "2a05:d014::5"]
    known = names.own(("es", 9200), ("cloud", 443), own_addresses=("192.168.7.0/24",))
    assert known.refresh() == {}
    assert known.among(flows(flow)).tolist() == [own]


def test_an_end_behind_a_gateway_is_known_by_the_packet_s_addresses() -> None:
    known = Names(es=[THERE]).own(("es", 9200))
    known.refresh()
    gateway, more = "10.0.9.9", "vpc-main subnet-a - 2 IPv4 {} {} - - - - - - egress -"
    batch = flows(
        f"{HERE} 40000 {gateway} 9200 {more.format(HERE, THERE)}",
        f"{gateway} 40000 {THERE} 9200 {more.format(HERE, THERE)}",
        f"{gateway} 40000 {THERE} 9200 {more.format('10.0.7.7', THERE)}",
        f"{THERE} 9200 {gateway} 40000 {more.format(THERE, HERE)}",
        header=V5,
    )
    assert known.among(batch).tolist() == [True, True, False, True]


def test_nothing_is_known_before_the_first_answer_and_of_records_without_ports() -> None:
    known = Names(es=[THERE]).own(("es", 9200))
    batch = flows(f"{HERE} 40000 {THERE} 9200")
    assert known.among(batch).tolist() == [False]
    known.refresh()
    assert known.among(batch).tolist() == [True]
    (bare,) = batches("srcaddr dstaddr", f"{HERE} {THERE}")
    (empty,) = batches("dstport", "9200")
    assert (known.among(bare).tolist(), known.among(empty).tolist()) == ([False], [False])


def test_it_is_dropped_where_that_is_wanted_whatever_the_rules_are() -> None:
    known = Names(es=[THERE]).own(("es", 9200))
    known.refresh()
    batch = flows(f"{HERE} 40000 {THERE} 9200", f"{HERE} 40000 {OTHER} 443")
    keeping = {"name": "all", "action": "keep", "where": {"log.offset": "*"}}
    settings = config.Filter.model_validate({"own_traffic": "drop", "rules": [keeping]})
    out, counts = Filter.of(settings, known).apply(batch)
    assert (out.frame["row"].to_list(), counts) == ([2], {("own_traffic", "dropped"): 1})
    assert Filter.of(config.Filter(), known).apply(batch) == (batch, {})
    assert Filter.of(settings, None).apply(batch) == (batch, {})


# Names over time ------------------------------------------------------------------------------------------------------


def test_an_address_counts_for_a_day_after_it_was_seen_last() -> None:
    names = Names(es=[THERE])
    known = names.own(("es", 9200))
    known.refresh()
    batch = flows(f"{HERE} 1 {THERE} 9200", f"{HERE} 1 52.10.0.9 9200", f"10.0.1.77 1 {THERE} 9200")
    names.answers["es"], names.here, names.now = ["52.10.0.9"], ["10.0.1.77"], 600
    known.refresh()
    assert known.among(batch).tolist() == [True, True, True]
    assert sorted(names.targets) == [(THERE, 9200), ("52.10.0.9", 9200)]
    names.now = REMEMBERED + 1
    known.refresh()
    assert known.among(batch).tolist() == [False, False, False]
    assert known.among(flows("10.0.1.77 1 52.10.0.9 9200")).tolist() == [True]


def test_a_name_without_an_answer_keeps_what_it_had_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    names = Names(es=[THERE], cloud=["52.10.0.2"])
    known = names.own(("es", 9200), ("cloud", 443))
    known.refresh()
    names.answers["es"] = OSError(-2, "Name or service not known")
    faults = {"es": "[Errno -2] Name or service not known"}
    assert [known.refresh() for _ in range(3)] == [faults] * 3
    assert known.among(flows(f"{HERE} 1 {THERE} 9200")).tolist() == [True]
    assert [each.getMessage() for each in caplog.records] == [
        "the addresses of es are not known anew (those it had stay): [Errno -2] Name or service not known"
    ]
    names.answers["es"] = ["no address"]
    assert known.refresh() == {"es": "'no address' does not appear to be an IPv4 or IPv6 address"}
    names.answers["es"] = [THERE]
    assert known.refresh() == {}


def test_a_name_that_does_not_answer_is_not_waited_for_and_asked_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    answers, asked = Event(), []

    def slow(host: str, port: int) -> list[str]:
        asked.append((host, port))
        answers.wait(30)
        return [THERE]

    known = OwnTraffic([("es", 9200)], resolve=slow, local=lambda _: [HERE], patience=0.05)
    late = {"es": "no answer within 0.05 s", "this machine": "no answer within 0.05 s"}
    for _ in range(2):
        faults = known.refresh()
        assert faults.items() <= late.items()
        assert "es" in faults
    answers.set()
    known._patience = 30  # noqa: SLF001  so that the late answer is there for sure
    assert known.refresh() == {}
    assert asked == [("es", 9200)]
    assert known.among(flows(f"{HERE} 1 {THERE} 9200")).tolist() == [True]


def test_what_is_remembered_has_its_limit() -> None:
    many = [f"10.{number >> 8}.{number & 255}.1" for number in range(MOST + 50)]
    names = Names(es=many, other=[THERE])
    known = names.own(("es", 9200), ("other", 9200))
    known.refresh()
    assert len(names.targets) == MOST


# The system's own answers ---------------------------------------------------------------------------------------------


def test_the_system_tells_addresses_of_names_and_of_addresses() -> None:
    assert resolved("127.0.0.1", 9200) == ["127.0.0.1"]
    assert resolved("::1", 9200) == ["::1"]
    assert set(resolved("localhost", 9200)) <= {"127.0.0.1", "::1"}
    with pytest.raises(socket.gaierror):
        resolved("no-such-name.invalid", 9200)


def test_this_machine_s_addresses_are_no_loopback() -> None:
    """Which there are depends on the machine; that one cannot be reached is no fault."""
    found = local([("127.0.0.1", 9200), ("::1", 9200), ("192.0.2.1", 9200), ("2001:db8::1", 9200)])
    assert not [each for each in found if each.startswith("127.") or each == "::1"]
    assert found == sorted(set(found))


def test_hosts_in_brackets_and_hosts_given_twice() -> None:
    names = Names(**{"2001:db8::1": ["2001:db8::1"]})
    known = names.own(("[2001:db8::1]", 9200), ("2001:db8::1", 9200))
    assert known.refresh() == {}
    assert names.asked == [("2001:db8::1", 9200)]
    assert known.among(flows(f"{HERE} 1 2001:db8::1 9200")).tolist() == [True]
