"""What the log and the metrics say of an object on its way."""

import logging
from threading import Lock

from exporter.flow import Counts, Outcome, Piece, S3Object
from exporter.ledger import State
from exporter.metrics import Metrics

log = logging.getLogger("exporter.pipeline")

_comparing = Lock()

_TOLD_FORMATS = 1_000
_told: set[tuple[str, ...]] = set()
"""Unknown fields that were logged: a format is told once, not each of its files."""


def read(piece: Piece, outcome: Outcome, metrics: Metrics) -> None:
    """A piece was read: its records, bad lines and skipped lines."""
    frame = piece.batch.frame
    outcome.records += frame.height
    outcome.bad_lines += len(piece.bad)
    outcome.skipped_lines += piece.skipped
    metrics.add("records_total", frame.height)
    metrics.add("bad_lines_total", len(piece.bad))
    metrics.add("skipped_lines_total", piece.skipped)
    unknown = tuple(name.removeprefix("extra.") for name in piece.form.columns if name.startswith("extra."))
    if unknown:
        metrics.add("unknown_fields_total", len(unknown) * frame.height)
        _tell(unknown, piece)


def filtered(dropped: Counts, outcome: Outcome, metrics: Metrics) -> None:
    """A filter did not let out some records of a piece, or would not have, were it no dry run."""
    for (rule, what), count in dropped.items():
        outcome.dropped[rule, what] = outcome.dropped.get((rule, what), 0) + count
        metrics.add("filtered_total", count, rule=rule, outcome=what)


def finished(outcome: Outcome, metrics: Metrics) -> State:
    """All of an object is out, as far as it could be read; gives back what it is then."""
    state = State.DAMAGED if outcome.damage else State.DONE
    metrics.add("objects_total", outcome=state)
    metrics.observe("object_seconds", outcome.seconds)
    newest = outcome.source.time.timestamp()
    with _comparing:  # two objects may end at once
        metrics.set("newest_object_time_seconds", max(newest, metrics.value("newest_object_time_seconds")))
    delivered = outcome.delivered
    dropped = sum(count for (_, what), count in outcome.dropped.items() if what != "would drop")
    log.log(
        logging.WARNING if outcome.damage or outcome.bad_lines or delivered.refused else logging.INFO,
        "%s: %d records in %.1f s: %d indexed, %d there already, %d refused, %d bad lines%s%s",
        outcome.source,
        outcome.records,
        outcome.seconds,
        delivered.created,
        delivered.existing,
        delivered.refused,
        outcome.bad_lines,
        f", {dropped} dropped by the filter" if dropped else "",
        f"; damaged: {outcome.damage}" if outcome.damage else "",
    )
    return state


def ended(how: State, source: S3Object, metrics: Metrics, error: Exception) -> State:
    """An object did not go through; gives `how` back."""
    metrics.add("objects_total", outcome=how)
    log.warning("%s is %s: %s", source, how, error)
    return how


def _tell(unknown: tuple[str, ...], piece: Piece) -> None:
    if unknown not in _told and len(_told) < _TOLD_FORMATS:
        _told.add(unknown)
        log.warning(
            "fields that are not known yet, carried in aws.vpcflow.extra: %s; first met in %s",
            ", ".join(unknown)[:1000],
            piece.batch.source,
        )
