"""What databases say of the addresses of a batch, and what becomes of databases that change."""

import json
import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from exporter.enrich.locality import locality
from exporter.errors import ConfigError, Fault
from exporter.flow import Batch
from exporter.lists import places
from exporter.lists.places import Places
from exporter.metrics import Metrics
from tests.enrich.cases import batch

from .mmdb_files import MAXMIND_ASN, MAXMIND_CITY, write

FRANCE = {"country": {"iso_code": "FR", "names": {"en": "France"}}}
JAPAN = {"country": "JP", "country_name": "Japan", "asn": "AS2519", "as_name": "ARTERIA"}
FRENCH, JAPANESE = (
    '{"country_iso_code":"FR","country_name":"France"}',
    '{"country_iso_code":"JP","country_name":"Japan"}',
)
ARTERIA, TELSTRA = (
    '{"number":2519,"organization":{"name":"ARTERIA"}}',
    '{"number":1221,"organization":{"name":"Telstra Pty Ltd"}}',
)


def flows(*texts: str | None) -> Batch:
    """A batch with a record for each address, null for none, and the locality of each distinct one."""
    plain = batch({"srcaddr": texts, "dstaddr": [None for _ in texts]})
    return plain.with_about(locality(plain.addresses).alias("locality"))


def said(databases: Places, *texts: str) -> dict[str, tuple[str | None, str | None]]:
    """What the databases say of each address: `geo` and `as`."""
    done = databases(flows(*texts))
    assert done.about is not None
    assert done.about.schema == {"locality": pl.String, "geo": pl.String, "as": pl.String}
    rows = zip(done.addresses.text, done.about["geo"], done.about["as"], strict=True)
    return {text: (geo, network) for text, geo, network in rows}


def opened(*paths: Path, metrics: Metrics | None = None, spool: Path | None = None) -> Places:
    """Databases that are open."""
    databases = Places(paths, metrics or Metrics(), spool)
    databases.open()
    return databases


def replaced(path: Path, networks: Mapping[str, Any]) -> None:
    """Another file under the same name, as tools that renew databases do it."""
    write(path.with_suffix(".new"), networks).replace(path)


def reads(metrics: Metrics, feed: str = "x.mmdb") -> dict[str, float]:
    """How often each came of looking at the file."""
    each = {outcome: metrics.value("feed_reads_total", feed=feed, outcome=outcome) for outcome in OUTCOMES}
    return {outcome: count for outcome, count in each.items() if count}


OUTCOMES = ("changed", "unchanged", "failed")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database of all IPv4 and IPv6 addresses, in France."""
    return write(
        tmp_path / "x.mmdb", {"0.0.0.0/1": FRANCE, "128.0.0.0/1": FRANCE, "2000::/3": FRANCE, "fc00::/6": FRANCE}
    )


def test_only_external_addresses_are_anywhere(path: Path) -> None:
    french, nowhere = (FRENCH, None), (None, None)
    expected = {
        "1.2.3.4": french,
        "2600:1f18::5": french,
        "10.0.0.1": nowhere,
        "100.64.0.1": nowhere,
        "127.0.0.1": nowhere,
        "169.254.1.1": nowhere,
        "224.0.0.1": nowhere,
        "203.0.113.9": nowhere,
        "fd12::1": nowhere,
        "192.0.1.0": french,
    }
    assert said(opened(path), *expected) == expected


def test_records_stay_as_they_are(path: Path) -> None:
    before = flows("1.2.3.4", None, "10.0.0.1", "1.2.3.4")
    after = opened(path)(before)
    assert after.frame.equals(before.frame)
    assert after.about is not None
    assert after.about["locality"].to_list() == ["external", "internal"]
    assert after.about["geo"].to_list() == [FRENCH, None]


def test_a_batch_without_addresses(path: Path) -> None:
    assert said(opened(path)) == {}


def test_a_batch_of_which_no_locality_is_known_stays_as_it_is(path: Path) -> None:
    plain = batch({"srcaddr": ["1.2.3.4"]})
    assert opened(path)(plain) is plain


def test_no_databases_say_nothing(path: Path) -> None:
    assert said(Places([], Metrics()), "1.2.3.4") == {"1.2.3.4": (None, None)}
    assert said(Places([path], Metrics()), "1.2.3.4") == {"1.2.3.4": (None, None)}


def test_a_whole_place(tmp_path: Path) -> None:
    databases = opened(write(tmp_path / "x.mmdb", {"1.0.0.0/8": MAXMIND_CITY, "2.0.0.0/8": MAXMIND_ASN}))
    geo, network = said(databases, "1.2.3.4")["1.2.3.4"]
    assert network is None
    assert json.loads(geo or "") == {
        "city_name": "Boxford",
        "continent_code": "EU",
        "continent_name": "Europe",
        "country_iso_code": "GB",
        "country_name": "United Kingdom",
        "postal_code": "OX1",
        "region_iso_code": "GB-WBK",
        "region_name": "West Berkshire",
        "timezone": "Europe/London",
        "location": {"lat": 51.75, "lon": -1.25},
    }


def test_the_first_database_that_says_something_counts(tmp_path: Path) -> None:
    first = write(tmp_path / "first.mmdb", {"1.0.0.0/8": FRANCE, "3.0.0.0/8": {"isp": "X"}})
    second = write(tmp_path / "second.mmdb", {"1.0.0.0/8": JAPAN, "2.0.0.0/8": JAPAN, "2600::/16": JAPAN}, version=6)
    third = write(tmp_path / "third.mmdb", {"0.0.0.0/1": MAXMIND_ASN}, version=4)
    assert said(opened(first, second, third), "1.0.0.1", "2.0.0.1", "3.0.0.1", "2600::1", "2700::1") == {
        "1.0.0.1": (FRENCH, ARTERIA),
        "2.0.0.1": (JAPANESE, ARTERIA),
        "3.0.0.1": (None, TELSTRA),
        "2600::1": (JAPANESE, ARTERIA),
        "2700::1": (None, None),  # the third knows IPv4 only
    }


def test_all_databases_that_cannot_be_used_are_told_at_once(path: Path, tmp_path: Path) -> None:
    missing, broken, useless = tmp_path / "none.mmdb", tmp_path / "broken.mmdb", tmp_path / "useless.mmdb"
    broken.write_text("<html>")
    write(useless, {"1.0.0.0/8": {"is_anonymous": True, "is_tor_exit_node": True}}, kind="GeoIP2-Anonymous-IP")
    metrics = Metrics()
    with pytest.raises(ConfigError) as raised:
        opened(missing, path, broken, tmp_path, useless, metrics=metrics)
    faults = raised.value.faults
    assert [fault.path for fault in faults] == [f"enrich.geoip.databases[{place}]" for place in (0, 2, 3, 4)]
    assert faults[0].problem == f"{missing}: cannot be read: No such file or directory"
    assert faults[1].problem.startswith(
        f"{broken}: is no whole database of the MaxMind DB format (.mmdb); has all of it been downloaded?"
    )
    assert faults[2] == Fault("enrich.geoip.databases[3]", f"{tmp_path}: expected a file, found a folder")
    assert faults[3].problem == (
        f"{useless}: a database of type 'GeoIP2-Anonymous-IP' holds no places and no autonomous systems in a known "
        "layout among its first 10,000 records; expected one such as GeoLite2-City or GeoLite2-ASN"
    )
    assert reads(metrics, "none.mmdb") == {"failed": 1}
    assert reads(metrics) == {"changed": 1}


def test_a_database_without_records(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no places and no autonomous systems"):
        opened(write(tmp_path / "x.mmdb", {"1.0.0.0/8": {}}))


def test_a_new_file_is_taken_and_an_old_one_left_alone(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    databases = opened(path, metrics=metrics)
    assert said(databases, "1.2.3.4")["1.2.3.4"] == (FRENCH, None)
    assert databases.refresh() == {}
    assert reads(metrics) == {"changed": 1, "unchanged": 1}
    replaced(path, {"1.0.0.0/8": JAPAN})
    assert said(databases, "1.2.3.4")["1.2.3.4"] == (FRENCH, None)
    assert databases.refresh() == {}
    assert said(databases, "1.2.3.4", "2.2.3.4") == {"1.2.3.4": (JAPANESE, ARTERIA), "2.2.3.4": (None, None)}
    assert reads(metrics) == {"changed": 2, "unchanged": 1}
    assert metrics.value("feed_time_seconds", feed="x.mmdb") > 1_700_000_000
    assert caplog.messages == []


def test_a_broken_file_leaves_what_was_read_in_use(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    databases = opened(path, metrics=metrics)
    good = path.with_suffix(".good")
    shutil.copy2(path, good)
    since = metrics.value("feed_time_seconds", feed="x.mmdb")
    path.write_text("<!doctype html>")
    for _ in range(3):
        (reason,) = databases.refresh().items()
        assert reason[0] == "x.mmdb"
        assert reason[1].startswith(f"{path}: is no whole database of the MaxMind DB format")
    assert said(databases, "1.2.3.4")["1.2.3.4"] == (FRENCH, None)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("the database x.mmdb cannot be renewed, what was read stays in use: ")
    path.unlink()
    assert databases.refresh() == {"x.mmdb": f"{path}: cannot be read: No such file or directory"}
    assert len(caplog.messages) == 2
    assert reads(metrics) == {"changed": 1, "failed": 4}
    assert metrics.value("feed_time_seconds", feed="x.mmdb") == since
    good.replace(path)
    with caplog.at_level("INFO"):
        assert databases.refresh() == {}
    assert caplog.messages[2:] == ["the database x.mmdb can be read again"]
    assert reads(metrics) == {"changed": 2, "failed": 4}


@pytest.mark.parametrize("size", [0, 100])
def test_a_file_may_be_written_over_while_it_is_in_use(path: Path, tmp_path: Path, size: int) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    databases = opened(path, spool=spool)
    os.truncate(path, size)
    assert said(databases, "1.2.3.4")["1.2.3.4"] == (FRENCH, None)
    assert list(databases.refresh()) == ["x.mmdb"]
    write(path, {"1.0.0.0/8": JAPAN})
    assert databases.refresh() == {}
    assert said(databases, "1.2.3.4")["1.2.3.4"] == (JAPANESE, ARTERIA)
    assert list(spool.iterdir()) == []


def test_damage_in_the_middle_costs_the_records_that_it_hits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "x.mmdb", {"1.0.0.0/8": JAPAN, "2.0.0.0/8": FRANCE, "3.0.0.0/8": MAXMIND_ASN})
    content = path.read_bytes()
    assert content.count(b"\x46France") == 1
    path.write_bytes(content.replace(b"\x46France", b"\x46Fran\xff\xff"))
    metrics = Metrics()
    databases = opened(path, write(tmp_path / "y.mmdb", {"2.0.0.0/9": JAPAN}), metrics=metrics)
    expected = {
        "1.0.0.1": (JAPANESE, ARTERIA),
        "2.0.0.1": (JAPANESE, ARTERIA),
        "2.200.0.1": (None, None),
        "3.0.0.1": (None, TELSTRA),
    }
    assert databases.refresh() == {}
    for times in (1, 2):
        assert said(databases, *expected) == expected
        assert reads(metrics) == {"changed": 1, "unchanged": 1, "failed": times}
    said(databases, "1.0.0.1")
    assert reads(metrics) == {"changed": 1, "unchanged": 1, "failed": 2}
    (told,) = caplog.messages
    assert told.startswith(
        "the database x.mmdb is damaged, it says nothing of some addresses: its record for 2.0.0.1 is"
    )
    (reason,) = databases.refresh().values()
    assert told.endswith(reason)
    replaced(path, {"2.0.0.0/8": FRANCE})
    assert databases.refresh() == {}


def test_files_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    paths = [tmp_path / folder / "x.mmdb" for folder in "ab"]
    metrics = Metrics()
    for path in paths:
        path.parent.mkdir()
        write(path, {"1.0.0.0/8": FRANCE})
    opened(*paths, metrics=metrics)
    assert [reads(metrics, str(path)) for path in paths] == [{"changed": 1}, {"changed": 1}]


def test_batches_may_pass_while_databases_change(path: Path) -> None:
    databases, some = opened(path), flows(*(f"{part}.2.3.4" for part in range(1, 9)))
    whole = {(FRENCH, None), (JAPANESE, ARTERIA)}

    def pass_some(_: int) -> set[tuple[str | None, str | None]]:
        about = databases(some).about
        assert about is not None
        return set(about.select("geo", "as").iter_rows())

    with ThreadPoolExecutor(4) as pool:
        passed = pool.map(pass_some, range(200))
        for _ in range(20):
            for record in (JAPAN, FRANCE):
                replaced(path, {"0.0.0.0/1": record})
                assert databases.refresh() == {}
    found = list(passed)
    assert all(len(each) == 1 for each in found)  # one batch sees one state of a database
    assert set.union(*found) <= whole


def test_texts_are_kept_up_to_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MOST_TEXTS", 3)
    databases = opened(write(tmp_path / "x.mmdb", {f"{part}.0.0.0/8": {"asn": part} for part in range(20, 30)}))
    expected = {f"{part}.0.0.1": (None, f'{{"number":{part}}}') for part in range(20, 30)}
    for _ in range(2):
        assert said(databases, *expected) == expected
    in_use = databases._files[0].in_use  # noqa: SLF001 - memory shows nowhere else
    assert in_use is not None
    assert 0 < len(in_use.texts) <= 3
