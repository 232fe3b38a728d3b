"""Memory over time: whether it is flat is told by the second half, for the first holds what is loaded once."""

import time
from dataclasses import dataclass, field

import numpy as np

EVERY = 1.0
"""Seconds between two looks."""

SLOPE = 4 * 1024 * 1024
"""Bytes that memory may grow by in a million records of the second half: what a small leak a record would pass."""

ENOUGH = 60
"""Looks at least, for a slope that says anything."""


@dataclass(slots=True)
class Samples:
    """Records read and bytes held, at each look."""

    at: list[tuple[int, int]] = field(default_factory=list)

    def add(self, memory: int, records: int) -> None:
        """One look."""
        self.at.append((records, memory))

    def due(self, since: float) -> bool:
        """Whether the next look is due, this one having been at `since`."""
        return time.monotonic() - since >= EVERY

    @property
    def records(self) -> int:
        """At the last look."""
        return self.at[-1][0]

    @property
    def last(self) -> int:
        """Bytes held at the last look."""
        return self.at[-1][1]

    def slope(self) -> float:
        """Bytes by which memory grows in a million records, over the second half."""
        records, memory = np.array(self.at[len(self.at) // 2 :], float).T
        return float(np.polyfit(records / 1e6, memory, 1)[0]) if np.ptp(records) else 0.0

    def table(self) -> list[tuple[str, str]]:
        """For people: the middle of each tenth, and the slope."""
        tenths = [np.median([memory for _, memory in part]) / 1e6 for part in _parts(self.at, 10)]
        return [
            ("memory, the middle of each tenth", " ".join(f"{each:.0f}" for each in tenths) + " MB"),
            ("growth in the second half", f"{self.slope() / 1e6:+.2f} MB a million records ({len(self.at)} looks)"),
        ]

    def faults(self) -> tuple[str, ...]:
        """Growth that is none of chance."""
        if len(self.at) < ENOUGH or self.slope() < SLOPE:
            return ()
        return (f"memory grows by {self.slope() / 1e6:.2f} MB a million records; {SLOPE / 1e6:.0f} MB is the bound",)


def _parts(looks: list[tuple[int, int]], count: int) -> list[list[tuple[int, int]]]:
    size = -(-len(looks) // count)
    return [looks[first : first + size] for first in range(0, len(looks), size)]
