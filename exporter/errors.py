"""Everything that can go wrong, as one tree.

    ExporterError
    ├── ConfigError        the configuration has faults: all of them, each by its path (fatal at start)
    ├── LedgerError        the ledger cannot be used (fatal at start)
    ├── SourceError        an object could not be fetched this time (retried by policy, then at a later pass)
    │   ├── Incomplete     parts of a source could not be looked at (the others went on)
    │   └── ObjectGone     the object no longer exists (set aside)
    │       └── Overwritten    it has a new version (which is done in its place)
    ├── ReadError          the object is not what it should be (set aside with the reason, never retried by itself)
    │   ├── Unrecognised   it is nothing that is read: no header, an unknown container, a line without end
    │   └── Damaged        it breaks off: what stands before `position` was read and goes on its way
    ├── InventoryError     EC2 could not be asked (the last snapshot stays in use)
    ├── FeedError          what is kept fresh cannot be had or used (what was read last stays in use)
    ├── SinkError          the output did not take a request
    │   ├── Unavailable    for now: 429, 5xx, no connection (retried by policy)
    │   └── Refused        for good: not allowed, no such stream (the object stays undone, an operator is needed)
    └── Stopped            a wait was ended by SIGTERM or SIGINT (the object stays undone)

An error is fatal at start, retried by a named policy, or counted and kept.  Its text says what happened, where,
what was expected and, where somebody can do something about it, what.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.flow import S3Object


class ExporterError(Exception):
    """Anything this program raises by itself."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a configuration: where (a dotted path) and what was expected there."""

    path: str
    problem: str


class ConfigError(ExporterError):
    """The configuration cannot be used; `faults` holds every reason, not only the first."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        width = max((len(fault.path) for fault in faults), default=0)
        lines = "\n".join(f"  {fault.path:<{width}}  {fault.problem}" for fault in faults)
        super().__init__(f"the configuration has {len(faults)} fault{'s' * (len(faults) != 1)}:\n{lines}")


class LedgerError(ExporterError):
    """The ledger cannot be opened or is in use by another daemon."""


class SourceError(ExporterError):
    """An object or a listing could not be fetched this time."""


class Incomplete(SourceError):
    """Parts of a source could not be looked at: `faults` says of each (a folder) why; all others went on."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        self.faults = dict(faults)
        super().__init__("; ".join(faults.values()))


def faults_of(name: str, error: Exception) -> dict[str, str]:
    """What of the source `name` could not be gone through, each with why."""
    return error.faults if isinstance(error, Incomplete) else {name: str(error) or repr(error)}


class ObjectGone(SourceError):
    """The object was deleted between its listing and its reading."""


class Overwritten(ObjectGone):
    """The object was overwritten; `now` is what lies there instead."""

    def __init__(self, reason: str, now: S3Object) -> None:
        self.now = now
        super().__init__(reason)


class ReadError(ExporterError):
    """The object's content is not what it should be."""


class Unrecognised(ReadError):
    """It is nothing that is read here."""


class Damaged(ReadError):
    """The object breaks off; everything before `position` (bytes into the stored object) has been read.

    `rest` is the unfinished line before the break, as far as it could be read.
    """

    def __init__(self, reason: str, position: int) -> None:
        self.position = position
        self.rest = b""
        super().__init__(f"{reason} at byte {position:,}")


class InventoryError(ExporterError):
    """The inventory could not be refreshed."""


class FeedError(ExporterError):
    """What is kept fresh (a list of addresses, AWS's ranges) could not be had, or is not what it should be."""


class SinkError(ExporterError):
    """The output did not take a request."""


class Unavailable(SinkError):
    """The output cannot take the request now and may take it later.

    `busy` says that it had too much, `arrived` that it may have taken the request, or may yet, and only the answer
    did not come or could not be read.
    """

    def __init__(self, reason: str, *, busy: bool = False, arrived: bool = False) -> None:
        self.busy = busy
        self.arrived = arrived
        super().__init__(reason)


class Refused(SinkError):
    """The output will not take the request until somebody changes something."""


class Stopped(ExporterError):
    """The program is stopping; what was under way stays undone."""
