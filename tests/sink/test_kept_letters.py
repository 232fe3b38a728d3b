"""The file of dead letters, read back: by what became of them, after a crash, and as early releases wrote it."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exporter.flow import Form
from exporter.metrics import Metrics
from exporter.sink.dead_letter import DeadLetterFile
from exporter.sink.kept_letters import read
from tests.sink.bodies import SOURCE
from tests.sink.test_dead_letter import DOCUMENT, IDS, LETTER


def test_letters_are_added_by_later_runs_and_read_once_each_as_kept_last(tmp_path: Path) -> None:
    DeadLetterFile(tmp_path, Metrics()).keep([LETTER, replace(LETTER, row=256)])
    again = replace(
        LETTER, reason="another", text="as it is read now", form=Form("text", ("bytes",), "the configuration")
    )
    letters = DeadLetterFile(tmp_path, Metrics())
    letters.keep([again])
    second, first = read(letters.path)
    assert (first.bucket, first.key, first.etag) == (SOURCE.bucket, SOURCE.key, SOURCE.etag)
    assert (first.row, first.reason, first.text) == (LETTER.row, "another", "as it is read now")
    assert (first.container, first.format) == ("text", ("bytes",))
    assert first.id == SOURCE.id_prefix + "000000ff"
    assert first.text_bytes is None
    assert first.time.tzinfo is not None
    assert (second.row, second.reason, second.format) == (256, LETTER.reason, ("version", "eni-x"))


def test_a_letter_whose_form_was_lost_has_no_names_rather_than_wrong_ones(tmp_path: Path) -> None:
    letters = DeadLetterFile(tmp_path, Metrics())
    letters.keep([replace(LETTER, form=Form("text", ("bytes",), "its header"))])
    letters.keep([replace(LETTER, row=256)])
    lines = letters.path.read_bytes().splitlines(keepends=True)
    letters.path.write_bytes(b"".join(lines[:2] + lines[3:]))
    first, second = read(letters.path)
    assert (first.format, second.format, second.container, second.kind) == (("bytes",), None, None, "line")


MINUTE = timedelta(minutes=1)


def test_letters_of_an_object_that_was_read_again_are_superseded(tmp_path: Path) -> None:
    """Those of the new attempt and those of another version of the object are not."""
    letters, other = DeadLetterFile(tmp_path, Metrics()), replace(SOURCE, etag="another")
    letters.keep([LETTER, DOCUMENT, replace(LETTER, row=1), replace(LETTER, source=other)])
    time.sleep(0.002)
    began = datetime.now(UTC)
    letters.keep([replace(LETTER, reason="still")])
    letters.supersede(SOURCE, began)
    assert [(each.row, each.reason, each.superseded, each.waits) for each in read(letters.path)] == [
        (256, DOCUMENT.reason, True, False),
        (1, LETTER.reason, True, False),
        (255, LETTER.reason, False, True),
        (255, "still", False, True),
    ]


def test_what_is_kept_behind_the_word_that_supersedes_stands(tmp_path: Path) -> None:
    """Even where the clock was set back meanwhile; and a letter of the very millisecond stands, too."""
    letters = DeadLetterFile(tmp_path, Metrics())
    letters.keep([LETTER])
    (kept,) = read(letters.path)
    letters.supersede(SOURCE, kept.time + timedelta(microseconds=999))
    assert [each.superseded for each in read(letters.path)] == [False]
    letters.supersede(SOURCE, datetime.now(UTC) + MINUTE)
    letters.keep([DOCUMENT])
    assert [(each.row, each.superseded) for each in read(letters.path)] == [(255, True), (256, False)]


EARLY = {
    "@timestamp": "2026-11-21T10:00:00.000Z",
    "object": {"bucket": SOURCE.bucket, "key": SOURCE.key, "etag": SOURCE.etag},
    "row": 255,
    "id": f"{SOURCE.id_prefix}000000ff",
    "reason": "why",
    "text": "a b",
}
"""A letter as release 0.1.0 wrote it."""


def written(folder: Path, *entries: dict[str, Any]) -> Path:
    path = folder / "dead-letters.ndjson"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


@pytest.mark.parametrize(
    ("changes", "kind", "names", "exact"),
    [
        ({}, "line", None, True),
        ({"text": '{"a":1}'}, "document", None, True),
        ({"text": '{"a":"\ufffd"}'}, "document", None, True),
        ({"text": '{"a":1}', "format": ["version"]}, "line", ("version",), True),
        ({"format": ["version", "eni"]}, "line", ("version", "eni"), True),
        ({"text": "a \ufffd"}, "line", None, False),
        ({"reason": "the file breaks off in this line: at byte 9", "format": ["version"]}, "line", ("version",), False),
    ],
)
def test_letters_of_early_releases_are_read(
    tmp_path: Path, changes: dict[str, Any], kind: str, names: tuple[str, ...] | None, *, exact: bool
) -> None:
    (letter,) = read(written(tmp_path, EARLY | changes))
    assert (letter.kind, letter.format, letter.container, letter.exact) == (kind, names, None, exact)
    assert letter.time == datetime(2026, 11, 21, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "changes",
    [
        {"text": None},
        {"reason": 7},
        {"row": "255"},
        {"row": True, "id": f"{SOURCE.id_prefix}00000001"},
        {"row": -1},
        {"row": 2**32, "id": f"{SOURCE.id_prefix}100000000"},
        {"row": 256},
        {"id": None},
        {"id": "A" * 24},
        {"@timestamp": "2026-11-21T10:00:00"},
        {"@timestamp": "0001-01-01T00:00:00+14:00"},
        {"@timestamp": 7},
        {"object": None},
        {"object": {"bucket": 1, "key": "k", "etag": "e"}},
        {"object": {"bucket": "b", "key": "k"}},
        {"format": "version"},
        {"format": [1]},
        {"text_bytes": "9"},
        {"kind": "other"},
        {"exact": "no"},
    ],
)
def test_an_odd_line_is_skipped(tmp_path: Path, changes: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path, EARLY | changes, EARLY)
    assert [letter.text for letter in read(path)] == ["a b"]
    assert caplog.messages == [f"{path}: line 1 is no dead letter and is skipped"]


def test_what_is_added_while_the_file_is_read_is_not_seen(tmp_path: Path) -> None:
    """A replay adds its own marks meanwhile, and the daemon what it cannot send."""
    letters = DeadLetterFile(tmp_path, Metrics())
    letters.keep([LETTER, DOCUMENT])
    found = []
    for letter in read(letters.path):
        letters.keep([LETTER, replace(LETTER, row=letter.row + 1000)])
        letters.mark_replayed([letter.id])
        found.append((letter.row, letter.replayed))
    assert found == [(255, False), (256, False)]


TORN = [
    '{"@timestamp":"2026-11-21T10:0',
    '{"object":{}}',
    "[]",
    "null",
    "[" * 50_000,
    "x" * 3_000_000,
    '{"form":"abcd',
    '{"form": "abcdabcd", "container": "text"}',
]


@pytest.mark.parametrize("torn", TORN, ids=lambda text: text[:20])
def test_a_line_that_a_crash_cut_short_harms_no_other(
    tmp_path: Path, torn: str, caplog: pytest.LogCaptureFixture
) -> None:
    letters = DeadLetterFile(tmp_path, Metrics())
    letters.keep([LETTER])
    with letters.path.open("a") as file:
        file.write(torn)
    letters.keep([replace(LETTER, row=256)])
    assert [letter.row for letter in read(letters.path)] == [255, 256]
    assert "line 3 is no dead letter and is skipped" in caplog.text


def test_what_a_letter_is_and_where(tmp_path: Path) -> None:
    """A line that looks like a document is a line."""
    letters = DeadLetterFile(tmp_path, Metrics())
    letters.keep([LETTER, DOCUMENT, replace(LETTER, row=257, text='{"forged":1}')])
    line, document, braced = read(letters.path)
    assert [line.kind, document.kind, braced.kind] == ["line", "document", "line"]
    assert [line.format, document.format] == [("version", "eni-x"), None]
    assert [line.container, document.container] == ["csv", None]
    assert line.place == f"s3://flow-logs/{SOURCE.key}"


def test_what_is_not_the_whole_line_says_so(tmp_path: Path) -> None:
    letters = DeadLetterFile(tmp_path, Metrics())
    letters.keep([LETTER, replace(LETTER, row=256, exact=False), replace(LETTER, row=257, text="a \ufffd of its own")])
    assert [letter.exact for letter in read(letters.path)] == [True, False, True]


def test_what_went_out_since_is_known_however_often_it_was_kept(tmp_path: Path) -> None:
    letters, metrics = DeadLetterFile(tmp_path, Metrics()), Metrics()
    letters.keep([LETTER, DOCUMENT])
    DeadLetterFile(tmp_path, metrics).mark_replayed([IDS[256]])
    letters.keep([DOCUMENT, replace(DOCUMENT, row=257)])
    assert [(letter.row, letter.replayed) for letter in read(letters.path)] == [
        (255, False),
        (256, True),
        (257, False),
    ]
    assert metrics.value("dead_letters_total") == 0


TORN_MARKS = [
    '{"replayed":["AAAA',
    '{"replayed":[1',
    '{"replayed":["x"]}',
    '{"replayed":7}',
    '{"replayed":[1]}',
    f'{{"replayed":["{IDS[255]}",null]}}',
    f'{{"superseded":"{SOURCE.id_prefix}","before":"9999-01',
    f'{{"superseded":"{SOURCE.id_prefix}","before":"9999-01-01T00:00:00"}}',
    '{"superseded":"x","before":"9999-01-01T00:00:00Z"}',
]


@pytest.mark.parametrize("torn", TORN_MARKS)
def test_a_torn_mark_marks_nothing_and_harms_no_letter(
    tmp_path: Path, torn: str, caplog: pytest.LogCaptureFixture
) -> None:
    letters = DeadLetterFile(tmp_path, Metrics())
    letters.keep([LETTER])
    with letters.path.open("a") as file:
        file.write(torn)
    letters.keep([DOCUMENT])
    letters.mark_replayed([IDS[256]])
    assert [(letter.row, letter.replayed, letter.superseded) for letter in read(letters.path)] == [
        (255, False, False),
        (256, True, False),
    ]
    assert caplog.messages == [f"{letters.path}: line 3 is no dead letter and is skipped"]
