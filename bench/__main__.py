"""`make bench`: CPU seconds a million records from a gzip file to request bodies, one core, beside a plain Python loop.

Each case runs in a process of its own, one after the other, in turns; the best of the turns counts.  The figures of one
run are comparable with each other, not with another machine's or another day's: that is what the ratios are for.
At the end the daemon, as a process of its own, takes objects from S3 to Elasticsearch, the ledger is timed by its
number of rows, and a large inventory over time is made, refreshed and read again.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

RECORDS = 400_000
LARGE = 2_400_000
"""Records of an object of about 75 MB, the largest that AWS writes."""

SHOWN = {
    "both ends": "full document, both ends from an inventory of 2,000 interfaces, Community ID",
    "+ places": "as the first, with city and network of external addresses",
    "+ AWS ranges": "as the first, with services and regions of 10,000 ranges of AWS",
    "+ threats": "as the first, with a threat list of 1,000,000 addresses and networks",
    "+ client and server": "as the first, with client, server and protocol",
    "+ reporter": "as the first, with whose view of the flow it is",
    "+ cost": "as the first, with what it costs",
    "+ filter": "as the first, with ten rules of a filter",
    "everything": "as the first, with all of these",
    "over time": "as the first, the same interfaces in a history of 100,000 and a million intervals",
    "no inventory": "document without inventory, Community ID",
    "v2": "as the first, from text with the 14 default fields (v2)",
    "parquet": "as the first, from Parquet",
    "messages": "as the first, from Firehose's JSON",
    "commas": "as the first, from quoted CSV",
    "inflate": "undoing gzip alone",
    "plain loop": "plain Python loop with orjson: no inventory, no Community ID",
}


WIDTH = 190
"""Of what goes to a file or a pipe: the table needs it."""

END_TO_END, LEDGER, OWNERSHIP = "end-to-end", "ledger", "ownership"

FORMS = ("v5", "v2", "parquet", "messages", "commas")

LARGEST = {"v5": "both ends", "parquet": "parquet"}
"""Forms of which the memory is shown for the largest object, too, with their cases."""


def main() -> None:
    """Runs the whole bench, or one case where it is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "case",
        nargs="?",
        help=f"one case alone, as JSON; {END_TO_END}: S3 to Elasticsearch, {LEDGER}: by its rows, {OWNERSHIP}: "
        "who owned what over time, as tables",
    )
    parser.add_argument("--records", type=int, default=RECORDS, help="records of the object")
    parser.add_argument("--turns", type=int, default=3, help="runs of each case, of which the best counts")
    options = parser.parse_args()
    if options.case == END_TO_END:
        _end_to_end(options.records)
    elif options.case == LEDGER:
        _ledger()
    elif options.case == OWNERSHIP:
        _ownership(options.records)
    elif options.case:
        print(json.dumps(_measure(options.case, options.records)))  # noqa: T201
    else:
        _all(options.records, options.turns)
        _end_to_end(options.records)
        _ledger()
        _ownership(options.records)


def _end_to_end(records: int) -> None:
    from bench import end_to_end  # noqa: PLC0415 - it needs servers, and the other cases nothing

    end_to_end.main(_console(), records)


def _ledger() -> None:
    from bench import ledger  # noqa: PLC0415 - as above

    ledger.main(_console())


def _ownership(records: int) -> None:
    from bench import ownership, traffic  # noqa: PLC0415 - as above

    ownership.main(_console(), traffic.sample(records))


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else WIDTH)


def _measure(case: str, records: int) -> dict[str, object]:
    from bench.cases import CASES  # noqa: PLC0415 - polars reads its settings when it is imported

    cost = CASES[case](records)
    return {**asdict(cost), "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def _all(records: int, turns: int) -> None:
    console = _console()
    console.print(f"objects of {records:,} records, 29 fields (v5) unless said; best of {turns} turns, one core\n")
    best: dict[str, dict] = {}  # type: ignore[type-arg]
    for form in FORMS:
        _child(f"make {form}", records)
    for turn in range(turns):
        for case in SHOWN:
            console.print(f"  turn {turn + 1}: {case} …", end="\r")
            cost = _child(case, records)
            if case not in best or _seconds(cost) < _seconds(best[case]):
                best[case] = cost
    _table(console, best)
    _stages(console, best)
    console.print()
    for form, case in LARGEST.items():
        size = _child(f"make {form}", LARGE)["bytes"]
        large = _child(case, LARGE)
        console.print(
            f"an object of {size / 1e6:.0f} MB ({form}, {large['records']:,} records): "
            f"peak memory {large['rss'] / 1e6:.0f} MB"
        )


def _child(case: str, records: int) -> dict:  # type: ignore[type-arg]
    """One case in a process with one thread for polars."""
    environment = {**os.environ, "POLARS_MAX_THREADS": "1"}
    command = [sys.executable, "-m", "bench", case, "--records", str(records)]
    ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)  # noqa: S603
    return json.loads(ended.stdout)  # type: ignore[no-any-return]


def _seconds(cost: dict) -> float:  # type: ignore[type-arg]
    return float(sum(cost["stages"].values()))


def _table(console: Console, best: dict[str, dict]) -> None:  # type: ignore[type-arg]
    table = Table("case", box=None, pad_edge=False, padding=(0, 2))
    for head in (
        "CPU s a million",
        "of that reading",
        "records a second",
        "bytes a document",
        "peak MB",
        "of the plain loop",
        "of the first",
    ):
        table.add_column(head, justify="right")
    plain, first = (_seconds(best[case]) / best[case]["records"] for case in ("plain loop", "both ends"))
    for case, what in SHOWN.items():
        cost = best[case]
        each = _seconds(cost) / cost["records"]
        table.add_row(
            what,
            f"{each * 1e6:.2f}",
            f"{cost['stages']['read'] / cost['records'] * 1e6:.2f}" if "read" in cost["stages"] else "",
            f"{1 / each:,.0f}",
            "" if case == "inflate" else f"{cost['bytes'] / cost['records']:,.0f}",
            f"{cost['rss'] / 1e6:,.0f}",
            f"{each / plain:.2f}",
            f"{each / first:.2f}",
        )
    console.print(table)


def _stages(console: Console, best: dict[str, dict]) -> None:  # type: ignore[type-arg]
    cost = best["both ends"]
    inflate = _seconds(best["inflate"]) / best["inflate"]["records"] * cost["records"]
    stages = {"inflate": inflate, **cost["stages"]}
    stages["read"] -= inflate
    whole = sum(stages.values())
    console.print("\nstages of the full document")
    for stage, seconds in stages.items():
        console.print(f"  {stage:<10}{seconds / cost['records'] * 1e6:6.2f} CPU s a million {seconds / whole:6.0%}")


if __name__ == "__main__":
    main()
