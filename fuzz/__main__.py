"""`make fuzz`: runs the target for some seconds in a process of its own, and says how it went.

The seed, with the same program, gives the same first inputs; how far they get depends on the machine.  An input that
breaks a promise, takes too long or too much memory is kept in fuzz/out, and the exit status is then not 0.
"""

import argparse
import importlib.util
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

OUT = Path(__file__).parent / "out"
LONGEST_INPUT = 16 * 1024
TIMEOUT_SECONDS = 20
"""Of one input."""

MEMORY_MB = 1024
PROGRESS_SECONDS = 10
LAST_LINES = 60
"""Of what the target printed, shown where it failed."""

_PROGRESS = re.compile(r"#(\d+)\s.*\bcov: (\d+).*\bexec/s: (\d+) rss: (\d+)Mb")
_STATISTIC = re.compile(r"stat::(\w+):\s+(\d+)")
_KEPT = re.compile(r"Test unit written to (\S+)")

NO_ATHERIS = (
    "make fuzz needs the library atheris, which is not installed: there are wheels for CPython 3.11 to 3.13 on "
    "Linux x86-64 only, so nothing was fuzzed here"
)


def main() -> int:
    """The exit status: 0 where every promise was kept."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("input", nargs="?", type=Path, help="a kept input to run again, alone")
    parser.add_argument("--seconds", type=int, default=30, help="how long (default: 30)")
    parser.add_argument("--seed", type=int, help="of the random numbers; else it is made up, and printed")
    options = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print(NO_ATHERIS, file=sys.stderr)  # noqa: T201
        return 2
    if options.input:
        return _again(options.input)
    return _fuzz(options.seconds, options.seed or secrets.randbelow(2**31 - 1) + 1)


def _again(path: Path) -> int:
    """One input, with all that it prints."""
    return subprocess.run(_command(str(path.absolute())), env=_environment(), check=False).returncode  # noqa: S603


def _fuzz(seconds: int, seed: int) -> int:
    from fuzz.seeds import write, write_words  # noqa: PLC0415 - needs a second, and is not needed to run an input again

    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        corpus, words = Path(folder, "corpus"), Path(folder, "words")
        corpus.mkdir()
        write(corpus)
        write_words(words)
        _say(f"fuzzing the readers for {seconds} s from {len(list(corpus.iterdir()))} seeds; seed {seed}")
        options = (f"-seed={seed}", f"-max_total_time={seconds}", f"-dict={words}", f"-artifact_prefix={OUT}/")
        limits = (f"-max_len={LONGEST_INPUT}", f"-timeout={TIMEOUT_SECONDS}", f"-rss_limit_mb={MEMORY_MB}")
        command = _command(*options, *limits, "-print_final_stats=1", str(corpus))
        with subprocess.Popen(  # noqa: S603
            command, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as run:
            return _report(run, seed)


def _report(run: "subprocess.Popen[str]", seed: int) -> int:
    """Progress now and then; at the end the figures, or what failed.  Panics of polars' are among the lines."""
    last, statistics, kept = deque[str](maxlen=LAST_LINES), dict[str, int](), ""
    said = time.monotonic()
    for line in run.stdout or ():
        if not line.startswith("#"):
            last.append(line)
        if (found := _PROGRESS.search(line)) and time.monotonic() - said > PROGRESS_SECONDS:
            said = time.monotonic()
            _say("{} runs, {} places of the code reached, {} runs a second, {} MB".format(*found.groups()))
        elif found := _STATISTIC.search(line):
            statistics[found[1]] = int(found[2])
        elif found := _KEPT.search(line):
            kept = found[1]
    status = run.wait()
    runs, each = (statistics.get(name, 0) for name in ("number_of_executed_units", "average_exec_per_sec"))
    if status == 0 and runs:
        memory = statistics.get("peak_rss_mb", 0)
        _say(f"{runs} runs, {each} a second, {memory} MB at most, no promise broken; seed {seed}")
        return 0
    _say("".join(last))
    _say(f"FAILED after {runs} runs, seed {seed}; exit status {status} of the target")
    if kept:
        _say(f"the input is kept in {kept}; again, alone: {Path(sys.executable).name} -m fuzz {kept}")
    return 1


def _command(*options: str) -> list[str]:
    return [sys.executable, "-m", "fuzz.target", *options]


def _environment() -> dict[str, str]:
    """One thread for polars: inputs are small."""
    return {**os.environ, "POLARS_MAX_THREADS": "1"}


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
