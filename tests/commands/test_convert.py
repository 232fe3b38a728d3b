"""`convert` as a user calls it: documents on standard output, everything else on standard error."""

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from exporter.__main__ import app
from exporter.enrich import snapshot_file
from exporter.errors import InventoryError
from exporter.fields import DEFAULT_FORMAT

HEADER = " ".join(DEFAULT_FORMAT)
GOOD = "2 123456789012 eni-0a 10.0.0.1 10.0.0.2 40000 443 6 3 180 1793707200 1793707260 ACCEPT OK"
BAD = GOOD.replace(" 443 ", " \x1b[2Jhttps ")


def text(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def run(*arguments: str, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(app, ["convert", *arguments], input=stdin)


def documents(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def said(result: Result) -> list[str]:
    """The lines of standard error without their time."""
    return [line.partition(" ")[2] for line in result.stderr.splitlines()]


def test_files_of_several_kinds_and_standard_input(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(text(HEADER, GOOD, GOOD))
    (tmp_path / "b.log.gz").write_bytes(gzip.compress(text("srcaddr dstaddr bytes", "10.0.0.8 10.0.0.9 77")))
    result = run(str(tmp_path / "a.log"), str(tmp_path / "b.log.gz"), "-", stdin=gzip.compress(text(GOOD)))
    assert (result.exit_code, result.stderr) == (0, "")
    found = [(each["log"]["offset"], each["network"]["bytes"]) for each in documents(result)]
    assert found == [(1, 180), (2, 180), (1, 77), (0, 180)]
    assert {each["data_stream"]["namespace"] for each in documents(result)} == {"exporter"}


@pytest.mark.parametrize(
    "names",
    [
        "srcaddr dstaddr bytes",
        "srcaddr,dstaddr,bytes",
        "${srcaddr} ${dstaddr} ${bytes}",
        " srcAddr, dst-addr  num_bytes",
    ],
)
def test_a_format_in_any_spelling(names: str) -> None:
    result = run("-", "--format", names, "--namespace", "mine", stdin=text("10.0.0.8 10.0.0.9 77"))
    assert (result.exit_code, result.stderr) == (0, "")
    (document,) = documents(result)
    assert document["source"] == {"address": "10.0.0.8", "ip": "10.0.0.8", "bytes": 77, "locality": "internal"}
    assert document["data_stream"]["namespace"] == "mine"


def test_a_field_that_is_not_known_is_told_and_carried() -> None:
    result = run("-", "--format", "srcaddr,colour", stdin=text("10.0.0.8 blue"))
    assert result.exit_code == 0
    (document,) = documents(result)
    assert document["aws"]["vpcflow"]["extra"] == {"colour": "blue"}
    assert said(result) == ["WARNING exporter: --format: no known fields; their values go to aws.vpcflow.extra: colour"]


def test_bad_lines_are_told_without_what_steers_a_terminal() -> None:
    result = run("-", stdin=text(HEADER, GOOD, BAD))
    assert (result.exit_code, len(documents(result))) == (0, 1)
    (line,) = said(result)
    assert line.startswith("WARNING exporter.convert: - line 3 is no record: dstport: ")
    assert r"40000 \x1b[2Jhttps 6" in line


def test_a_file_that_cannot_be_read_whole_stops_no_other(tmp_path: Path) -> None:
    (tmp_path / "cut.gz").write_bytes(gzip.compress(text(HEADER, *[GOOD] * 100), 0)[:5000])
    (tmp_path / "foreign").write_bytes(b"%PDF-1.7\n")
    (tmp_path / "good").write_bytes(text(GOOD))
    names = [str(tmp_path / name) for name in ("missing", "cut.gz", "foreign", ".", "good")]
    result = run(*names)
    assert result.exit_code == 1
    whole = gzip.compress(text(HEADER, *[GOOD] * 100), 0)[:5000].count(b"\n") - 1
    assert len(documents(result)) == whole + 1 > 40
    errors = [line.removeprefix("ERROR   exporter.convert: ") for line in said(result) if line.startswith("ERROR")]
    assert [line.partition(": ")[::2] for line in errors] == [
        (names[0], "No such file or directory"),
        (names[1], errors[1].partition(": ")[2]),
        (names[2], errors[2].partition(": ")[2]),
        (str(tmp_path), "Is a directory"),
    ]
    assert errors[1].endswith("the gzip file ends inside its data at byte 5,000")
    assert "the first line is no header" in errors[2]


OWNER = {"interface_id": "eni-0b", "vpc_id": "vpc-0a", "instance_name": "web-1"}
INVENTORIES: dict[int, dict[str, Any]] = {
    1: {"networks": ["10.0.0.0/16"], "interfaces": [{**OWNER, "addresses": ["10.0.0.2"]}]},
    2: {
        "answered": "2026-11-03T12:00:03+00:00",
        "networks": [{"vpc_id": "vpc-0a", "cidr": "10.0.0.0/16"}],
        "links": [],
        "interfaces": [
            {
                **OWNER,
                "account_id": "210987654321",
                "account_name": "payments",
                "cluster_name": "shop",
                "attached": "2026-11-03T11:00:00+00:00",
                "fixed": False,
                "addresses": ["10.0.9.9"],
                "prefixes": ["10.0.0.2/31"],
            }
        ],
    },
}
FOUND: dict[int, tuple[Any, Any]] = {
    1: ({"interface_id": "eni-0b", "vpc_id": "vpc-0a"}, {"instance": {"name": "web-1"}}),
    2: (
        {"interface_id": "eni-0b", "vpc_id": "vpc-0a", "cluster_name": "shop"},
        {"account": {"id": "210987654321", "name": "payments"}, "instance": {"name": "web-1"}},
    ),
}
"""What a document says of the destination's interface, and of its cloud."""


@pytest.mark.parametrize("version", INVENTORIES)
def test_an_end_from_an_inventory_of_either_version(version: int, tmp_path: Path) -> None:
    inventory = tmp_path / "inventory.json"
    head = {"format": snapshot_file.FORMAT, "version": version, "taken": "2026-11-03T12:00:00+00:00"}
    inventory.write_text(json.dumps(head | INVENTORIES[version]))
    result = run("-", "--inventory", str(inventory), stdin=text(HEADER + " vpc-id", GOOD + " vpc-0a"))
    assert result.exit_code == 0
    (document,) = documents(result)
    assert (document["aws"]["vpcflow"]["destination"], document["cloud"]["target"]) == FOUND[version]
    assert "source" not in document["aws"]["vpcflow"]


@pytest.mark.parametrize(
    ("content", "fault"), [(None, "cannot be read: No such file"), ("{", "is no JSON"), ("[]", "is no inventory")]
)
def test_an_inventory_that_is_none_is_a_fault_before_anything_is_read(
    content: str | None, fault: str, tmp_path: Path
) -> None:
    path = tmp_path / "inventory.json"
    if content is not None:
        path.write_text(content)
    result = run("-", "--inventory", str(path), stdin=text(GOOD))
    assert result.stdout == ""
    assert isinstance(result.exception, InventoryError)
    assert re.match(rf"{re.escape(str(path))}: {fault}", str(result.exception))


def process(stdout: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "exporter", "convert", "-"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.PIPE)  # noqa: S603


MANY = text(HEADER, *[GOOD] * 20_000)


def test_a_reader_that_has_seen_enough_ends_it_quietly() -> None:
    """As in `convert FILE | head -1`."""
    with process(subprocess.PIPE) as converting:
        assert converting.stdin is not None
        assert converting.stdout is not None
        assert converting.stderr is not None
        converting.stdin.write(MANY)
        converting.stdin.close()
        first = converting.stdout.readline()
        converting.stdout.close()
        log = converting.stderr.read()
    assert (converting.returncode, log) == (0, b"")
    assert json.loads(first)["log"]["offset"] == 1


def test_a_full_disk_is_told() -> None:
    with Path("/dev/full").open("wb") as full, process(full.fileno()) as converting:
        _, log = converting.communicate(MANY, timeout=60)
    assert converting.returncode == 1
    assert log.decode().partition(" ")[2] == (
        "ERROR   exporter.convert: standard output cannot be written: No space left on device\n"
    )


def test_a_format_that_no_line_fits_is_told() -> None:
    result = run("-", "--format", "srcaddr dstaddr", stdin=text("a b", "c d"))
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = said(result)
    assert line.startswith(
        "ERROR   exporter.convert: -: the first line is no header, nor a record of the format by --format "
        "(srcaddr: 'a' is not an IPv4 or IPv6 address), nor a record of the version 2 default format "
        "(2 fields where the format has 14)"
    )


def test_a_file_without_one_record_is_told() -> None:
    result = run("-", stdin=text("srcaddr dstaddr", "a b"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert said(result)[-1] == "ERROR   exporter.convert: -: not one line is a record; is that its format?"


def test_account_region_and_time_by_the_files_name(tmp_path: Path) -> None:
    file = tmp_path / "123456789012_vpcflowlogs_eu-west-1_fl-0123456789abcdef0_20261103T1205Z_0a1b2c3d.log"
    file.write_bytes(text("srcaddr", "10.0.0.8"))
    (document,) = documents(run(str(file)))
    assert document["cloud"] == {"provider": "aws", "account": {"id": "123456789012"}, "region": "eu-west-1"}
    assert document["@timestamp"] == "2026-11-03T12:05:00.000Z"
