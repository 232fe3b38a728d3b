"""The file of dead letters: what stands in it, and who may write it at once."""

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
from exporter.flow import DeadLetter, DeadLetters, Form
from exporter.metrics import Metrics
from exporter.sink.dead_letter import DeadLetterFile
from exporter.sink.kept_letters import read
from tests.sink.bodies import SOURCE

FORM = Form("csv", ("version", "extra.eni-x"), "its header")
LETTER = DeadLetter(SOURCE, 255, "too few fields: 13 of 14", "2 123456789012 eni-1 ü", FORM)
DOCUMENT = DeadLetter(SOURCE, 256, "mapper_parsing_exception: no", '{"network":{"bytes":1}}')
IDS = {row: f"{SOURCE.id_prefix}{row:08x}" for row in (255, 256, 257)}


def test_a_letter_says_object_row_reason_and_text(tmp_path: Path) -> None:
    metrics = Metrics()
    letters: DeadLetters = DeadLetterFile(tmp_path / "state", metrics)
    letters.keep([LETTER, DOCUMENT])
    letters.keep([])
    file = tmp_path / "state" / "dead-letters.ndjson"
    form, first, second = (json.loads(line) for line in file.read_bytes().splitlines())
    key = form.pop("form")
    assert form == {"container": "csv", "told_by": "its header", "names": ["version", "eni-x"]}
    written = datetime.fromisoformat(first.pop("@timestamp"))
    assert timedelta(0) <= datetime.now(UTC) - written < timedelta(minutes=1)
    assert first == {
        "object": {"bucket": "flow-logs", "key": SOURCE.key, "etag": "9b2cf535f27731c974343645a3985328"},
        "row": 255,
        "id": SOURCE.id_prefix + "000000ff",
        "kind": "line",
        "form": key,
        "reason": "too few fields: 13 of 14",
        "text": "2 123456789012 eni-1 ü",
    }
    assert second["id"] == SOURCE.id_prefix + "00000100"
    assert (second["kind"], "form" in second) == ("document", False)
    assert file.stat().st_mode & 0o777 == 0o600
    assert metrics.value("dead_letters_total") == 2


def test_names_stand_once_in_front_of_the_letters_that_were_kept_at_once(tmp_path: Path) -> None:
    """Also after the file was moved away, and where one call has lines of several forms."""
    other = Form("text", ("bytes",), "its header")
    letters = DeadLetterFile(tmp_path, Metrics())
    for _ in range(2):
        letters.keep(
            [
                LETTER,
                DOCUMENT,
                replace(LETTER, row=1),
                replace(LETTER, row=2, form=other),
                replace(LETTER, row=3, form=FORM),
            ]
        )
        begins = [line[:7] for line in letters.path.read_text().splitlines()]
        assert [number for number, begin in enumerate(begins) if begin == '{"form"'] == [0, 4, 6]
        assert [(letter.row, letter.container) for letter in read(letters.path)] == [
            (255, "csv"),
            (256, None),
            (1, "csv"),
            (2, "text"),
            (3, "csv"),
        ]
        letters.path.rename(tmp_path / "moved")


def test_a_form_longer_than_a_line_may_be_goes_without_its_names(tmp_path: Path) -> None:
    letters = DeadLetterFile(tmp_path, Metrics())
    long = Form("parquet", tuple(f"extra.{number:01000}" for number in range(1200)), "its schema")
    letters.keep([replace(LETTER, form=long), replace(LETTER, row=256)])
    assert [(letter.container, letter.format) for letter in read(letters.path)] == [
        ("parquet", None),
        ("csv", ("version", "eni-x")),
    ]


def test_a_reason_is_cut(tmp_path: Path) -> None:
    letters = DeadLetterFile(tmp_path, Metrics())
    letters.keep([replace(LETTER, reason="r" * 1001), replace(LETTER, row=256, reason="r" * 1000)])
    assert [letter.reason for letter in read(letters.path)] == ["r" * 1000 + "…", "r" * 1000]


KEEPING = """
form = Form("text", tuple(f"extra.one-of-a-thousand-names-{n}" for n in range(1000)), "its header")
letters = [DeadLetter(SOURCE, row, "1 field where the format has 1000", f"bad {row}", form) for row in range(131_073)]
before = peak()
DeadLetterFile(Path(sys.argv[1]), Metrics()).keep(letters)
print(peak() - before)
"""
READING = """
before = peak()
letters = list(islice(read(Path(sys.argv[1]) / "dead-letters.ndjson"), 131_072, None))
print(peak() - before, *(len(letter.format) for letter in letters))
"""
PEAK = """
import sys
from itertools import islice
from pathlib import Path
from exporter.flow import DeadLetter, Form
from exporter.metrics import Metrics
from exporter.sink.dead_letter import DeadLetterFile
from exporter.sink.kept_letters import read
from tests.sink.bodies import SOURCE

def peak():
    (line,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024
"""


def told(script: str, folder: Path) -> list[int]:
    """The numbers that a script prints; the first is by how many MiB the process's memory grew."""
    command = [sys.executable, "-c", PEAK + script, str(folder)]
    ended = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)  # noqa: S603 - our own text
    return [int(each) for each in ended.stdout.split()]


def test_many_letters_under_many_names_cost_what_their_own_text_does(tmp_path: Path) -> None:
    """With the names in each of them they would be 4 GB."""
    (keeping,) = told(KEEPING, tmp_path)
    size = (tmp_path / "dead-letters.ndjson").stat().st_size
    assert 131_073 * 300 < size < 131_073 * 500
    assert keeping < 16
    reading, *names = told(READING, tmp_path)
    assert names == [1000]
    assert reading < 32


def test_a_folder_that_takes_no_word_is_no_silent_loss(tmp_path: Path) -> None:
    (tmp_path / "dead-letters.ndjson").symlink_to("/dev/full")
    with pytest.raises(Unavailable, match="No space left"):
        DeadLetterFile(tmp_path, Metrics()).supersede(SOURCE, datetime.now(UTC))


def test_a_long_text_is_cut_and_says_so(tmp_path: Path) -> None:
    letters = DeadLetterFile(tmp_path, Metrics())
    letters.keep([replace(LETTER, text="x" + "ü" * 40_000), replace(LETTER, row=1, text="x" * 65_536)])
    cut, whole = read(letters.path)
    assert cut.text == "x" + "ü" * 32_767  # 65,535 bytes: half a character does not stay
    assert cut.text_bytes == 80_001
    assert (len(whole.text), whole.text_bytes) == (65_536, None)


def test_an_odd_key_and_text_pass(tmp_path: Path) -> None:
    odd = DeadLetter(replace(SOURCE, key="a\udcff\n\0b"), 1, "r", "\udcfe\n\0", FORM)
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
    assert sorted(letter.row for letter in read(letters.path)) == [*range(80), *range(1000, 1080)]
    assert all(letter.format == ("version", "eni-x") for letter in read(letters.path))


def test_a_file_that_cannot_be_written_is_no_silent_loss(tmp_path: Path) -> None:
    (tmp_path / "dead-letters.ndjson").symlink_to("/dev/full")
    metrics = Metrics()
    with pytest.raises(Unavailable, match="dead letters cannot be written: No space left"):
        DeadLetterFile(tmp_path, metrics).keep([LETTER])
    assert metrics.value("dead_letters_total") == 0


def test_many_marks_stand_in_lines_that_can_be_read(tmp_path: Path) -> None:
    letters = DeadLetterFile(tmp_path, Metrics())
    letters.keep([LETTER])
    letters.mark_replayed([f"{SOURCE.id_prefix}{row:08x}" for row in range(25_000)])
    letters.mark_replayed([])
    assert [len(json.loads(line)["replayed"]) for line in letters.path.read_bytes().splitlines()[2:]] == [
        10_000,
        10_000,
        5_000,
    ]
    assert [letter.replayed for letter in read(letters.path)] == [True]


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
    assert len(lines) == 2 * row + 200
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
