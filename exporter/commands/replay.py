"""Dead letters on their way once more: lines through all stages, documents as they stand.

Lines of one object that were read alike are read together, each with the row that it had: so each document has the id
that it would always have had.  `told_apart.py` says how a line is read, and what may not go out at all.
"""

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from uuid import uuid4

from exporter import daemon, wiring
from exporter.clients import Clients
from exporter.commands.letter_store import Letters
from exporter.commands.tally import Nowhere, Refused, Tally
from exporter.commands.told_apart import Reading, hindrance, reading_of
from exporter.config import Config
from exporter.ecs.document import Encoder
from exporter.enrich.reporters import Reporters
from exporter.enrichment import Enrichment, Outside, Step, enrichment_of
from exporter.errors import ExporterError, InventoryError, ReadError, Stopped
from exporter.flow import Batch, Body, Form, Piece, S3Object, Sink
from exporter.ledger import NAME
from exporter.ledger_ownership import Ownership
from exporter.metrics import Metrics
from exporter.read.examined import examined
from exporter.read.lines import examine, header_columns
from exporter.sink.elasticsearch import ElasticsearchSink
from exporter.sink.kept_letters import KeptLetter
from exporter.source.keys import parse_key

LOCK = "replay.lock"
"""A file in the state folder, locked while a replay is under way."""

_CHUNK_BYTES = 8 * 1024 * 1024
"""Text of letters that is held at a time."""

_LETTER_BYTES, _NAME_BYTES = 1000, 100
"""What a letter takes beside its text, and each name of a format beside its own text."""


@dataclass(frozen=True, slots=True)
class Way:
    """What letters pass on their way: no filter, for somebody wants these lines."""

    original: bool
    enrich: Step
    encoder: Encoder
    sink: Sink
    refused: Refused
    mark: Callable[[Sequence[str]], None]
    stops: daemon.Stops


@contextmanager
def replaying(config: Config, letters: Letters, *, dry_run: bool) -> Iterator[Way]:
    """The configured output, and EC2's inventory at the first line; neither for a dry run.  Signals end it in time.

    Raises ConfigError, Refused and Unavailable where the output cannot be had; ExporterError where another replay is
    under way.
    """
    metrics, stops, refused = Metrics(), daemon.Stops(), Refused()
    # Without a folder letters are in a data stream alone, and go to an output that takes none twice.
    folder = config.state.folder
    alone = nullcontext() if dry_run or not folder.is_dir() else _alone(folder / LOCK)
    with alone, daemon.signals(stops, config.grace, partial(daemon.leave, 1)):
        sink: Sink = Nowhere() if dry_run else wiring.sink_of(config, refused, metrics, stops)
        try:
            if isinstance(sink, ElasticsearchSink):
                sink.verify()
            yield Way(
                config.output.event_original,
                wiring.ends_step(None, metrics) if dry_run else _enriching(config, metrics, stops),
                Encoder(config.output.namespace, config.output.request_bytes),
                sink,
                refused,
                (lambda _: None) if dry_run else letters.marking(metrics, stops.now),
                stops,
            )
        finally:
            sink.close()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Holds the lock on a file; the system gives it back when the process dies."""
    try:
        file = path.open("a+")
    except OSError as error:
        raise ExporterError(f"{path} cannot be written: {error.strerror}; the daemon's own user may") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise ExporterError(
                f"another replay is under way ({file.read(100).strip() or 'another process'}), and two at once would "
                f"send letters twice: wait until it has ended. {path} is its lock"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()}\n")
        file.flush()
        yield


def _enriching(config: Config, metrics: Metrics, stops: daemon.Stops) -> Step:
    """All that `run` adds, by an inventory and lists that are asked for once, when there is a line to enrich."""
    aws, known = Clients(config), list[Enrichment]()

    def made() -> Enrichment:
        inventory = None
        if config.enrich.ec2.enabled:
            inventory = wiring.inventory_of(config, aws, Ownership(config.state.folder / NAME), metrics, stops)
        if inventory is not None and inventory.current() is None and not inventory.refresh():
            raise InventoryError(
                "EC2 does not answer (the log says why), and a line that goes out without names never gets them; "
                "with enrich.ec2.enabled: false lines go out without names"
            )
        ends = wiring.ends_step(inventory, metrics, config.enrich.internal_networks)
        folder = config.state.folder
        copies = folder / "replay-feeds" if folder.is_dir() else Path(mkdtemp(prefix="vpcflow-exporter-"))
        outside = Outside(aws.s3.own, copies, stops.soon)
        enrichment = enrichment_of(config, ends, Reporters(), outside, metrics)
        enrichment.start()
        return enrichment

    def enrich(batch: Batch) -> Batch:
        if not known:
            known.append(made())
        return known[0](batch)

    return enrich


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
    chunk, size, names = list[KeptLetter](), 0, None
    for letter in letters:
        chunk.append(letter)
        size += len(letter.text) + _LETTER_BYTES
        if letter.format is not names:  # letters that were kept at once share theirs
            names = letter.format
            size += sum(len(name) + _NAME_BYTES for name in names or ())
        if size > _CHUNK_BYTES:
            yield chunk
            chunk, size, names = [], 0, None
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
        # Elasticsearch knows a document by its id, unless the data stream rolled over: each is looked for.
        file = replace(self.source, etag=f"{self.source.etag} replayed {uuid4()}")
        delivery = self.way.sink.open(file, unsure=True)
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
        documents, lines = list[KeptLetter](), dict[Reading, list[KeptLetter]]()
        for letter in letters:
            if letter.replayed:
                self.tally.existing += 1
            elif reason := hindrance(letter):
                self.tally.give_up(letter, reason)
            elif letter.kind == "document":
                documents.append(letter)
            elif isinstance(reading := reading_of(letter, names), Reading):
                lines.setdefault(reading, []).append(letter)
            else:
                self.tally.give_up(letter, reading)
        for reading, group in lines.items():
            if batch := self._read(group, reading):
                yield from self.way.encoder.encode(self.way.enrich(batch))
        yield from self._documents(documents)

    def _documents(self, letters: Sequence[KeptLetter]) -> Iterator[Body]:
        """Documents as they stand, in requests of the configured size."""
        held, size = list[bytes](), 0
        for letter in letters:
            pair = f'{{"create":{{"_id":"{letter.id}"}}}}\n{letter.text}\n'.encode()
            if held and size + len(pair) > self.way.encoder.request_bytes:
                yield Body(self.source, b"".join(held), len(held))
                held, size = [], 0
            held.append(pair)
            size += len(pair)
            self.sent.append(letter)
        if held:
            yield Body(self.source, b"".join(held), len(held))

    def _read(self, letters: Sequence[KeptLetter], reading: Reading) -> Batch | None:
        """Lines that are records now, with the rows that they had; the others are refused again.  None without any."""
        left = {letter.row: letter for letter in letters}
        lines = [each for each in letters if not header_columns(each.text.encode(), reading.dialect)]
        reasons, batch = dict[int, str](), None
        try:
            if lines:
                piece = self._piece(lines, reading)
                reasons, batch = {bad.row: bad.reason for bad in piece.bad}, piece.batch
                self.sent += [left.pop(row) for row in batch.frame["row"].to_list()]
        except ReadError as error:
            reasons = {letter.row: str(error) for letter in lines}
        for row, letter in left.items():
            self.tally.refuse(letter, reasons.get(row, "it is no record, but blank or a header"))
        return batch if batch is not None and batch.frame.height else None

    def _piece(self, letters: Sequence[KeptLetter], reading: Reading) -> Piece:
        """The lines, read one by one; none of them is a header, so all of them have one form."""
        text = "".join(f"{letter.text}\n" for letter in letters).encode()
        (segment,) = examine(text, 0, reading.columns, reading.dialect)
        segment.rows = [letters[number].row for number in segment.rows]
        segment.bad = [replace(bad, row=letters[bad.row].row) for bad in segment.bad]
        form = Form(reading.dialect.container, reading.columns, "the dead letter")
        original = self.way.original and reading.as_text
        return examined(segment, form, reading.dialect.separator, self.source, original=original)
