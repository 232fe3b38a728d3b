"""Small objects that inflate to a GiB: memory and time stay in bounds.  Each runs in a process of its own."""

import subprocess
import sys
from fnmatch import fnmatchcase

import pytest

from .records import ACCEPTED, V2

BOMBS = {
    "zeros": (b"", b"\0" * 2**20, 1024, "0|0|a line is longer than 8,388,608 bytes"),
    "newlines": (V2, b"\n" * 2**20, 1024, "0|1073741824|None"),
    "fields without end": (V2, b"a " * 2**19, 1024, "0|0|a line is longer than 8,388,608 bytes"),
    "lines of millions of fields": (V2, b"a " * 4_000_000 + b"\n", 3, "3|0|None"),
    "bad lines": (V2, b"x\n" * 2**19, 1024, "262146|0|more than 200,000 lines are no records: the rest was not read"),
    "commas without end": (b"dstport,action\n", b"," * 2**20, 1024, "0|0|a line is longer than 8,388,608 bytes"),
    "quotes without end": (b"dstport,action\n", b'"' * 2**20, 1024, "0|0|a line is longer than 8,388,608 bytes"),
    "lines of millions of commas": (b"dstport,action\n", b"," * 8_000_000 + b"\n", 3, "3|0|None"),
    "JSON without end": (b'{"message":"', b"a" * 2**20, 1024, "0|0|a line is longer than 8,388,608 bytes"),
    "JSON of nothing": (
        b'{"message":"' + ACCEPTED[:-1] + b'"}',
        b'{"logEvents":[' + b"{}," * 2_700_000 + b"{}]}\n",
        2,
        "2|0|None",
    ),
    "nested JSON": (
        b'{"message":"' + ACCEPTED[:-1] + b'"}',
        (b'{"a":' * 200_000 + b"1" + b"}" * 200_000) + b"\n",
        20,
        "20|0|None",
    ),
    "log events without records": (
        b'{"message":"' + ACCEPTED[:-1] + b'"}',
        b'{"message":"x"}' * 2**16,
        400,
        "2?????|0|more than 200,000 lines are no records: the rest was not read",
    ),
    "two headers": (
        V2,
        b"end\n1\nstart\n1\n" * 2**16,
        1024,
        "0|1002|more than 1,000 headers of another format: the rest was not read",
    ),
}
"""A first piece, a block and how often it comes, and what is counted: bad lines, skipped lines, and the error.

Bad lines are counted once a part, which ends at the first line end behind 256 KiB: 131,073 of them here.  `?` is any
digit.
"""

_MEASURE = """
import re, sys
from isal import isal_zlib
from tests.read.objects import SOURCE
from exporter.errors import ReadError
from exporter.read.reader import Reader

head, block, count = eval(sys.stdin.read())

class Bomb:
    def __init__(self):
        self.packer, self.left, self.data = isal_zlib.compressobj(1, wbits=31), count, b""
        self.data = self.packer.compress(head)
    def read(self, size, /):
        while len(self.data) < size and self.left >= 0:
            self.left -= 1
            self.data += self.packer.flush() if self.left < 0 else self.packer.compress(block)
        data, self.data = self.data[:size], self.data[size:]
        return data

error, bad, skipped = None, 0, 0
try:
    for piece in Reader(most_bad_lines=200_000).read(Bomb(), SOURCE):
        bad, skipped = bad + len(piece.bad), skipped + piece.skipped
except ReadError as caught:
    error = caught
peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]
print(peak, bad, skipped, error, sep="|")
"""


@pytest.mark.parametrize("name", BOMBS)
def test_a_gzip_bomb_stays_in_bounds(name: str) -> None:
    head, block, count, expected = BOMBS[name]
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", _MEASURE],
        input=repr((head, block, count)),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    kib, _, counted = done.stdout.strip().partition("|")
    assert fnmatchcase(counted, expected)
    assert int(kib) < 300 * 1024
