"""Rules over documents' fields: the first one that a record fits decides what becomes of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from exporter import config
from exporter.errors import ConfigError, Fault
from exporter.filter.columns import Column, Make, Nothing, Records
from exporter.filter.conditions import Condition, Flags, are, condition
from exporter.filter.fields import filterable
from exporter.filter.own_traffic import OwnTraffic
from exporter.filter.sampling import are_kept, hashes
from exporter.flow import Batch, Counts

NODATA, OWN_TRAFFIC = "nodata", "own_traffic"
"""What is dropped without a rule is counted under these names."""

DROPPED, SAMPLED_OUT, WOULD_DROP = "dropped", "sampled out", "would drop"
"""What a rule did with a record that it counts."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One field's condition: the path, what makes its column, and what has to hold for its values."""

    path: str
    make: Make
    condition: Condition


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the configuration; `rate` is 1 for a rule that keeps, 0 for one that drops."""

    name: str
    rate: float
    dry_run: bool
    where: tuple[Clause, ...]
    unless: tuple[Clause, ...]

    def fits(self, columns: "_Columns") -> Flags:
        """The records for which all of `where` holds, and not all of `unless`."""
        found = columns.hold(self.where)
        return found & ~columns.hold(self.unless) if self.unless and found.any() else found


class _Columns:
    """The columns of one batch, each made when the first rule names it."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self._made: dict[str, Column] = {}

    def hold(self, clauses: tuple[Clause, ...]) -> Flags:
        """The records for which all clauses hold."""
        found = np.ones(self.records.height, dtype=bool)
        for clause in clauses:
            found &= self._column(clause).holds(clause.condition)
            if not found.any():
                break
        return found

    def _column(self, clause: Clause) -> Column:
        if clause.path not in self._made:
            self._made[clause.path] = clause.make(self.records) or Nothing(self.records.height)
        return self._made[clause.path]


@dataclass(slots=True)
class _Verdict:
    """What becomes of the records of a batch, rule by rule.

    `open` are those on which no rule has decided, `planned` those on which none would have, were there no dry runs.
    """

    kept: Flags
    open: Flags
    planned: Flags
    rate: npt.NDArray[np.float64] | None = None

    def drop(self, rows: Flags) -> int:
        """Drops what is still open of some records, whatever the rules are; how many those are."""
        dropped = rows & self.open
        self.kept &= ~dropped
        self.open &= ~dropped
        self.planned &= ~dropped
        return int(np.count_nonzero(dropped))

    def apply(self, rule: Rule, fits: Flags, left_out: Flags) -> tuple[str, int]:
        """What the rule does with the records that fit; `left_out` are those that are not of its sample."""
        decided = fits & (self.planned if rule.dry_run else self.open)
        self.planned &= ~fits
        dropped = decided & left_out
        if rule.dry_run:
            return WOULD_DROP, int(np.count_nonzero(dropped))
        self.open &= ~fits
        self.kept &= ~dropped
        if 0 < rule.rate < 1:
            self.rate = np.full(len(fits), np.nan) if self.rate is None else self.rate
            self.rate[decided] = rule.rate
        return DROPPED if not rule.rate else SAMPLED_OUT, int(np.count_nonzero(dropped))


class Filter:
    """Drops what the configuration does not want; any thread may call."""

    def __init__(self, rules: tuple[Rule, ...] = (), *, nodata: bool = False, own: OwnTraffic | None = None) -> None:
        self._rules = rules
        self._nodata = nodata
        self._own = own
        self._samples = any(0 < rule.rate < 1 for rule in rules)

    @classmethod
    def of(cls, settings: config.Filter, own: OwnTraffic | None = None) -> Self:
        """As configured; `own` knows the traffic to the cluster, where there is one.

        ConfigError with all faults of all rules: a field that documents do not have, a value that it cannot have.
        """
        faults: list[Fault] = []
        rules = tuple(_rules(settings, faults))
        if faults:
            raise ConfigError(tuple(faults))
        return cls(rules, nodata=settings.nodata == "drop", own=own if settings.own_traffic == "drop" else None)

    def apply(self, batch: Batch) -> tuple[Batch, Counts]:
        """The records that go out, in their order, those of a sample with its `sample_rate`; and how many do not.

        What a rule on a dry run would drop is counted as if no rule were on one; it drops nothing, and neither hides a
        record from the rules behind it, which decide as if it were not there.
        """
        height = batch.frame.height
        if not height or not (self._rules or self._nodata or self._own):
            return batch, {}
        records, all_of = Records(batch), np.ones(height, dtype=bool)
        verdict, counts = _Verdict(all_of.copy(), all_of.copy(), all_of), Counts()
        if self._nodata and records.has("log_status"):
            counts[NODATA, DROPPED] = verdict.drop(are(batch.frame["log_status"], NODATA.upper()))
        if self._own is not None:
            counts[OWN_TRAFFIC, DROPPED] = verdict.drop(self._own.among(batch))
        self._decide(records, verdict, counts)
        return _kept(batch, verdict), {key: count for key, count in counts.items() if count}

    def _decide(self, records: Records, verdict: _Verdict, counts: Counts) -> None:
        """What the rules do, in their order, up to where all is decided."""
        columns = _Columns(records)
        hashed = hashes(records.batch.source, records.frame["row"].to_numpy()) if self._samples else None
        for rule in self._rules:
            if not verdict.open.any():
                return
            sampled = are_kept(hashed, rule.rate) if hashed is not None and 0 < rule.rate < 1 else None
            left_out = np.full(records.height, not rule.rate) if sampled is None else ~sampled
            what, count = verdict.apply(rule, rule.fits(columns), left_out)
            counts[rule.name, what] = count


def _kept(batch: Batch, verdict: _Verdict) -> Batch:
    frame, kept = batch.frame, verdict.kept
    if verdict.rate is not None:
        frame = frame.with_columns(pl.Series("sample_rate", verdict.rate).fill_nan(None))
    if not kept.all():
        frame = frame.filter(pl.Series(kept))
    return batch if frame is batch.frame else replace(batch, frame=frame)


def _rules(settings: config.Filter, faults: list[Fault]) -> Iterator[Rule]:
    """The rules; what is wrong with them goes to `faults`."""
    for place, rule in enumerate(settings.rules):
        path = f"filter.rules[{place}]"
        if rule.name in (NODATA, OWN_TRAFFIC):
            faults.append(Fault(f"{path}.name", f"expected another name: filter.{rule.name} is counted under this one"))
        # What keeps has nothing to try: it shields from the first rule on that is none on a dry run any more.
        dry_run = (settings.dry_run and rule.action != "keep") if rule.dry_run is None else rule.dry_run
        where = tuple(_clauses(rule.where, f"{path}.where", faults))
        unless = tuple(_clauses(rule.unless or {}, f"{path}.unless", faults))
        yield Rule(rule.name, _rate(rule, path, faults), dry_run, where, unless)


def _rate(rule: config.FilterRule, path: str, faults: list[Fault]) -> float:
    if rule.action != "sample":
        if rule.rate is not None:
            faults.append(
                Fault(f"{path}.rate", f"expected none: only action sample has one, and this is {rule.action}")
            )
        return 1.0 if rule.action == "keep" else 0.0
    if rule.rate is None or not 0 < rule.rate < 1:
        faults.append(Fault(f"{path}.rate", "expected the part of the records to keep, above 0 and below 1"))
        return 1.0
    return rule.rate


def _clauses(conditions: Mapping[str, tuple[str, ...]], path: str, faults: list[Fault]) -> Iterator[Clause]:
    for name, texts in conditions.items():
        try:
            field = filterable(name)
            yield Clause(name, field.make, condition(field.kind, texts, field.among))
        except ValueError as error:
            faults.append(Fault(f"{path}.{name}", str(error)))
