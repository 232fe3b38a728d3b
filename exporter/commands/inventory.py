"""`vpcflow-exporter inventory`: who owned an address, why a record names whom it names, and snapshots as files."""

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer

from exporter.addresses import Keys, keys_of_texts
from exporter.commands.inventory_shown import show_address, show_all, show_reasons
from exporter.commands.listing import counted, say
from exporter.commands.options import CONFIG_PATH, ConfigPath, loaded, time_of
from exporter.config import Config
from exporter.enrich import exported, snapshot_file
from exporter.enrich.explained import Asked
from exporter.enrich.history import History
from exporter.enrich.history_store import StoredHistory
from exporter.enrich.inventory import Snapshot
from exporter.enrich.remembered import newest
from exporter.errors import InventoryError
from exporter.ledger import NAME
from exporter.ledger_ownership import Ownership, alone

inventory = typer.Typer(
    name="inventory",
    help="Show who owned an address when, and why a record names whom it names.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
)


def _address(text: str) -> str:
    """An address as it was given; BadParameter for what is none."""
    try:
        keys_of_texts([text])
    except InventoryError:
        raise typer.BadParameter("expected an address such as 10.0.0.5 or 2600:1f18::5") from None
    return text


Vpc = Annotated[str | None, typer.Option("--vpc", metavar="ID", help="The VPC that it is in.")]
AtTime = Annotated[
    datetime | None,
    typer.Option("--at", metavar="TIME", parser=time_of, help="2026-03-01T06:00:00Z; UTC where it has no zone."),
]


@inventory.command("show")
def show(
    address: Annotated[
        str | None,
        typer.Argument(metavar="ADDRESS", parser=_address, help="IPv4 or IPv6; without it: what is remembered in all."),
    ] = None,
    *,
    vpc: Vpc = None,
    at: AtTime = None,
    config: ConfigPath = CONFIG_PATH,
) -> None:
    """Show who had an address and from when to when; without one, how old each account's and region's answers are.

    It reads the ledger only, beside a daemon or without one.  from, to: when the interface surely had it; a time marked
    as the newest answer's is how far that proves it, and what comes after is not known yet.  What was seen, but cannot
    be proven for any time, has no times and the reason.  The second table says what stood behind these interfaces.
    With --vpc only interfaces of that VPC, with --at only those that surely had it then.
    """
    settings = loaded(config)
    history = _history(settings)
    if address is None:
        if vpc or at:
            raise typer.BadParameter("--vpc and --at narrow down an address: name one")
        show_all(history, datetime.now(UTC))
        return
    show_address(history, address, _key(address), vpc, None if at is None else int(at.timestamp()))


@inventory.command("explain")
def explain(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", parser=_address, help="IPv4 or IPv6.")],
    *,
    vpc: Vpc = None,
    at: AtTime = None,
    interface: Annotated[
        str | None, typer.Option("--interface", metavar="ID", help="The interface that reports the flow.")
    ] = None,
    config: ConfigPath = CONFIG_PATH,
) -> None:
    """Tell why a record of a flow at a time names whom it names at an end: each rule with what it finds.

    The verdict is the one that the daemon counts in vpcflow_ends_total, by the same code.  Without --at it is the last
    moment that the newest answer proves.  The VPC is the record's own, or that of the reporting interface.  An owner
    counts if it surely had the address from 60 s before the time on, for AWS may note a packet that much later.
    """
    settings = loaded(config)
    history, key = _history(settings), _key(address)
    second = int(at.timestamp()) if at else newest(history, key)
    if second is None:
        raise InventoryError(_NOTHING)
    show_reasons(history, Asked(key, address, second, vpc, interface))


@inventory.command("export")
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where it goes; an old file is replaced.")],
    *,
    at: AtTime = None,
    config: ConfigPath = CONFIG_PATH,
) -> None:
    """Write a snapshot as a file, for `convert --inventory`, `generate --inventory` and `inventory import`.

    Without --at it holds what the newest answer of each account and region shows, with --at who surely had what then.
    """
    history = _history(loaded(config), sure=True)
    snapshot = exported.surely(history, at) if at else exported.newest(history)
    try:
        snapshot_file.save(snapshot, file)
    except OSError as error:
        raise InventoryError(f"{file}: cannot be written: {error.strerror}") from error
    say(f"{file}: {_size(snapshot)} of {_times(snapshot)}")


@inventory.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A snapshot, as `inventory export` writes it.")],
    *,
    config: ConfigPath = CONFIG_PATH,
) -> None:
    """Add a snapshot's file to what is remembered, at the time that it was taken.

    It tells who had which primary address from when it was attached to then; other addresses only two answers in a row
    can prove, and what EC2 tells stays as it is.  No daemon may run meanwhile, for it holds all of it in memory.  The
    same file changes nothing a second time.
    """
    settings, now = loaded(config), datetime.now(UTC)
    text = snapshot_file.content(file)
    snapshot, mark = snapshot_file.parse(text, file), sha256(text).hexdigest()[:8]
    with alone(settings.state.folder / NAME) as rows:
        store = StoredHistory(rows)
        try:
            added = exported.addition(store.load(), snapshot, mark, now - settings.enrich.ec2.remember, now)
        except InventoryError as error:
            raise InventoryError(f"{file}: {error}") from error
        if added is None:
            say(f"{file}: is in the history already; nothing was changed")
            return
        store.write(added.changes)
    say(f"{file}: {_size(snapshot)} of {_times(snapshot)} added")
    if added.bare:
        their, them, they = ("its", "it", "it was") if added.bare == 1 else ("their", "them", "they were")
        say(
            f"{counted(added.bare, 'interface')}: {their} addresses were added, not what stood behind {them}, for the "
            f"file does not tell when {they} attached"
        )


def _history(settings: Config, *, sure: bool = False) -> History:
    """What the ledger remembers, all of one moment; `sure`: without what enrich.ec2.assume_unchanged adds."""
    assume = 0 if sure else int(settings.enrich.ec2.assume_unchanged.total_seconds())
    with Ownership(settings.state.folder / NAME) as rows:
        return StoredHistory(rows).load(assume)


_NOTHING = "nothing is remembered yet: `run` and `once` ask EC2, with enrich.ec2.enabled: true"


def _key(address: str) -> Keys:
    return keys_of_texts([address])


def _size(snapshot: Snapshot) -> str:
    return (
        f"{counted(snapshot.owners.height, 'interface')} with {snapshot.addresses.height:,} "
        f"address{'es' * (snapshot.addresses.height != 1)}"
    )


def _times(snapshot: Snapshot) -> str:
    times = dict.fromkeys(f"{each:%Y-%m-%dT%H:%M:%SZ}" for each in (snapshot.taken, snapshot.answered) if each)
    return " to ".join(times)
