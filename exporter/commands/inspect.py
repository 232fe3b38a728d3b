"""`vpcflow-exporter inspect`: what a flow-log file is and what is in it, without a document made of it."""

import json
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

import typer

from exporter import logs
from exporter.commands import local
from exporter.commands.listing import say
from exporter.config import Log
from exporter.errors import ReadError
from exporter.fields import BY_COLUMN
from exporter.flow import ByteStream, Form, Piece, S3Object
from exporter.read.formats import NOTHING
from exporter.read.reader import Reader

log = logging.getLogger("exporter.inspect")

_COUNTED = {
    "versions": "version",
    "statuses": "log_status",
    "actions": "action",
    "accounts": "account_id",
    "interfaces": "interface_id",
}
"""What is counted by value, and the column it is in."""

_MOST_VALUES = 100_000
_MOST_REASONS = 1_000
_SHOWN = 5
_GZIP = b"\x1f\x8b"
KINDS = {
    "text": "text, blanks between fields",
    "csv": "text, commas between fields",
    "stamped": "text of CloudWatch Logs' export, a time before each record",
    "json": "log events in JSON, of Firehose or CloudWatch Logs",
    "parquet": "Parquet",
}


def inspect(
    files: local.Files,
    format_: local.Format = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a file and line, for programs.")] = False,  # noqa: FBT002 - how typer takes a flag
) -> None:
    """Tell what flow-log files are and what is in them.

    That is: container, fields, records, times, actions, accounts, interfaces, and bad lines with
    why they are none. Exit status 1 where a file could not be read whole, or not one of its lines is a record.
    """
    logs.configure(Log(level="warning"))
    reader, whole = Reader(local.formats_of(format_)), True
    for file in files:
        seen = _Seen(file)
        seen.look(reader)
        for line in [json.dumps(seen.summary())] if as_json else seen.lines():
            say(line)
        whole = whole and seen.whole
    if not whole:
        raise typer.Exit(1)


@dataclass(slots=True)
class _Stored:
    """A ByteStream that keeps its first bytes and counts all of them."""

    stream: ByteStream
    first: bytes = b""
    size: int = 0

    def read(self, size: int, /) -> bytes:
        data = self.stream.read(size)
        self.first, self.size = self.first or data[:2], self.size + len(data)
        return data


@dataclass(slots=True)
class _Reason:
    """Why lines are no records: how many, and the first of them."""

    count: int
    row: int
    text: str


@dataclass(slots=True)
class _Seen:
    """What was found in a file."""

    file: str
    source: S3Object | None = None
    forms: list[Form] = field(default_factory=list)
    records: int = 0
    skipped: int = 0
    bad: int = 0
    counts: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in _COUNTED})
    first: datetime | None = None
    last: datetime | None = None
    reasons: dict[str, _Reason] = field(default_factory=dict)
    fault: str | None = None
    gzip: bool = False
    size: int = 0

    @property
    def whole(self) -> bool:
        """Whether all of it was read, and something of it is a record (or there is nothing in it)."""
        return self.fault is None and (self.records > 0 or not self.bad)

    def look(self, reader: Reader) -> None:
        """Reads the file, as far as it can be read."""
        try:
            with local.opened(self.file) as (stream, self.source):
                stored = _Stored(stream)
                try:
                    for piece in reader.read(stored, self.source):
                        self._add(piece)
                finally:
                    self.gzip, self.size = stored.first == _GZIP, stored.size
        except ReadError as error:
            self.fault = str(error)
        except OSError as error:
            self.fault = error.strerror or str(error)

    def _add(self, piece: Piece) -> None:
        frame = piece.batch.frame
        self.records, self.skipped = self.records + frame.height, self.skipped + piece.skipped
        if piece.form not in self.forms and piece.form.told_by != NOTHING:
            self.forms.append(piece.form)
        for name, column in _COUNTED.items():
            if column in frame.columns and len(self.counts[name]) < _MOST_VALUES:
                values = frame[column].drop_nulls().cast(str).value_counts()
                self.counts[name].update(dict(values.iter_rows()))
        for column in {"start", "end"}.intersection(frame.columns):
            low, high = frame[column].min(), frame[column].max()
            if isinstance(low, datetime) and isinstance(high, datetime):
                self.first, self.last = min(self.first or low, low), max(self.last or high, high)
        self.bad += len(piece.bad)
        for bad in piece.bad:
            if bad.reason in self.reasons:
                self.reasons[bad.reason].count += 1
            elif len(self.reasons) < _MOST_REASONS:
                self.reasons[bad.reason] = _Reason(1, bad.row, bad.text)

    def summary(self) -> dict[str, Any]:
        """All of it, for programs."""
        return {
            "file": self.file,
            "stored_bytes": self.size,
            "gzip": self.gzip,
            "forms": [
                {"container": form.container, "told_by": form.told_by, "fields": [_name(each) for each in form.columns]}
                for form in self.forms
            ],
            "key": {
                "account": self.source.account if self.source else None,
                "region": self.source.region if self.source else None,
            },
            "records": self.records,
            **{name: dict(_ranked(counted)) for name, counted in self.counts.items()},
            "first": self.first and f"{self.first.isoformat()}Z",
            "last": self.last and f"{self.last.isoformat()}Z",
            "skipped_lines": self.skipped,
            "bad_lines": self.bad,
            "reasons": [
                {"reason": reason, "lines": each.count, "first_row": each.row, "first_text": each.text}
                for reason, each in self.reasons.items()
            ],
            "fault": self.fault,
        }

    def lines(self) -> Iterator[str]:
        """All of it, for people."""
        yield self.file
        yield _line("stored", f"{self.size:,} bytes{', gzip' if self.gzip else ''}")
        for form in self.forms:
            yield _line("container", KINDS[form.container])
            yield _line("fields", f"{len(form.columns)} by {form.told_by} ({_versions(form)})")
            yield _line("", " ".join(_name(column) for column in form.columns))
        if self.source and (self.source.account or self.source.region):
            yield _line("by its name", f"account {self.source.account or '-'}, region {self.source.region or '-'}")
        yield _line("records", f"{self.records:,}{_each(self.counts['statuses'], prefix=': ')}")
        yield _line("versions", _each(self.counts["versions"]))
        yield _line("actions", _each(self.counts["actions"]))
        if self.first and self.last:
            yield _line("time", f"{self.first} to {self.last} UTC ({self.last - self.first})")
        yield _line("accounts", _each(self.counts["accounts"]))
        yield _line("interfaces", _each(self.counts["interfaces"]))
        if self.skipped:
            yield _line("skipped", f"{self.skipped:,} lines that are blank or a header again")
        yield from self._faults()

    def _faults(self) -> Iterator[str]:
        yield _line("bad lines", f"{self.bad:,}")
        for reason, each in sorted(self.reasons.items(), key=lambda item: -item[1].count):
            yield _line("", f"{each.count:,} x {reason}; the first is line {each.row + 1:,}:")
            yield _line("", f"    {each.text[:200]}")
        if self.fault:
            yield _line("NOT READ", self.fault)


def _line(name: str, text: str) -> str:
    return f"  {name:<12}{text or 'none'}"


def _each(counted: Counter[str], prefix: str = "") -> str:
    """The most frequent values with their counts, and how many there are besides."""
    parts = [f"{value} ({count:,})" for value, count in _ranked(counted)[:_SHOWN]]
    more = len(counted) - len(parts)
    if more:
        parts.append(f"and {more:,}{' or more' * (len(counted) >= _MOST_VALUES)} others")
    return prefix + " · ".join(parts) if parts else ""


def _ranked(counted: Counter[str]) -> list[tuple[str, int]]:
    """The most frequent first, equals by name."""
    return sorted(counted.items(), key=lambda item: (-item[1], item[0]))


def _name(column: str) -> str:
    return BY_COLUMN[column].name if column in BY_COLUMN else column.removeprefix("extra.")


def _versions(form: Form) -> str:
    """How many of the fields came with which version of records."""
    since = Counter(f"v{BY_COLUMN[column].since}" if column in BY_COLUMN else "unknown" for column in form.columns)
    ordered = sorted(since.items(), key=lambda item: (item[0] == "unknown", len(item[0]), item[0]))
    return ", ".join(f"{count} {version}" for version, count in ordered)
