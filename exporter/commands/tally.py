"""What became of dead letters that were sent again: counted, told, or only looked at."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from exporter.flow import Batch, Body, DeadLetter, Delivered, S3Object
from exporter.sink.kept_letters import KeptLetter


@dataclass(slots=True)
class Tally:
    """What became of letters; `told` of those that stay are told one by one."""

    dry_run: bool
    told: int
    sent: int = 0
    existing: int = 0
    refused: int = 0
    impossible: int = 0
    _stay: list[str] = field(default_factory=list)

    @property
    def chosen(self) -> int:
        """How many there were."""
        return self.sent + self.existing + self.left

    @property
    def left(self) -> int:
        """How many stay."""
        return self.refused + self.impossible

    def refuse(self, letter: KeptLetter, reason: str) -> None:
        """It was sent or read, and not taken."""
        self.refused += 1
        self._tell(letter, reason)

    def give_up(self, letter: KeptLetter, reason: str) -> None:
        """It cannot even be tried."""
        self.impossible += 1
        self._tell(letter, reason)

    def lines(self) -> Iterator[str]:
        """Those that stay, with their reasons, then the sums; nothing where none was chosen."""
        if not self.chosen:
            return
        yield from self._stay
        if self.left > len(self._stay):
            yield f"… and {self.left - len(self._stay):,} more"
        would = "would be " if self.dry_run else ""
        yield (
            f"{self.sent:,} {would}sent, {self.existing:,} there already, {self.refused:,} {would}refused again, "
            f"{self.impossible:,} cannot be replayed"
        )

    def _tell(self, letter: KeptLetter, reason: str) -> None:
        if len(self._stay) < self.told:
            self._stay.append(f"{letter.id} {letter.place} row {letter.row}: {reason}")


@dataclass(slots=True)
class Refused:
    """Implements flow.DeadLetters: what the output refuses again is in the file already, and only told."""

    _reasons: dict[str, str] = field(default_factory=dict)

    def keep(self, letters: list[DeadLetter]) -> None:
        """Holds the reasons, until `take` asks."""
        self._reasons.update({f"{each.source.id_prefix}{each.row:08x}": each.reason for each in letters})

    def supersede(self, source: S3Object, before: datetime) -> None:
        """A replay reads no object, so that nothing is superseded by one."""

    def take(self) -> dict[str, str]:
        """The reasons by id, once."""
        taken, self._reasons = self._reasons, {}
        return taken


@dataclass(slots=True)
class Nowhere:
    """Implements flow.Sink and flow.Delivery for a dry run: counts, and sends nothing."""

    delivered: Delivered = field(default_factory=Delivered)

    def open(self, source: S3Object, *, again: bool = False, at_work: bool = False, unsure: bool = False) -> "Nowhere":
        """Starts to count anew."""
        del source, again, at_work, unsure
        return Nowhere()

    def missing(self, batch: Batch) -> Batch:
        """Nothing is there."""
        return batch

    def send(self, body: Body) -> None:
        """Counts the documents."""
        self.delivered.created += body.count

    def finish(self) -> Delivered:
        """The count."""
        return self.delivered

    def abandon(self) -> None:
        """There is nothing to drop."""

    def close(self) -> None:
        """There is nothing to give back."""
