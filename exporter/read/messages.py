"""Log events in JSON to their records' lines: what Firehose and CloudWatch Logs leave in a bucket.

An object of Firehose's is one JSON object after another, with a newline between them or without.  Each either has a
`message`, which is a record (a flow log that Firehose takes directly), or it is what a subscription of CloudWatch Logs
delivers: `logEvents`, a list of such objects, or a control message without any.  Source: the AWS guides' "Publish flow
logs to Amazon Data Firehose" and "Real-time processing of log data with subscriptions".
"""

import json
import re
from collections.abc import Iterator

import polars as pl

from exporter.errors import Damaged
from exporter.read.columns import line_count
from exporter.read.lines import BOM

CONTAINER = "json"

_SEAM, _SPLIT_SEAM = b'}{"', b'}\n{"'
"""Where two objects meet; inside a string the quote would have a backslash before it, but for a string's last one: a
text that ends in `}{` is cut in two, and no record has one.
"""

_MESSAGE = b'"message"'
_ODD = re.compile(rb'"message"\s*:\s*[^"\s]')
"""A message that is no string, which polars takes for text."""

_MOST_PARTS = 100_000
"""Objects and lists in a line of JSON: 8 MiB of empty ones would become some hundred MiB."""

_ESCAPE = b"\\u"
"""A character by its number: polars takes half a surrogate pair for a zero."""


def on_lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same text, with a newline wherever two objects meet."""
    held = b""
    try:
        for chunk in chunks:
            text = held + chunk
            if _SEAM in text:
                text = text.replace(_SEAM, _SPLIT_SEAM)
            kept = len(text) - len(_SEAM) + 1
            held = text[kept:] if kept > 0 else text
            yield text[: max(kept, 0)]
    except Damaged:
        yield held
        raise
    yield held


def events(text: bytes) -> bytes:
    """The records of whole lines of JSON, one a line.

    What is no such JSON, or has no record, stays as it stands, for the reader to say so.
    """
    if text.count(_MESSAGE) == line_count(text) and _ESCAPE not in text and not _ODD.search(text):
        records = _messages(text)
        if records is not None:
            return records
    return b"".join(line + b"\n" for stored in text[:-1].split(b"\n") for line in _events(stored))


def _messages(text: bytes) -> bytes | None:
    """The messages of lines that each have one, by polars in one go; None where some line is anything else."""
    try:
        messages = pl.read_ndjson(text, schema={"message": pl.String})["message"]
    except pl.exceptions.PolarsError:
        return None
    if messages.len() != line_count(text) or messages.null_count():
        return None
    if messages.str.contains("[\r\n]").any():
        messages = messages.str.strip_chars_end("\r\n").str.replace_all("[\r\n]", " ")
    return str(messages.str.join("\n")[0]).encode() + b"\n"


def _events(line: bytes) -> list[bytes]:
    """The records of a line's JSON objects, of which there is usually one; what has none stays as it stands."""
    if line.count(b"{") + line.count(b"[") > _MOST_PARTS:
        return [line]
    text, at, records = line.removeprefix(BOM).decode("utf-8", "surrogateescape"), 0, list[bytes]()
    while start := _OBJECT.match(text, at):
        try:
            entry, end = _DECODER.raw_decode(text, start.end() - 1)
        except (ValueError, RecursionError):
            break
        records += _of_object(entry, text[start.end() - 1 : end])
        at = end
    rest = text[at:]
    return [*records, _bytes(rest)] if rest.strip() or not line.strip() else records


def _of_object(entry: dict[str, object], text: str) -> list[bytes]:
    if isinstance(entry.get("message"), str):
        return [_record(entry)]
    if entry.get("messageType") == "CONTROL_MESSAGE":
        return []
    inside = entry.get("logEvents")
    return [_record(event) for event in inside] if isinstance(inside, list) else [_bytes(text)]


def _record(event: object) -> bytes:
    message = event.get("message") if isinstance(event, dict) else None
    if not isinstance(message, str):
        message = json.dumps(event)
    return _bytes(_LINE_ENDS.sub(" ", message.rstrip("\r\n")))


def _bytes(text: str) -> bytes:
    """Text as it stood in the file; half a surrogate pair, which only JSON's escapes can write, becomes `?`."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


_DECODER = json.JSONDecoder()
_OBJECT = re.compile(r"[ \t\r]*\{")
_LINE_ENDS = re.compile("[\r\n]")
