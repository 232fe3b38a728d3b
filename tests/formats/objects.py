"""An object's bytes through the real stages in process, and what has to come out of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from io import BytesIO

from exporter.enrich.ends import ENDS, enrich
from exporter.errors import ReadError
from exporter.flow import BadLine, Batch, Form, Formats, S3Object
from exporter.metrics import Metrics
from exporter.read.reader import PIECE_BYTES, Reader, no_formats
from tests.ecs.cases import SOURCE, Document, always, document_id, encoded, nested
from tests.ecs.paths import Paths


@dataclass(frozen=True, slots=True)
class Bad:
    """A line that is no record: its row, a part of the reason given, and its text."""

    row: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Case:
    """An object and all that it comes to: documents by row, bad lines, lines that are neither.

    A document is given by dotted paths, without what every document of its object has.  `told_by` is who told the
    fields' names, where that counts.
    """

    data: bytes
    documents: Mapping[int, Paths]
    bad: tuple[Bad, ...] = ()
    skipped: int = 0
    source: S3Object = SOURCE
    formats: Formats = no_formats
    told_by: str | None = None


@dataclass(slots=True)
class Made:
    """What came of an object, added up."""

    documents: dict[str, Document] = field(default_factory=dict)
    bad: list[BadLine] = field(default_factory=list)
    skipped: int = 0
    forms: list[Form] = field(default_factory=list)
    error: ReadError | None = None
    metrics: Metrics = field(default_factory=Metrics)


def made(data: bytes, source: S3Object = SOURCE, formats: Formats = no_formats, piece_bytes: int = PIECE_BYTES) -> Made:
    """Read, enriched without an inventory, encoded by a clock that stands still, and parsed again."""
    result, batches = Made(), list[Batch]()
    reader = Reader(formats, piece_bytes=piece_bytes)
    try:
        for piece in reader.read(BytesIO(data), source):
            result.bad += piece.bad
            result.skipped += piece.skipped
            result.forms.append(piece.form)
            batches.append(enrich(piece.batch, None, result.metrics))
    except ReadError as error:
        result.error = error
    result.documents = encoded(batches)
    return result


def formats(*known: tuple[str, str]) -> Formats:
    """What is known of the formats of files without a header: who says so, and the names in a row."""

    def answer(_: S3Object) -> Iterable[tuple[str, tuple[str, ...]]]:
        return [(teller, tuple(names.split())) for teller, names in known]

    return answer


def check(case: Case) -> None:
    """What is expected, whether the object is read in one piece or text line by line."""
    for piece_bytes in (PIECE_BYTES, 1):
        compare(case, made(case.data, case.source, case.formats, piece_bytes))


def compare(case: Case, got: Made) -> None:
    """Documents compared whole, bad lines in their order, every line and every end counted."""
    assert got.error is None
    assert got.documents == {
        document_id(row, case.source): nested({**always(row, case.source), **paths})
        for row, paths in case.documents.items()
    }
    assert [(bad.row, bad.text) for bad in got.bad] == [(bad.row, bad.text) for bad in case.bad]
    assert [wanted.reason in bad.reason for wanted, bad in zip(case.bad, got.bad, strict=True)] == [True] * len(
        case.bad
    )
    assert got.skipped == case.skipped
    assert {end: got.metrics.value("ends_total", end=end, resolved="unknown") for end in ENDS} == {
        end: sum(f"{end}.address" in paths for paths in case.documents.values()) for end in ENDS
    }
    if case.told_by:
        assert {form.told_by for form in got.forms} == {case.told_by}
