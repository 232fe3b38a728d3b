"""Whether the program does its work: what each part last said of itself, for whoever asks over HTTP."""

from dataclasses import dataclass, field
from threading import Lock

OUTPUT, INVENTORY, FEEDS = "output", "inventory", "feeds"
"""Parts besides the sources, which go by their ids."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether the program is ready, and for each part that told: why it does not work, or None where it does."""

    ready: bool
    parts: dict[str, str | None]


@dataclass(slots=True)
class Health:
    """What the parts say, by any thread.

    The program is ready when the output and at least one source work: one account that may not be listed is told, and
    makes no replica unready that serves all others.
    """

    _parts: dict[str, str | None] = field(default_factory=dict)
    _changing: Lock = field(default_factory=Lock)

    def tell(self, part: str, why: str | None) -> None:
        """A part does not work, and why; or it does (None)."""
        with self._changing:
            self._parts[part] = why

    def answer(self) -> Answer:
        """What is known now; a part that has not told yet does not work yet."""
        with self._changing:
            parts = dict(self._parts)
        sources = [why for part, why in parts.items() if part not in {OUTPUT, INVENTORY}]
        return Answer(parts.get(OUTPUT, "") is None and None in sources, parts)
