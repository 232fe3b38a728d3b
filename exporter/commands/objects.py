"""`vpcflow-exporter objects`: what is not simply done, and another try for it."""

import json
from collections.abc import Collection, Sequence
from datetime import UTC
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from exporter import ledger_guest
from exporter.commands.letter_store import letters_of
from exporter.commands.listing import counted, say, show_table
from exporter.commands.options import CONFIG_PATH, ConfigPath, loaded
from exporter.config import Config
from exporter.errors import LedgerError
from exporter.flow import S3Object
from exporter.ledger import KEPT_STATES, NAME, Entry, Ledger, State
from exporter.source.keys import parse_key

objects = typer.Typer(
    name="objects",
    help="Show the objects that are not simply done, and have them tried again.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
)


class Shown(StrEnum):
    """States as the command line spells them."""

    UNDER_WAY = "under-way"
    UNDONE = "undone"
    DAMAGED = "damaged"
    FAILED = "failed"
    SET_ASIDE = "set-aside"

    @property
    def state(self) -> State:
        """The ledger's own."""
        return State(self.value.replace("-", " "))


@objects.command("list")
def list_objects(
    *,
    config: ConfigPath = CONFIG_PATH,
    failed: Annotated[bool, typer.Option("--failed", help="Only what failed, is damaged or was set aside.")] = False,
    state: Annotated[list[Shown] | None, typer.Option("--state", help="Only of this state; may be repeated.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many, the newest.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Each as JSON on a line of its own; no totals.")] = False,
) -> None:
    """Show the objects that are not simply done and why, the newest last.

    undone: waits for a pass, or for its next attempt.  damaged: breaks off; what stands before the break is out.
    failed: could not be fetched for days.  set aside: gone, or nothing of it could be read.
    """
    states = [each.state for each in state or ()] + list(ledger_guest.FAILED if failed else ())
    chosen = tuple(dict.fromkeys(states)) or (State.UNDER_WAY, *KEPT_STATES)
    path = _path(loaded(config))
    with Ledger(path, read_only=True) as ledger:
        entries, counts = ledger.kept(limit, chosen)[::-1], ledger.summary().objects
    if as_json:
        for entry in entries:
            typer.echo(json.dumps(_entry(entry)))
        return
    there = {each: counts[each] for each in chosen if counts.get(each)}
    if not entries:
        say("There are no such objects." if states else "There are no objects that are not simply done.")
        return
    heads = ("state", "attempts", "time", "size", "account", "region", "object", "reason")
    show_table(heads, map(_row, entries))
    more = sum(there.values()) - len(entries)
    sums = ", ".join(f"{number:,} {each.value}" for each, number in there.items())
    say(sums + (f"; {more:,} older ones are not shown, see --limit" if more > 0 else ""))


def _row(entry: Entry) -> tuple[object, ...]:
    source, time = entry.source, f"{entry.source.time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    place = (source.account or "-", source.region or "-", source)
    return entry.state.value, entry.attempts, time, f"{source.size:,}", *place, entry.reason


def _entry(entry: Entry) -> dict[str, object]:
    source = entry.source
    return {
        "state": entry.state.value,
        "attempts": entry.attempts,
        "time": source.time.isoformat(),
        "bucket": source.bucket,
        "key": source.key,
        "etag": source.etag,
        "size": source.size,
        "account": source.account,
        "region": source.region,
        "reason": entry.reason,
    }


@objects.command("retry")
def retry(
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="KEY…", help="s3://BUCKET/KEY or just the key, as `list` shows it.")
    ] = None,
    *,
    config: ConfigPath = CONFIG_PATH,
    failed: Annotated[bool, typer.Option("--failed", help="All that failed, is damaged or was set aside.")] = False,
    all_: Annotated[
        bool, typer.Option("--all", help="Those, and what is undone and waits for its next attempt.")
    ] = False,
) -> None:
    """Have objects tried again by the next pass.

    As if they had never failed, whatever their day, and while a daemon runs too.  A KEY may also be an object that is
    done and has dead letters: it is read again whole.  That sends nothing twice, as each document keeps its id.  An
    object whose bucket no source reads any more is left as it is, and told; the exit status is 1 then.
    """
    if bool(keys) + failed + all_ != 1:
        raise typer.BadParameter("which ones? name keys, or --failed, or --all: one of these")
    settings = loaded(config)
    path, buckets = _path(settings), settings.source.buckets
    states = ledger_guest.RETRIED if all_ else ledger_guest.FAILED
    left = dict[str, int]()
    if keys:
        changed = _retry_keys(path, keys, settings, buckets)
    else:
        changed = ledger_guest.retry(path, states, buckets)
        left = ledger_guest.elsewhere(path, states, buckets)
    if changed:
        say(f"{counted(changed, 'object')} to try again: the next pass of `run` or `once` does")
    for bucket, number in left.items():
        say(f"{counted(number, 'object')} left as before: no source of the configuration reads the bucket {bucket}")
    if left:
        raise typer.Exit(1)
    if not changed:
        say("There is nothing to try again.")


def _retry_keys(path: Path, keys: Sequence[str], settings: Config, buckets: Collection[str] | None) -> int:
    """How many objects are to be tried again; LedgerError where there are none under some key."""
    try:
        return ledger_guest.retry_keys(path, _with_letters(keys, settings, buckets), buckets)
    except LedgerError:
        if buckets is None:
            raise
        for key in keys:
            named = {key.removeprefix("s3://").partition("/")[0]} if key.startswith("s3://") else set[str]()
            known = ledger_guest.elsewhere(path, ledger_guest.RETRIED, buckets, key)
            if unread := sorted((named | known.keys()) - set(buckets)):
                raise LedgerError(
                    f"nothing was changed, for no source of the configuration reads the bucket {', '.join(unread)} any "
                    f"more, where {key} lies: once source.s3 or source.sqs has a source for it, this can be tried again"
                ) from None
        raise


def _path(settings: Config) -> Path:
    """The ledger's; LedgerError where there is none."""
    path = settings.state.folder / NAME
    if not path.exists():
        raise LedgerError(f"there is no ledger {path} yet: is state.folder the daemon's? `run` and `once` make one")
    return path


def _with_letters(keys: Sequence[str], settings: Config, buckets: Collection[str] | None) -> dict[str, list[S3Object]]:
    """Each key with its objects of which there are dead letters: the ledger itself forgets where a done object lies."""
    found: dict[str, dict[str, S3Object]] = {key: {} for key in keys}
    with letters_of(settings) as letters:
        for letter in letters.read():
            if buckets is not None and letter.bucket not in buckets:
                continue
            for name in {letter.key, letter.place} & found.keys():
                source = parse_key(letter.bucket, letter.key, letter.etag, 0, letter.time)
                found[name][source.id_prefix] = source
    return {key: list(sources.values()) for key, sources in found.items()}
