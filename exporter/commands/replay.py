"""Dead letters on their way once more: lines through all stages, documents as they stand.

Letters of one object and format are read together, as one text, and have their rows back before they are encoded: so
each document has the id that it would always have had.
"""

import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from uuid import uuid4

from exporter import daemon, wiring
from exporter.commands.tally import Nowhere, Refused, Tally
from exporter.config import Config
from exporter.ecs.document import Encoder
from exporter.errors import InventoryError, ReadError, Stopped
from exporter.flow import Batch, Body, S3Object, Sink
from exporter.metrics import Metrics
from exporter.read.dialects import BLANKS, COMMAS, DIALECTS, STAMPED, Dialect
from exporter.read.reader import Reader
from exporter.sink.dead_letter import DeadLetterFile, KeptLetter
from exporter.sink.elasticsearch import ElasticsearchSink
from exporter.source.keys import parse_key

_CHUNK_BYTES = 8 * 1024 * 1024
"""Text of letters that is held at a time."""

_LETTER_BYTES = 1000
"""What a letter takes beside its text."""

_OPENINGS: dict[Dialect, Callable[[Sequence[str]], str]] = {
    BLANKS: lambda names: " ".join("-" * len(names)),
    COMMAS: lambda names: ",".join("-" * len(names)),
    STAMPED: lambda names: f"1970-01-01T00:00:00.000Z {' '.join('-' * len(names))}",
}
"""A first line that is a record of any format, without any value: it tells the reader how the others are written."""


@dataclass(frozen=True, slots=True)
class Way:
    """What letters pass on their way."""

    original: bool
    enrich: Callable[[Batch], Batch]
    encoder: Encoder
    sink: Sink
    refused: Refused
    mark: Callable[[Sequence[str]], None]
    stops: daemon.Stops


@contextmanager
def replaying(config: Config, *, dry_run: bool) -> Iterator[Way]:
    """The configured output, and EC2's inventory at the first line; neither for a dry run.  Signals end it in time.

    Raises ConfigError, Refused and Unavailable where the output cannot be had.
    """
    metrics, stops, refused = Metrics(), daemon.Stops(), Refused()
    with daemon.signals(stops, config.grace, partial(daemon.leave, 1)):
        sink: Sink = Nowhere() if dry_run else wiring.sink_of(config, refused, metrics, stops)
        try:
            if isinstance(sink, ElasticsearchSink):
                sink.verify()
            yield Way(
                config.output.event_original,
                wiring.enricher(None, metrics) if dry_run else _enricher(config, metrics, stops),
                Encoder(config.output.namespace, config.output.request_bytes),
                sink,
                refused,
                (lambda _: None) if dry_run else DeadLetterFile(config.state.folder, metrics).mark_replayed,
                stops,
            )
        finally:
            sink.close()


def _enricher(config: Config, metrics: Metrics, stops: daemon.Stops) -> Callable[[Batch], Batch]:
    """Both ends by an inventory that is asked for once, when there is a line to enrich."""
    if not config.enrich.ec2.enabled:
        return wiring.enricher(None, metrics)
    inventory = wiring.inventory_of(config, wiring.session(config), metrics, stops)
    enrich = wiring.enricher(inventory, metrics)

    def once_known(batch: Batch) -> Batch:
        if inventory is not None and inventory.current() is None and not inventory.refresh():
            raise InventoryError(
                "EC2 does not answer (the log says why), and a line that goes out without names never gets them; "
                "with enrich.ec2.enabled: false lines go out without names"
            )
        return enrich(batch)

    return once_known


def replay_letters(letters: Iterable[KeptLetter], way: Way, names: tuple[str, ...], tally: Tally) -> None:
    """Sends letters, and marks what went out; `names`, if any, are the lines' fields in place of each letter's own.

    Some megabytes of text are held at a time.  Raises SinkError, InventoryError and Stopped where it cannot go on:
    what is marked then is out.
    """
    for chunk in _chunks(letters):
        by_object: dict[tuple[str, str, str], list[KeptLetter]] = {}
        for letter in chunk:
            by_object.setdefault((letter.bucket, letter.key, letter.etag), []).append(letter)
        for (bucket, key, etag), of_object in by_object.items():
            if way.stops.soon.is_set():
                raise Stopped("stopped; what is not told as sent stays as it was")
            source = parse_key(bucket, key, etag, 0, of_object[0].time)
            _Replay(source, way, tally).run(of_object, names)


def _chunks(letters: Iterable[KeptLetter]) -> Iterator[list[KeptLetter]]:
    chunk, size = list[KeptLetter](), 0
    for letter in letters:
        chunk.append(letter)
        size += len(letter.text) + _LETTER_BYTES
        if size > _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    yield chunk


@dataclass(slots=True)
class _Replay:
    """Letters of one object on their way; `sent` are those that went into the delivery."""

    source: S3Object
    way: Way
    tally: Tally
    sent: list[KeptLetter] = field(default_factory=list)

    def run(self, letters: Sequence[KeptLetter], names: tuple[str, ...]) -> None:
        """Everything of them that can be sent, in one delivery; marked once it is out."""
        # Into a folder each object has one file: with an ETag of its own, this delivery gets another one beside it.
        delivery = self.way.sink.open(replace(self.source, etag=f"{self.source.etag} replayed {uuid4()}"))
        try:
            for body in self._bodies(letters, names):
                delivery.send(body)
            delivered = delivery.finish()
        except BaseException:
            delivery.abandon()
            raise
        refused = self.way.refused.take()
        self.tally.sent += delivered.created
        self.tally.existing += delivered.existing
        for letter in self.sent:
            if letter.id in refused:
                self.tally.refuse(letter, refused[letter.id])
        self.way.mark([letter.id for letter in self.sent if letter.id not in refused])

    def _bodies(self, letters: Sequence[KeptLetter], names: tuple[str, ...]) -> Iterator[Body]:
        documents, lines = list[KeptLetter](), dict[tuple[tuple[str, ...], Dialect], list[KeptLetter]]()
        for letter in letters:
            if letter.replayed:
                self.tally.existing += 1
            elif reason := _hindrance(letter, names):
                self.tally.give_up(letter, reason)
            elif letter.kind == "document":
                documents.append(letter)
            else:
                known = names or letter.format or ()
                lines.setdefault((known, _dialect(letter.text, known)), []).append(letter)
        for (known, dialect), group in lines.items():
            for batch in self._read(group, known, dialect):
                yield from self.way.encoder.encode(self.way.enrich(batch))
        yield from self._documents(documents)

    def _documents(self, letters: Sequence[KeptLetter]) -> Iterator[Body]:
        """Documents as they stand, in requests of the configured size."""
        held, size = list[bytes](), 0
        for letter in letters:
            pair = f'{{"create":{{"_id":"{letter.id}"}}}}\n{letter.text}\n'.encode("utf-8", "replace")
            if held and size + len(pair) > self.way.encoder.request_bytes:
                yield Body(self.source, b"".join(held), len(held))
                held, size = [], 0
            held.append(pair)
            size += len(pair)
            self.sent.append(letter)
        if held:
            yield Body(self.source, b"".join(held), len(held))

    def _read(self, letters: Sequence[KeptLetter], names: tuple[str, ...], dialect: Dialect) -> Iterator[Batch]:
        """Lines that are records now, with the rows that they had; the others are refused again."""
        text = "".join(f"{line}\n" for line in (_OPENINGS[dialect](names), *(letter.text for letter in letters)))
        reader = Reader(lambda _: [("the dead letter", names)], self.way.original)
        left, form, reason = dict(enumerate(letters, 1)), None, "it is no record, but blank or a header"
        try:
            for piece in reader.read(io.BytesIO(text.encode("utf-8", "replace")), self.source):
                form = form or piece.form
                if piece.form != form:
                    reason = "it stands behind a line that names other fields; replay it by its id alone"
                    break
                for bad in piece.bad:
                    self.tally.refuse(left.pop(bad.row), bad.reason)
                if batch := self._as_before(piece.batch, left):
                    yield batch
        except ReadError as error:
            reason = str(error)
        for letter in left.values():
            self.tally.refuse(letter, reason)

    def _as_before(self, batch: Batch, left: dict[int, KeptLetter]) -> Batch | None:
        """Records without the opening, each with its letter's row; None where there are none.  Takes them of `left`."""
        frame = batch.frame.filter(batch.frame["row"] > 0)
        if not frame.height:
            return None
        numbers = frame["row"]
        found = [left.pop(number) for number in numbers.to_list()]
        self.sent += found
        rows = numbers.replace_strict(numbers, [letter.row for letter in found], return_dtype=numbers.dtype)
        return replace(batch, frame=frame.with_columns(rows))


def _hindrance(letter: KeptLetter, names: tuple[str, ...]) -> str | None:
    """Why a letter cannot be tried at all; None where it can."""
    if letter.text_bytes is not None:
        return (
            f"only the first part of its {letter.text_bytes:,} bytes was kept; "
            f"`objects retry {letter.place}` has the object read again"
        )
    if "\n" in letter.text:
        return f"a line end is part of a value; `objects retry {letter.place}` has the object read again"
    if letter.kind == "document":
        return None if _is_document(letter.text) else "its text is no JSON document"
    if not (names or letter.format):
        return "its fields are not known; name them with --format"
    return None


def _is_document(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _dialect(line: str, names: Sequence[str]) -> Dialect:
    """The first way of writing lines in which this one has as many fields as the format; blanks where none has."""
    raw = line.encode("utf-8", "replace")
    return next((each for each in DIALECTS if len(each.split(raw)) == len(names)), BLANKS)
