"""The history in use: snapshots go in, views for look-ups come out, what has changed goes into the store."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from exporter.enrich.history import Changes, History, NotLater, View
from exporter.enrich.inventory import Snapshot
from exporter.enrich.oddities import Oddities
from exporter.metrics import Metrics

CLOSE = timedelta(minutes=1)
"""A snapshot that is older than the one before by less than this is of a restart right after it, or of a clock that was
set by a little: it is passed over, for the next one tells all that it would."""


class Owners:
    """Who owned what when, as far as it is known; any thread may look while another one adds.

    `write` keeps changes for the next start; `gap` is the longest pause between two snapshots through which what both
    show held, and what is gone is forgotten after `remember`.
    """

    def __init__(  # noqa: PLR0913  settings and services are passed in
        self,
        history: History,
        write: Callable[[Changes], None],
        *,
        gap: timedelta,
        remember: timedelta,
        metrics: Metrics,
        oddities: Oddities,
    ) -> None:
        self._history = history
        self._write = write
        self._gap = int(gap.total_seconds())
        self._remember = remember
        self._metrics = metrics
        self._oddities = oddities
        self._view: View | None = None

    def view(self) -> View | None:
        """The newest view; None before anything was added."""
        return self._view

    @property
    def scopes(self) -> frozenset[str]:
        """The names of the scopes of which something is remembered."""
        return frozenset(self._history.scope["name"])

    def add(self, snapshots: Mapping[str, Snapshot], now: datetime) -> None:
        """Folds in the newest snapshot of each scope, by its name, and makes the next view.

        What has changed is written at once, whole; where that fails, all stays as it was.
        """
        history, changes = self._history, Changes()
        for name in sorted(snapshots):
            history = self._after(history, name, snapshots[name], changes)
        if self._view is not None:
            history, seen = history.seeing(self._view)
            changes.then(seen)
        history, forgotten = history.since(now - self._remember)
        changes.then(forgotten)
        view = history.view(self._view)
        self._write(changes)
        self._history, self._view = history, view
        if view.index.conflicts:
            told = f"addresses that had two owners at once: {view.index.conflicts}; for those times nobody is named"
            self._oddities.note("two_owners", "the inventory", told)
        self._metrics.set("inventory_remembered", history.interface.height, what="interfaces")
        self._metrics.set("inventory_remembered", history.holding.height, what="addresses")

    def _after(self, history: History, name: str, snapshot: Snapshot, changes: Changes) -> History:
        before = history.scope.filter(name=name)["taken"]
        if len(before) and 0 <= before.item() - int(snapshot.taken.timestamp()) < CLOSE.total_seconds():
            return history
        try:
            history, fresh = history.after(name, snapshot, self._gap)
        except NotLater as error:
            self._oddities.note("clock", name, f"{error}: what was known of it is forgotten, and begun anew")
            history, forgotten = history.without_scope(name)
            changes.then(forgotten)
            history, fresh = history.after(name, snapshot, self._gap)
        changes.then(fresh)
        return history
