"""`python -m soak`: one form or all, each with its figures; the status is 1 where an id is missing or there twice."""

import argparse
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from soak import __doc__ as usage
from soak.forms import FORMS, Form, Options, Result
from tests.delivery.daemon import DaemonError
from tests.delivery.world import world
from tests.services.aws import aws
from tests.services.elasticsearch import cluster

EVERY = 10.0
"""Seconds between two lines of progress."""


ENDED = 128 + signal.SIGTERM
"""The status after SIGTERM, as a shell has it."""


def main() -> None:
    """Runs what was asked for."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(ENDED))  # so that what was started is ended, too
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    names = [options.form] if options.form else list(FORMS)
    sound = [_run(console, name, FORMS[name], options) for name in names]
    sys.exit(not all(sound))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=usage, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "form", nargs="?", choices=list(FORMS), help="; ".join(f"{n}: {f.what}" for n, f in FORMS.items())
    )
    parser.add_argument(
        "--seed", type=int, default=None, help="of the moments and faults; chosen and shown if not given"
    )
    parser.add_argument("--objects", type=int, help="how many; each form has its own number")
    parser.add_argument("--records", type=int, help="of each object")
    parser.add_argument("--kills", type=int, default=30, help="of crash and term")
    parser.add_argument("--replicas", type=int, help="of replicas")
    parser.add_argument("--minutes", type=float, default=60, help="of a form: nothing new is begun after that")
    parser.add_argument("--keep", type=Path, help="an empty folder for the daemon's logs and state, which then stay")
    return parser.parse_args()


def _run(console: Console, name: str, form: Form, given: argparse.Namespace) -> bool:
    """One form on servers of its own; whether all went well."""
    seed = random.randrange(1_000_000) if given.seed is None else given.seed  # noqa: S311 - repeatable, not secret
    chosen = {key: getattr(given, key) for key in ("objects", "records", "replicas") if getattr(given, key) is not None}
    options = Options(seed=seed, kills=given.kills, seconds=given.minutes * 60, **{**form.usual, **chosen})
    console.print(f"[bold]{name}[/]: {form.what}")
    console.print(
        f"  seed {seed}, {options.objects} objects of {options.records:,} records, {given.minutes:g} minutes at most"
    )
    with tempfile.TemporaryDirectory(prefix="soak-") as temporary:
        folder = (given.keep or Path(temporary)) / name
        folder.mkdir(parents=True)
        with cluster() as running, aws() as services, world(services, running, folder, form.settings) as made:
            try:
                result = form.run(made, options, _Progress(console).say)
            except DaemonError as error:
                console.print(f"  [red]FAULT[/]: {escape(str(error))}")
                return False
    return _shown(console, result)


class _Progress:
    """Lines of progress, no more than one in `EVERY` seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = self._last = time.monotonic()

    def say(self, line: str) -> None:
        now = time.monotonic()
        if now - self._last >= EVERY:
            self._last = now
            self._console.print(f"  {now - self._began:6.0f} s  {line}")


def _shown(console: Console, result: Result) -> bool:
    table = Table(box=None, pad_edge=False, padding=(0, 2), show_header=False)
    for row in result.table:
        table.add_row("", *row)
    console.print(table)
    sound = result.verdict.exact and not result.faults
    for fault in result.faults:
        console.print(f"  {fault}")
    console.print(f"  [bold]{'SOUND' if sound else 'NOT SOUND'}[/]: {result.verdict}\n")
    return sound


if __name__ == "__main__":
    main()
