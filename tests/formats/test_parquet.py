"""Parquet, by its first bytes; `log.offset` is the row in the file, from 0.

The files are written by Apache Arrow.  The types are the guide's ("Flow log fields": STRING, INT32, INT64), a field
without a value is null there.
"""

from dataclasses import replace

import pyarrow as pa
import pytest

from exporter.errors import ReadError, Unrecognised
from tests.ecs.cases import SOURCE
from tests.ecs.paths import KEYS, Paths

from .objects import Bad, Case, check, made
from .records import NODATA, NODATA_PATHS, SKIPDATA, SKIPDATA_PATHS, SSH, SSH_PATHS, V2, values
from .writing import INT32, INT64, parquet

THREE = {0: SSH_PATHS, 1: NODATA_PATHS, 2: SKIPDATA_PATHS}
ROWS = [values(record) for record in (SSH, NODATA, SKIPDATA)]
OF_KEY = replace(SOURCE, key=SOURCE.key.replace(".log.gz", ".log.parquet"))

ALL_STRINGS = dict.fromkeys(V2, pa.string())

CASES: dict[str, Case] = {
    "as AWS writes it, under its name": Case(parquet(ROWS), THREE, source=OF_KEY),
    "by its first bytes, under another name": Case(parquet(ROWS), THREE),
    "hyphens in the names": Case(parquet(ROWS, spelled="-"), THREE),
    "one word": Case(parquet(ROWS, spelled=""), THREE),
    "all strings": Case(parquet(ROWS, kinds=ALL_STRINGS), THREE),
    "all strings, - for no value": Case(
        parquet([{name: text or "-" for name, text in row.items()} for row in ROWS], kinds=ALL_STRINGS), THREE
    ),
    "all strings, empty for no value": Case(
        parquet([{name: text or "" for name, text in row.items()} for row in ROWS], kinds=ALL_STRINGS), THREE
    ),
    "all strings, null for no value": Case(
        parquet([{name: text or "null" for name, text in row.items()} for row in ROWS], kinds=ALL_STRINGS), THREE
    ),
    "long strings and bytes": Case(
        parquet(ROWS, kinds={"interface-id": pa.large_string(), "srcaddr": pa.binary(), "action": pa.binary()}), THREE
    ),
    "dictionaries": Case(
        parquet(ROWS, kinds=dict.fromkeys(("srcaddr", "action", "log-status"), pa.dictionary(pa.int32(), pa.string()))),
        THREE,
    ),
    "no dictionaries": Case(parquet(ROWS, use_dictionary=False), THREE),
    "all whole numbers INT64": Case(parquet(ROWS, kinds=dict.fromkeys(INT32 & {*V2}, pa.int64())), THREE),
    "all whole numbers INT32, where they fit": Case(
        parquet(ROWS, kinds=dict.fromkeys(INT64 & {*V2}, pa.int32())), THREE
    ),
    "unsigned numbers": Case(
        parquet(ROWS, kinds={"srcport": pa.uint16(), "protocol": pa.uint8(), "bytes": pa.uint64()}), THREE
    ),
    "accounts as numbers": Case(parquet(ROWS, kinds={"account-id": pa.int64()}), THREE),
    "accounts as numbers that had zeros in front": Case(
        parquet([row | {"account-id": "7"} for row in ROWS[:1]], kinds={"account-id": pa.int64()}),
        {0: SSH_PATHS | {"cloud.account.id": "000000000007", "aws.vpcflow.account_id": "000000000007"}},
    ),
    "an unknown account": Case(
        parquet([row | {"account-id": "unknown"} for row in ROWS[:1]]),
        {0: {path: value for path, value in SSH_PATHS.items() if path != "aws.vpcflow.account_id"} | KEYS},
    ),
    "milliseconds": Case(
        parquet([row | {"start": "1418530010000", "end": "1418530070000"} for row in ROWS[:1]]), {0: SSH_PATHS}
    ),
    "microseconds": Case(
        parquet([row | {"start": "1418530010000000", "end": "1418530070000000"} for row in ROWS[:1]]),
        {0: SSH_PATHS},
    ),
    **{f"{codec}": Case(parquet(ROWS, compression=codec), THREE) for codec in ("NONE", "SNAPPY", "GZIP", "ZSTD")},
    "the second version of pages": Case(parquet(ROWS, data_page_version="2.0"), THREE),
    "a group of rows for each row": Case(parquet(ROWS, row_group_size=1), THREE),
    "the columns in another order": Case(parquet([dict(reversed(row.items())) for row in ROWS]), THREE),
    "some of the columns": Case(
        parquet([{"bytes": "5", "log-status": "OK"}, {"bytes": None, "log-status": None}]),
        {
            0: {
                **KEYS,
                "@timestamp": "2026-01-31T12:00:00.000Z",
                "source.bytes": 5,
                "network.bytes": 5,
                "aws.vpcflow.log_status": "OK",
            },
            1: {**KEYS, "@timestamp": "2026-01-31T12:00:00.000Z"},
        },
    ),
    "columns that nobody knows": Case(
        parquet(
            [
                ROWS[0] | {"weather": "sunny", "load": "7", "empty": None},
                ROWS[1] | {"weather": None, "load": None, "empty": None},
            ],
            kinds={"load": pa.int64()},
        ),
        {
            0: SSH_PATHS | {"aws.vpcflow.extra": {"weather": "sunny", "load": "7"}},
            1: NODATA_PATHS,
        },
    ),
    "tags are percent-encoded there too": Case(
        parquet([{"version": "11", "instance-tag": "Stra%C3%9Fe%207", "asg-tag": None}]),
        {
            0: {
                **KEYS,
                "@timestamp": "2026-01-31T12:00:00.000Z",
                "aws.vpcflow.version": "11",
                "aws.vpcflow.instance_tag": "Straße 7",
            }
        },
    ),
    "a row of nulls": Case(parquet([dict.fromkeys(V2)]), {0: {**KEYS, "@timestamp": "2026-01-31T12:00:00.000Z"}}),
    "no rows": Case(parquet(ROWS[:0], names=V2), {}),
    "numbers that are none, in columns of numbers": Case(
        parquet([ROWS[0] | {"srcport": "70000"}, ROWS[0], ROWS[0] | {"bytes": "-1"}, ROWS[1]]),
        {1: SSH_PATHS, 3: NODATA_PATHS},
        bad=(Bad(0, "srcport", SSH.replace("20641", "70000")), Bad(2, "bytes", SSH.replace("4249", "-1"))),
    ),
    "values that are none, in columns of strings": Case(
        parquet([ROWS[0] | {"srcport": "ssh"}, ROWS[0], ROWS[0] | {"dstaddr": "::g"}], kinds=ALL_STRINGS),
        {1: SSH_PATHS},
        bad=(Bad(0, "srcport", SSH.replace("20641", "ssh")), Bad(2, "dstaddr", SSH.replace("172.31.16.21", "::g"))),
    ),
    "numbers with a fraction of nothing, as pandas makes them of numbers with gaps": Case(
        parquet(ROWS, kinds=dict.fromkeys(("srcport", "dstport", "packets", "bytes"), pa.float64())), THREE
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_parquet(case: Case) -> None:
    check(case)


def test_many_groups_of_rows() -> None:
    """Rows keep their numbers over the groups; 40 windows without records and a flow in the middle of each 10."""
    records = [ROWS[0] if row % 10 == 5 else ROWS[1] for row in range(40)]
    expected: dict[int, Paths] = {row: SSH_PATHS if row % 10 == 5 else NODATA_PATHS for row in range(40)}
    check(Case(parquet(records, row_group_size=7), expected))


WHOLE = parquet(ROWS)


@pytest.mark.parametrize("data", [WHOLE[:-9], WHOLE[:200], b"PAR1", b"PAR1" + b"\xff" * 100 + b"PAR1"])
def test_a_file_that_breaks_off_is_set_aside(data: bytes) -> None:
    result = made(data)
    assert isinstance(result.error, ReadError)
    assert "Parquet" in str(result.error)
    assert (result.documents, result.bad) == ({}, [])


def test_a_table_of_something_else_is_set_aside() -> None:
    result = made(parquet([{"name": "a", "price": "1", "bytes": "2"}]))
    assert isinstance(result.error, Unrecognised)
    assert "name, price, bytes" in str(result.error)
    assert (result.documents, result.bad) == ({}, [])
