"""What is in a data stream, compared with what should be: every id, over all backing indices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from elasticsearch import Elasticsearch, NotFoundError

PAGE = 10_000
KEPT = "2m"
EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """Documents that were expected and are there; ids that are missing, there more than once, and not expected."""

    expected: int
    found: int
    missing: int
    twice: int
    strange: int
    examples: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether each expected document is there once, and nothing else."""
        return not (self.missing or self.twice or self.strange)

    def __str__(self) -> str:
        told = f"; for example {', '.join(self.examples)}" if self.examples else ""
        return (
            f"{self.expected:,} ids expected, {self.found:,} documents found: {self.missing:,} missing, "
            f"{self.twice:,} more than once, {self.strange:,} not expected{told}"
        )


def ids(client: Elasticsearch, stream: str) -> Iterator[str]:
    """The id of every document, as often as it is there: a stream that rolled over may hold one twice."""
    try:
        client.indices.refresh(index=stream)
        reader = client.open_point_in_time(index=stream, keep_alive=KEPT)["id"]
    except NotFoundError:
        return
    after: list[object] | None = None
    try:
        while True:
            page = client.search(
                pit={"id": reader, "keep_alive": KEPT},
                size=PAGE,
                sort=[{"_shard_doc": "asc"}],
                source=False,
                track_total_hits=False,
                **({"search_after": after} if after else {}),  # type: ignore[arg-type]
            )["hits"]["hits"]
            yield from (hit["_id"] for hit in page)
            if len(page) < PAGE:
                return
            after = page[-1]["sort"]
    finally:
        client.close_point_in_time(id=reader)


def compare(client: Elasticsearch, stream: str, expected: Mapping[str, int]) -> Verdict:
    """The stream beside `expected`: records by the ids' first 16 characters, their rows being 1 and following."""
    times = {prefix: np.zeros(records + 1, np.uint8) for prefix, records in expected.items()}
    found, strange, examples = 0, 0, list[str]()
    for document in ids(client, stream):
        found += 1
        counts, row = times.get(document[:16]), _row(document[16:])
        if counts is None or not 0 < row < len(counts):
            strange += 1
            examples += [f"{document} is not expected"] if len(examples) < EXAMPLES else []
        else:
            counts[row] += counts[row] < 255
    missing = {prefix: np.flatnonzero(counts[1:] == 0) + 1 for prefix, counts in times.items()}
    twice = {prefix: np.flatnonzero(counts > 1) for prefix, counts in times.items()}
    for told, where in (("is missing", missing), ("is there more than once", twice)):
        examples += [f"{prefix}{rows[0]:08x} {told}" for prefix, rows in where.items() if len(rows)][:EXAMPLES]
    return Verdict(sum(expected.values()), found, _count(missing), _count(twice), strange, tuple(examples))


def _row(text: str) -> int:
    """The row of an id as this program makes them; -1 where it is none."""
    row = int(text, 16) if text.isalnum() and text.isascii() and not set(text.lower()) - set("0123456789abcdef") else -1
    return row if row >= 0 and f"{row:08x}" == text else -1


def _count(rows: Mapping[str, npt.NDArray[np.intp]]) -> int:
    return sum(map(len, rows.values()))
