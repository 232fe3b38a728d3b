"""`dead-letters` on real files, with a folder as the output."""

import fcntl
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from exporter.__main__ import app
from exporter.fields import DEFAULT_FORMAT, columns_of
from exporter.flow import DeadLetter, Form, S3Object
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


def line(row: int, text: str, source: S3Object = FIRST, names: tuple[str, ...] = V2, how: str = "text") -> DeadLetter:
    return DeadLetter(source, row, f"reason {row}", text, Form(how, columns_of(names), "its header"))


def document(row: int, source: S3Object = FIRST, **more: object) -> DeadLetter:
    """One of this program's documents, as an output refuses it."""
    entry = {"aws": {"s3": {"bucket": {"name": source.bucket}, "object": {"key": source.key}}}, "log": {"offset": row}}
    return DeadLetter(source, row, "why", json.dumps(entry | more, ensure_ascii=False))


def early(folder: Path, row: int, text: str, names: tuple[str, ...] | None = None, reason: str = "why") -> None:
    """Adds a letter as earlier releases wrote it."""
    place = {"bucket": FIRST.bucket, "key": FIRST.key, "etag": FIRST.etag}
    entry = {"@timestamp": "2026-11-03T12:06:00.000Z", "object": place, "row": row, "id": id_of(row), "reason": reason}
    (folder / "state").mkdir(exist_ok=True)
    with (folder / "state" / "dead-letters.ndjson").open("a") as file:
        file.write(json.dumps(entry | {"text": text} | ({"format": names} if names else {})) + "\n")


def id_of(row: int, source: S3Object = FIRST) -> str:
    return f"{source.id_prefix}{row:08x}"


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
    (folder / "state").mkdir()
    assert shown(folder, "list") == ["There are no dead letters."]
    assert shown(folder, "list", "--json") == []
    keep(folder, line(1, GOOD))
    assert shown(folder, "list", "--reason", "none such") == ["There are no such dead letters."]


@pytest.mark.parametrize("command", [("list",), ("show", "x"), ("replay", "--all")])
def test_without_a_state_folder(folder: Path, command: tuple[str, ...]) -> None:
    result = run(folder, *command)
    assert (result.exit_code, result.stdout) == (1, "")
    told = f"there is no state folder {folder}/state yet: is it the daemon's? `run` and `once` make one"
    assert str(result.exception) == told
    assert not (folder / "state").exists()


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
    letters.supersede(SECOND, datetime.now(UTC) + timedelta(minutes=1))
    assert shown(folder, "list")[1:] == [listed[1], listed[3], "2 lines and 0 documents"]
    everything = shown(folder, "list", "--all")
    assert everything[0] == "id time object row kind reason since"
    assert [each.split()[-2:] for each in everything[1:5]] == [
        ["reason", "1"],
        ["went", "out"],
        ["a\\x1b[2Jb", "superseded"],
        ["reason", "4"],
    ]
    assert everything[5:] == ["3 lines and 1 document, 1 of them went out since, 1 of them superseded"]


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
        "container": "text",
        "format": ["version", "interface_id"],
        "kind": "line",
        "exact": True,
        "replayed": False,
        "superseded": False,
    }
    assert (second["kind"], "format" in second, "text_bytes" in second) == ("document", False, False)


def test_a_letter_is_shown_whole(folder: Path) -> None:
    keep(
        folder,
        line(1, "2 \x1b[2J eni"),
        DeadLetter(SECOND, 3, "why", '{"a":{"b":"ü\u009b\u202e\x7f\U000e0041"}}'),
        line(5, "x" * 70_000),
        replace(line(6, "2 eni\u202e \ufffd"), exact=False),
    )
    printed = run(folder, "show", id_of(1)).stdout.splitlines()
    assert printed[0] == f"id        {id_of(1)}"
    assert printed[2:] == [
        f"object    {FIRST}",
        "etag      e",
        "row       1",
        "kind      line",
        "reason    reason 1",
        "container text",
        f"format    {' '.join(V2).replace('-', '_')}",
        "",
        "2 \\x1b[2J eni",
        "",
    ]
    printed = run(folder, "show", id_of(3, SECOND)).stdout.splitlines()
    assert printed[7:] == ["", "{", '  "a": {', r'    "b": "ü\u009b\u202e\u007f\udb40\udc41"', "  }", "}", ""]
    assert "text      the first 65,536 of 70,000 bytes" in run(folder, "show", id_of(5)).stdout
    printed = run(folder, "show", id_of(6)).stdout.splitlines()
    told = "text      not the line as it was written: bytes of it are missing or are no text"
    assert printed[9:] == [told, "", "2 eni\\u202e \ufffd", ""]


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
    assert run(folder, "show", id_of(1, odd)).stdout.startswith(f"id        {id_of(1, odd)}\n")
    assert run(folder, "show", "--", id_of(1, odd)).exit_code == 0


def test_lines_that_are_records_go_out_as_the_records_of_their_rows(folder: Path) -> None:
    """Between blanks, between commas and behind a time, of two objects; what is no record stays with its new reason."""
    stamped = f"2026-11-03T12:01:00.000Z {GOOD}"
    keep(
        folder,
        line(7, GOOD),
        line(3, GOOD.replace(" ", ","), SECOND, how="csv"),
        line(9, "rubbish"),
        line(11, GOOD.replace("ACCEPT OK", "- NODATA")),
        line(2, stamped, how="stamped"),
        line(15, ""),
        line(16, " ".join(V2)),
        line(17, "2026-11-03T12:01:00.000Z ", how="stamped"),
        line(4_000_000_000, GOOD),
    )
    early(folder, 13, GOOD)
    result = run(folder, "replay", "--all")
    assert result.exit_code == 1
    told, sums = result.stdout.splitlines()[:-1], result.stdout.splitlines()[-1]
    assert sums == "5 sent, 0 there already, 4 refused again, 1 cannot be replayed"
    assert sorted(told) == sorted(
        [
            f"{id_of(9)} {FIRST} row 9: 1 field where the format has 14",
            *(f"{id_of(row)} {FIRST} row {row}: it is no record, but blank or a header" for row in (15, 16, 17)),
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
    assert sorted(ids(folder)) == sorted(map(id_of, (9, 13, 15, 16, 17)))

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
    letters = keep(folder, line(7, GOOD), line(9, "rubbish"), document(8))
    before = letters.path.read_bytes()
    result = run(folder, "replay", "--all", "--dry-run")
    assert result.stdout.splitlines()[-1] == (
        "2 would be sent, 0 there already, 1 would be refused again, 0 cannot be replayed"
    )
    assert result.exit_code == 1
    assert letters.path.read_bytes() == before
    assert [each.name for each in (folder / "state").iterdir()] == ["dead-letters.ndjson"]
    assert not (folder / "out").exists()


AGAIN = f"`objects retry {FIRST}` has the object read again"
BROKEN = "the file breaks off in this line: at byte 9"
INEXACT = f"this is not the line as it was written, for bytes of it are missing or are no text; {AGAIN}"


def stays(folder: Path) -> list[str]:
    """Why those stay that cannot be replayed, in the order of their rows; none goes out."""
    result = run(folder, "replay", "--all")
    *told, sums = result.stdout.splitlines()
    assert (result.exit_code, sums) == (
        1,
        f"0 sent, 0 there already, 0 refused again, {len(told)} cannot be replayed",
    )
    assert documents(folder) == []
    return [each.partition(": ")[2] for each in sorted(told)]


def test_what_cannot_be_replayed_says_what_can_be_done(folder: Path) -> None:
    cut = GOOD + " " * TEXT_LIMIT
    keep(folder, line(1, cut), line(2, "a\nb"), DeadLetter(FIRST, 3, "why", '{"a":'))
    assert stays(folder) == [
        f"only the first part of its {len(cut):,} bytes was kept; {AGAIN}",
        f"a line end is part of a value; {AGAIN}",
        f"its text is no JSON document; {AGAIN}",
    ]


def test_what_is_not_the_line_as_it_was_written_is_never_sent(folder: Path) -> None:
    """It may look like a record: a port of 44, where the file broke off in 443."""
    tagged = ("interface-id", "instance-tag")
    keep(
        folder,
        replace(line(1, GOOD), exact=False),
        replace(line(2, "eni-0b \ufffd", names=tagged), exact=False),
        line(3, "eni-0b \udcff", names=tagged),
    )
    early(folder, 4, GOOD, V2, BROKEN)
    early(folder, 5, "eni-0b a\ufffdb", tagged)
    assert stays(folder) == [INEXACT] * 5


def test_what_was_superseded_is_not_sent(folder: Path) -> None:
    letters = keep(folder, line(1, GOOD), line(2, GOOD, SECOND))
    letters.supersede(FIRST, datetime.now(UTC) + timedelta(minutes=1))
    result = run(folder, "replay", id_of(1))
    assert result.stdout.splitlines() == [
        f"{id_of(1)} {FIRST} row 1: its object was read again since, whole, and this letter is no longer true",
        "0 sent, 0 there already, 0 refused again, 1 cannot be replayed",
    ]
    assert run(folder, "replay", "--all").stdout.startswith("1 sent, 0 there already, 0 refused again, 0 cannot")
    assert [each["log"]["offset"] for each in documents(folder)] == [2]


def test_a_line_is_read_as_it_was_kept_last(folder: Path) -> None:
    """The object was read again by the format that it has."""
    keep(folder, line(1, "eni-0b eni-0c", names=("interface-id", "next-hop-interface-id")))
    keep(folder, line(1, "eni-0b eni-0c", names=("next-hop-interface-id", "interface-id")))
    assert run(folder, "replay", "--all").stdout.startswith("1 sent, ")
    (found,) = documents(folder)
    assert (found["aws"]["vpcflow"]["interface_id"], found["aws"]["vpcflow"]["next_hop_interface_id"]) == (
        "eni-0c",
        "eni-0b",
    )


TAGS = ("interface-id", "instance-tag", "interface-tag")
WAYS = {
    "four fields between commas, three between blanks": ("csv", 'eni-0b,"web one, two",x,y', "4 fields where"),
    "commas in a file of blanks": ("text", "eni-0b,one,two", "1 field where"),
    "blanks in a file of commas": ("csv", "eni-0b one two", "1 field where"),
    "a time in a file without": ("text", "2026-11-03T12:01:00.000Z eni-0b one two", "4 fields where"),
    "a time that is missing": ("text", "2026-11-03T12:01:00.000Z one", "2 fields where"),
    "an event with commas": ("json", 'eni-0b,"web one, two",x,y', "its text does not tell for certain how"),
    "an event with a time": ("json", "2026-11-03T12:01:00.000Z eni-0b one", "its text does not tell for certain how"),
    "a row with a blank in a value": (
        "parquet",
        "eni-0b,one,two three",
        {"instance_tag": "one", "interface_tag": "two three"},
    ),
    "a row with a quoted comma": (
        "parquet",
        'eni-0b,one,"a, b"',
        {"instance_tag": "one", "interface_tag": "a, b"},
    ),
    "a row with a quoted comma and as many blanks": (
        "parquet",
        'eni-0b,one,"a, b c"',
        "its text does not tell for certain how",
    ),
    "a row that can be either": ("parquet", "eni-0b a,one b,two", "its text does not tell for certain how"),
    "a row with a blank at the end of a value": ("parquet", "eni-0b ,one x,two", "its text does not tell for certain"),
    "a row with blanks alone": ("parquet", "eni-0b one, two", {"instance_tag": "one,", "interface_tag": "two"}),
    "an event": ("json", "eni-0b one two", {"instance_tag": "one", "interface_tag": "two"}),
}
"""Lines of three texts, which nothing but the way they come apart can tell from one another."""


@pytest.mark.parametrize("way", WAYS)
def test_a_line_comes_apart_as_its_file_did_or_does_not_go_out(folder: Path, way: str) -> None:
    container, text, expected = WAYS[way]
    keep(folder, line(1, text, names=TAGS, how=container))
    printed = run(folder, "replay", "--all").stdout
    if isinstance(expected, str):
        assert expected in printed
        assert documents(folder) == []
    else:
        (found,) = documents(folder)
        assert {name: found["aws"]["vpcflow"][name] for name in expected} == expected
        assert found["aws"]["vpcflow"]["interface_id"] == "eni-0b"
        assert ("original" in found["event"]) is (container != "parquet")


def test_the_way_is_guessed_for_a_format_that_is_named_and_for_early_letters(folder: Path) -> None:
    keep(folder, line(1, "eni-0b,one,two"))
    early(folder, 2, "eni-0b,one,two", TAGS)
    assert run(folder, "replay", id_of(2)).stdout.startswith("1 sent, ")
    assert run(folder, "replay", id_of(1), "--format", " ".join(TAGS)).stdout.startswith("1 sent, ")
    assert {each["log"]["offset"]: each["aws"]["vpcflow"]["interface_tag"] for each in documents(folder)} == {
        1: "two",
        2: "two",
    }


FORGED = "it is no document of this program's: log.offset and its object are not those of this letter; " + AGAIN


def test_a_document_goes_out_only_as_that_of_its_letter(folder: Path) -> None:
    """An early release took a bad line that begins with a brace for a document."""
    for row, text in enumerate(
        (
            '{"a":1}',
            document(7).text,
            document(3, SECOND).text,
            json.dumps({"log": {"offset": 4, "file": {"path": FIRST.key}}}),
            document(5, log={"offset": True}).text,
            document(6, aws=[]).text,
            '{"a":' * 30_000,
        ),
        1,
    ):
        early(folder, row, text)
    assert stays(folder) == [FORGED] * 6 + [f"its text is no JSON document; {AGAIN}"]
    early(folder, 9, document(9).text)
    assert run(folder, "replay", id_of(9)).stdout.startswith("1 sent, ")
    assert documents(folder) == [json.loads(document(9).text)]


def test_a_line_that_begins_with_a_brace_is_a_line(folder: Path) -> None:
    keep(folder, line(1, document(1).text))
    printed = run(folder, "replay", "--all").stdout
    assert "row 1: JSON without a `message`, which is where a log event has its record" in printed
    assert documents(folder) == []


def test_one_replay_at_a_time(folder: Path) -> None:
    keep(folder, line(1, GOOD))
    with (folder / "state" / "replay.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # which only who wants it alone cannot have as well
        lock.write("process 4711\n")
        lock.flush()
        result = run(folder, "replay", "--all")
        assert (result.exit_code, result.stdout) == (1, "")
        assert str(result.exception) == (
            "another replay is under way (process 4711), and two at once would send letters twice: wait until it has "
            f"ended. {folder}/state/replay.lock is its lock"
        )
        assert documents(folder) == []
        assert run(folder, "replay", "--all", "--dry-run").stdout.startswith("1 would be sent")
    assert run(folder, "replay", "--all").stdout.startswith("1 sent")


@pytest.mark.parametrize("options", [("--reason", "nothing-like-it"), ("--object", "none"), ("--all",)])
def test_that_none_was_chosen_is_told(folder: Path, options: tuple[str, ...]) -> None:
    keep(folder, line(1, GOOD)).mark_replayed([id_of(1)])
    assert shown(folder, "replay", *options) == ["None was chosen: no dead letter that has yet to go out is like that."]


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
    assert (result.exit_code, result.stdout) == (2, "")
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
