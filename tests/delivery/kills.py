"""Kills at seeded random moments of the work, roll-overs in between, and starting again."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from exporter.ledger import CRASHES
from tests.delivery.daemon import Daemon, DaemonError
from tests.delivery.world import World

Say = Callable[[str], None]

START = 0.3
"""The share of kills that fall into an object's beginning, before or while its first requests are under way."""


@dataclass(frozen=True, slots=True)
class Kills:
    """How often and when: `documents` is the most that the output takes from one start to its kill."""

    seed: int
    count: int
    documents: int
    sign: Literal["SIGKILL", "SIGTERM"] = "SIGKILL"
    roll_overs: float = 0.6
    """The share of kills that a roll-over follows; the first that hits is always one of them."""
    seconds: float = 150
    """After which it is killed no more."""
    finish: float = 180
    """Seconds for what is left then."""


@dataclass(slots=True)
class Figures:
    """What happened: `hits` are kills while at least one object was under way, `interrupted` such objects."""

    kills: int = 0
    hits: int = 0
    interrupted: Counter[str] = field(default_factory=Counter)
    roll_overs: int = 0
    slowest_end: float = 0.0
    """Seconds from SIGTERM to the end of the process, at most."""
    seconds: float = 0.0

    def table(self) -> list[tuple[str, str]]:
        """For people."""
        times = sum(self.interrupted.values())
        return [
            ("kills", str(self.kills)),
            ("kills that hit an object under way", str(self.hits)),
            ("objects interrupted", f"{len(self.interrupted)}, {times} times in all"),
            ("roll-overs between kill and start", str(self.roll_overs)),
            *([("slowest end after SIGTERM", f"{self.slowest_end:.1f} s")] if self.slowest_end else []),
            ("time", f"{self.seconds:.0f} s"),
        ]


def interrupt(world: World, plan: Kills, say: Say = lambda _: None) -> Figures:
    """Starts the daemon and kills it, again and again, then lets it finish.

    Ends early where nothing is left to do.  No object is killed so often that the program takes it for the cause.
    """
    figures, chance, began = Figures(), random.Random(plan.seed), time.monotonic()  # noqa: S311 - repeatable, not secret
    while figures.kills < plan.count and time.monotonic() - began < plan.seconds and not world.all_done():
        with world.daemon() as daemon:
            if not _moment(world, daemon, plan, chance, figures):
                break
            _kill(world, daemon, plan, figures)
        if figures.hits and (not figures.roll_overs or chance.random() < plan.roll_overs):
            figures.roll_overs += world.roll_over()
        say(f"kill {figures.kills}: {figures.hits} hit, {figures.roll_overs} roll-overs, {world.done()} objects done")
    with world.daemon() as daemon:
        world.finish(daemon, plan.finish, say)
    figures.seconds = time.monotonic() - began
    return figures


def _moment(world: World, daemon: Daemon, plan: Kills, chance: random.Random, figures: Figures) -> bool:
    """Waits for the moment to kill; False where everything is done before."""
    early, wait = chance.random() < START, chance.random()
    documents = 0 if early else int(plan.documents * (0.05 + 0.95 * wait))
    spared = CRASHES - 1 if plan.sign == "SIGKILL" else plan.count

    def come() -> bool:
        if world.all_done():
            return True
        under_way = world.under_way()
        return (
            bool(under_way)
            and daemon.documents() >= documents
            and all(figures.interrupted[each] < spared for each in under_way)
        )

    daemon.wait(come, plan.seconds, f"{documents} documents and an object under way")
    if early:
        time.sleep(wait)
    return not world.all_done()


def _kill(world: World, daemon: Daemon, plan: Kills, figures: Figures) -> None:
    figures.kills += 1
    if plan.sign == "SIGTERM":
        before = world.under_way()
        figures.slowest_end = max(figures.slowest_end, daemon.terminate())
        states = world.states()
        if left := world.under_way():
            raise DaemonError(f"SIGTERM ended it, and {len(left)} objects are still under way:\n{daemon.tail()}")
        hit = {each for each in before if states[each] != "done"}
    else:
        daemon.kill()
        hit = world.under_way()
    figures.hits += bool(hit)
    figures.interrupted.update(hit)
