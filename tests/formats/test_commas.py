"""Fields between commas, as Athena and spreadsheets write them; `log.offset` is the physical line, the header 0."""

import gzip

import pytest

from exporter.errors import Unrecognised

from .objects import Bad, Case, check, formats, made
from .records import HEADER, NODATA, NODATA_PATHS, REGION, SSH, SSH_FLOW, SSH_PATHS, V2, lines, values
from .writing import by_python, plain, quoted

NAMES = [name.replace("-", "_") for name in V2]
ATHENA = [
    "version",
    "account",
    "interfaceid",
    "sourceaddress",
    "destinationaddress",
    "sourceport",
    "destinationport",
    "protocol",
    "numpackets",
    "numbytes",
    "starttime",
    "endtime",
    "action",
    "logstatus",
]
SSH_VALUES, NODATA_VALUES = list(values(SSH).values()), list(values(NODATA).values())
TWO = {1: SSH_PATHS, 2: NODATA_PATHS}


ROWS = (NAMES, SSH_VALUES, NODATA_VALUES)
NUMBERED = [None if value is None else value.lstrip("0") for value in values(SSH.replace("123456789010", "7")).values()]

CASES: dict[str, Case] = {
    "no quotes, nothing for no value": Case(plain(*ROWS), TWO),
    "no quotes, - for no value": Case(plain(*ROWS, missing="-"), TWO),
    "no quotes, null for no value": Case(plain(*ROWS, missing="null"), TWO),
    "quotes, nothing for no value": Case(quoted(*ROWS), TWO),
    "quotes, empty quotes for no value": Case(quoted(*ROWS, missing='""'), TWO),
    "quotes, - for no value": Case(quoted(*ROWS, missing='"-"'), TWO),
    "quotes, null for no value": Case(quoted(*ROWS, missing='"null"'), TWO),
    "quotes in the header only": Case(quoted(NAMES) + plain(SSH_VALUES, NODATA_VALUES), TWO),
    "quotes in the lines only": Case(plain(NAMES) + quoted(SSH_VALUES, NODATA_VALUES), TWO),
    "some fields in quotes": Case(
        plain(NAMES) + b'2,123456789010,"eni-1235b8ca123456789",172.31.16.139,"172.31.16.21",20641,22,6,20,4249,'
        b'1418530010,1418530070,"ACCEPT",OK\n' + plain(NODATA_VALUES),
        TWO,
    ),
    "by Python": Case(by_python(*ROWS), TWO),
    "gzip": Case(gzip.compress(quoted(*ROWS)), TWO),
    "a byte-order mark": Case(b"\xef\xbb\xbf" + quoted(*ROWS), TWO),
    "CRLF": Case(plain(*ROWS, end="\r\n"), TWO),
    "a blank behind each comma": Case(plain(*ROWS, missing="-").replace(b",", b", "), TWO),
    "the last newline missing": Case(quoted(*ROWS)[:-1], TWO),
    "an empty last line": Case(quoted(*ROWS) + b"\n", TWO, skipped=1),
    "the header again in the middle": Case(
        quoted(NAMES, SSH_VALUES, NAMES, NODATA_VALUES), {1: SSH_PATHS, 3: NODATA_PATHS}, skipped=1
    ),
    "the names of the guide's first Athena table": Case(quoted(ATHENA, SSH_VALUES, NODATA_VALUES), TWO),
    "hyphens": Case(plain(list(V2), SSH_VALUES, NODATA_VALUES), TWO),
    "a value first that is none": Case(
        plain(["log_status", "version", "bytes"], [None, "2", None], ["OK", None, None]),
        {
            1: {
                **REGION,
                "cloud.account.id": "012345678901",
                "@timestamp": "2026-01-31T12:00:00.000Z",
                "aws.vpcflow.version": "2",
            },
            2: {
                **REGION,
                "cloud.account.id": "012345678901",
                "@timestamp": "2026-01-31T12:00:00.000Z",
                "aws.vpcflow.log_status": "OK",
            },
        },
    ),
    "accounts that were numbers once": Case(
        plain(NAMES, NUMBERED),
        {1: SSH_PATHS | {"cloud.account.id": "000000000007", "aws.vpcflow.account_id": "000000000007"}},
    ),
    "milliseconds": Case(
        quoted(
            NAMES,
            [
                value + "000" if value and name in ("start", "end") else value
                for name, value in zip(NAMES, SSH_VALUES, strict=True)
            ],
        ),
        {1: SSH_PATHS},
    ),
    "a column that nobody knows, with commas, quotes and blanks in it": Case(
        by_python([*NAMES, "comment"], [*SSH_VALUES, 'a, "b"  c'], [*NODATA_VALUES, None]),
        {1: SSH_PATHS | {"aws.vpcflow.extra.comment": 'a, "b"  c'}, 2: NODATA_PATHS},
    ),
    "Athena's partitions beside the fields": Case(
        quoted([*NAMES, "region", "year"], [*SSH_VALUES, "us-east-1", "2014"]),
        {1: {**SSH_FLOW, "aws.vpcflow.version": "2", "cloud.region": "us-east-1", "aws.vpcflow.extra.year": "2014"}},
    ),
    "no header: the version 2 default": Case(
        plain(SSH_VALUES, NODATA_VALUES, missing="-"), {0: SSH_PATHS, 1: NODATA_PATHS}
    ),
    "no header: as configured": Case(
        quoted(SSH_VALUES[::-1], NODATA_VALUES[::-1]),
        {0: SSH_PATHS, 1: NODATA_PATHS},
        formats=formats(("the configuration", " ".join(V2[::-1]))),
        told_by="the configuration",
    ),
    "a field too few and a field too many": Case(
        plain(NAMES, SSH_VALUES[:-1], SSH_VALUES, [*SSH_VALUES, "x"], NODATA_VALUES),
        {2: SSH_PATHS, 4: NODATA_PATHS},
        bad=(
            Bad(1, "13 fields where the format has 14", plain(SSH_VALUES[:-1]).decode()[:-1]),
            Bad(3, "15 fields where the format has 14", plain([*SSH_VALUES, "x"]).decode()[:-1]),
        ),
    ),
    "a port that is none, in quotes": Case(
        quoted(NAMES, SSH_VALUES) + quoted(SSH_VALUES).replace(b'"20641"', b'"70000"'),
        {1: SSH_PATHS},
        bad=(Bad(2, "srcport", quoted(SSH_VALUES).decode()[:-1].replace('"20641"', '"70000"')),),
    ),
    "a quote that does not end": Case(
        quoted(NAMES, SSH_VALUES) + b'"2,123456789010\n' + quoted(NODATA_VALUES),
        {1: SSH_PATHS, 3: NODATA_PATHS},
        bad=(Bad(2, "1 field where the format has 14", '"2,123456789010'),),
    ),
    "nothing but a header": Case(quoted(NAMES), {}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_commas(case: Case) -> None:
    check(case)


def test_the_two_ways_of_writing_do_not_mix() -> None:
    """A line between blanks is no record where the header has commas, and the other way round."""
    comma, blank = plain(SSH_VALUES).decode()[:-1], SSH
    check(
        Case(
            plain(NAMES) + lines(blank, comma),
            {2: SSH_PATHS},
            bad=(Bad(1, "1 field where the format has 14", blank),),
        )
    )
    check(
        Case(
            lines(HEADER, comma, blank),
            {2: SSH_PATHS},
            bad=(Bad(1, "1 field where the format has 14", comma),),
        )
    )


@pytest.mark.parametrize("first", ["a,b,c", "1,2,3", plain(SSH_VALUES[::-1]).decode()])
def test_what_is_set_aside(first: str) -> None:
    result = made(first.encode())
    assert isinstance(result.error, Unrecognised)
    assert (result.documents, result.bad) == ({}, [])
