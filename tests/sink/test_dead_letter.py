"""The file of dead letters: what stands in it, after a crash too, and reading it back."""

import fcntl
import json
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exporter.errors import Unavailable
from exporter.flow import DeadLetter, DeadLetters
from exporter.metrics import Metrics
from exporter.sink.dead_letter import DeadLetterFile, read
from tests.sink.bodies import SOURCE

LETTER = DeadLetter(SOURCE, 255, "too few fields: 13 of 14", "2 123456789012 eni-1 ü \ufffd", ("version", "eni"))
DOCUMENT = DeadLetter(SOURCE, 256, "mapper_parsing_exception: no", '{"network":{"bytes":1}}')
IDS = {row: f"{SOURCE.id_prefix}{row:08x}" for row in (255, 256, 257)}


def test_a_letter_says_object_row_reason_and_text(tmp_path: Path) -> None:
    metrics = Metrics()
    letters: DeadLetters = DeadLetterFile(tmp_path / "state", metrics)
    letters.keep([LETTER, DOCUMENT])
    letters.keep([])
    file = tmp_path / "state" / "dead-letters.ndjson"
    first, second = (json.loads(line) for line in file.read_bytes().splitlines())
    written = datetime.fromisoformat(first.pop("@timestamp"))
    assert timedelta(0) <= datetime.now(UTC) - written < timedelta(minutes=1)
    assert first == {
        "object": {"bucket": "flow-logs", "key": SOURCE.key, "etag": "9b2cf535f27731c974343645a3985328"},
        "row": 255,
        "id": SOURCE.id_prefix + "000000ff",
        "reason": "too few fields: 13 of 14",
        "format": ["version", "eni"],
        "text": "2 123456789012 eni-1 ü \ufffd",
    }
    assert second["id"] == SOURCE.id_prefix + "00000100"
    assert "format" not in second
    assert file.stat().st_mode & 0o777 == 0o600
    assert metrics.value("dead_letters_total") == 2


def test_letters_are_added_by_later_runs_and_read_once_each(tmp_path: Path) -> None:
    for _ in range(2):
        DeadLetterFile(tmp_path, Metrics()).keep([LETTER, replace(LETTER, row=256)])
    (first, second) = read(tmp_path / "dead-letters.ndjson")
    assert (first.bucket, first.key, first.etag) == (SOURCE.bucket, SOURCE.key, SOURCE.etag)
    assert (first.row, first.reason, first.text) == (LETTER.row, LETTER.reason, LETTER.text)
    assert first.id == SOURCE.id_prefix + "000000ff"
    assert first.text_bytes is None
    assert first.time.tzinfo is not None
    assert second.row == 256


@pytest.mark.parametrize("torn", ['{"@timestamp":"2026-11-21T10:0', '{"object":{}}', "[]", "null", "x" * 3_000_000])
def test_a_line_that_a_crash_cut_short_harms_no_other(
    tmp_path: Path, torn: str, caplog: pytest.LogCaptureFixture
) -> None:
    letters = DeadLetterFile(tmp_path, Metrics())
    letters.keep([LETTER])
    with letters.path.open("a") as file:
        file.write(torn)
    letters.keep([replace(LETTER, row=256)])
    assert [letter.row for letter in read(letters.path)] == [255, 256]
    assert "line 2 is no dead letter" in caplog.text


def test_a_long_text_is_cut_and_says_so(tmp_path: Path) -> None:
    letters = DeadLetterFile(tmp_path, Metrics())
    letters.keep([replace(LETTER, text="x" + "ü" * 40_000), replace(LETTER, row=1, text="x" * 65_536)])
    cut, whole = read(letters.path)
    assert cut.text == "x" + "ü" * 32_767  # 65,535 bytes: half a character does not stay
    assert cut.text_bytes == 80_001
    assert (len(whole.text), whole.text_bytes) == (65_536, None)


def test_an_odd_key_and_text_pass(tmp_path: Path) -> None:
    odd = DeadLetter(replace(SOURCE, key="a\udcff\n\0b"), 1, "r", "\udcfe\n\0")
    letters = DeadLetterFile(tmp_path, Metrics())
    letters.keep([odd])
    (letter,) = read(letters.path)
    assert (letter.key, letter.text) == ("a\udcff\n\0b", "\udcfe\n\0")


def test_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    letters = DeadLetterFile(tmp_path, Metrics())

    def keep(first: int) -> None:
        for row in range(first, first + 20):
            letters.keep([replace(LETTER, row=row, text="x" * 5000), replace(LETTER, row=row + 1000)])

    threads = [threading.Thread(target=keep, args=(first,)) for first in (0, 20, 40, 60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = [json.loads(line)["row"] for line in letters.path.read_bytes().splitlines()]
    assert sorted(rows) == [*range(80), *range(1000, 1080)]


def test_a_file_that_cannot_be_written_is_no_silent_loss(tmp_path: Path) -> None:
    (tmp_path / "dead-letters.ndjson").symlink_to("/dev/full")
    metrics = Metrics()
    with pytest.raises(Unavailable, match="dead letters cannot be written: No space left"):
        DeadLetterFile(tmp_path, metrics).keep([LETTER])
    assert metrics.value("dead_letters_total") == 0


def test_what_a_letter_is_and_where(tmp_path: Path) -> None:
    letters = DeadLetterFile(tmp_path, Metrics())
    of_an_early_release = replace(LETTER, row=257, format=None)
    letters.keep([LETTER, DOCUMENT, of_an_early_release])
    line, document, early = read(letters.path)
    assert [line.kind, document.kind, early.kind] == ["line", "document", "line"]
    assert [line.format, document.format, early.format] == [("version", "eni"), None, None]
    assert line.place == f"s3://flow-logs/{SOURCE.key}"


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


def test_many_marks_stand_in_lines_that_can_be_read(tmp_path: Path) -> None:
    letters = DeadLetterFile(tmp_path, Metrics())
    letters.keep([LETTER])
    letters.mark_replayed([f"{SOURCE.id_prefix}{row:08x}" for row in range(25_000)])
    letters.mark_replayed([])
    assert [len(json.loads(line)["replayed"]) for line in letters.path.read_bytes().splitlines()[1:]] == [
        10_000,
        10_000,
        5_000,
    ]
    assert [letter.replayed for letter in read(letters.path)] == [True]


@pytest.mark.parametrize("torn", ['{"replayed":["AAAA', '{"replayed":[1', '{"replayed":["x"]}', '{"replayed":7}'])
def test_a_torn_mark_marks_nothing_and_harms_no_letter(
    tmp_path: Path, torn: str, caplog: pytest.LogCaptureFixture
) -> None:
    letters = DeadLetterFile(tmp_path, Metrics())
    letters.keep([LETTER])
    with letters.path.open("a") as file:
        file.write(torn)
    letters.keep([DOCUMENT])
    letters.mark_replayed([IDS[256]])
    assert [(letter.row, letter.replayed) for letter in read(letters.path)] == [(255, False), (256, True)]
    assert caplog.messages == [f"{letters.path}: a line that tells what was replayed is not whole and is skipped"]


ANOTHER = """
import sys
from pathlib import Path
from exporter.metrics import Metrics
from exporter.sink.dead_letter import DeadLetterFile
for row in range(200):
    DeadLetterFile(Path(sys.argv[1]), Metrics()).mark_replayed([f"AAAAAAAAAAAAAAAA{row:08x}"] * 300)
"""


def test_a_command_marks_while_the_daemon_keeps(tmp_path: Path) -> None:
    """Each line is longer than a page; a letter that lost its line end would take the next line with it."""
    command = [sys.executable, "-c", ANOTHER, str(tmp_path)]
    with subprocess.Popen(command) as process:  # noqa: S603 - this file's own text
        letters, row = DeadLetterFile(tmp_path, Metrics()), 0
        while process.poll() is None:
            letters.keep([replace(LETTER, row=row, text="x" * 9000)])
            row += 1
    assert process.returncode == 0
    assert row > 0
    lines = [json.loads(line) for line in letters.path.read_bytes().splitlines()]
    assert len(lines) == row + 200
    assert [letter.row for letter in read(letters.path)] == list(range(row))


def test_a_keeper_waits_for_who_has_the_file(tmp_path: Path) -> None:
    letters = DeadLetterFile(tmp_path, Metrics())
    letters.keep([LETTER])
    with letters.path.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        keeping = threading.Thread(target=letters.keep, args=([DOCUMENT],))
        keeping.start()
        keeping.join(0.3)
        assert keeping.is_alive()
        held.write(b"half a line")
    keeping.join(10)
    assert [letter.row for letter in read(letters.path)] == [255, 256]
