"""`inventory` on a real ledger with a hand-made history; see remembered.py for what happens in it."""

import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner, Result

from exporter.__main__ import app
from exporter.enrich import snapshot_file
from exporter.enrich.history import History
from exporter.enrich.history_store import StoredHistory
from exporter.enrich.inventory import Snapshot
from exporter.ledger import BACKFILL, NAME, Ledger

from .remembered import FIRST, MIDNIGHT, SECOND, Interface, clock, eu, fill, owners, us

CONFIG = """
source: {{s3: [{{bucket: logs, start: 2026-01-01}}]}}
output: {{files: {{folder: {folder}/out}}}}
state: {{folder: {folder}/state}}
"""
DAY = "2026-03-01T"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration and a ledger with the history."""
    (tmp_path / "config.yaml").write_text(CONFIG.format(folder=tmp_path))
    fill(tmp_path / "state" / NAME)
    return tmp_path


def run(folder: Path, *arguments: str) -> Result:
    command, *rest = arguments
    return CliRunner().invoke(app, ["inventory", command, "--config", str(folder / "config.yaml"), *rest])


def shown(folder: Path, *arguments: str) -> list[str]:
    """The lines that a command printed, with one blank where the table has several."""
    result = run(folder, *arguments)
    assert (result.exit_code, result.stderr) == (0, ""), (result.stderr, result.exception)
    return [" ".join(each.split()) for each in result.stdout.splitlines()]


# show -----------------------------------------------------------------------------------------------------------------

HAD = "interface vpc address kind from to reason"
BEHIND = "interface account region instance resource name cluster from to"
WEB = f"web {FIRST} eu-west-1 i-web - - - {DAY}08:00:00Z its end"
GONE = f"gone {FIRST} eu-west-1 i-gone - - - {DAY}09:30:00Z its end"
NEXT = f"next {FIRST} eu-west-1 i-next - - - {DAY}10:07:00Z its end"
PEER = f"peer {SECOND} us-east-1 - lambda orders shop {DAY}08:00:00Z its end"
UNPROVEN = "no two answers in a row prove it"
NEWEST_EU, NEWEST_US = f"{DAY}10:09:50Z (newest answer)", f"{DAY}10:05:20Z (newest answer)"

SHOWN: dict[str, tuple[tuple[str, ...], list[str], list[str]]] = {
    "a primary address is sure from the attachment on": (
        ("10.0.0.1",),
        [f"web vpc-a 10.0.0.1 primary {DAY}08:00:00Z {NEWEST_EU}"],
        [WEB],
    ),
    "another one from the first of two answers that show it": (
        ("10.0.0.50",),
        [f"web vpc-a 10.0.0.50 own {DAY}10:00:05Z {NEWEST_EU}"],
        [WEB],
    ),
    "within a prefix": (("10.0.1.20",), [f"web vpc-a 10.0.1.16/28 own {DAY}10:00:05Z {NEWEST_EU}"], [WEB]),
    "a public one": (("54.0.0.1",), [f"web vpc-a 54.0.0.1 public {DAY}10:00:05Z {NEWEST_EU}"], [WEB]),
    "it passed on; the first owner is sure up to the last answer that shows it, less the lag": (
        ("10.0.0.2",),
        [
            f"gone vpc-a 10.0.0.2 primary {DAY}09:30:00Z {DAY}10:04:50Z",
            f"next vpc-a 10.0.0.2 primary {DAY}10:07:00Z {NEWEST_EU}",
        ],
        [GONE, NEXT],
    ),
    "who had it then": (
        ("10.0.0.2", "--at", f"{DAY}10:04:00"),
        [f"gone vpc-a 10.0.0.2 primary {DAY}09:30:00Z {DAY}10:04:50Z"],
        [GONE],
    ),
    "a time with a zone": (
        ("10.0.0.2", "--at", f"{DAY}12:08:00+02:00"),
        [f"next vpc-a 10.0.0.2 primary {DAY}10:07:00Z {NEWEST_EU}"],
        [NEXT],
    ),
    "one interface, two instances after each other": (
        ("10.0.0.4",),
        [f"moves vpc-a 10.0.0.4 primary {DAY}09:00:00Z {NEWEST_EU}"],
        [
            f"moves {FIRST} eu-west-1 i-1 - - - {DAY}09:00:00Z {DAY}10:04:50Z",
            f"moves {FIRST} eu-west-1 i-2 - - - {DAY}10:06:00Z {NEWEST_EU}",
        ],
    ),
    "the instance of then": (
        ("10.0.0.4", "--at", f"{DAY}10:07:00"),
        [f"moves vpc-a 10.0.0.4 primary {DAY}09:00:00Z {NEWEST_EU}"],
        [f"moves {FIRST} eu-west-1 i-2 - - - {DAY}10:06:00Z {NEWEST_EU}"],
    ),
    "seen once": (
        ("10.0.0.60",),
        [f"next vpc-a 10.0.0.60 own - - seen at {DAY}10:10:05Z: {UNPROVEN}"],
        [NEXT],
    ),
    "two at once": (
        ("10.0.0.5",),
        [
            *(
                f"{each} vpc-a 10.0.0.5 primary - - seen from {DAY}10:00:05Z to {DAY}10:10:00Z: not alone"
                for each in ("twin-1", "twin-2")
            ),
            "not alone: twin-1, twin-2 showed 10.0.0.5 in vpc-a at once, and while two do it is nobody's",
        ],
        [f"{each} {FIRST} eu-west-1 - - - - {DAY}08:00:00Z its end" for each in ("twin-1", "twin-2")],
    ),
    "in two VPCs": (
        ("10.9.0.1",),
        [
            f"peer vpc-b 10.9.0.1 primary {DAY}08:00:00Z {NEWEST_US}",
            f"far vpc-c 10.9.0.1 primary {DAY}10:00:35Z {NEWEST_US}",
        ],
        [PEER, f"far {SECOND} us-east-1 - - - - {DAY}10:00:35Z {NEWEST_US}"],
    ),
    "in one of them": (
        ("10.9.0.1", "--vpc", "vpc-b"),
        [f"peer vpc-b 10.9.0.1 primary {DAY}08:00:00Z {NEWEST_US}"],
        [PEER],
    ),
}


@pytest.mark.parametrize(("arguments", "had", "behind"), SHOWN.values(), ids=SHOWN)
def test_who_had_an_address(folder: Path, arguments: tuple[str, ...], had: list[str], behind: list[str]) -> None:
    assert shown(folder, "show", *arguments) == [HAD, *had, "", BEHIND, *behind]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("10.8.8.8",), "Nobody was ever seen with 10.8.8.8."),
        (("10.0.0.1", "--vpc", "vpc-b"), "Nobody was ever seen with 10.0.0.1 in vpc-b."),
        (
            ("10.0.0.2", "--at", f"{DAY}10:06:00"),
            f"Nobody surely had 10.0.0.2 at {DAY}10:06:00Z; without --at it says who was seen with it.",
        ),
    ],
)
def test_nobody(folder: Path, arguments: tuple[str, ...], line: str) -> None:
    assert shown(folder, "show", *arguments) == [line]


ALL = "8 interfaces, 14 times that one had an address, 9 times that something stood behind one"


def test_each_account_and_region_and_all_that_is_remembered(tmp_path: Path) -> None:
    midnight = datetime.now(UTC).replace(microsecond=0) - clock("13:10:30")
    (tmp_path / "config.yaml").write_text(CONFIG.format(folder=tmp_path))
    fill(tmp_path / "state" / NAME, midnight)
    first, second = (f"{midnight + clock(each):%Y-%m-%dT%H:%M:%SZ}" for each in ("10:10:00", "10:05:30"))
    with Ledger(tmp_path / "state" / NAME):  # a daemon's
        assert shown(tmp_path, "show") == [
            "account region newest answer age interfaces addresses",
            f"{FIRST} eu-west-1 {first} 3 h 5 9",
            f"{SECOND} us-east-1 {second} 3 h 2 4",
            "",
            f"remembered in all: {ALL}",
        ]


def test_nothing_is_remembered_yet(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG.format(folder=tmp_path))
    Ledger(tmp_path / "state" / NAME).open().close()
    assert shown(tmp_path, "show") == [
        "No account and region has answered yet.",
        "",
        "remembered in all: 0 interfaces, 0 times that one had an address, 0 times that something stood behind one",
    ]
    assert shown(tmp_path, "show", "10.0.0.1") == ["Nobody was ever seen with 10.0.0.1."]
    assert str(run(tmp_path, "explain", "10.0.0.1").exception) == (
        "nothing is remembered yet: `run` and `once` ask EC2, with enrich.ec2.enabled: true"
    )
    assert str(run(tmp_path, "export", str(tmp_path / "file")).exception) == (
        "no account and region has answered yet: `run` and `once` ask; imports need --at TIME"
    )


# explain --------------------------------------------------------------------------------------------------------------

NO_VPC = "not asked: it is not known in which VPC the end is"
NO_REPORTER = "not asked: no reporting interface is named"
NO_PUBLIC = "no public address that is known, and no IPv6 one"
IN_A, IN_WORLD = "not asked: it is known in vpc-a", "not asked: it is known in the world"
IN_RANGE = "not asked: it lies in the ranges of vpc-a, so it was somebody's there"
NEWEST = f"{DAY}10:09:50Z"

EXPLAINED: dict[str, tuple[tuple[str, ...], str, dict[str, str], str, str | None]] = {
    "in the own VPC": (
        ("10.0.0.1", "--vpc", "vpc-a"),
        f"10.0.0.1 in vpc-a at {NEWEST}:",
        {
            "own_vpc": f"10.0.0.1 in vpc-a was web's from {DAY}08:00:00Z to {NEWEST}",
            "public": NO_PUBLIC,
            "interface": NO_REPORTER,
            "reachable": IN_A,
            "unique": IN_A,
        },
        "own_vpc: it surely had the address in the end's own VPC",
        "web",
    ),
    "between two owners": (
        ("10.0.0.2", "--vpc", "vpc-a", "--at", f"{DAY}10:06:00"),
        f"10.0.0.2 in vpc-a at {DAY}10:06:00Z:",
        {
            "own_vpc": "10.0.0.2 in vpc-a is surely nobody's then; at other times it was "
            f"gone's from {DAY}09:30:00Z to {DAY}10:04:50Z, next's from {DAY}10:07:00Z to {NEWEST}",
            "public": NO_PUBLIC,
            "interface": NO_REPORTER,
            "reachable": IN_A,
            "unique": IN_A,
        },
        "not_then: nobody: who was seen with it there had it at other times only, not alone, or never for sure",
        None,
    ),
    "within a prefix, in the VPC of the reporting interface": (
        ("10.0.1.20", "--interface", "gone", "--at", f"{DAY}10:04:00"),
        f"10.0.1.20 at {DAY}10:04:00Z, as gone reports it:",
        {
            "own_vpc": f"10.0.1.16/28 in vpc-a was web's from {DAY}10:00:05Z to {NEWEST}",
            "public": NO_PUBLIC,
            "interface": "it is not known as gone's then; only a record's flow-direction may tell",
            "reachable": IN_A,
            "unique": IN_A,
        },
        "own_vpc: it surely had the address in the end's own VPC",
        "web",
    ),
    "a public one": (
        ("54.0.0.1",),
        f"54.0.0.1 at {NEWEST}:",
        {
            "own_vpc": NO_VPC,
            "public": f"54.0.0.1 was web's from {DAY}10:00:05Z to {NEWEST}",
            "interface": NO_REPORTER,
            "reachable": IN_WORLD,
            "unique": IN_WORLD,
        },
        "public: it surely had the address, which is unique in the world",
        "web",
    ),
    "the reporting interface's own, though two claim it": (
        ("10.0.0.5", "--interface", "twin-1"),
        f"10.0.0.5 at {NEWEST}, as twin-1 reports it:",
        {
            "own_vpc": f"10.0.0.5 in vpc-a was more than one's from {DAY}08:00:00Z to {NEWEST}, and so it is nobody's",
            "public": NO_PUBLIC,
            "interface": "it is twin-1's primary address, its own for as long as it exists",
            "reachable": IN_A,
            "unique": IN_A,
        },
        "interface: it is the reporting interface, and the address is its own",
        "twin-1",
    ),
    "in the VPC within reach": (
        ("10.9.0.1", "--vpc", "vpc-a"),
        f"10.9.0.1 in vpc-a at {DAY}10:05:20Z:",
        {
            "own_vpc": "nobody was ever seen with it in vpc-a",
            "public": NO_PUBLIC,
            "interface": NO_REPORTER,
            "reachable": f"10.9.0.1 in vpc-b was peer's from {DAY}08:00:00Z to {DAY}10:05:20Z",
            "unique": "not asked: the one VPC that is reached counts",
        },
        "reachable: it surely had the address in the one VPC within reach where it is known",
        "peer",
    ),
    "in one place of all": (
        ("10.0.0.1", "--vpc", "vpc-c"),
        f"10.0.0.1 in vpc-c at {NEWEST}:",
        {
            "own_vpc": "nobody was ever seen with it in vpc-c",
            "public": NO_PUBLIC,
            "interface": NO_REPORTER,
            "reachable": "vpc-c reaches none that is known: nobody was ever seen with it there",
            "unique": f"10.0.0.1 in vpc-a was web's from {DAY}08:00:00Z to {NEWEST}",
        },
        "unique: it surely had the address in the one place of all where it is known",
        "web",
    ),
    "in the ranges of two VPCs nobody's word counts alone": (
        ("10.9.0.9", "--vpc", "vpc-a"),
        f"10.9.0.9 in vpc-a at {DAY}10:05:20Z:",
        {
            "own_vpc": "nobody was ever seen with it in vpc-a",
            "public": NO_PUBLIC,
            "interface": NO_REPORTER,
            "reachable": "vpc-a reaches vpc-b: nobody was ever seen with it there",
            "unique": "known in vpc-c, but it lies in another VPC's ranges: it may be somebody's there",
        },
        "ambiguous: nobody: it may be several, or its place is not known",
        None,
    ),
    "it may be several": (
        ("10.9.0.1",),
        f"10.9.0.1 at {DAY}10:05:20Z:",
        {
            "own_vpc": NO_VPC,
            "public": NO_PUBLIC,
            "interface": NO_REPORTER,
            "reachable": NO_VPC,
            "unique": "it may be in several places: vpc-b, vpc-c",
        },
        "ambiguous: nobody: it may be several, or its place is not known",
        None,
    ),
    "in the own VPC's ranges no other VPC's counts": (
        ("10.0.0.77", "--vpc", "vpc-a"),
        f"10.0.0.77 in vpc-a at {DAY}10:05:20Z:",
        {
            "own_vpc": "nobody was ever seen with it in vpc-a",
            "public": NO_PUBLIC,
            "interface": NO_REPORTER,
            "reachable": IN_RANGE,
            "unique": IN_RANGE,
        },
        "ambiguous: nobody: it may be several, or its place is not known",
        None,
    ),
    "never seen": (
        ("2600:1f18::9", "--vpc", "vpc-c"),
        f"2600:1f18::9 in vpc-c at {NEWEST}:",
        {
            "own_vpc": "nobody was ever seen with it in vpc-c",
            "public": NO_PUBLIC,
            "interface": NO_REPORTER,
            "reachable": "vpc-c reaches none that is known: nobody was ever seen with it there",
            "unique": "nobody was ever seen with it anywhere",
        },
        "unknown: nobody: it was never seen",
        None,
    ),
}
OWNED: dict[str, list[str]] = {
    "web": [
        "interface web",
        "interface type interface",
        f"account {FIRST}",
        "region eu-west-1",
        "vpc vpc-a",
        "instance i-web",
    ],
    "twin-1": [
        "interface twin-1",
        "interface type interface",
        f"account {FIRST}",
        "region eu-west-1",
        "vpc vpc-a",
    ],
    "peer": [
        "interface peer",
        "interface type interface",
        f"account {SECOND}",
        "region us-east-1",
        "vpc vpc-b",
        "resource type lambda",
        "resource name orders",
        "cluster name shop",
    ],
}


@pytest.mark.parametrize(("arguments", "asked", "findings", "verdict", "owner"), EXPLAINED.values(), ids=EXPLAINED)
def test_why_a_record_names_whom_it_names(  # noqa: PLR0913, PLR0917 - what is asked, and all that is told
    folder: Path, arguments: tuple[str, ...], asked: str, findings: dict[str, str], verdict: str, owner: str | None
) -> None:
    rules = [f"{rule} {found}" for rule, found in findings.items()]
    told = ["", "owner value", *OWNED[owner]] if owner else []
    assert shown(folder, "explain", *arguments) == [asked, "", "rule reason", *rules, "", verdict, *told]


def test_what_the_configuration_lets_assume_counts(folder: Path) -> None:
    config = folder / "config.yaml"
    config.write_text(config.read_text() + "enrich: {ec2: {assume_unchanged: 10m}}\n")
    lines = shown(folder, "explain", "10.0.0.1", "--vpc", "vpc-a", "--at", f"{DAY}10:15:00")
    assert lines[3] == f"own_vpc 10.0.0.1 in vpc-a was web's from {DAY}07:50:00Z to {DAY}10:19:50Z"


# What cannot be -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "10.0.0"), "expected an address such as 10.0.0.5 or 2600:1f18::5"),
        (("explain", "10.0.0.1/28"), "expected an address such as 10.0.0.5 or 2600:1f18::5"),
        (("show", "10.0.0.1", "--at", "noon"), "expected a time from 2015 to 2099 such as"),
        (("export", "file", "--at", "1926-01-01"), "expected a time from 2015 to 2099 such as"),
        (("show", "--vpc", "vpc-a"), "--vpc and --at narrow down an address: name one"),
        (("explain",), "Missing argument 'ADDRESS'"),
    ],
)
def test_what_is_no_address_and_no_time(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    result = run(folder, *arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())


NOT_REMEMBERED = "is it of an account and region that `inventory show` lists?"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "10.0.0.1", "--vpc", "vpc-x"), f"vpc-x is no VPC that is remembered: {NOT_REMEMBERED}"),
        (("explain", "10.0.0.1", "--vpc", "vpc-x"), f"vpc-x is no VPC that is remembered: {NOT_REMEMBERED}"),
        (("explain", "10.0.0.1", "--interface", "x"), f"x is no interface that is remembered: {NOT_REMEMBERED}"),
        (("export", "/no/such/folder/file"), "/no/such/folder/file: cannot be written: No such file or directory"),
        (("import", "/no/such/file"), "/no/such/file: cannot be read: No such file or directory"),
        (("import", "/"), "/: cannot be read: Is a directory"),
    ],
)
def test_what_is_not_there(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    result = run(folder, *arguments)
    assert (result.exit_code, result.stdout, str(result.exception)) == (1, "", said)


@pytest.mark.parametrize("arguments", [("show",), ("show", "10.0.0.1"), ("explain", "10.0.0.1"), ("export", "file")])
def test_without_a_ledger(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG.format(folder=tmp_path))
    result = run(tmp_path, *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert str(result.exception) == (
        f"there is no ledger {tmp_path}/state/{NAME} yet: is state.folder the daemon's? `run` and `once` make one"
    )
    assert not (tmp_path / "state").exists()


# export and import ----------------------------------------------------------------------------------------------------


def saved(folder: Path, *options: str) -> tuple[Snapshot, list[str]]:
    """What `export` writes, and what it says."""
    said = shown(folder, "export", str(folder / "file.json"), *options)
    return snapshot_file.load(folder / "file.json"), said


def by_interface(snapshot: Snapshot) -> dict[str, tuple[str | None, list[tuple[str, str]]]]:
    """The instance of each interface, and its addresses with their kinds."""
    found: dict[str, tuple[str | None, list[tuple[str, str]]]] = {
        row["interface_id"]: (row["instance_id"], []) for row in snapshot.owners.to_dicts()
    }
    names = snapshot.owners["interface_id"]
    for address, owner, kind in snapshot.addresses.select("address", "owner", "kind").iter_rows():
        found[names[owner]][1].append((address, kind))
    return found


WEB_HAD = ("i-web", [("10.0.0.1", "primary"), ("10.0.0.50", "own"), ("10.0.1.16/28", "own"), ("54.0.0.1", "public")])
PEER_HAD = (None, [("10.9.0.1", "primary")])
FAR_HAD = (None, [("10.9.0.1", "primary"), ("10.0.0.77", "own"), ("10.9.0.9", "own")])


def order(had: dict[str, Any]) -> dict[str, Any]:
    return {name: (instance, sorted(addresses)) for name, (instance, addresses) in had.items()}


def test_the_newest_answers_as_a_file(folder: Path) -> None:
    snapshot, said = saved(folder)
    path = folder / "file.json"
    assert said == [f"{path}: 7 interfaces with 13 addresses of {DAY}10:05:30Z to {DAY}10:10:05Z"]
    assert order(by_interface(snapshot)) == order(
        {
            "web": WEB_HAD,
            "twin-1": (None, [("10.0.0.5", "primary")]),
            "twin-2": (None, [("10.0.0.5", "primary")]),
            "next": ("i-next", [("10.0.0.2", "primary"), ("10.0.0.60", "own")]),
            "moves": ("i-2", [("10.0.0.4", "primary")]),
            "peer": PEER_HAD,
            "far": FAR_HAD,
        }
    )
    assert (snapshot.taken, snapshot.answered) == (MIDNIGHT + clock("10:05:30"), MIDNIGHT + clock("10:10:05"))
    assert snapshot.networks == (("vpc-a", "10.0.0.0/16"), ("vpc-b", "10.9.0.0/16"), ("vpc-c", "10.9.0.0/16"))
    assert snapshot.links == (("pcx-1", "vpc-a"), ("pcx-1", "vpc-b"))


def test_one_account_s_newest_answer_is_what_ec2_said(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG.format(folder=tmp_path))
    answer = us(MIDNIGHT, "10:00:00")
    with Ledger(tmp_path / "state" / NAME) as ledger:
        _, changes = History.empty().after("us-east-1", answer, 900)
        StoredHistory(ledger).write(changes)
        snapshot, _ = saved(tmp_path)
    assert_frame_equal(snapshot.owners, answer.owners)
    assert order(by_interface(snapshot)) == order(by_interface(answer))


def test_who_surely_had_what_at_a_time(folder: Path) -> None:
    snapshot, said = saved(folder, "--at", f"{DAY}10:04:00")
    path = folder / "file.json"
    assert said == [f"{path}: 5 interfaces with 10 addresses of {DAY}10:04:00Z"]
    assert order(by_interface(snapshot)) == order(
        {
            "web": WEB_HAD,
            "gone": ("i-gone", [("10.0.0.2", "primary")]),
            "moves": ("i-1", [("10.0.0.4", "primary")]),
            "peer": PEER_HAD,
            "far": FAR_HAD,
        }
    )
    assert (snapshot.taken, snapshot.answered) == (MIDNIGHT + clock("10:04:00"), None)


def test_what_is_assumed_is_not_exported_as_sure(folder: Path) -> None:
    config = folder / "config.yaml"
    config.write_text(config.read_text() + "enrich: {ec2: {assume_unchanged: 10m}}\n")
    snapshot, _ = saved(folder, "--at", f"{DAY}07:55:00")
    assert by_interface(snapshot) == {}


def test_convert_takes_what_was_exported(folder: Path) -> None:
    saved(folder, "--at", f"{DAY}10:04:00")
    (folder / "flows.log.gz").write_bytes(
        gzip.compress(b"interface-id srcaddr dstaddr start end\nweb 10.0.0.1 10.0.0.2 1772359200 1772359260\n")
    )
    result = CliRunner().invoke(
        app, ["convert", str(folder / "flows.log.gz"), "--inventory", str(folder / "file.json")]
    )
    assert (result.exit_code, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    ends = {end: document["aws"]["vpcflow"][end]["interface_id"] for end in ("source", "destination")}
    assert ends == {"source": "web", "destination": "gone"}
    assert document["cloud"]["target"]["instance"] == {"id": "i-gone"}


@pytest.fixture
def recent(tmp_path: Path) -> tuple[Path, datetime]:
    """The same history, of today; and the midnight that its times are counted from."""
    midnight = datetime.now(UTC).replace(microsecond=0) - clock("13:00:00")
    (tmp_path / "config.yaml").write_text(CONFIG.format(folder=tmp_path))
    fill(tmp_path / "state" / NAME, midnight)
    return tmp_path, midnight


NOT_TOLD = "for the file does not tell when"


def test_a_file_is_added_once_and_only_adds(recent: tuple[Path, datetime]) -> None:
    """An interface that ended before the first answer, and `web` as it is known already."""
    folder, midnight = recent
    path, ledger = folder / "file.json", folder / "state" / NAME
    old = Interface("old", ("10.0.0.2", "10.0.0.61"), instance="i-old", attached="08:30:00")
    bare = Interface("bare", ("10.0.0.62",), attached=None, fixed=False)
    snapshot = eu(midnight, "09:10:00", old, bare)
    snapshot_file.save(replace(snapshot, answered=None), path)
    taken = f"{midnight + clock('09:10:00'):%Y-%m-%dT%H:%M:%SZ}"
    before = shown(folder, "show", "10.0.0.1"), owners(ledger)

    assert shown(folder, "import", str(path)) == [
        f"{path}: 5 interfaces with 9 addresses of {taken} added",
        f"1 interface: its addresses were added, not what stood behind it, {NOT_TOLD} it was attached",
    ]
    after = owners(ledger)
    assert {table: rows[: len(before[1][table])] for table, rows in after.items()} == before[1], "all is as it was"
    assert shown(folder, "show", "10.0.0.1") == before[0]
    begin, end = (f"{midnight + clock(each):%Y-%m-%dT%H:%M:%SZ}" for each in ("08:30:00", "09:09:50"))
    assert shown(folder, "show", "10.0.0.2")[1] == f"old vpc-a 10.0.0.2 primary {begin} {end}"
    assert shown(folder, "show", "10.0.0.61")[1] == f"old vpc-a 10.0.0.61 own - - seen at {taken}: {UNPROVEN}"
    (mark,) = [line.split() for line in shown(folder, "show") if f" {taken} " in line]
    assert mark[1:] == [taken, "3", "h", "5", "9"]

    assert shown(folder, "import", str(path)) == [f"{path}: is in the history already; nothing was changed"]
    assert owners(ledger) == after


def test_what_was_exported_is_imported_elsewhere(recent: tuple[Path, datetime], tmp_path: Path) -> None:
    """Each primary address is sure from the attachment to the snapshot; what needs two answers is not."""
    folder, midnight = recent
    saved(folder)
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.yaml").write_text(CONFIG.format(folder=other))
    Ledger(other / "state" / NAME).open().close()
    shown(other, "import", str(folder / "file.json"))
    begin, end = (f"{midnight + clock(each):%Y-%m-%dT%H:%M:%SZ}" for each in ("08:00:00", "10:05:20"))
    assert shown(other, "show", "10.0.0.1")[1] == f"web vpc-a 10.0.0.1 primary {begin} {end}"
    assert shown(other, "show", "10.0.0.50")[1].startswith("web vpc-a 10.0.0.50 own - - seen ")
    assert shown(other, "explain", "10.0.0.1", "--vpc", "vpc-a")[-9] == (
        "own_vpc: it surely had the address in the end's own VPC"
    )
    assert "no account and region has answered yet" in str(run(other, "export", str(other / "file")).exception)
    snapshot, _ = saved(other, "--at", (midnight + clock("10:05:00")).isoformat())
    assert by_interface(snapshot)["web"] == ("i-web", [("10.0.0.1", "primary")])


def test_a_file_that_tells_nothing_of_attachments(recent: tuple[Path, datetime]) -> None:
    folder, midnight = recent
    path = folder / "file.json"
    bare = [Interface(f"bare-{each}", (f"10.0.0.6{each}",), attached=None, fixed=False) for each in (1, 2, 3)]
    snapshot_file.save(eu(midnight, "09:10:00", *bare), path)
    assert shown(folder, "import", str(path))[1:] == [
        f"3 interfaces: their addresses were added, not what stood behind them, {NOT_TOLD} they were attached"
    ]


def test_not_while_a_daemon_holds_the_history(recent: tuple[Path, datetime]) -> None:
    folder, midnight = recent
    path, ledger = folder / "file.json", folder / "state" / NAME
    snapshot_file.save(us(midnight, "09:00:00"), path)
    with Ledger(ledger):
        result = run(folder, "import", str(path))
    assert result.exit_code == 1
    assert str(result.exception) == (
        f"the ledger {ledger} is in use, and a daemon would not see what is added: stop it (and any `once`), import, "
        "and start it again"
    )
    with Ledger(folder / "state" / BACKFILL):
        assert shown(folder, "import", str(path))[0].endswith(" added")


def test_a_file_from_too_long_ago_or_from_the_future(recent: tuple[Path, datetime]) -> None:
    folder, midnight = recent
    path = folder / "file.json"
    before = owners(folder / "state" / NAME)
    for days, said in ((-31, "is forgotten at once: see enrich.ec2.remember"), (1, "yet to come: is its clock, or")):
        snapshot_file.save(us(midnight + timedelta(days=days), "10:00:00"), path)
        result = run(folder, "import", str(path))
        assert (result.exit_code, result.stdout) == (1, "")
        assert str(result.exception).startswith(f"{path}: it was taken at ")
        assert said in str(result.exception)
    path.write_text("[]")
    assert str(run(folder, "import", str(path)).exception).startswith(f"{path}: is no inventory")
    assert owners(folder / "state" / NAME) == before
