"""What is kept fresh: from files, S3 and web servers that are well, ill or gone, and over restarts."""

import gzip
import logging
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from shutil import rmtree
from typing import Any

import boto3
import pytest
from botocore.config import Config as BotoConfig
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from exporter.errors import ConfigError, FeedError, Stopped
from exporter.lists.feeds import Feed, Parsed
from exporter.lists.unpacking import unpacked
from exporter.lists.web import Limits
from exporter.metrics import Metrics
from exporter.option_types import Location
from exporter.retry import Policy
from tests.services.aws import Aws
from tests.services.web import Certificate, Page, Site, serve

GOOD, OTHER = b"1.2.3.4\n5.6.7.8\n", b"9.9.9.9\n"
WORDS, OTHER_WORDS = ["1.2.3.4", "5.6.7.8"], ["9.9.9.9"]
HASTY = Policy("feed", (FeedError,), first_wait=0.01, longest_wait=0.3, give_up_after=1)
PATIENT = replace(HASTY, give_up_after=20)
SHORT = Limits(connect=2, read=2, total=10)
LIMIT = 100_000


def words(path: Path) -> Parsed[list[str]]:
    """A list of words; those with ? cannot be used, and ! is what nobody foresaw."""
    text = path.read_text(encoding="utf-8")
    if "!" in text:
        raise ZeroDivisionError(f"{path} has a !")
    if "#" in text:
        raise FeedError(f"{path}: it has a #")
    found = text.split()
    good = [word for word in found if "?" not in word]
    bad = [word for word in found if "?" in word]
    return Parsed(good, len(good), len(bad), tuple(bad))


@dataclass
class Rig:
    """What feeds need, and how one was made last."""

    folder: Path
    metrics: Metrics = field(default_factory=Metrics)
    stop: threading.Event = field(default_factory=threading.Event)
    now: float = 1_000.0
    s3: Any = None

    def feed(self, place: str | Path, **options: Any) -> Feed[list[str]]:  # noqa: ANN401 - the feed's own options
        """A feed of that place, as after a restart."""
        given = {"s3": self.s3, "limit": LIMIT, "limits": SHORT, "policy": HASTY, "clock": lambda: self.now} | options
        return Feed(
            "drop",
            Location(str(place)),
            words,
            folder=self.folder / "feeds",
            metrics=self.metrics,
            stop=self.stop,
            option="enrich.threats.feeds[0].location",
            **given,
        )

    def counted(self) -> tuple[int, int, int]:
        """Readings so far: changed, unchanged, failed."""
        changed, unchanged, failed = (
            int(self.metrics.value("feed_reads_total", feed="drop", outcome=outcome))
            for outcome in ("changed", "unchanged", "failed")
        )
        return changed, unchanged, failed

    def gauges(self) -> tuple[float, float, float]:
        """Entries, skipped, time."""
        entries, skipped, read = (
            self.metrics.value(name, feed="drop") for name in ("feed_entries", "feed_skipped", "feed_time_seconds")
        )
        return entries, skipped, read

    def kept(self) -> list[bytes]:
        """What copies lie on disk."""
        return [path.read_bytes() for path in (self.folder / "feeds" / "drop").iterdir() if path.name != "about.json"]


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """With no proxy in the environment."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return Rig(tmp_path)


@pytest.fixture
def site() -> Iterator[Site]:
    """A web server on loopback."""
    with serve() as running:
        yield running


def faults(feed: Feed[list[str]]) -> str:
    """Why a feed does not start."""
    with pytest.raises(ConfigError) as caught:
        feed.start()
    (fault,) = caught.value.faults
    assert fault.path == "enrich.threats.feeds[0].location"
    return fault.problem


def test_a_file_is_read_and_read_again_when_it_changes(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(GOOD)
    feed = rig.feed(path)
    assert feed.start() is None
    assert (feed.current, rig.counted(), rig.gauges()) == (WORDS, (1, 0, 0), (2, 0, 1000))
    rig.now = 2_000
    assert feed.refresh() is None
    assert (feed.current, rig.counted(), rig.gauges()) == (WORDS, (1, 1, 0), (2, 0, 2000))
    path.write_bytes(OTHER + b"what?\n")
    assert feed.refresh() is None
    assert (feed.current, rig.counted(), rig.gauges()) == (OTHER_WORDS, (2, 1, 0), (1, 1, 2000))
    assert rig.kept() == [OTHER + b"what?\n"]
    assert path.read_bytes() == OTHER + b"what?\n"


def test_an_unchanged_file_is_not_read_and_one_with_the_same_content_not_parsed(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(GOOD)
    feed = rig.feed(path)
    feed.start()
    monkeypatch.setattr(feed, "_parse", None)  # it would be called
    os.utime(path, (1, 1))
    assert feed.refresh() is None  # read, and the hash is the same
    assert rig.kept() == [GOOD]
    feed._fetcher._limit = 1  # noqa: SLF001 - any reading would fail now
    assert feed.refresh() is None
    assert (feed.current, rig.counted()) == (WORDS, (1, 2, 0))


def test_a_file_that_was_replaced_with_the_same_time_and_size_is_seen(rig: Rig, tmp_path: Path) -> None:
    path, new = tmp_path / "list.txt", tmp_path / "new.txt"
    path.write_bytes(b"aaaa")
    new.write_bytes(b"bbbb")
    for each in (path, new):
        os.utime(each, (1, 1))
    feed = rig.feed(path)
    feed.start()
    new.replace(path)
    feed.refresh()
    assert feed.current == ["bbbb"]


HTML = b"\xef\xbb\xbf \n<!DOCTYPE HTML><title>1.2.3.4</title>"
BAD = {
    "empty": (b"", "it is empty"),
    "blank": (b" \r\n\n", "it is empty"),
    "a web page": (HTML, "that is a web page, not a list"),
    "a web page in capitals": (b"\n<HTML lang=en>", "that is a web page, not a list"),
    "nothing of use": (b"a? b?", "it has no entries, and 2 that cannot be used"),
    "broken": (b"#", "it has a #"),
    "not foreseen": (b"1.1.1.1 !", "it cannot be read: ZeroDivisionError: it has a !"),
    "no text": (b"\xff\xff", "it cannot be read: UnicodeDecodeError"),
    "too large": (b"1.1.1.1\n" * 20_000, "it is larger than 100,000 bytes"),
    "a gzip bomb": (gzip.compress(bytes(50_000_000)), "it is larger than 100,000 bytes"),
    "a bomb in a bomb": (gzip.compress(gzip.compress(bytes(50_000_000))), "it is larger than 100,000 bytes"),
    "gzip that breaks off": (gzip.compress(GOOD * 99)[:-9], "its gzip breaks off"),
    "gzip that is wrong": (gzip.compress(GOOD)[:-8] + bytes(8), "its gzip is broken"),
    "gzip and something else": (gzip.compress(GOOD) + b"PK", "its gzip is broken"),
}


@pytest.mark.parametrize(("content", "told"), BAD.values(), ids=BAD)
def test_bad_content_is_a_fault_at_start_and_harmless_later(
    content: bytes, told: str, rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    problem = faults(rig.feed(path))
    assert problem.startswith(f"{path}: {told}")
    path.write_bytes(GOOD)
    feed = rig.feed(path)
    feed.start()
    path.write_bytes(content)
    caplog.clear()
    for _ in range(3):
        reason = feed.refresh()
        assert reason == feed.fault
        assert reason is not None
        assert reason.startswith(f"{path}: {told}")
    assert (feed.current, rig.counted(), rig.gauges()) == (WORDS, (1, 0, 3), (2, 0, 1000))
    assert len([each for each in caplog.records if each.levelno >= logging.WARNING]) == 1
    assert rig.kept() == [GOOD]
    path.write_bytes(OTHER)
    assert feed.refresh() is None
    assert (feed.current, feed.fault) == (OTHER_WORDS, None)


PACKED = {
    "gzip": gzip.compress(GOOD),
    "twice": gzip.compress(gzip.compress(GOOD)),
    "two members": gzip.compress(b"1.2.3.4\n") + gzip.compress(b"5.6.7.8\n"),
    "padded": gzip.compress(GOOD) + bytes(512),
    "an empty member between": gzip.compress(b"1.2.3.4\n") + gzip.compress(b"") + gzip.compress(b"5.6.7.8\n"),
}


@pytest.mark.parametrize("content", PACKED.values(), ids=PACKED)
def test_gzip_is_undone(content: bytes, rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "list.gz"
    path.write_bytes(content)
    feed = rig.feed(path)
    feed.start()
    assert (feed.current, rig.kept()) == (WORDS, [GOOD])


@settings(deadline=None)
@given(st.binary(max_size=2000), st.lists(st.integers(0, 2000), max_size=8), st.integers(0, 2), st.integers(0, 2100))
def test_however_it_is_cut_and_packed_it_is_the_same(content: bytes, cuts: list[int], layers: int, limit: int) -> None:
    assume(not content.startswith(b"\x1f\x8b"))
    packed = content
    for _ in range(layers):
        packed = gzip.compress(packed)
    edges = [0, *sorted(min(cut, len(packed)) for cut in cuts), len(packed)]
    chunks = [packed[first:end] for first, end in pairwise(edges)]
    largest = max(len(content), len(packed), len(gzip.compress(content)) if layers == 2 else 0)
    if limit < largest:
        with pytest.raises(FeedError, match="larger than"):
            list(unpacked(chunks, limit))
    else:
        assert b"".join(unpacked(chunks, limit)) == content


def test_gzip_larger_than_a_slice_is_undone(rig: Rig, tmp_path: Path) -> None:
    content = b"".join(b"%d\n" % number for number in range(200_000))
    (tmp_path / "list").write_bytes(gzip.compress(content))
    feed = rig.feed(tmp_path / "list", limit=len(content))
    feed.start()
    assert rig.kept() == [content]
    assert "larger than" in faults(replace(rig, folder=tmp_path / "2").feed(tmp_path / "list", limit=len(content) - 1))


def test_what_is_no_file_is_told(rig: Rig, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert faults(rig.feed(missing)) == (
        f"{missing}: it cannot be read: No such file or directory; expected a file there; "
        "there is no copy of an earlier reading to start with"
    )
    assert "it is no file" in faults(rig.feed(tmp_path))
    os.mkfifo(tmp_path / "pipe")
    assert "it is no file" in faults(rig.feed(tmp_path / "pipe"))


def test_a_folder_that_takes_no_copy_is_told(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(GOOD)
    (tmp_path / "feeds").write_text("in the way")
    assert f"it cannot be kept in {tmp_path / 'feeds' / 'drop'}: " in faults(rig.feed(tmp_path / "list"))


def test_after_a_restart_the_last_good_copy_is_used(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes(GOOD)
    rig.feed(path).start()
    path.unlink()
    rig.now = 2_000
    feed = rig.feed(path)
    reason = feed.start()
    assert reason == f"{path}: it cannot be read: No such file or directory; expected a file there"
    assert (feed.current, rig.counted(), rig.gauges()) == (WORDS, (1, 0, 1), (2, 0, 1000))
    path.write_bytes(OTHER)
    assert feed.refresh() is None
    assert (feed.current, rig.gauges()) == (OTHER_WORDS, (1, 0, 2000))


def test_when_it_was_last_well_outlives_a_restart(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes(GOOD)
    feed = rig.feed(path)
    feed.start()
    rig.now = 2_000
    feed.refresh()
    path.unlink()
    rig.now = 3_000
    again = rig.feed(path)
    assert again.start() is not None
    assert rig.gauges() == (2, 0, 2000)


def test_the_copy_of_another_place_is_none(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(GOOD)
    rig.feed(tmp_path / "one").start()
    assert "there is no copy" in faults(rig.feed(tmp_path / "two"))


def _other_content(folder: Path) -> None:
    next(path for path in folder.iterdir() if path.name != "about.json").write_bytes(b"6.6.6.6")


def _no_content(folder: Path) -> None:
    next(path for path in folder.iterdir() if path.name != "about.json").unlink()


def _half_about(folder: Path) -> None:
    os.truncate(folder / "about.json", 40)


def _other_about(folder: Path) -> None:
    (folder / "about.json").write_text('{"format": 1}')


@pytest.mark.parametrize("damage", [_other_content, _no_content, _half_about, _other_about])
def test_a_damaged_copy_is_told_and_not_used(
    damage: Any,  # noqa: ANN401 - one of the functions above
    rig: Rig,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / "list"
    path.write_bytes(GOOD)
    rig.feed(path).start()
    damage(tmp_path / "feeds" / "drop")
    feed = rig.feed(path)
    caplog.clear()
    feed.start()
    assert "the last good copy cannot be used" in caplog.records[0].message
    assert (feed.current, rig.kept()) == (WORDS, [GOOD])
    damage(tmp_path / "feeds" / "drop")
    path.unlink()
    assert "there is no copy" in faults(rig.feed(path))


def test_what_a_crash_left_is_cleared_away(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes(GOOD)
    rig.feed(path).start()
    (tmp_path / "feeds" / "drop" / "tmpx.part").write_bytes(b"half")
    path.write_bytes(OTHER)
    rig.feed(path).start()
    assert rig.kept() == [OTHER]


def test_a_copy_that_somebody_removed_is_kept_again(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes(GOOD)
    feed = rig.feed(path)
    feed.start()
    rmtree(tmp_path / "feeds")
    assert feed.refresh() is None
    assert (feed.current, rig.kept(), rig.counted()) == (WORDS, [GOOD], (2, 0, 0))


def test_a_disk_that_takes_nothing_is_told(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes(GOOD)
    feed = rig.feed(path)
    feed.start()
    path.write_bytes(b"1.1.1.1\n" * 1000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # as a full disk, at 1,000 bytes
    try:
        reason = feed.refresh()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert reason == f"{path}: it cannot be kept in {tmp_path / 'feeds' / 'drop'}: File too large"
    assert (feed.current, rig.kept()) == (WORDS, [GOOD])
    assert feed.refresh() is None
    assert feed.current == ["1.1.1.1"] * 1000


def test_marks_that_cannot_be_sent_back_are_none(rig: Rig, site: Site) -> None:
    site.pages["/list"] = Page(body=GOOD, headers={"ETag": '"\u00e9"', "Last-Modified": "x" * 2000})
    feed = rig.feed(f"{site.url}/list")
    feed.start()
    assert feed.refresh() is None
    assert rig.counted() == (1, 1, 0)
    assert not {"if-none-match", "if-modified-since"} & site.requests[1].headers.keys()


def test_a_feed_that_was_not_started_gives_nothing(rig: Rig, tmp_path: Path) -> None:
    feed = rig.feed(tmp_path / "list")
    assert feed.refresh() is not None
    with pytest.raises(RuntimeError, match="before it was started"):
        _ = feed.current


# What follows asks real servers on loopback.


def test_an_address_is_asked_for_changes_only(rig: Rig, site: Site) -> None:
    site.pages["/list"] = Page(body=GOOD, headers={"ETag": '"1"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"})
    feed = rig.feed(f"{site.url}/list?key=secret", authorization="Bearer token")
    feed.start()
    assert feed.current == WORDS
    site.pages["/list"] = Page(304)
    rig.now = 2_000
    assert feed.refresh() is None
    assert (rig.counted(), rig.gauges()) == ((1, 1, 0), (2, 0, 2000))
    first, second = site.requests
    assert (first.path, first.headers["authorization"]) == ("/list?key=secret", "Bearer token")
    assert not {"if-none-match", "if-modified-since"} & first.headers.keys()
    assert second.headers["if-none-match"] == '"1"'
    assert second.headers["if-modified-since"] == "Thu, 01 Jan 2026 00:00:00 GMT"
    again = rig.feed(f"{site.url}/list?key=secret")  # after a restart too
    assert again.start() is None
    assert again.current == WORDS
    assert site.requests[2].headers["if-none-match"] == '"1"'


def test_the_same_content_is_unchanged_without_marks(rig: Rig, site: Site) -> None:
    site.pages["/list"] = Page(body=GOOD)
    feed = rig.feed(f"{site.url}/list")
    feed.start()
    feed.refresh()
    assert rig.counted() == (1, 1, 0)
    site.pages["/list"] = Page(body=OTHER, chunked=True)
    feed.refresh()
    assert (feed.current, rig.counted()) == (OTHER_WORDS, (2, 1, 0))
    assert rig.kept() == [OTHER]


@pytest.mark.parametrize("ill", [Page(500), Page(503), Page(429), Page(0), Page(body=GOOD, missing=3)])
def test_what_passes_is_tried_again(ill: Page, rig: Rig, site: Site) -> None:
    site.pages["/list"] = [ill, Page(body=GOOD)]
    feed = rig.feed(f"{site.url}/list", policy=PATIENT)
    assert feed.start() is None
    assert feed.current == WORDS
    assert rig.metrics.value("retries_total", policy="feed") == 1


@pytest.mark.parametrize(
    ("page", "told", "asked"),
    [
        (Page(404), "the server answers 404: nothing is there; check the address", 1),
        (Page(403), "the server answers 403: it is not allowed; check what the option authorization says", 1),
        (Page(304), "the server answers 304: ", 1),
        (Page(206, GOOD), "the server answers 206: expected 200", 1),
        (Page(500), "the server answers 500, so it cannot give it now", 2),
        (Page(body=GOOD, missing=3), "the connection broke off before all of it had come", 2),
        (Page(body=GOOD, chunked=True, unended=True), "the connection broke off before all of it had come", 2),
        (Page(0), "the connection broke off before all of it had come", 2),
        (Page(body=GOOD, headers={"Content-Encoding": "br"}), "the server sends it packed as 'br'", 1),
        (Page(body=HTML, headers={"Content-Type": "text/plain"}), "that is a web page, not a list", 1),
        (Page(body=b"x" * 100_001), "it is larger than 100,000 bytes", 1),
        (Page(body=gzip.compress(bytes(10**7)), headers={"Content-Encoding": "gzip"}), "it is larger than", 1),
        (Page(302, headers={"Location": "http://lists.example.com/?key=7"}), "it redirects to 'http://lists.", 1),
        (Page(302, headers={"Location": "ftp://localhost/x"}), "it redirects to 'ftp://localhost'; expected https", 1),
        (Page(302, headers={"Location": "https://user:pass@x.test/"}), "it redirects to 'https://x.test', which is", 1),
        (Page(302), "it redirects to ", 1),
        (Page(302, headers={"Location": "/list?more"}), "it redirects more than 5 times", 6),
    ],
)
def test_bad_answers_are_told_without_secrets(page: Page, told: str, asked: int, rig: Rig, site: Site) -> None:
    site.pages["/list"] = page
    problem = faults(rig.feed(f"{site.url}/list?key=secret", authorization="Bearer token"))
    assert problem.startswith(f"{site.url}/list: {told}")
    assert len(site.requests) >= asked
    assert (len(site.requests) == asked) or asked == 2
    assert not [word for word in ("secret", "token", "key=7", "pass") if word in problem]
    site.pages["/list"] = Page(body=GOOD)
    feed = rig.feed(f"{site.url}/list?key=secret")
    feed.start()
    site.pages["/list"] = replace(page, headers=page.headers)
    if page.status != 304:  # that one is an answer now
        assert feed.refresh() == f"{problem.partition('; there is no copy')[0]}"
    assert feed.current == WORDS


def test_content_encoding_is_undone(rig: Rig, site: Site) -> None:
    site.pages["/list"] = Page(body=gzip.compress(GOOD), headers={"Content-Encoding": "gzip"})
    feed = rig.feed(f"{site.url}/list")
    feed.start()
    assert feed.current == WORDS
    assert site.requests[0].headers["accept-encoding"] == "gzip"


def test_a_redirect_is_followed_and_the_authorization_stays_at_home(rig: Rig, site: Site) -> None:
    with serve() as elsewhere:
        site.pages["/list"] = Page(301, headers={"Location": "/moved"})
        site.pages["/moved"] = Page(302, headers={"Location": f"{elsewhere.url}/list"})
        elsewhere.pages["/list"] = Page(307, headers={"Location": "/end"})
        elsewhere.pages["/end"] = Page(body=GOOD)
        feed = rig.feed(f"{site.url}/list", authorization="Bearer token")
        feed.start()
        assert feed.current == WORDS
        assert [each.headers.get("authorization") for each in site.requests] == ["Bearer token"] * 2
        assert [each.headers.get("authorization") for each in elsewhere.requests] == [None, None]


def test_a_redirect_from_elsewhere_may_not_lead_to_loopback(
    rig: Rig, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.pages["http://lists.example.com/list"] = Page(302, headers={"Location": f"{site.url}/inside"})
    monkeypatch.setenv("http_proxy", site.url)  # by which the test's own server answers for that name
    problem = faults(rig.feed("http://lists.example.com/list"))
    assert f"it redirects to '{site.url}'; expected https" in problem
    assert [each.path for each in site.requests] == ["http://lists.example.com/list"]


def test_nobody_there(rig: Rig) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    problem = faults(rig.feed(f"http://127.0.0.1:{port}/list?key=secret"))
    assert problem.startswith(f"http://127.0.0.1:{port}/list: the server cannot be reached: Connection refused")
    assert "secret" not in problem
    assert rig.metrics.value("retries_total", policy="feed") >= 1


def test_certificates_are_verified(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Certificate(tmp_path)
    with serve(shown) as site:
        site.pages["/list"] = Page(body=GOOD)
        problem = faults(rig.feed(f"{site.url}/list"))
        assert "the server's certificate is not trusted: self-signed certificate" in problem
        assert "SSL_CERT_FILE" in problem
        assert site.requests == []
        assert rig.metrics.value("retries_total", policy="feed") == 0
        monkeypatch.setenv("SSL_CERT_FILE", str(shown.path))
        feed = rig.feed(f"{site.url}/list")
        feed.start()
        assert feed.current == WORDS


def test_a_certificate_for_another_name_is_refused(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Certificate(tmp_path, "other.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(shown.path))
    with serve(shown) as site:
        problem = faults(rig.feed(f"{site.url}/list"))
    assert "the server's certificate is not trusted: Hostname mismatch" in problem


def test_a_server_that_says_nothing(rig: Rig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"http://127.0.0.1:{silent.getsockname()[1]}/list"
        problem = faults(rig.feed(place, limits=Limits(connect=1, read=0.2, total=10)))
    assert "the server said nothing for 0.2 s" in problem


@pytest.mark.parametrize("page", [Page(body=GOOD, drip=0.1), Page(head_drip=0.1)], ids=["body", "headers"])
def test_a_slow_drip_ends_with_the_time_for_all_of_it(page: Page, rig: Rig, site: Site) -> None:
    site.pages["/list"] = page
    feed = rig.feed(f"{site.url}/list", limits=Limits(connect=2, read=2, total=0.5))
    began = time.monotonic()
    assert "not all of it came within 0.5 s" in faults(feed)
    assert time.monotonic() - began < 3
    if page.head_drip:
        assert "an earlier attempt still hangs" in str(feed.refresh())
    site.ended.set()


def test_a_drip_in_time_is_waited_for(rig: Rig, site: Site) -> None:
    site.pages["/list"] = Page(body=GOOD, drip=0.02)
    feed = rig.feed(f"{site.url}/list")
    feed.start()
    assert feed.current == WORDS


def test_a_stop_ends_the_wait(rig: Rig, site: Site) -> None:
    site.pages["/list"] = Page(body=GOOD * 100, drip=0.1)
    threading.Timer(0.3, rig.stop.set).start()
    began = time.monotonic()
    with pytest.raises(Stopped):
        rig.feed(f"{site.url}/list").start()
    assert time.monotonic() - began < 3


def test_a_start_with_a_copy_waits_for_nobody(rig: Rig, site: Site) -> None:
    site.pages["/list"] = Page(body=GOOD)
    rig.feed(f"{site.url}/list").start()
    site.pages["/list"] = Page(503)
    feed = rig.feed(f"{site.url}/list", policy=PATIENT)
    assert feed.start() == f"{site.url}/list: the server answers 503, so it cannot give it now"
    assert feed.current == WORDS
    assert rig.metrics.value("retries_total", policy="feed") == 0


def test_proxies_of_the_environment(rig: Rig, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.pages["http://lists.example.com/list"] = Page(body=GOOD)
    monkeypatch.setenv("http_proxy", site.url.replace("//", "//user:s%20cret@"))
    monkeypatch.setenv("https_proxy", site.url.replace("//", "//user:s%20cret@"))
    feed = rig.feed("http://lists.example.com/list")
    feed.start()
    assert feed.current == WORDS
    assert site.requests[0].headers["proxy-authorization"] == "Basic dXNlcjpzIGNyZXQ="
    problem = faults(rig.feed("https://lists.example.com/list?key=secret"))
    assert "lists.example.com/list: the proxy cannot be reached: " in problem
    assert "cret" not in problem
    assert site.requests[-1].path == "CONNECT lists.example.com:443"
    monkeypatch.setenv("no_proxy", "localhost")
    site.pages["/list"] = Page(body=OTHER)
    direct = rig.feed(f"{site.url}/list")
    direct.start()
    assert site.requests[-1].path == "/list"


def test_https_by_a_proxy_is_verified_all_the_way(
    rig: Rig, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, site.tunnels = Certificate(tmp_path), True
    monkeypatch.setenv("https_proxy", site.url.replace("//", "//user:secret@"))
    with serve(shown) as lists:
        lists.pages["/list"] = Page(body=GOOD)
        assert "the server's certificate is not trusted" in faults(rig.feed(f"{lists.url}/list"))
        monkeypatch.setenv("SSL_CERT_FILE", str(shown.path))
        feed = rig.feed(f"{lists.url}/list", authorization="Bearer token")
        feed.start()
        assert feed.current == WORDS
        assert lists.requests[0].headers["authorization"] == "Bearer token"
        assert "proxy-authorization" not in lists.requests[0].headers
        assert "authorization" not in site.requests[-1].headers
        assert site.requests[-1].headers["proxy-authorization"] == "Basic dXNlcjpzZWNyZXQ="


def test_a_proxy_that_is_none_is_told(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "socks5://user:secret@127.0.0.1:1")
    problem = faults(rig.feed("https://lists.example.com/list"))
    assert "the environment's proxy is none that can be used; expected http://HOST:PORT" in problem
    assert "secret" not in problem


# And S3, as moto has it.


@contextmanager
def bucket(aws: Aws, name: str) -> Iterator[Any]:
    client = aws.client("s3")
    client.create_bucket(Bucket=name)
    try:
        yield client
    finally:
        for item in client.list_objects_v2(Bucket=name).get("Contents", ()):
            client.delete_object(Bucket=name, Key=item["Key"])
        client.delete_bucket(Bucket=name)


def test_an_object_is_asked_for_changes_only(rig: Rig, aws: Aws) -> None:
    with bucket(aws, "feeds-1") as client:
        client.put_object(Bucket="feeds-1", Key="a/list.gz", Body=gzip.compress(GOOD))
        rig.s3 = {"feeds-1": client}.__getitem__
        feed = rig.feed("s3://feeds-1/a/list.gz")
        feed.start()
        assert feed.current == WORDS
        asked: list[Any] = []
        client.meta.events.register("before-parameter-build.s3.GetObject", lambda params, **_: asked.append(params))
        feed._fetcher._limit = 1  # noqa: SLF001 - any reading would fail now
        assert feed.refresh() is None
        assert rig.counted() == (1, 1, 0)
        assert asked[0]["IfNoneMatch"].startswith('"')
        feed._fetcher._limit = LIMIT  # noqa: SLF001
        client.put_object(Bucket="feeds-1", Key="a/list.gz", Body=OTHER)
        assert feed.refresh() is None
        assert (feed.current, rig.counted()) == (OTHER_WORDS, (2, 1, 0))
        client.delete_object(Bucket="feeds-1", Key="a/list.gz")
        reason = feed.refresh()
        assert reason is not None
        assert reason.startswith("s3://feeds-1/a/list.gz: S3 answers NoSuchKey: ")
        assert reason.endswith("; check the bucket and the key")
        assert feed.current == OTHER_WORDS
        again = rig.feed("s3://feeds-1/a/list.gz")
        assert again.start() == reason
        assert again.current == OTHER_WORDS


def test_no_s3_and_none_that_answers(rig: Rig, aws: Aws) -> None:
    assert "it lies in S3, which is not asked here; give a file" in faults(rig.feed("s3://feeds-2/list"))
    rig.s3 = lambda _: aws.client("s3")
    assert "S3 answers NoSuchBucket: " in faults(rig.feed("s3://feeds-2/list"))
    gone: Any = boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url="http://127.0.0.1:9",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=BotoConfig(proxies={}, retries={"total_max_attempts": 1}),
    )
    rig.s3 = lambda _: gone
    assert "S3 cannot be reached: " in faults(rig.feed("s3://feeds-2/list"))
    assert rig.metrics.value("retries_total", policy="feed") >= 1
