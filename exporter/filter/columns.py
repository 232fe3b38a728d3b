"""A field's values in a batch, and for which of its records a condition on them holds.

Most values stand once in a table and are named by a code in each record; a condition is then tried on the table only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from exporter.filter.conditions import Condition, Flags, Table, known_of
from exporter.flow import Addresses, Batch

Codes = npt.NDArray[np.integer]


class Column(Protocol):
    """One field of all records of a batch."""

    def holds(self, condition: Condition) -> Flags:
        """For each record whether the condition holds."""
        ...  # pragma: no cover

    def known(self) -> Flags:
        """For each record whether it has a value."""
        ...  # pragma: no cover


@dataclass(frozen=True, slots=True)
class Plain:
    """A value for each record: a Series as long as the batch, null for none."""

    values: pl.Series

    def holds(self, condition: Condition) -> Flags:
        """See Column."""
        return condition.of(self.values)

    def known(self) -> Flags:
        """See Column."""
        return known_of(self.values)


@dataclass(frozen=True, slots=True)
class Coded:
    """A value, or a list of values, for each code: a place in `values`; their number stands for none.

    A condition holds for a list where it does for one of its values; an empty one is none.
    """

    values: Table
    codes: Codes

    def holds(self, condition: Condition) -> Flags:
        """See Column."""
        return np.append(_of(self.values, condition), condition.absent)[self.codes]

    def known(self) -> Flags:
        """See Column."""
        is_list = isinstance(self.values, pl.Series) and self.values.dtype == pl.List
        known = _lengths(self.values) > 0 if is_list else known_of(self.values)
        return np.append(known, False)[self.codes]


@dataclass(frozen=True, slots=True)
class Nothing:
    """A field that none of so many records has."""

    height: int

    def holds(self, condition: Condition) -> Flags:
        """See Column."""
        return np.full(self.height, condition.absent)

    def known(self) -> Flags:
        """See Column."""
        return np.zeros(self.height, dtype=bool)


@dataclass(frozen=True, slots=True)
class Filled:
    """The first column's value where `decides` says so, else the second one's."""

    first: Column
    decides: Flags
    second: Column

    def holds(self, condition: Condition) -> Flags:
        """See Column."""
        held: Flags = np.where(self.decides, self.first.holds(condition), self.second.holds(condition))
        return held

    def known(self) -> Flags:
        """See Column."""
        known: Flags = np.where(self.decides, self.first.known(), self.second.known())
        return known


@dataclass(frozen=True, slots=True)
class Several:
    """The values of all of some columns, at least one: a condition holds where it does for one of them."""

    columns: tuple[Column, ...]

    def holds(self, condition: Condition) -> Flags:
        """See Column."""
        found: Flags = np.logical_or.reduce([column.holds(condition.of_a_value()) for column in self.columns])
        return found | ~self.known() if condition.absent else found

    def known(self) -> Flags:
        """See Column."""
        known: Flags = np.logical_or.reduce([column.known() for column in self.columns])
        return known


def filled(first: Column | None, make_second: Callable[[], Column | None]) -> Column | None:
    """The first column's value where there is one, else the second one's; None is a column without any."""
    known = None if first is None else first.known()
    if known is not None and known.all():
        return first
    second = make_second()
    if first is None or known is None or second is None:
        return first or second
    return Filled(first, known, second)


def without_nulls(numbers: pl.Series, instead: int) -> Codes:
    """The numbers, with one that stands in for null."""
    return (numbers.fill_null(instead) if numbers.null_count() else numbers).to_numpy()


def constant(text: str | None, height: int) -> Column | None:
    """One text for all records."""
    return Coded(pl.Series([text], dtype=pl.String), np.zeros(height, dtype=np.uint8)) if text else None


def _of(values: Table, condition: Condition) -> Flags:
    if isinstance(values, Addresses) or values.dtype != pl.List:
        return condition.of(values)
    lengths = _lengths(values)
    fits = condition.of_a_value().of(values.filter(pl.Series(lengths > 0)).explode())
    lists = np.repeat(np.arange(len(values)), lengths)
    found: Flags = np.bincount(lists[fits], minlength=len(values)) > 0
    return found | (lengths == 0) if condition.absent else found


def _lengths(values: Table) -> npt.NDArray[np.int64]:
    """The number of values in each list."""
    if isinstance(values, Addresses):
        return np.ones(len(values.text), dtype=np.int64)
    return values.list.len().fill_null(0).to_numpy().astype(np.int64)


class Records:
    """A batch whose columns are made to be filtered on; what several fields need is made once.

    Made anew for each batch, and for one thread.
    """

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.frame = batch.frame
        self.height = batch.frame.height
        self._addresses: dict[str, Codes] = {}
        self._used: dict[str, tuple[pl.Series, Codes]] = {}

    def has(self, *names: str) -> bool:
        """Whether the records have all of these columns."""
        return set(names) <= set(self.frame.columns)

    def addresses(self, name: str) -> Codes:
        """An address column's places in the batch's addresses; their number for none."""
        if name not in self._addresses:
            codes = self.frame[name].to_physical().cast(pl.UInt32)  # a Series: an expression costs three times as much
            self._addresses[name] = without_nulls(codes, len(self.batch.addresses.text))
        return self._addresses[name]

    def used(self, name: str) -> tuple[pl.Series, Codes]:
        """A column of numbers from 0 on: those that there are, rising, and each record's place among these.

        Their number is the place of a record that has none.
        """
        if name not in self._used:
            self._used[name] = _used(self.frame[name])
        return self._used[name]


def _used(column: pl.Series) -> tuple[pl.Series, Codes]:
    highest = column.max()
    if not isinstance(highest, int):
        return pl.Series([], dtype=column.dtype), np.zeros(len(column), dtype=np.uint8)
    numbers = without_nulls(column.cast(pl.UInt32), highest + 1)
    is_used = np.zeros(highest + 2, dtype=bool)
    is_used[numbers] = True
    is_used[-1] = False
    rows = np.flatnonzero(is_used)
    places = np.full(highest + 2, len(rows), dtype=np.uint32)
    places[rows] = np.arange(len(rows))
    return pl.Series(rows, dtype=pl.UInt32), places[numbers]


Make = Callable[[Records], Column | None]
"""Makes a field's column; None where none of the records has the field."""
