"""What the fuzzer starts from: a real small file of every kind, made here, and the words that files are made of."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import polars as pl

from exporter.fields import FIELDS
from exporter.simulate.containers import FORMATS, Format
from exporter.simulate.incidents import INCIDENTS
from exporter.simulate.plan import plausible
from exporter.simulate.scene import Scene
from exporter.simulate.traffic import Order, frames
from fuzz.cases import ODD_PARQUET, PACKINGS
from fuzz.columns import COMPRESSIONS, NAMES

RECORDS = 12
SEED = 4
START = int(datetime(2026, 1, 5, 12, tzinfo=UTC).timestamp())

TRANSIT = (
    "version resource-type account-id tgw-id tgw-attachment-id tgw-src-vpc-account-id tgw-src-eni srcaddr dstaddr "
    "srcport dstport protocol packets bytes start end log-status type packets-lost-no-route tcp-flags region\n"
    "6 TransitGateway 123456789012 tgw-0a1 tgw-attach-0b1 012345678901 - 10.1.0.7 10.2.0.9 47000 443 6 9 1250 "
    "1767614400 1767614460 OK IPv4 0 19 us-east-1\n"
    "6 TransitGateway 123456789012 tgw-0a1 tgw-attach-0b2 - - - - - - - - - 1767614400 1767614460 NODATA - - - -\n"
)

LATEST = (
    "account-id end instance-tag ecs-task-id reject-reason encryption-status flavour\n"
    "123456789012 1767614460 t%C3%A4g abc BPA 3 sweet\n"
    "unknown 1767614460000 - - EC 0 -\n"
)

EDGES = (
    "end srcaddr bytes dstport protocol tcp-flags action interface-tag\n"
    "0 ::ffff:10.0.0.1 9223372036854775807 65535 255 65535 + %\n"
    '253402300799000000 2600:1f18:4000:a00::5 0 0 0 0 " %C3%A4\n'
    "253402300800000000 10.0.0.1 1 1 1 1 ACCEPT a\n"
    "99999999999 10.0.0.256 9223372036854775808 65536 256 65536 \\ %ff\n"
    "100000000000 0.0.0.0 -0 +5 06 1e3 null -\n"
)
"""The last values that are right, and the first ones that are not."""


def seeds() -> Iterator[tuple[str, bytes]]:
    """A name and an input for each kind of file."""
    texts = _texts()
    for number, (name, text) in enumerate(texts.items()):
        yield name, bytes((number % 2, (16 if name == "configured" else 0) + number % 8)) + text
    for packing in range(len(PACKINGS)):
        yield f"v5 packed in way {packing}", bytes((packing, 0b100)) + texts["v5"]
        yield f"envelopes packed in way {packing}", bytes((packing, 0b110)) + texts["envelopes"]
    for compression in COMPRESSIONS:
        yield f"parquet {compression}", b"\0\0" + _parquet(_records("v2"), compression)
    yield "parquet with hyphens", b"\0\1" + _parquet(_records("v3").rename(lambda name: name.replace("_", "-")), "gzip")
    for first in range(0, len(NAMES), 12):
        yield f"columns from {first}", bytes((ODD_PARQUET, 1, RECORDS, 8)) + _columns(first)


def words() -> Iterator[bytes]:
    """Parts that an input is mutated with."""
    yield from (field.name.encode() for field in FIELDS)
    yield from (name.encode() for name in NAMES if name.isascii() and name.isprintable() and len(name) < 60)  # noqa: PLR2004
    yield from (b"\r\n", b"\n\n", b"\xef\xbb\xbf", b" - ", b" -\n", b',"', b'","', b',,"', b"null", b"NULL", b"NODATA")
    yield from (b'{"message":"', b'"}\n', b'}{"', b'"logEvents":[', b'"messageType":"CONTROL_MESSAGE"', b"\\u0000")
    yield from (b"2026-01-05T12:00:00.000Z ", b"PAR1", b"\x1f\x8b\x08", b"\x1f", b"2 123456789012 eni-", b"\xff")
    yield from (
        b"::ffff:10.0.0.1",
        b"65536",
        b"9223372036854775808",
        b"253402300800000000",
        b"99999999999",
        b"-0",
        b"+5",
        b"unknown",
    )


def write(folder: Path) -> None:
    """The seeds as the files of a corpus."""
    for name, data in seeds():
        (folder / name.replace(" ", "-")).write_bytes(data)


def write_words(path: Path) -> None:
    """The words as a dictionary of libFuzzer's."""
    lines = ("".join(f"\\x{octet:02x}" for octet in word) for word in dict.fromkeys(words()) if word)
    path.write_text("".join(f'"{line}"\n' for line in lines), encoding="ascii")


def _records(version: str) -> pl.DataFrame:
    order = Order(START, START + 300, RECORDS, SEED, INCIDENTS[:1])
    made = pl.concat(frames(Scene.of(plausible(SEED), SEED), order))
    return Format.of(FORMATS[version]).table(made.gather_every(max(1, made.height // RECORDS)))


def _texts() -> dict[str, bytes]:
    """Text of every dialect, by name."""
    two, five = (Format.of(FORMATS[version]) for version in ("v2", "v5"))
    plain, full = two.lines(_records("v2")), five.lines(_records("v5"))
    commas = plain.replace(b" ", b",")
    rows = [line.decode() for line in plain.splitlines()]
    events = [{"id": "3", "timestamp": 1_767_614_400_000, "message": row} for row in rows]
    envelope: Callable[..., str] = lambda events, kind="DATA_MESSAGE": json.dumps(  # noqa: E731
        {"messageType": kind, "owner": "123456789012", "logGroup": "flows", "logEvents": events}
    )
    return {
        "v2": two.header + plain,
        "v5": five.header + full,
        "headerless": plain,
        "configured": b"".join(b" ".join(line.split()[2:7]) + b" 9\n" for line in plain.splitlines()),
        "commas": two.header.replace(b" ", b",") + commas.replace(b"-,", b","),
        "quoted": b"".join(
            b",".join(b'"%s"' % word for word in line.split()) + b"\n" for line in (two.header + plain).splitlines()
        ),
        "stamped": b"".join(b"2026-01-05T12:00:00.000Z " + line + b"\n" for line in plain.splitlines()),
        "windows": b"\xef\xbb\xbf" + (two.header + plain).replace(b"\n", b"\r\n"),
        "concatenated": two.header + plain + five.header + full + b"\n\n" + two.header + plain.rstrip(b"\n"),
        "bad": two.header + plain[:300] + b"\n+5 x\n  doubled  blanks \n\xff\n" + plain,
        "transit": TRANSIT.encode(),
        "latest": LATEST.encode(),
        "edges": EDGES.encode(),
        "messages": "".join(json.dumps({"message": row}) + "\n" for row in rows).encode(),
        "messages in a row": "".join(json.dumps({"message": row}) for row in rows).encode(),
        "envelopes": (envelope([], "CONTROL_MESSAGE") + envelope(events[:4]) + envelope(events[4:])).encode(),
    }


def _parquet(records: pl.DataFrame, compression: str) -> bytes:
    data = BytesIO()
    records.write_parquet(data, compression=compression, row_group_size=RECORDS // 2)  # type: ignore[arg-type]
    return data.getvalue()


def _columns(first: int) -> bytes:
    """The choices of `odd_parquet` for eight columns of text or numbers, whose values come in turn."""
    return b"".join(
        bytes((first + place, place % 3, *(octet for row in range(RECORDS) for octet in (0, row + 13 * (place % 2)))))
        for place in range(8)
    )
