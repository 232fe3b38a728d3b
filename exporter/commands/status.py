"""`vpcflow-exporter status`: how the work stands; the first line says whether all is well."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from exporter.commands.listing import counted, say, show_table
from exporter.commands.options import CONFIG_PATH, ConfigPath, loaded
from exporter.enrich.accounts import ORGANIZATION, OWN
from exporter.enrich.history import FILE
from exporter.errors import LedgerError
from exporter.health import INVENTORY
from exporter.ledger import BACKFILL, NAME, State
from exporter.ledger_filtered import Filtered
from exporter.ledger_ownership import last_answers
from exporter.ledger_troubles import OTHERS, Trouble
from exporter.ledger_view import SPANS, Part, Standing, Work, look, since

LATE = timedelta(minutes=30)
"""Flow logs reach their bucket up to a quarter of an hour after their time; further behind than this is told first."""

STATES = {
    State.DONE: "done",
    State.UNDER_WAY: "under way",
    State.UNDONE: "waiting",
    State.FAILED: "failed",
    State.DAMAGED: "damaged",
    State.SET_ASIDE: "set aside",
}
"""Every state with its word for people, in the order they read them."""

WELL = 20
"""Accounts and regions whose inventory is well that are shown one by one, the oldest."""

FILTERED = ("dropped", "sampled out", "would drop")
"""What a filter's rule does with records, in the order of the columns."""

_LEFT = (State.FAILED, State.DAMAGED, State.SET_ASIDE)
_UNITS = ((timedelta(days=2), timedelta(days=1), "days"), (timedelta(hours=2), timedelta(hours=1), "h"))

_NO_SCOPES = frozenset({ORGANIZATION, OWN, OTHERS})
"""Faults of the inventory that are of no account and region: the accounts are not known, or there are too many."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """An account and region: when EC2 last answered, None never; why it does not now, nothing where it does."""

    account: str
    region: str
    taken: datetime | None
    reason: str


def status(
    *,
    config: ConfigPath = CONFIG_PATH,
    as_json: Annotated[bool, typer.Option("--json", help="All of it as one JSON object, times in UTC.")] = False,
) -> None:
    """Show how the work stands: whether all is well, what is done and what is not, how far behind, and how fast.

    It reads the ledger only, beside a daemon or without one.  behind: how old the newest done object is, by its time.
    oldest to do: how old the oldest object is that waits or is under way.  waiting: undone, for a pass or for its next
    attempt.  damaged: breaks off; what stands before the break is out.  failed: could not be fetched for days.  set
    aside: gone, or nothing of it could be read.  The rates are of whole minutes.  A line without account and region is
    of objects whose keys tell none, or that an older release did.  inventory: how long ago EC2 last told who owns what,
    and why it does not now; what does not answer stands first, then the oldest, and of what does answer only the 20
    oldest.  filter rule: the records that each rule of the filter did not let out, or would not have, were it no dry
    run; an object that is done again counts once.  The exit status is 1 where there is no ledger yet.
    """
    settings, now = loaded(config), datetime.now(UTC)
    folder = settings.state.folder
    standing = look(folder / NAME, now)
    inventory = inventory_of(folder / NAME, standing.troubles) if settings.enrich.ec2.enabled else []
    backfill, old = _backfill(folder / BACKFILL, now)
    if as_json:
        told = {"inventory": [_inventory_as_json(each, now) for each in inventory]}
        typer.echo(json.dumps({**_as_json(standing), **told, "backfill": backfill and _as_json(backfill)}))
        return
    _show(headline(standing), standing)
    if inventory:
        say("")
        _show_inventory(inventory, unnamed(standing.troubles), now)
    if backfill:
        say("")
        _show(backfill_headline(backfill), backfill)
    if old:
        say("")
        say(f"backfill: {old}")


def _backfill(path: Path, now: datetime) -> tuple[Standing | None, str]:
    """How the back-fill stands, None where there is none; or why that cannot be told: the daemon's can."""
    if not path.exists():
        return None, ""
    try:
        standing = look(path, now)
    except LedgerError as error:
        return None, str(error)
    return standing, ""


def inventory_of(path: Path, troubles: Sequence[Trouble]) -> list[Inventory]:
    """Every account and region that has answered or should have, by the ledger in `path`."""
    taken: dict[str, datetime | None] = {name: at for name, at in last_answers(path) if not name.startswith(FILE)}
    reasons = {each.what: each.reason for each in troubles if each.scope == INVENTORY and each.what not in _NO_SCOPES}
    names = sorted(taken.keys() | reasons.keys())
    return [Inventory(*place_of(name), taken.get(name), reasons.get(name, "")) for name in names]


def unnamed(troubles: Sequence[Trouble]) -> str:
    """How many faults of the inventory the ledger only counts, because there are so many; nothing for none."""
    return next(
        (each.reason.partition(" ")[0] for each in troubles if (each.scope, each.what) == (INVENTORY, OTHERS)), ""
    )


def _show_inventory(inventory: Sequence[Inventory], more: str, now: datetime) -> None:
    """What does not answer first, then the oldest; the youngest of many that do in one line."""
    oldest_first = sorted(inventory, key=lambda each: each.taken or datetime.min.replace(tzinfo=UTC))
    faulty = [each for each in oldest_first if each.reason]
    well = [each for each in oldest_first if not each.reason]
    rows = [(each.account, each.region, _age(each.taken, now), each.reason) for each in (*faulty, *well[:WELL])]
    show_table(("account", "region", "inventory", "reason"), rows)
    if more:
        say(f"and {more} more without an answer")
    if len(well) > WELL:
        say(f"and {len(well) - WELL:,} more, the oldest {_age(well[WELL].taken, now)} old")


def place_of(scope: str) -> tuple[str, str]:
    """The account, `-` where nobody asked which it is, and the region, of the name of what EC2 is asked for."""
    account, _, region = scope.rpartition(" ")
    return account or "-", region


def headline(standing: Standing) -> str:
    """Whether all is well, and if not, what is wrong, in one line."""
    faults, behind = list(_faults(standing)), since(standing.total.newest, standing.now)
    if faults:
        state = "; ".join(faults)
    elif behind is None:
        state = "nothing is done yet"
    else:
        state = f"up to date: {lasting(behind)} behind"
    ended = since(standing.ended, standing.now)
    return state if ended is None else f"{state}; the last object ended {lasting(ended)} ago"


def _faults(standing: Standing) -> Iterator[str]:
    behind = since(standing.total.newest, standing.now)
    if not standing.running:
        yield "stopped? nothing has the ledger open"
    if standing.troubles:
        yield counted(len(standing.troubles), "trouble")
    if failed := standing.total.objects.get(State.FAILED, 0):
        yield f"{counted(failed, 'object')} failed"
    if behind is not None and behind > LATE:
        yield f"{lasting(behind)} behind"


def backfill_headline(standing: Standing) -> str:
    """How far the back-fill is, in one line."""
    objects, ended = standing.total.objects, since(standing.ended, standing.now)
    state = "under way" if standing.running else "not running"
    troubles = f"; {counted(len(standing.troubles), 'trouble')}" if standing.troubles else ""
    told = f"; the last object ended {lasting(ended)} ago" if ended is not None else ""
    done = objects.get(State.DONE, 0)
    return f"backfill {state}: {done:,} of {counted(sum(objects.values()), 'object')} done{troubles}{told}"


def _show(first: str, standing: Standing) -> None:
    total = standing.total
    say(first)
    if standing.troubles:
        say("")
        longest_first = sorted(standing.troubles, key=lambda each: each.since)
        show_table(("since", "where", "what", "reason"), [_trouble(each, standing.now) for each in longest_first])
    say("")
    say(_counts(total, standing.now))
    if any(map(total.objects.get, _LEFT)):
        say("`objects list --failed` tells which are failed, damaged or set aside, and why")
    say(_rates(total))
    parts = [*standing.parts, *([total] if len(standing.parts) > 1 else [])]
    names = [(each.account or "-", each.region or "-") for each in standing.parts] + [("all", "")]
    for heads, cells in (_COUNTED, _PACED):
        if parts:
            say("")
            rows = [(*name, *cells(each, standing.now)) for name, each in zip(names, parts, strict=False)]
            show_table(("account", "region", *heads), rows)
    if standing.filtered:
        say("")
        show_table(("filter rule", *FILTERED, "since", "last"), _filtered(standing.filtered, standing.now))


def _filtered(filtered: Sequence[Filtered], now: datetime) -> list[tuple[str, ...]]:
    """A row a rule: its records by what it did with them, since when, and how long ago the last of them was."""
    rules = {each.rule: {one.outcome: one for one in filtered if one.rule == each.rule} for each in filtered}
    return [
        (
            rule,
            *(f"{outcomes[name].records:,}" if name in outcomes else "0" for name in FILTERED),
            f"{min(each.since for each in outcomes.values()):%Y-%m-%dT%H:%M:%SZ}",
            f"{_age(max(each.last for each in outcomes.values()), now)} ago",
        )
        for rule, outcomes in rules.items()
    ]


def _trouble(trouble: Trouble, now: datetime) -> tuple[str, ...]:
    begun = f"{trouble.since:%Y-%m-%dT%H:%M:%SZ} ({_age(trouble.since, now)})"
    return begun, trouble.scope, trouble.what, trouble.reason


def _counts(part: Part, now: datetime) -> str:
    """The objects in words; a state that has none is left out."""
    told = [f"{part.objects[state]:,} {word}" for state, word in STATES.items() if part.objects.get(state)]
    oldest = f"; the oldest to do is of {_age(part.oldest, now)} ago" if part.oldest else ""
    return f"objects: {', '.join(told) or 'none'}{oldest}"


def _rates(part: Part) -> str:
    """The rates in words."""
    told = [
        f"{_a_minute(work.objects, span)} objects, {_a_minute(work.records, span)} records ({_named(span)})"
        for span, work in part.recent.items()
    ]
    return f"done a minute: {'; '.join(told)}"


def _named(span: int) -> str:
    return "1 h" if span == 60 else f"{span} min"  # noqa: PLR2004 - minutes of an hour


def _cells_counted(part: Part, _: datetime) -> Iterable[str]:
    return (f"{part.objects.get(state, 0):,}" for state in STATES)


def _cells_paced(part: Part, now: datetime) -> Iterator[str]:
    yield _age(part.newest, now)
    yield _age(part.oldest, now)
    for name in ("objects", "records"):
        yield from (_a_minute(getattr(work, name), span) for span, work in part.recent.items())


_COUNTED = (tuple(STATES.values()), _cells_counted)
_PACED = (
    ("behind", "oldest to do", *(f"{name}/min ({_named(span)})" for name in ("objects", "records") for span in SPANS)),
    _cells_paced,
)


def _age(moment: datetime | None, now: datetime) -> str:
    span = since(moment, now)
    return "-" if span is None else lasting(span)


def lasting(span: timedelta) -> str:
    """A time in one unit: `95 s`, `4 min`, `47 h`, `12 days`."""
    for least, unit, name in _UNITS:
        if span >= least:
            return f"{span // unit} {name}"
    seconds = int(span.total_seconds())
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"  # noqa: PLR2004 - seconds of two minutes


def _a_minute(number: int, minutes: int) -> str:
    """A rate; small ones with their tenths."""
    rate = number / minutes
    return f"{rate:,.0f}" if rate >= 10 or not number else f"{rate:.1f}"  # noqa: PLR2004 - two digits


def _as_json(standing: Standing) -> dict[str, object]:
    now = standing.now
    return {
        "now": now.isoformat(timespec="seconds"),
        "running": standing.running,
        "ended": _iso(standing.ended),
        "total": _part_as_json(standing.total, now),
        "places": [
            {"account": each.account, "region": each.region, **_part_as_json(each, now)} for each in standing.parts
        ],
        "troubles": [
            {"scope": each.scope, "what": each.what, "since": _iso(each.since), "reason": each.reason}
            for each in standing.troubles
        ],
        "filter": [
            {
                "rule": each.rule,
                "outcome": each.outcome,
                "records": each.records,
                "since": _iso(each.since),
                "last": _iso(each.last),
            }
            for each in standing.filtered
        ],
    }


def _inventory_as_json(each: Inventory, now: datetime) -> dict[str, object]:
    return {
        "account": None if each.account == "-" else each.account,
        "region": each.region,
        "taken": _iso(each.taken),
        "age_seconds": _seconds(since(each.taken, now)),
        "reason": each.reason or None,
    }


def _part_as_json(part: Part, now: datetime) -> dict[str, object]:
    behind, waited = since(part.newest, now), since(part.oldest, now)
    return {
        "objects": {word.replace(" ", "_"): part.objects.get(state, 0) for state, word in STATES.items()},
        "records": part.records,
        "bytes": part.bytes,
        "newest": _iso(part.newest),
        "behind_seconds": _seconds(behind),
        "oldest_to_do": _iso(part.oldest),
        "oldest_to_do_seconds": _seconds(waited),
        "a_minute": {f"{span}m": _work_as_json(work, span) for span, work in part.recent.items()},
    }


def _work_as_json(work: Work, span: int) -> dict[str, float]:
    return {"objects": round(work.objects / span, 3), "records": round(work.records / span, 3)}


def _seconds(span: timedelta | None) -> int | None:
    return None if span is None else int(span.total_seconds())


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
