"""Lines that were looked at one by one, as a piece: the good ones by the fast way, the bad ones with their reasons."""

from dataclasses import replace

import polars as pl

from exporter.errors import Unrecognised
from exporter.flow import BadLine, Batch, Form, Piece, S3Object
from exporter.read.columns import Normal, batch_of
from exporter.read.lines import Segment


def examined(segment: Segment, form: Form, separator: bytes, source: S3Object, *, original: bool = False) -> Piece:
    """A segment's records and bad lines; its text has `separator` between fields."""
    form = replace(form, columns=segment.columns)
    given = Normal(segment.text, separator, segment.lines if original else None)
    batch, rows, bad = batch_of(given, form.columns, source, examined=True), segment.rows, segment.bad
    if batch is None:
        batch, rows, refused = _one_by_one(segment, given, source)
        bad = bad + refused
    return Piece(numbered(batch, pl.Series(rows, dtype=pl.UInt32)), form, tuple(bad), segment.skipped)


def numbered(batch: Batch, rows: pl.Series) -> Batch:
    """The batch with its rows."""
    return replace(batch, frame=batch.frame.with_columns(rows.alias("row")))


def _one_by_one(segment: Segment, given: Normal, source: S3Object) -> tuple[Batch, list[int], list[BadLine]]:
    """Lines that no check faults and polars yet refuses are found alone, so that nothing else is lost with them."""
    refused, rows, kept, raw = [], [], [], []
    for row, line, stored in zip(segment.rows, given.text.splitlines(keepends=True), segment.lines, strict=True):
        if batch_of(replace(given, text=line, original=None), segment.columns, source, examined=True) is None:
            refused.append(BadLine.of(row, "the line cannot be read", stored.rstrip(b"\n")))
        else:
            rows.append(row)
            kept.append(line)
            raw.append(stored)
    rest = Normal(b"".join(kept), given.separator, raw if given.original is not None else None)
    batch = batch_of(rest, segment.columns, source, examined=True)
    if batch is None:
        raise Unrecognised("lines that can be read one by one cannot be read together; please report this file")
    return batch, rows, refused
