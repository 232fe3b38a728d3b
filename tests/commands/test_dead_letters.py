"""`dead-letters` on real files, with a folder or a real cluster as the output."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from exporter.__main__ import app
from exporter.fields import DEFAULT_FORMAT
from exporter.flow import DeadLetter, S3Object
from exporter.metrics import Metrics
from exporter.sink.dead_letter import TEXT_LIMIT, DeadLetterFile

CONFIG = """
source: {{s3: [{{bucket: logs, start: 2026-01-01}}]}}
enrich: {{ec2: {{enabled: false}}}}
output: {{files: {{folder: {folder}/out}}, event_original: true}}
state: {{folder: {folder}/state}}
log: {{level: warning}}
"""
GOOD = "2 123456789012 eni-0a 10.0.0.1 10.0.0.2 40000 443 6 3 180 1793707200 1793707260 ACCEPT OK"
NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
DAY = "AWSLogs/123456789012/vpcflowlogs/eu-west-1/2026/11/03/"
FIRST = S3Object("logs", f"{DAY}123456789012_vpcflowlogs_eu-west-1_fl-0a_20261103T1200Z_x.log.gz", "e", 9, NOON)
SECOND = S3Object("logs", "other/b.csv", "f", 9, NOON)
V2 = DEFAULT_FORMAT


def line(row: int, text: str, source: S3Object = FIRST, names: tuple[str, ...] | None = V2) -> DeadLetter:
    return DeadLetter(source, row, f"reason {row}", text, names)


def id_of(row: int, source: S3Object = FIRST) -> str:
    return f"{source.id_prefix}{row:08x}"


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Every command sets up the process's logging."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(CONFIG.format(folder=tmp_path))
    return tmp_path


def keep(folder: Path, *letters: DeadLetter) -> DeadLetterFile:
    file = DeadLetterFile(folder / "state", Metrics())
    file.keep(list(letters))
    return file


def run(folder: Path, *arguments: str) -> Result:
    command, *rest = arguments
    return CliRunner().invoke(app, ["dead-letters", command, "--config", str(folder / "config.yaml"), *rest])


def shown(folder: Path, *arguments: str) -> list[str]:
    """The lines that a command printed, with one blank where the table has several."""
    result = run(folder, *arguments)
    assert (result.exit_code, result.stderr) == (0, ""), result.stderr
    return [" ".join(each.split()) for each in result.stdout.splitlines()]


def documents(folder: Path) -> list[dict[str, Any]]:
    files = sorted((folder / "out").rglob("*.ndjson"))
    return [json.loads(each) for file in files for each in file.read_text().splitlines()]


def ids(folder: Path) -> list[str]:
    return [json.loads(each)["id"] for each in run(folder, "list", "--json").stdout.splitlines()]


def test_there_are_none(folder: Path) -> None:
    assert shown(folder, "list") == ["There are no dead letters."]
    assert shown(folder, "list", "--json") == []
    keep(folder, line(1, GOOD))
    assert shown(folder, "list", "--reason", "none such") == ["There are no such dead letters."]


def test_a_list_is_a_table_with_its_sums(folder: Path) -> None:
    letters = keep(folder, line(1, "a"), line(2, "b"), DeadLetter(SECOND, 3, "a\x1b[2Jb", '{"a":1}'), line(4, "d"))
    letters.mark_replayed([id_of(2)])
    listed = shown(folder, "list")
    assert listed[0] == "id time object row kind reason"
    times = [each.split()[1] for each in listed[1:4]]
    assert all(abs(datetime.now(UTC) - datetime.fromisoformat(each)) < timedelta(minutes=1) for each in times)
    assert [each.split()[:1] + each.split()[2:] for each in listed[1:4]] == [
        [id_of(1), str(FIRST), "1", "line", "reason", "1"],
        [id_of(3, SECOND), str(SECOND), "3", "document", "a\\x1b[2Jb"],
        [id_of(4), str(FIRST), "4", "line", "reason", "4"],
    ]
    assert listed[4:] == ["2 lines and 1 document"]
    assert shown(folder, "list", "--limit", "1")[1:] == [
        listed[3],
        "2 lines and 1 document; 2 older ones are not shown, see --limit",
    ]
    everything = shown(folder, "list", "--all")
    assert everything[0] == "id time object row kind reason went out"
    assert [each.split()[-1] for each in everything[1:5]] == ["no", "yes", "no", "no"]
    assert everything[5:] == ["3 lines and 1 document, 1 of them went out since"]


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        (("--object", "other/"), [3]),
        (("--object", "s3://logs/AWSLogs"), [1, 2]),
        (("--reason", "reason 2"), [2]),
        (("--object", "other/", "--reason", "reason 2"), []),
        (("--since", "2026-01-01"), [1, 2, 3]),
        (("--since", "2026-01-01T00:00:00+02:00"), [1, 2, 3]),
        (("--since", "9000-01-01"), []),
    ],
)
def test_a_list_can_be_narrowed(folder: Path, options: tuple[str, ...], rows: list[int]) -> None:
    keep(folder, line(1, "a"), line(2, "b"), line(3, "c", SECOND))
    found = [json.loads(each) for each in run(folder, "list", "--json", *options).stdout.splitlines()]
    assert [each["row"] for each in found] == rows


def test_a_letter_as_json(folder: Path) -> None:
    keep(folder, line(1, "ü\ud800", names=("version", "eni")), DeadLetter(SECOND, 3, "why", '{"a":1}'))
    first, second = (json.loads(each) for each in run(folder, "list", "--json").stdout.splitlines())
    del first["time"], second["time"]
    assert first == {
        "bucket": "logs",
        "key": FIRST.key,
        "etag": "e",
        "row": 1,
        "id": id_of(1),
        "reason": "reason 1",
        "text": "ü\ud800",
        "format": ["version", "eni"],
        "kind": "line",
        "replayed": False,
    }
    assert (second["kind"], "format" in second, "text_bytes" in second) == ("document", False, False)


def test_a_letter_is_shown_whole(folder: Path) -> None:
    keep(folder, line(1, "2 \x1b[2J eni"), DeadLetter(SECOND, 3, "why", '{"a":{"b":"ü"}}'), line(5, "x" * 70_000))
    printed = run(folder, "show", id_of(1)).stdout.splitlines()
    assert printed[0] == f"id      {id_of(1)}"
    assert printed[2:] == [
        f"object  {FIRST}",
        "etag    e",
        "row     1",
        "kind    line",
        "reason  reason 1",
        f"format  {' '.join(V2)}",
        "",
        "2 \\x1b[2J eni",
        "",
    ]
    printed = run(folder, "show", id_of(3, SECOND)).stdout.splitlines()
    assert printed[7:] == ["", "{", '  "a": {', '    "b": "ü"', "  }", "}", ""]
    assert "text    the first 65,536 of 70,000 bytes" in run(folder, "show", id_of(5)).stdout


def test_an_id_that_nobody_has(folder: Path) -> None:
    keep(folder, line(1, GOOD))
    for command in ("show", "replay"):
        result = run(folder, command, id_of(1), "nobody", "has")
        assert result.exit_code == 1
        told = f"no dead letter in {folder}/state/dead-letters.ndjson has the id nobody, has; `dead-letters list --all`"
        assert str(result.exception).startswith(told)
    assert documents(folder) == []


def test_an_id_that_begins_with_a_hyphen_is_no_option(folder: Path) -> None:
    odd = next(each for number in range(9999) if (each := replace(FIRST, etag=f"{number}")).id_prefix[0] == "-")
    keep(folder, line(1, "a", odd))
    assert run(folder, "show", id_of(1, odd)).stdout.startswith(f"id      {id_of(1, odd)}\n")
    assert run(folder, "show", "--", id_of(1, odd)).exit_code == 0


def test_lines_that_are_records_go_out_as_the_records_of_their_rows(folder: Path) -> None:
    """Between blanks, between commas and behind a time, of two objects; what is no record stays with its new reason."""
    stamped = f"2026-11-03T12:01:00.000Z {GOOD}"
    keep(
        folder,
        line(7, GOOD),
        line(3, GOOD.replace(" ", ","), SECOND),
        line(9, "rubbish"),
        line(11, GOOD.replace("ACCEPT OK", "- NODATA")),
        line(2, stamped),
        line(13, GOOD, names=None),
        line(15, "", names=V2),
        line(4_000_000_000, GOOD),
    )
    result = run(folder, "replay", "--all")
    assert result.exit_code == 1
    told, sums = result.stdout.splitlines()[:-1], result.stdout.splitlines()[-1]
    assert sums == "5 sent, 0 there already, 2 refused again, 1 cannot be replayed"
    assert sorted(told) == sorted(
        [
            f"{id_of(9)} {FIRST} row 9: 1 field where the format has 14",
            f"{id_of(15)} {FIRST} row 15: it is no record, but blank or a header",
            f"{id_of(13)} {FIRST} row 13: its fields are not known; name them with --format",
        ]
    )
    found = {each["log"]["offset"]: each for each in documents(folder)}
    assert found.keys() == {7, 3, 11, 2, 4_000_000_000}
    assert (found[3]["aws"]["s3"]["object"]["key"], found[7]["aws"]["s3"]["object"]["key"]) == (SECOND.key, FIRST.key)
    assert found[7]["cloud"]["region"] == "eu-west-1"
    assert found[7]["event"]["original"] == GOOD
    assert found[2]["source"] == found[7]["source"] == found[3]["source"]
    assert found[11]["aws"]["vpcflow"]["log_status"] == "NODATA"
    assert sorted(ids(folder)) == sorted([id_of(9), id_of(13), id_of(15)])

    result = run(folder, "replay", id_of(13), "--format", "${version} " + " ".join(V2[1:]))
    assert (result.exit_code, result.stdout) == (
        0,
        "1 sent, 0 there already, 0 refused again, 0 cannot be replayed\n",
    )
    assert len(documents(folder)) == 6  # into a file of its own: those sent before are still there
    result = run(folder, "replay", id_of(13), id_of(7))
    assert result.stdout == "0 sent, 2 there already, 0 refused again, 0 cannot be replayed\n"
    assert len(documents(folder)) == 6


def test_a_dry_run_changes_nothing(folder: Path) -> None:
    letters = keep(folder, line(7, GOOD), line(9, "rubbish"), DeadLetter(FIRST, 8, "why", '{"a":1}'))
    before = letters.path.read_bytes()
    result = run(folder, "replay", "--all", "--dry-run")
    assert result.stdout.splitlines()[-1] == (
        "2 would be sent, 0 there already, 1 would be refused again, 0 cannot be replayed"
    )
    assert result.exit_code == 1
    assert letters.path.read_bytes() == before
    assert not (folder / "out").exists()


def test_what_cannot_be_replayed_says_what_can_be_done(folder: Path) -> None:
    cut = GOOD + " " * TEXT_LIMIT
    keep(folder, line(1, cut), line(2, "a\nb"), DeadLetter(FIRST, 3, "why", '{"a":'))
    again = f"`objects retry {FIRST}` has the object read again"
    result = run(folder, "replay", "--all")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{id_of(1)} {FIRST} row 1: only the first part of its {len(cut):,} bytes was kept; {again}",
        f"{id_of(2)} {FIRST} row 2: a line end is part of a value; {again}",
        f"{id_of(3)} {FIRST} row 3: its text is no JSON document",
        "0 sent, 0 there already, 0 refused again, 3 cannot be replayed",
    ]


def test_of_many_that_stay_some_are_told_and_all_are_counted(folder: Path) -> None:
    keep(folder, *(line(row, "rubbish") for row in range(120)))
    printed = run(folder, "replay", "--object", "AWSLogs/").stdout.splitlines()
    assert len(printed) == 52
    assert printed[50:] == [
        "… and 70 more",
        "0 sent, 0 there already, 120 refused again, 0 cannot be replayed",
    ]


def test_letters_of_more_text_than_is_held_go_out_in_turns(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.commands.replay._CHUNK_BYTES", 5_000)
    keep(folder, *(line(row, GOOD) for row in range(1, 101)))
    assert run(folder, "replay", "--all").stdout.startswith("100 sent, ")
    assert sorted(each["log"]["offset"] for each in documents(folder)) == list(range(1, 101))


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("replay",), "which ones? name ids, or --object, --reason or --all"),
        (("replay", "--all", "--format", "no names"), "expected names of fields"),
        (("list", "--since", "yesterday"), "'yesterday' is no time: expected one as 2026-01-31T12:00:00Z"),
        (("list", "--limit", "0"), "--limit"),
    ],
)
def test_a_faulty_option_is_told(folder: Path, arguments: tuple[str, ...], fault: str) -> None:
    keep(folder, line(1, GOOD))
    result = run(folder, *arguments)
    assert result.exit_code == 2
    assert fault in " ".join(result.stderr.replace("│", " ").split())


def test_a_file_that_may_not_be_read_is_told(folder: Path) -> None:
    (folder / "state" / "dead-letters.ndjson").mkdir(parents=True)
    result = run(folder, "list")
    assert str(result.exception) == (
        f"{folder}/state/dead-letters.ndjson cannot be read: Is a directory; the daemon's own user may read it"
    )


def test_what_an_output_refused_before_it_stopped_is_told(folder: Path) -> None:
    """The first object's file can be written, the second's cannot: the first is marked, the error is the command's."""
    keep(folder, line(1, GOOD), line(2, GOOD, SECOND))
    (folder / "out" / "no-account").parent.mkdir()
    (folder / "out" / "no-account").write_text("in the way")
    result = run(folder, "replay", "--all")
    assert result.stdout == "1 sent, 0 there already, 0 refused again, 0 cannot be replayed\n"
    assert result.exit_code == 1
    assert "cannot be written" in str(result.exception)
    assert ids(folder) == [id_of(2, SECOND)]
    assert [each["log"]["offset"] for each in documents(folder)] == [1]
