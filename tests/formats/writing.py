"""Records written in every way that is read; a value that is None is none in the way of the format."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

INT32 = frozenset({"version", "srcport", "dstport", "protocol", "tcp-flags", "traffic-path", "encryption-status"})
INT64 = frozenset(
    {
        "packets",
        "bytes",
        "start",
        "end",
        "packets-lost-no-route",
        "packets-lost-blackhole",
        "packets-lost-mtu-exceeded",
        "packets-lost-ttl-expired",
    }
)
Row = Mapping[str, str | None]


def column(name: str, texts: Sequence[str | None], kind: Any = None) -> Any:  # noqa: ANN401 # pyarrow has no types
    """A column as the guide types it, or of another kind."""
    kind = kind or (pa.int32() if name in INT32 else pa.int64() if name in INT64 else pa.string())
    if pa.types.is_dictionary(kind):
        return pa.array(texts, pa.string()).dictionary_encode()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind):
        return pa.array(texts, kind)
    return pa.array([None if text is None else int(text) for text in texts], kind)


def parquet(
    rows: Sequence[Row],
    *,
    names: Sequence[str] = (),
    spelled: str = "_",
    kinds: Mapping[str, Any] | None = None,
    **options: Any,  # noqa: ANN401 # what pyarrow takes
) -> bytes:
    """The rows as one file; `spelled` stands for the hyphens of the names, `kinds` for the types of some columns."""
    columns = {
        name.replace("-", spelled): column(name, [row[name] for row in rows], (kinds or {}).get(name))
        for name in names or rows[0]
    }
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, **options)
    return file.getvalue()


def event(message: str, **more: Any) -> str:  # noqa: ANN401 # any JSON
    return json.dumps({**more, "message": message})


def plain(*rows: Sequence[str | None], missing: str = "", end: str = "\n") -> bytes:
    """No quotes."""
    return "".join(",".join(missing if value is None else value for value in row) + end for row in rows).encode()


def quoted(*rows: Sequence[str | None], missing: str = "") -> bytes:
    """As Athena writes its results: quotes around every value, nothing at all where there is none."""
    return "".join(
        ",".join(missing if value is None else f'"{value}"' for value in row) + "\n" for row in rows
    ).encode()


def by_python(*rows: Sequence[str | None]) -> bytes:
    """As Python's csv module writes them: CRLF, quotes only where they are needed."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
