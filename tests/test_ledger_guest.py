"""Objects to be tried again, beside an owner that has the ledger open."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exporter.errors import LedgerError
from exporter.flow import Outcome, S3Object
from exporter.ledger import Ledger, State
from exporter.ledger_file import as_guest, open_to_write
from exporter.ledger_guest import FAILED, RETRIED, elsewhere, retry, retry_keys
from exporter.ledger_schema import MIGRATIONS

LONG_AGO = datetime(2026, 1, 5, 12, tzinfo=UTC)


def stored(name: str, bucket: str = "logs", etag: str = "e") -> S3Object:
    return S3Object(bucket, f"AWSLogs/{name}", etag, 100, LONG_AGO, "123456789012", "us-east-1")


ASIDE, DAMAGED, WAITING, DONE, UNDER_WAY = (stored(name) for name in ("aside", "damaged", "waiting", "done", "way"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    """The owner's, with one object of each kind."""
    with Ledger(path) as opened:
        for item in (ASIDE, DAMAGED, WAITING, DONE, UNDER_WAY):
            opened.begin(item)
        opened.set_aside(ASIDE, "no header")
        opened.finish(Outcome(DAMAGED, records=5, damage="breaks off at byte 9"))
        opened.fail(WAITING, "no connection")
        opened.finish(Outcome(DONE, records=7))
        yield opened


def waiting(ledger: Ledger) -> set[str]:
    return {source.key.removeprefix("AWSLogs/") for source in ledger.waiting("logs")}


def test_only_those_of_the_buckets_that_are_read(path: Path, ledger: Ledger) -> None:
    sold = [stored("aside", "sold"), stored("other", "sold"), stored("x", "gone")]
    for item in sold:
        ledger.begin(item)
        ledger.set_aside(item, "no header")
    assert elsewhere(path, FAILED, ["logs"]) == {"gone": 1, "sold": 2}
    assert elsewhere(path, FAILED, ["logs", "gone"], "AWSLogs/aside") == {"sold": 1}
    assert elsewhere(path, [State.UNDONE], ["logs"]) == {}
    assert retry(path, FAILED, ["logs", "gone", "new"]) == 3
    assert elsewhere(path, FAILED, ["logs"]) == {"sold": 2}
    with pytest.raises(LedgerError, match="nothing was changed, for there is nothing to try again under AWSLogs/other"):
        retry_keys(path, {"AWSLogs/other": ()}, ["logs"])
    assert retry_keys(path, {"AWSLogs/other": ()}, ["logs", "sold"]) == 1
    assert list(ledger.waiting("sold")) == sold[1:2]


def test_all_that_failed_or_all_that_is_kept_back(path: Path, ledger: Ledger) -> None:
    assert waiting(ledger) == set()
    assert retry(path, FAILED) == 2
    assert waiting(ledger) == {"aside", "damaged"}
    assert ledger.summary().records == 7
    assert retry(path, RETRIED) == 3
    assert waiting(ledger) == {"aside", "damaged", "waiting"}
    assert ledger.unknown([ASIDE, DAMAGED, WAITING, DONE, UNDER_WAY]) == [ASIDE, DAMAGED, WAITING]
    assert ledger.begin(ASIDE) == 2  # documents of it may be out already


def test_an_object_tried_again_has_never_failed(path: Path) -> None:
    """Of its crashes and failures nothing is left, so that it is not given up at the next one."""
    with Ledger(path) as ledger:
        ledger.begin(ASIDE)
    for _ in range(5):  # each time it is taken up after a crash, and after the fifth left alone
        with Ledger(path) as ledger:
            if ledger.unknown([ASIDE]):
                ledger.begin(ASIDE)
    with Ledger(path) as ledger:
        assert ledger.summary().objects == {State.UNDONE: 1}
        assert ledger.unknown([ASIDE]) == []
        assert retry(path, RETRIED) == 1
        assert ledger.unknown([ASIDE]) == [ASIDE]
        assert ledger.interrupted() == []
        ledger.begin(ASIDE)
    with Ledger(path) as ledger:
        assert ledger.interrupted() == [ASIDE]
        assert ledger.unknown([ASIDE]) == [ASIDE]
        ledger.begin(ASIDE)
        assert ledger.fail(ASIDE, "no connection") is State.UNDONE


@pytest.mark.parametrize("key", ["s3://logs/AWSLogs/aside", "AWSLogs/aside"])
def test_one_by_its_key(path: Path, ledger: Ledger, key: str) -> None:
    assert retry_keys(path, {key: ()}) == 1
    assert waiting(ledger) == {"aside"}


def test_every_version_and_only_the_named_bucket(path: Path, ledger: Ledger) -> None:
    newer, elsewhere, longer = replace(ASIDE, etag="f"), replace(ASIDE, bucket="other"), stored("aside.gz")
    for item in (newer, elsewhere, longer):
        ledger.begin(item)
        ledger.set_aside(item, "no header")
    assert retry_keys(path, {"s3://logs/AWSLogs/aside": ()}) == 2
    assert set(ledger.waiting("logs")) == {ASIDE, newer}
    assert retry_keys(path, {"AWSLogs/aside": ()}) == 3
    assert list(ledger.waiting("other")) == [elsewhere]


def test_an_odd_key(path: Path, ledger: Ledger) -> None:
    odd = stored("ü'\";--%_\\\n\udc80")
    ledger.begin(odd)
    ledger.set_aside(odd, "why")
    assert retry_keys(path, {odd.key: ()}) == 1
    assert list(ledger.waiting("logs")) == [odd]


def test_an_unknown_key_changes_nothing_at_all(path: Path, ledger: Ledger) -> None:
    with pytest.raises(
        LedgerError, match=r"nothing to try again under AWSLogs/done, AWSLogs/way, nope: such an object"
    ):
        retry_keys(path, {"AWSLogs/aside": (), "AWSLogs/done": (), "AWSLogs/way": (UNDER_WAY,), "nope": ()})
    assert waiting(ledger) == set()
    assert ledger.summary().objects[State.SET_ASIDE] == 1


def test_what_is_done_or_forgotten_is_known_by_its_dead_letters(path: Path, ledger: Ledger) -> None:
    forgotten = stored("forgotten", "another")
    assert retry_keys(path, {"AWSLogs/done": (DONE,), "AWSLogs/forgotten": (forgotten,)}) == 2
    assert list(ledger.waiting("logs")) == [DONE]
    assert list(ledger.waiting("another")) == [forgotten]
    assert ledger.begin(forgotten) == 2  # its documents are out already
    assert ledger.summary().records == 5  # of the damaged one; the seven of the done one count again when it is done


def test_a_guest_and_the_owner_wait_for_each_other(path: Path, ledger: Ledger) -> None:
    with as_guest(path) as database:
        database.execute("UPDATE object SET reason = 'held'")
        beginning = threading.Thread(target=ledger.begin, args=(stored("new"),))
        beginning.start()
        beginning.join(0.5)
        assert beginning.is_alive()
    beginning.join(20)
    assert not beginning.is_alive()
    assert ledger.summary().objects[State.UNDER_WAY] == 2


def test_a_ledger_that_is_not_there_is_not_made(path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be used: unable to open database file"):
        retry(path, FAILED)
    assert not path.exists()


def test_an_older_ledger_is_left_to_its_owner(path: Path) -> None:
    open_to_write(path, LONG_AGO, MIGRATIONS[:1]).close()
    told = f"has version 1, and {len(MIGRATIONS)} is needed: `run` and `once` of this release bring it up to date"
    with pytest.raises(LedgerError, match=told):
        retry(path, FAILED)
    with pytest.raises(LedgerError, match=told):
        Ledger(path, read_only=True).open()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (1,)
