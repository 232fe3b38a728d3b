"""`vpcflow-exporter backfill`: any range of time, sent once more or for the first time."""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal

from exporter import daemon, ledger_guest, wiring
from exporter.backfill import SHOWN, Backfill, Part, Progress, Unknown, count
from exporter.clients import Clients
from exporter.commands.backfill_shown import estimated, shown
from exporter.commands.listing import counted, say
from exporter.commands.options import CONFIG_PATH, ConfigPath, loaded, time_of
from exporter.config import Config, S3Source
from exporter.errors import LedgerError, Stopped
from exporter.flow import S3Object
from exporter.ledger import BACKFILL, KEPT, NAME, Ledger, State
from exporter.ledger_file import in_use
from exporter.metrics import Metrics
from exporter.poller import first_time
from exporter.source.chosen import Chosen
from exporter.source.key_listing import KeyListing
from exporter.source.s3 import S3Listing

log = logging.getLogger("exporter")

_TOLD_EVERY = 100_000
"""Objects after which a dry run says how far it is."""


def _shown(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def _each(pattern: str, expected: str) -> Callable[[list[str] | None], list[str]]:
    """Checks each value of an option."""

    def check(values: list[str] | None) -> list[str]:
        for value in values or ():
            if not re.fullmatch(pattern, value):
                raise typer.BadParameter(f"expected {expected}")
        return values or []

    return check


Since = Annotated[
    datetime,
    typer.Option("--from", metavar="TIME", parser=time_of, help="The first moment: 2026-03-01 or 2026-03-01T06:00."),
]
Until = Annotated[
    datetime | None,
    typer.Option("--to", metavar="TIME", parser=time_of, help="The moment to stop before; now, where it is left out."),
]
Accounts = Annotated[
    list[str] | None,
    typer.Option(
        "--account", metavar="ID", callback=_each(r"\d{12}", "12 digits"), help="Only this one; may be repeated."
    ),
]
Regions = Annotated[list[str] | None, typer.Option("--region", metavar="NAME", help="Only this one; may be repeated.")]
FlowLogs = Annotated[
    list[str] | None,
    typer.Option(
        "--flow-log",
        metavar="ID",
        callback=_each(r"fl-[0-9a-f]{8,17}", "a flow log's id such as fl-0a1b2c3d4e5f60718"),
        help="Only this one, by the names of its files; may be repeated.",
    ),
]
Buckets = Annotated[
    list[str] | None,
    typer.Option("--bucket", metavar="NAME", help="Only this one of source.s3; may be repeated."),
]
NumberOfWorkers = Annotated[
    int | None, typer.Option("--workers", min=1, max=16, help="Objects at a time, in place of `workers`.")
]


def backfill(  # noqa: PLR0913 - each is an option
    *,
    config: ConfigPath = CONFIG_PATH,
    since: Since,
    until: Until = None,
    account: Accounts = None,
    region: Regions = None,
    flow_log: FlowLogs = None,
    bucket: Buckets = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell how much it is, about.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Forget first what earlier back-fills did in these buckets.")
    ] = False,
    workers: NumberOfWorkers = None,
) -> None:
    """Send the records of a range of time, from any bucket of source.s3, and nothing twice.

    Times without a zone are UTC, a date is its midnight.  Whole files are sent, from the one that holds the range's
    first records on.  In AWS's layout their names tell the time, and only the chosen accounts, regions and days are
    listed; with another layout each key below the prefix is, and the time is when the object was stored.  A bucket that
    only a queue tells of has to stand in source.s3 too, where its `start` does not matter here.

    It runs beside a daemon, and remembers in a file of its own what is done: after a stop or a crash the same command
    goes on.  Each object is looked up in the output first, so that what is there already is not sent again, also where
    the data stream has rolled over since; what earlier back-fills did in the last 90 days is not even read again, but
    with --again.  That forgets it at the start: a run that stopped goes on without --again.  What failed is tried again
    by the next run.

    Both ends of each record are told as of its own time, as far as what the daemon remembers, and what EC2 tells today
    of when it was attached, proves it.

    The exit status is 1 where an object is left undone or a folder could not be listed: the end names these.
    """
    settings = loaded(config)
    settings = settings.model_copy(update={"workers": workers or settings.workers})
    filters = (frozenset(each or ()) for each in (account, region, flow_log))
    chosen = Chosen(first_time(since), until or datetime.now(UTC), *filters)
    if since >= chosen.before:
        raise typer.BadParameter(f"--from {_shown(since)} is not before --to {_shown(chosen.before)}")
    sources, stops = _sources(settings, bucket or []), daemon.Stops()
    with daemon.signals(stops, settings.grace, partial(daemon.leave, 1)):
        if dry_run:
            whole = _tell_how_much(settings, _parts(settings, sources, chosen, stops), stops)
        else:
            ledger_guest.doubt(settings.state.folder / NAME, chosen.before)  # the daemon may come by the same objects
            forget = partial(_forget, {each.bucket for each in sources}, again=again)
            whole = _send(settings, _parts(settings, sources, chosen, stops), stops, forget)
    if stops.soon.is_set():
        log.warning("stopped before the end: the same command%s goes on", " without --again" if again else "")
    if not whole or stops.soon.is_set():
        raise typer.Exit(1)


def _sources(settings: Config, buckets: list[str]) -> list[S3Source]:
    """The configured sources of some buckets, or all of them."""
    there = list(dict.fromkeys(each.bucket for each in settings.source.s3))
    if unknown := [bucket for bucket in buckets if bucket not in there]:
        raise typer.BadParameter(
            f"source.s3 has no bucket {', '.join(unknown)}; it has {', '.join(there) or 'none: name the bucket there'}"
        )
    if not there:
        raise typer.BadParameter("source.s3 names no bucket: a bucket to be listed has to stand there")
    return [each for each in settings.source.s3 if not buckets or each.bucket in buckets]


def _parts(settings: Config, sources: list[S3Source], chosen: Chosen, stops: daemon.Stops) -> list[Part]:
    clients, metrics = Clients(settings).s3, Metrics()
    parts = []
    for source in sources:
        client = clients.of(source.bucket)
        if source.layout == "aws":
            listing = S3Listing(client, source, metrics, stops.soon)
            walk = partial(listing.chosen, chosen)
            parts.append(Part(source.source_id, walk, partial(walk, told=False)))
        else:
            walk = partial(_stored, KeyListing(client, source, metrics, stops.soon), chosen)
            parts.append(Part(source.source_id, walk, walk))
    return parts


def _stored(listing: KeyListing, chosen: Chosen, unknown: Unknown) -> Iterator[S3Object]:
    """The chosen objects of a bucket of any layout."""
    first, last = chosen.first.date(), chosen.before.date()
    return listing.new_objects(
        first, last, chosen.first, lambda page: unknown([each for each in page if chosen.takes(each)])
    )


def _send(settings: Config, parts: list[Part], stops: daemon.Stops, forget: Callable[[Ledger, Path], object]) -> bool:
    """Whether all of it is dealt with."""
    path = settings.state.folder / BACKFILL
    if in_use(path):
        raise LedgerError(f"a back-fill is under way on this state folder ({path} is in use): wait for it, or stop it")
    with wiring.program(settings, stops, BACKFILL) as program:
        program.verify()
        forget(program.ledger, path)
        run = Backfill(parts, program.workers, program.ledger)
        try:
            program.prepare()
            program.name_ends()
        except Stopped:
            return False
        with (
            shown(run.progress, partial(program.metrics.value, "records_total")) as (tell, every),
            _few_lines(settings),
        ):
            run.run(tell, every)
        return _summed_up(run.progress, program)


def _forget(buckets: set[str], ledger: Ledger, path: Path, *, again: bool) -> None:
    """What is long done is forgotten, and what failed tried again at once: this is the next attempt."""
    now = datetime.now(UTC)
    before = now + timedelta(seconds=1) if again else now - KEPT
    for bucket in buckets:
        ledger.prune_ended(bucket, before)
    ledger_guest.retry(path, ledger_guest.RETRIED if again else (State.UNDONE, State.FAILED), buckets)


@contextmanager
def _few_lines(settings: Config) -> Iterator[None]:
    """The log has no line for each object that went well: there may be millions."""
    each = logging.getLogger("exporter.pipeline")
    if settings.log.level == "info":
        each.setLevel(logging.WARNING)
    try:
        yield
    finally:
        each.setLevel(logging.NOTSET)


def _summed_up(progress: Progress, program: wiring.Program) -> bool:
    """Prints what was done and names what was not; whether all of it is dealt with."""
    value, states = program.metrics.value, progress.states
    say(
        f"{counted(states[State.DONE] + states[State.DAMAGED], 'object')}, {value('records_total'):,.0f} records: "
        f"{value('documents_total', outcome='created'):,.0f} indexed, "
        f"{value('documents_total', outcome='existing'):,.0f} there already, "
        f"{value('dead_letters_total'):,.0f} dead letters; {states[State.DAMAGED]:,} objects damaged, "
        f"{states[State.SET_ASIDE]:,} set aside, {progress.undone:,} left undone; "
        f"{progress.earlier.objects:,} done by earlier back-fills"
    )
    reasons = {entry.source.id_prefix: entry.reason for entry in program.ledger.kept(10 * SHOWN)}
    for source in progress.left:
        say(f"left undone: {source}: {reasons.get(source.id_prefix) or 'the log says why'}")
    if progress.undone > len(progress.left):
        say(f"left undone: {progress.undone - len(progress.left):,} more; the log names them")
    return not (_faults_told(progress) or progress.undone)


def _faults_told(progress: Progress) -> bool:
    for what, why in progress.faults.items():
        say(f"not gone through whole: {what}: {why}")
    return bool(progress.faults)


def _tell_how_much(settings: Config, parts: list[Part], stops: daemon.Stops) -> bool:
    """Prints it; whether all could be listed."""
    progress, path = Progress(), settings.state.folder / BACKFILL
    told = 0

    def stop() -> bool:
        nonlocal told
        if progress.found.objects >= told + _TOLD_EVERY:
            told = progress.found.objects
            log.info("listing … %s so far", counted(told, "object"))
        return stops.soon.is_set()

    try:
        if path.exists():
            with Ledger(path, read_only=True) as ledger:
                count(parts, progress, stop, ledger.unknown)
        else:
            count(parts, progress, stop)
    except Stopped:
        return False
    found, earlier = progress.found, progress.earlier
    say(f"{counted(found.objects, 'object')}, {decimal(found.bytes)}")
    if earlier.objects:
        say(f"{counted(earlier.objects, 'object')} of these, {decimal(earlier.bytes)}, done by earlier back-fills")
    say(estimated(found.bytes - earlier.bytes, settings.state.folder, datetime.now(UTC)))
    return not _faults_told(progress)
