"""Who owned what over time: snapshots one after another, folded into intervals that outlast a restart.

A snapshot proves what it shows at its moment.  What two snapshots in a row of one scope (an account in a region) show
is taken to have held in between, if no more than `gap` lies between them; an interface's primary address needs no such
assumption, for it is the same as long as the interface exists, and that is proven also by when it was attached and by
its own records.  Nothing else is: between and around snapshots an address is nobody's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from exporter.addresses import cidrs_of_texts, halves, joined
from exporter.enrich.index import ALWAYS, KIND_CODES, NEVER, Claims, Index, Kind, Versions, indexed
from exporter.enrich.inventory import OWNERS, Snapshot, codes, pairs_of
from exporter.errors import InventoryError

LAG = 10
"""Seconds by which EC2's answers may be older than they say: it is eventually consistent."""

LINKS_HOLD = 3600
"""Seconds behind the newest answer of all after which a scope's links count no more: it is not asked, or is ill."""

FILE = "~ file "
"""How the names of scopes that are imported files begin.

`~` sorts behind every account and region: of two scopes that tell of one interface the first one's word counts in a
history, where neither is its owner's.
"""

OF_FILE = pl.col("name").str.starts_with(FILE)
"""Whether a scope is a file's."""

FOREIGN = ~pl.col("name").str.starts_with(pl.col("account_id").fill_null("?"))
"""Whether the scope of a row of owners is not known to be its own account's: in a shared subnet others see it too."""

TABLES: dict[str, dict[str, Any]] = {
    "scope": {
        "number": pl.UInt32,
        "name": pl.String,
        "taken": pl.Int64,
        "linked": pl.Int64,
        "networks": pl.List(pl.List(pl.String)),
        "links": pl.List(pl.List(pl.String)),
    },
    "interface": {
        "number": pl.UInt32,
        "id": pl.String,
        "vpc": pl.String,
        "since": pl.Int64,
        "until": pl.Int64,
    },
    "workload": {
        "number": pl.UInt32,
        "interface": pl.UInt32,
        "scope": pl.UInt32,
        "first": pl.Int64,
        "last": pl.Int64,
        **OWNERS,
    },
    "holding": {
        "number": pl.UInt32,
        "interface": pl.UInt32,
        "scope": pl.UInt32,
        "high": pl.Int64,
        "low": pl.Int64,
        "bits": pl.UInt8,
        "kind": pl.UInt8,
        "first": pl.Int64,
        "last": pl.Int64,
    },
}
"""The tables of a history; times are whole seconds since 1970.

scope       an account in a region, when it was last asked, its VPCs' networks and links, and since when it has these
interface   one row an interface: from when to when its own records prove that it existed
workload    what an interface was attached to: seen first and last; `last` null says in the newest snapshot
holding     the same for an address (halves of its key, see addresses.py) or a prefix of so many bits
"""

_WORKLOAD = ("interface", "instance_id", "attached")
_HOLDING = ("interface", "high", "low", "bits", "kind")

_LASTING = (
    "interface_id",
    "interface_type",
    "account_id",
    "account_name",
    "region",
    "availability_zone",
    "subnet_id",
    "subnet_name",
    "vpc_id",
    "vpc_name",
)
"""The owners' columns that do not depend on what an interface is attached to."""


@dataclass(slots=True)
class Changes:
    """What is new in a history's tables: whole rows that replace those of their number, and numbers that are gone."""

    rows: dict[str, pl.DataFrame] = field(default_factory=dict)
    gone: dict[str, pl.Series] = field(default_factory=dict)

    def put(self, table: str, *rows: pl.DataFrame) -> None:
        """Adds rows of a table."""
        before = [self.rows[table]] if table in self.rows else []
        self.rows[table] = pl.concat([*before, *(each.select(*TABLES[table]) for each in rows)])

    def then(self, later: "Changes") -> None:
        """Adds changes that come after these."""
        for table, numbers in later.gone.items():
            if table in self.rows:
                self.rows[table] = self.rows[table].filter(~pl.col("number").is_in(numbers.implode()))
            self.gone[table] = pl.concat([self.gone.get(table, numbers.clear()), numbers])
        for table, rows in later.rows.items():
            self.put(table, rows)


@dataclass(frozen=True)
class History:
    """All that is remembered; `assume` as in the configuration, in seconds."""

    scope: pl.DataFrame
    interface: pl.DataFrame
    workload: pl.DataFrame
    holding: pl.DataFrame
    assume: int = 0

    @classmethod
    def empty(cls, assume: int = 0) -> "History":
        """Before the first snapshot."""
        return cls(**{name: pl.DataFrame(schema=schema) for name, schema in TABLES.items()}, assume=assume)

    def after(self, name: str, snapshot: Snapshot, gap: int) -> tuple["History", Changes]:
        """With one more snapshot of the scope `name`; InventoryError where it is not newer than the last one."""
        taken = int(snapshot.taken.timestamp())
        answered = int((snapshot.answered or snapshot.taken).timestamp()) + (snapshot.answered is not None)
        known = self.scope.filter(name=name)
        before = known["taken"].item() if known.height else None
        if before is not None and taken <= before:
            raise NotLater(
                f"the answer is of {_shown(taken)}, and the one before of {_shown(before)}: one of the clocks jumped"
            )
        scope = known["number"].item() if known.height else _next(self.scope)
        changes = Changes()
        changes.put("scope", _scope_row(scope, name, (taken, answered), snapshot, known))
        interface = _with_new(self.interface, snapshot.owners, changes)
        numbers = snapshot.owners.select(id="interface_id").join(
            interface.select("id", "number"), on="id", how="left", maintain_order="left"
        )["number"]
        moment = _Moment(scope, before, answered, unbroken=before is not None and taken - before <= gap)
        return replace(
            self,
            scope=_replaced(self.scope, changes.rows["scope"]),
            interface=interface,
            workload=_workloads(self.workload, snapshot, numbers, moment, changes),
            holding=_holdings(self.holding, snapshot, numbers, moment, changes),
        ), changes

    def without_scope(self, name: str) -> tuple["History", Changes]:
        """Without what a scope told: its times cannot be trusted."""
        numbers = self.scope.filter(name=name)["number"]
        return self._keeping(
            scope=~pl.col("number").is_in(numbers.implode()),
            workload=~pl.col("scope").is_in(numbers.implode()),
            holding=~pl.col("scope").is_in(numbers.implode()),
        )

    def since(self, before: datetime) -> tuple["History", Changes]:
        """Without what ended earlier, and scopes that were last asked earlier."""
        taken = dict(self.scope.select("number", "taken").iter_rows())
        ended = pl.col("last").fill_null(pl.col("scope").replace_strict(taken, default=NEVER, return_dtype=pl.Int64))
        moment = int(before.timestamp())
        return self._keeping(scope=pl.col("taken") >= moment, workload=ended >= moment, holding=ended >= moment)

    def _keeping(self, **kept: pl.Expr) -> tuple["History", Changes]:
        """Only rows for which the table's condition holds, and the interfaces that these need."""
        tables = {name: getattr(self, name).filter(condition) for name, condition in kept.items()}
        needed = pl.concat([tables[name]["interface"] for name in ("workload", "holding")]).unique()
        tables["interface"] = self.interface.filter(pl.col("number").is_in(needed.implode()))
        changes = Changes()
        for name, table in tables.items():
            whole = getattr(self, name)
            if table.height < whole.height:
                changes.gone[name] = whole.join(table, on="number", how="anti")["number"]
            else:
                tables[name] = whole
        return replace(self, **tables), changes

    def seeing(self, earlier: "View") -> tuple["History", Changes]:
        """With what records of interfaces have proved since an earlier view was made.

        Only what goes beyond what is known without them.
        """
        first, last = (array[:-1] for array in earlier.index.seen)
        ids = list(earlier.index.interfaces)  # numbers may be another's by now
        seen = pl.DataFrame({"id": ids, "seen_from": first, "seen_to": last}, schema_overrides={"id": pl.String})
        further = (pl.col("seen_from") < pl.col("exists_from")) | (pl.col("seen_to") > pl.col("exists_to"))
        fresh = (
            self.interface.join(seen.filter(pl.col("seen_from") <= pl.col("seen_to")), on="id")
            .join(self._existence(), on="number")
            .filter(further)
            .with_columns(since=pl.min_horizontal("since", "seen_from"), until=pl.max_horizontal("until", "seen_to"))
        )
        changes = Changes()
        if not fresh.height:
            return self, changes
        changes.put("interface", fresh)
        return replace(self, interface=_replaced(self.interface, changes.rows["interface"]).sort("number")), changes

    def view(self, earlier: "View | None" = None) -> "View":
        """What is known, ready for look-ups; the owners are the earlier view's own where they are the same."""
        vpcs, networks = codes(self.interface["vpc"]), pairs_in(self.scope["networks"])
        workloads = self._workloads()
        newest = _highest(self.scope["taken"])
        asked = self.scope.filter((pl.col("taken") >= newest - LINKS_HOLD) & ~OF_FILE)
        index = indexed(
            interfaces=self.interface["id"].to_list(),
            accounts=codes(workloads["account_id"]),
            vpcs=vpcs,
            vpc_of=self.interface["vpc"].replace_strict(vpcs, default=-1, return_dtype=pl.Int64).to_numpy(),
            claims=self._claims(),
            versions=self._versions(workloads),
            networks=networks,
            links=pairs_in(asked["links"]),
            linked=_highest(asked["linked"]),
            assume=self.assume,
        )
        numbers = self.interface["number"]
        same = earlier is not None and earlier.workload is self.workload and earlier.numbers.equals(numbers)
        owners = earlier.owners if earlier and same else pl.concat([workloads.select(*OWNERS), self._bare(workloads)])
        return View(owners, index, networks, numbers, self.workload)

    def _ended(self, table: pl.DataFrame) -> pl.DataFrame:
        """A table with `until`: up to when its rows surely held; what is in the newest snapshot up to that."""
        taken = self.scope.select(scope="number", taken="taken")
        return table.join(taken, on="scope", how="left", maintain_order="left").with_columns(
            until=pl.coalesce("last", "taken") - LAG
        )

    def _existence(self) -> pl.DataFrame:
        """By interface, in the order of `interface`: from when to when it surely existed."""
        seen = pl.concat(
            [
                self._ended(self.holding).select("interface", "first", "until"),
                self._ended(self.workload).select(
                    "interface", first=pl.min_horizontal("first", "attached"), until="until"
                ),
            ]
        )
        spans = seen.group_by("interface").agg(pl.col("first").min(), pl.col("until").max())
        return self.interface.join(
            spans, left_on="number", right_on="interface", how="left", maintain_order="left"
        ).select(
            "number",
            exists_from=pl.min_horizontal("since", "first"),
            exists_to=pl.max_horizontal(pl.col("until"), pl.col("until_right")),
        )

    def _claims(self) -> Claims:
        rows = self.interface.select(number="number").with_row_index("row")
        primary = pl.col("kind") == Kind.PRIMARY.code
        table = (
            self._ended(self.holding)
            .join(rows, left_on="interface", right_on="number", how="left", maintain_order="left")
            .join(self._existence(), left_on="interface", right_on="number", how="left", maintain_order="left")
            .with_columns(
                first=pl.when(primary).then("exists_from").otherwise("first"),
                until=pl.when(primary).then("exists_to").otherwise("until"),
            )
            .with_columns(until=pl.max_horizontal("until", pl.col("first") - (0 if self.assume else 1)))
        )
        keys = joined(table["high"].to_numpy(), table["low"].to_numpy())
        numbers = {name: table[name].cast(pl.Int64).to_numpy() for name in ("bits", "row", "kind", "first", "until")}
        return Claims(keys, numbers["bits"], numbers["row"], numbers["kind"], numbers["first"], numbers["until"])

    def _workloads(self) -> pl.DataFrame:
        """The rows of `workload`, each thing once, with `since` and `until`: when it surely was behind the interface.

        Where two scopes see one interface (a shared subnet), the one that owns it tells what it is; of several rows of
        one thing (it was missing once) the newest.
        """
        names = self.scope.select("name", scope="number")
        spans = (
            self._ended(self.workload)
            .join(names, on="scope", how="left", maintain_order="left")
            .with_columns(foreign=FOREIGN)
            .filter(~pl.col("foreign") | pl.col("foreign").all().over("interface"))
            .sort(
                "interface",
                "foreign",
                "name",
                pl.col("last").is_not_null(),
                "number",
                descending=[False, False, False, False, True],
            )
            .group_by(*_WORKLOAD, maintain_order=True)
            .agg(
                pl.all().exclude("first", "until").first(),
                first=pl.col("first").min(),
                until=pl.col("until").max(),
            )
            .with_columns(since=pl.min_horizontal("attached", "first"))
            .sort("interface", "since", "first", "number")
        )
        alone = pl.len().over("interface") == 1
        following = pl.col("since").shift(-1).over("interface")
        fixed = pl.col("fixed").fill_null(value=False)
        sure = spans.with_columns(
            since=pl.when(fixed & alone & pl.col("attached").is_null()).then(NEVER).otherwise("since"),
            until=pl.when(fixed & following.is_null())
            .then(ALWAYS)
            .otherwise(pl.min_horizontal("until", following - 1)),
        )
        return self._assumed(sure) if self.assume else sure

    def _assumed(self, sure: pl.DataFrame) -> pl.DataFrame:
        """Each reaching further as addresses do; not to before it was attached, for that proves that it was not."""
        back = pl.when(pl.col("attached").is_null()).then(self.assume).otherwise(0)
        before = pl.col("until").shift(1).over("interface") + self.assume + 1
        after = (pl.col("since") - back).shift(-1).over("interface") - 1
        return sure.with_columns(
            since=pl.min_horizontal("since", pl.max_horizontal(pl.col("since") - back, before, NEVER)),
            until=pl.max_horizontal("until", pl.min_horizontal(pl.col("until") + self.assume, after, ALWAYS)),
        )

    def _bare(self, workloads: pl.DataFrame) -> pl.DataFrame:
        """By interface, in the order of `interface`: what of it never changes."""
        newest = workloads.group_by("interface", maintain_order=True).agg(pl.col(*_LASTING).last())
        rows = self.interface.select(interface="number", interface_id="id", vpc_id="vpc")
        found = rows.join(newest.drop("interface_id", "vpc_id"), on="interface", how="left", maintain_order="left")
        return found.with_columns(
            pl.lit(None, dtype=kind).alias(name) for name, kind in OWNERS.items() if name not in _LASTING
        ).select(*OWNERS)

    def _versions(self, workloads: pl.DataFrame) -> Versions:
        rows = dict(zip(self.interface["number"].to_list(), range(self.interface.height), strict=True))
        table = workloads.with_row_index("row").filter(pl.col("since") <= pl.col("until"))
        interface = table["interface"].replace_strict(rows, return_dtype=pl.Int64).to_numpy()
        row, since, until = (table[name].cast(pl.Int64).to_numpy() for name in ("row", "since", "until"))
        bare = np.arange(self.interface.height, dtype=np.int64) + workloads.height
        return Versions(interface, row, since, until, bare)


@dataclass(frozen=True, slots=True)
class View:
    """A history, ready for look-ups.

    `owners` has one row for each thing that was behind an interface, then one for each interface on its own.
    """

    owners: pl.DataFrame
    index: Index
    networks: tuple[tuple[str, str], ...]
    numbers: pl.Series
    """The history's number of each interface of the index."""
    workload: pl.DataFrame


class NotLater(InventoryError):
    """A snapshot that is not newer than the one before it."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """A snapshot's place in its scope's series: the one before, and whether what both show held in between."""

    scope: int
    before: int | None
    answered: int
    unbroken: bool


def _highest(column: pl.Series) -> int:
    highest = column.max()
    return highest if isinstance(highest, int) else NEVER


def _next(table: pl.DataFrame) -> int:
    highest = table["number"].max()
    return highest + 1 if isinstance(highest, int) else 1


def _shown(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def pairs_in(column: pl.Series) -> tuple[tuple[str, str], ...]:
    """All pairs of a column of networks or links."""
    return pairs_of((pair[0], pair[1]) for pairs in column.to_list() for pair in pairs or ())


def _scope_row(
    number: int, name: str, times: tuple[int, int], snapshot: Snapshot, before: pl.DataFrame
) -> pl.DataFrame:
    """A scope's row; its links hold since they were seen first, the last one's too where they are the same."""
    networks, links = ([list(pair) for pair in pairs] for pairs in (snapshot.networks, snapshot.links))
    taken, linked = times
    if before.height and before["links"].item().to_list() == links:
        linked = before["linked"].item()
    row = {"number": number, "name": name, "taken": taken, "linked": linked, "networks": networks, "links": links}
    return pl.DataFrame([row], schema=TABLES["scope"])


def _replaced(table: pl.DataFrame, fresh: pl.DataFrame) -> pl.DataFrame:
    """A table with rows in the place of those of their number."""
    return pl.concat([table.join(fresh, on="number", how="anti", maintain_order="left"), fresh])


def _with_new(interface: pl.DataFrame, owners: pl.DataFrame, changes: Changes) -> pl.DataFrame:
    """The interfaces with those that are seen for the first time, and with the VPC of one that had none before."""
    seen = owners.select(id="interface_id", vpc="vpc_id")
    placed = interface.filter(pl.col("vpc").is_null()).drop("vpc").join(seen.drop_nulls("vpc"), on="id")
    if placed.height:
        changes.put("interface", placed)
        interface = _replaced(interface, changes.rows["interface"]).sort("number")
    new = seen.join(interface, on="id", how="anti", maintain_order="left")
    if not new.height:
        return interface
    numbered = new.with_row_index("number", _next(interface)).with_columns(
        pl.lit(None, dtype=pl.Int64).alias(name) for name in ("since", "until")
    )
    changes.put("interface", numbered)
    return pl.concat([interface, numbered.select(*TABLES["interface"])])


def _holdings(
    table: pl.DataFrame, snapshot: Snapshot, numbers: pl.Series, moment: _Moment, changes: Changes
) -> pl.DataFrame:
    keys, bits = cidrs_of_texts(snapshot.addresses["address"])
    high, low = halves(keys)
    seen = pl.DataFrame(
        {
            "interface": numbers.gather(snapshot.addresses["owner"]),
            "high": high,
            "low": low,
            "bits": pl.Series(bits, dtype=pl.UInt8),
            "kind": snapshot.addresses["kind"].replace_strict(KIND_CODES, return_dtype=pl.UInt8),
        }
    ).unique(maintain_order=True)
    lasting = pl.lit(value=True) if moment.unbroken else pl.col("kind") == Kind.PRIMARY.code
    return _folded("holding", table, seen, _HOLDING, lasting, moment, changes)


def _workloads(
    table: pl.DataFrame, snapshot: Snapshot, numbers: pl.Series, moment: _Moment, changes: Changes
) -> pl.DataFrame:
    seen = snapshot.owners.with_columns(interface=numbers)
    lasting = pl.lit(moment.unbroken) | pl.col("attached").is_not_null() | pl.col("fixed").fill_null(value=False)
    folded = _folded("workload", table, seen, _WORKLOAD, lasting, moment, changes)
    live = folded.filter((pl.col("scope") == moment.scope) & pl.col("last").is_null())
    newest = live.select("number", *_WORKLOAD, "scope", "first", "last").join(
        seen, on=list(_WORKLOAD), how="inner", nulls_equal=True, maintain_order="left"
    )
    told = newest.select("number", fresh=newest.select(*OWNERS).hash_rows())
    differs = (
        live.select("number", before=live.select(*OWNERS).hash_rows())
        .join(told, on="number")
        .filter(pl.col("before") != pl.col("fresh"))["number"]
    )
    if not len(differs):
        return folded
    other = newest.filter(pl.col("number").is_in(differs.implode())).select(*TABLES["workload"])
    changes.put("workload", other)
    return _replaced(folded, other)


def _folded(  # noqa: PLR0913, PLR0917  a table, and what is new of it
    name: str,
    table: pl.DataFrame,
    seen: pl.DataFrame,
    key: Sequence[str],
    lasting: pl.Expr,
    moment: _Moment,
    changes: Changes,
) -> pl.DataFrame:
    """A table with what is seen now: what goes on, what has ended, what is new."""
    live = (pl.col("scope") == moment.scope) & pl.col("last").is_null()
    before = table.filter(live)
    there = before.join(seen, on=list(key), how="semi", nulls_equal=True, maintain_order="left")
    going_on = there.filter(lasting)
    # What was never sure and is there again after a pause stays one row: it would else be one more at each pause.
    again = there.filter(~lasting & (pl.col("first") > (moment.before or 0) - LAG)).with_columns(
        first=pl.lit(moment.answered, dtype=pl.Int64)
    )
    kept = pl.concat([going_on, again])
    ended = before.join(kept, on="number", how="anti", maintain_order="left").with_columns(
        last=pl.lit(moment.before, dtype=pl.Int64)
    )
    new = (
        seen.join(kept, on=list(key), how="anti", nulls_equal=True, maintain_order="left")
        .with_row_index("number", _next(table))
        .with_columns(
            scope=pl.lit(moment.scope, dtype=pl.UInt32),
            first=pl.lit(moment.answered, dtype=pl.Int64),
            last=pl.lit(None, dtype=pl.Int64),
        )
        .select(*TABLES[name])
    )
    changed = pl.concat([again, ended, new])
    if not changed.height:
        return table
    changes.put(name, changed)
    return _replaced(table, changed)


def folded(snapshots: Iterable[tuple[str, Snapshot]], gap: int, assume: int = 0) -> History:
    """A history of snapshots, each with its scope's name, in whatever order they come."""
    history = History.empty(assume)
    for name, snapshot in sorted(snapshots, key=lambda each: (each[1].taken, each[0])):
        history, _ = history.after(name, snapshot, gap)
    return history
