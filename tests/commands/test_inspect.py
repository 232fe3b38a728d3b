"""`inspect` as a user calls it: every line of what it says of a file, worked out by hand."""

import gzip
import io
import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from exporter.__main__ import app

HEADER = "version account-id interface-id srcaddr dstaddr dstport vpc-id start end action log-status colour"
FLOW = "3 123456789012 eni-0a 10.0.0.1 10.0.0.2 443 vpc-1 1793707200 1793707260 ACCEPT OK red"
REJECTED = "5 123456789012 eni-0b 10.0.0.1 10.0.0.2 22 vpc-1 1793707190 1793707250 REJECT OK -"
NODATA = "2 123456789012 eni-0a - - - - 1793707200 1793707320 - NODATA -"
SKIPDATA = "2 210987654321 eni-0c - - - - 1793707200 1793707260 - SKIPDATA -"
BAD = FLOW.replace(" 443 ", " https ")


def text(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def run(*arguments: str, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(app, ["inspect", *arguments], input=stdin)


ALL = text(HEADER, FLOW, FLOW, REJECTED, "", NODATA, SKIPDATA, BAD, "x y", BAD, FLOW)


def test_everything_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "123456789012_vpcflowlogs_eu-west-1_fl-0123456789abcdef0_20261103T1200Z_0a1b2c3d.log.gz"
    stored = gzip.compress(ALL)
    file.write_bytes(stored)
    result = run(str(file))
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        str(file),
        f"  stored      {len(stored):,} bytes, gzip",
        "  container   text, blanks between fields",
        "  fields      12 by its header (10 v2, 1 v3, 1 unknown)",
        f"              {HEADER}",
        "  by its name account 123456789012, region eu-west-1",
        "  records     6: OK (4) · NODATA (1) · SKIPDATA (1)",
        "  versions    3 (3) · 2 (2) · 5 (1)",
        "  actions     ACCEPT (3) · REJECT (1)",
        "  time        2026-11-03 11:59:50 to 2026-11-03 12:02:00 UTC (0:02:10)",
        "  accounts    123456789012 (5) · 210987654321 (1)",
        "  interfaces  eni-0a (4) · eni-0b (1) · eni-0c (1)",
        "  skipped     1 lines that are blank or a header again",
        "  bad lines   3",
        "              2 x dstport: 'https' is not a number; the first is line 8:",
        f"                  {BAD}",
        "              1 x 2 fields where the format has 12; the first is line 9:",
        "                  x y",
    ]


def test_the_same_for_programs() -> None:
    (line,) = run("-", "--json", stdin=ALL).stdout.splitlines()
    assert json.loads(line) == {
        "file": "-",
        "stored_bytes": len(ALL),
        "gzip": False,
        "forms": [{"container": "text", "told_by": "its header", "fields": HEADER.split()}],
        "key": {"account": None, "region": None},
        "records": 6,
        "versions": {"3": 3, "2": 2, "5": 1},
        "statuses": {"OK": 4, "NODATA": 1, "SKIPDATA": 1},
        "actions": {"ACCEPT": 3, "REJECT": 1},
        "accounts": {"123456789012": 5, "210987654321": 1},
        "interfaces": {"eni-0a": 4, "eni-0b": 1, "eni-0c": 1},
        "first": "2026-11-03T11:59:50Z",
        "last": "2026-11-03T12:02:00Z",
        "skipped_lines": 1,
        "bad_lines": 3,
        "reasons": [
            {"reason": "dstport: 'https' is not a number", "lines": 2, "first_row": 7, "first_text": BAD},
            {"reason": "2 fields where the format has 12", "lines": 1, "first_row": 8, "first_text": "x y"},
        ],
        "fault": None,
    }


def parquet() -> bytes:
    file = io.BytesIO()
    pl.DataFrame({"bytes": [1, 2], "action": ["ACCEPT", None]}).write_parquet(file)
    return file.getvalue()


CONTAINERS = {
    "text, commas between fields": text("dstport,action", "443,ACCEPT"),
    "text of CloudWatch Logs' export, a time before each record": text(
        "2026-11-03T12:00:00.000Z 2 123456789012 eni-0a 10.0.0.1 10.0.0.2 1 443 6 3 180 1793707200 1793707260 ACCEPT OK"
    ),
    "log events in JSON, of Firehose or CloudWatch Logs": text(
        '{"message": "dstport action"}{"message": "443 ACCEPT"}'
    ),
    "Parquet": parquet(),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container(container: str) -> None:
    result = run("-", stdin=CONTAINERS[container])
    assert result.exit_code == 0
    assert f"  container   {container}" in result.stdout.splitlines()
    assert "  actions     ACCEPT (1)" in result.stdout.splitlines()
    assert "  bad lines   0" in result.stdout.splitlines()


def test_a_file_of_two_formats() -> None:
    lines = run("-", stdin=text("dstport", "443", "action end", "ACCEPT 1793707200")).stdout.splitlines()
    assert [line for line in lines if line.startswith("  fields")] == [
        "  fields      1 by its header (1 v2)",
        "  fields      2 by its header (2 v2)",
    ]


def test_more_values_than_fit() -> None:
    lines = run("-", stdin=text("interface-id", *(f"eni-{number % 7}" for number in range(15)))).stdout.splitlines()
    assert "  interfaces  eni-0 (3) · eni-1 (2) · eni-2 (2) · eni-3 (2) · eni-4 (2) · and 2 others" in lines


def test_a_format_given() -> None:
    result = run("-", "--format", "${dstport} ${action}", stdin=text("443 ACCEPT"))
    assert "  fields      2 by --format (2 v2)" in result.stdout.splitlines()


NOT_READ = {
    "what is no flow log": (b"%PDF-1.7\n", "the first line is no header"),
    "another container": (b"PK\x03\x04", "this is a ZIP archive; expected text, log events in JSON, or Parquet"),
    "what breaks off": (gzip.compress(ALL)[:-9], "the gzip file ends inside its data"),
}


@pytest.mark.parametrize("name", NOT_READ)
def test_what_cannot_be_read_whole(name: str) -> None:
    data, reason = NOT_READ[name]
    result = run("-", stdin=data)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].startswith(f"  NOT READ    {reason}")


def test_a_file_that_is_not_there_stops_no_other(tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(text("dstport", "443"))
    result = run(str(tmp_path / "missing"), str(tmp_path / "good"))
    assert result.exit_code == 1
    assert "  NOT READ    No such file or directory" in result.stdout.splitlines()
    assert "  records     1" in result.stdout.splitlines()


def test_a_header_alone_and_nothing_at_all() -> None:
    assert "  fields      1 by its header (1 v2)" in run("-", stdin=text("dstport")).stdout.splitlines()
    assert run("-", stdin=b"\n").stdout.splitlines()[2:4] == ["  records     0", "  versions    none"]


def test_no_line_is_a_record() -> None:
    assert run("-", stdin=text("dstport", "https")).exit_code == 1
    assert run("-", stdin=text("dstport")).exit_code == 0


def test_nothing_in_a_file_steers_the_terminal(tmp_path: Path) -> None:
    odd = "\x1b[2J\x9b2J\u202e"
    result = run("-", stdin=text("dstport action", f"x{odd} A", f"1 {odd}"))
    names = io.BytesIO()
    pl.DataFrame({"bytes": [1], "dstport": [1], f"a{odd}\n  records     999": ["x"]}).write_parquet(names)
    folder = tmp_path / "123456789012" / "vpcflowlogs" / odd / "2026" / "11" / "03"
    folder.mkdir(parents=True)
    (folder / odd).write_bytes(names.getvalue())
    for out in (result.stdout, run(str(folder / odd)).stdout):
        assert not {"\x1b", "\x9b", "\u202e"}.intersection(out)
        assert r"\x1b" in out
        assert "  records     999" not in out.splitlines()
