"""START HERE: one object through all stages, from its bytes in S3 to the ledger's word that it is done."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event
from time import monotonic

from exporter import counting
from exporter.ecs.document import Encoder
from exporter.errors import ObjectGone, Overwritten, ReadError, SinkError, SourceError, Stopped
from exporter.flow import Batch, ByteStream, Counts, DeadLetters, Delivery, Objects, Outcome, S3Object, Sink
from exporter.ledger import Ledger, State
from exporter.metrics import Metrics
from exporter.read.reader import Reader


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages that an object passes, in order; `abandon` ends it between two pieces."""

    objects: Objects
    reader: Reader
    enrich: Callable[[Batch], Batch]
    filter: Callable[[Batch], tuple[Batch, Counts]]
    encoder: Encoder
    sink: Sink
    dead_letters: DeadLetters
    ledger: Ledger
    metrics: Metrics
    abandon: Event


def take(source: S3Object, stages: Stages, *, again: bool = False) -> State:
    """One object, from `under way` to the state it ended in; Stopped is raised again once it is undone.

    `again` says that somebody else may have had it under way before, as the ledger says of its own attempts.
    """
    attempt, begun = stages.ledger.begin(source), datetime.now(UTC)
    try:
        outcome = carry(source, stages, again=again, attempt=attempt)
        if attempt > 1 and not outcome.damage:
            stages.dead_letters.supersede(source, begun)
    except (ObjectGone, ReadError) as error:
        stages.ledger.set_aside(source, str(error), error.now if isinstance(error, Overwritten) else None)
        return counting.ended(State.SET_ASIDE, source, stages.metrics, error)
    except SourceError as error:
        return counting.ended(stages.ledger.fail(source, str(error)), source, stages.metrics, error)
    except SinkError as error:
        stages.ledger.release(source, str(error))
        return counting.ended(State.UNDONE, source, stages.metrics, error)
    except Stopped:
        stages.ledger.release(source)
        raise
    stages.ledger.finish(outcome)
    return counting.finished(outcome, stages.metrics)


def carry(source: S3Object, stages: Stages, *, again: bool = False, attempt: int = 1) -> Outcome:
    """Every record of the object to the sink or to the dead letters; returns when all are there.

    Where it goes `again`, or is no first attempt, the sink looks first which of its documents are there.
    Raises ReadError where nothing of it could be read, SourceError, SinkError and Stopped where it has to be tried
    again.  Where it breaks off, what stands before the break goes through, and `damage` says so.
    """
    outcome, started = Outcome(source), monotonic()
    delivery = stages.sink.open(source, again=again or attempt > 1, at_work=attempt > 1)
    try:
        with stages.objects.open(source) as stream:
            _send(stream, delivery, outcome, stages)
        outcome.delivered = delivery.finish()
    except BaseException:
        delivery.abandon()
        raise
    outcome.seconds = monotonic() - started
    return outcome


def _send(stream: ByteStream, delivery: Delivery, outcome: Outcome, stages: Stages) -> None:
    """Piece by piece: bad lines to the dead letters, records through the stages to the delivery.

    All records are enriched, for they tell of each other, also where only some are still missing.
    """
    try:
        for piece in stages.reader.read(stream, outcome.source):
            stages.dead_letters.keep(piece.dead_letters())
            counting.read(piece, outcome, stages.metrics)
            batch, dropped = stages.filter(stages.enrich(piece.batch))
            counting.filtered(dropped, outcome, stages.metrics)
            for body in stages.encoder.encode(delivery.missing(batch)):
                delivery.send(body)
            if stages.abandon.is_set():
                raise Stopped(f"stopped while {outcome.source} was under way")
    except ReadError as error:
        if not outcome.records and not outcome.bad_lines:
            raise
        outcome.damage = str(error)
