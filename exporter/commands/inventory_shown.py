"""What `inventory` prints of a history."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from exporter.addresses import Keys
from exporter.commands.listing import say, show_table
from exporter.commands.status import lasting, place_of
from exporter.enrich.explained import Asked, explain, moment
from exporter.enrich.history import FILE, History, View
from exporter.enrich.index import ALWAYS, NEVER
from exporter.enrich.remembered import Answered, Behind, Had, answered, behind, had
from exporter.errors import InventoryError
from exporter.ledger_view import since

VERDICTS: Mapping[str, str] = {
    "own_vpc": "it surely had the address in the end's own VPC",
    "public": "it surely had the address, which is unique in the world",
    "interface": "it is the reporting interface, and the address is its own",
    "reachable": "it surely had the address in the one VPC within reach where it is known",
    "unique": "it surely had the address in the one place of all where it is known",
    "not_then": "nobody: who was seen with it there had it at other times only, not alone, or never for sure",
    "ambiguous": "nobody: it may be several, or its place is not known",
    "unknown": "nobody: it was never seen",
}
"""What each word of vpcflow_ends_total says of an end."""

_NAMED = (
    "interface_id",
    "interface_type",
    "account_id",
    "account_name",
    "region",
    "vpc_id",
    "vpc_name",
    "subnet_id",
    "subnet_name",
    "instance_id",
    "instance_name",
    "resource_type",
    "resource_name",
    "cluster_name",
)
"""The columns of owners that `explain` shows."""

_NAMED_AT_ONCE = 4
"""Interfaces that one line names; the table has all of them."""

_HAD = ("interface", "vpc", "address", "kind", "from", "to", "reason")
_BEHIND = ("interface", "account", "region", "instance", "resource", "name", "cluster", "from", "to")


def show_all(history: History, now: datetime) -> None:
    """Each account and region, each imported file, and how much is remembered in all."""
    scopes = answered(history)
    imported = [each for each in scopes if each.name.startswith(FILE)]
    asked = [each for each in scopes if not each.name.startswith(FILE)]
    if asked:
        answers: list[tuple[str, ...]] = [(*place_of(each.name), *_answer(each, now)) for each in asked]
        show_table(("account", "region", "newest answer", "age", "interfaces", "addresses"), answers)
    else:
        say("No account and region has answered yet.")
    if imported:
        say("")
        files = [(each.name.rpartition(" ")[2], *_answer(each, now)) for each in imported]
        show_table(("imported", "taken", "age", "interfaces", "addresses"), files)
    say("")
    say(
        f"remembered in all: {history.interface.height:,} interfaces, {history.holding.height:,} times that one had an "
        f"address, {history.workload.height:,} times that something stood behind one"
    )


def _answer(each: Answered, now: datetime) -> tuple[str, ...]:
    age = since(each.taken, now)
    return (
        f"{each.taken:%Y-%m-%dT%H:%M:%SZ}",
        "-" if age is None else lasting(age),
        f"{each.interfaces:,}",
        f"{each.addresses:,}",
    )


def show_address(history: History, address: str, key: Keys, vpc: str | None, second: int | None) -> None:
    """Who had an address, and what stood behind these interfaces; `vpc` and `second` narrow it down."""
    view = history.view()
    if vpc is not None:
        _known(vpc, view.index.vpcs, "VPC")
    found = [each for each in had(history, view, key) if vpc in (None, each.vpc) and _covers(each, second)]
    if not found:
        place = f" in {vpc}" if vpc else ""
        say(f"Nobody was ever seen with {address}{place}." if second is None else _nobody_then(address, place, second))
        return
    show_table(_HAD, map(_had, found))
    for line in dict.fromkeys(filter(None, map(_at_once, found))):
        say(line)
    say("")
    names = dict.fromkeys(each.interface for each in found)
    rows = [each for name in names for each in behind(history, view, name) if _covers(each, second)]
    show_table(_BEHIND, map(_behind, rows))


def _nobody_then(address: str, place: str, second: int) -> str:
    return f"Nobody surely had {address}{place} at {moment(second)}; without --at it says who was seen with it."


def _covers(each: Had | Behind, second: int | None) -> bool:
    """Whether it holds at a moment; what of an interface never changes does."""
    if second is None or (isinstance(each, Behind) and each.since is None):
        return True
    return each.since is not None and each.until is not None and each.since <= second <= each.until


def _had(each: Had) -> tuple[str, ...]:
    times = _times(each, "ever", "ever")
    return each.interface, each.vpc or "-", each.address, each.kind, *times, "" if each.since else _unsure(each)


def _times(each: Had | Behind, first: str, last: str) -> tuple[str, str]:
    if each.since is None or each.until is None:
        return "-", "-"
    to = last if each.until >= ALWAYS else moment(each.until) + " (newest answer)" * each.lasts
    return first if each.since <= NEVER else moment(each.since), to


def _unsure(each: Had) -> str:
    first, last = each.seen
    seen = f"seen at {moment(first)}" if last <= first else f"seen from {moment(first)} to {moment(last)}"
    return f"{seen}: {'not alone' if each.beside else 'no two answers in a row prove it'}"


def _at_once(each: Had) -> str:
    """Who was seen with it at the same time, where that is why it is sure for no time; nothing else."""
    if each.since or not each.beside:
        return ""
    names = sorted({each.interface, *each.beside})
    others = f" and {len(names) - _NAMED_AT_ONCE} more" if len(names) > _NAMED_AT_ONCE else ""
    told = ", ".join(names[:_NAMED_AT_ONCE])
    place = each.vpc or "no VPC"
    return f"not alone: {told}{others} showed {each.address} in {place} at once, and while two do it is nobody's"


def _behind(each: Behind) -> tuple[str, ...]:
    names = ("account_id", "region", "instance_id", "resource_type", "resource_name", "cluster_name")
    told = (each.owner[name] or "-" for name in names)
    return each.interface, *told, *_times(each, "its start", "its end")


def show_reasons(history: History, asked: Asked) -> None:
    """Each rule with what it finds, and the verdict."""
    view = history.view()
    _check(view, asked)
    explained = explain(view, asked)
    by = f", as {asked.interface} reports it" if asked.interface else ""
    place = f" in {asked.vpc}" if asked.vpc else ""
    say(f"{asked.text}{place} at {moment(asked.second)}{by}:")
    say("")
    show_table(("rule", "reason"), explained.findings)
    say("")
    say(f"{explained.resolved}: {VERDICTS[explained.resolved]}")
    if explained.owner is not None:
        say("")
        show_table(("owner", "value"), _named(explained.owner))


def _named(owner: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in _NAMED:
        if owner[name] is not None:
            yield name.removesuffix("_id").replace("_", " "), owner[name]


def _check(view: View, asked: Asked) -> None:
    if asked.vpc is not None:
        _known(asked.vpc, view.index.vpcs, "VPC")
    if asked.interface is not None:
        _known(asked.interface, view.index.interfaces, "interface")


def _known(name: str, names: Iterable[str], what: str) -> None:
    """InventoryError for what nobody was ever seen in or with."""
    if name not in names:
        raise InventoryError(
            f"{name} is no {what} that is remembered: is it of an account and region that `inventory show` lists?"
        )
