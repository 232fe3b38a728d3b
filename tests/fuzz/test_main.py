"""`make fuzz` as it runs: what it says when all is well, when something is found, and where it cannot run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

WITHOUT = """
import runpy, sys
sys.modules["atheris"], sys.argv = None, ["fuzz"]
runpy.run_module("fuzz", run_name="__main__")
"""
"""Runs the fuzzer where a library cannot be imported."""


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(  # noqa: S603 - our own code
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def copy(folder: Path, promise: str = "") -> Path:
    """The fuzzer in a folder of its own, with a promise instead of the one of that name."""
    shutil.copytree(ROOT / "fuzz", folder / "fuzz", ignore=shutil.ignore_patterns("out", "__pycache__"))
    with (folder / "fuzz/promises.py").open("a", encoding="utf-8") as file:
        file.write(promise)
    return folder


def test_all_is_well(tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    folder = copy(tmp_path)
    answer = run(folder, "-m", "fuzz", "--seconds", "1", "--seed", "7")
    assert answer.returncode == 0, answer.stdout
    lines = answer.stdout.splitlines()
    assert re.fullmatch(r"fuzzing the readers for 1 s from \d+ seeds; seed 7", lines[0])
    assert re.fullmatch(r"\d+ runs, \d+ a second, \d+ MB at most, no promise broken; seed 7", lines[-1])
    assert len(lines) < 5
    assert answer.stderr == ""
    assert list((folder / "fuzz/out").iterdir()) == []


def test_what_is_found_is_kept_and_can_be_run_again(tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    promise = '\n\ndef check_rows(reading: Reading) -> None:\n    _hold(12 not in reading.rows, "a twelfth row")\n'
    folder = copy(tmp_path, promise)
    answer = run(folder, "-m", "fuzz", "--seconds", "20", "--seed", "7")
    assert answer.returncode == 1
    assert "Broken: a twelfth row" in answer.stdout
    assert "FAILED" in answer.stdout
    (kept,) = (folder / "fuzz/out").iterdir()
    assert f"the input is kept in {kept}; again, alone: " in answer.stdout
    again = run(folder, "-m", "fuzz", str(kept))
    assert again.returncode != 0
    assert "Broken: a twelfth row" in again.stdout + again.stderr


def test_without_atheris_it_says_so_and_fails() -> None:
    answer = run(ROOT, "-c", WITHOUT)
    assert answer.returncode == 2
    assert answer.stderr == (
        "make fuzz needs the library atheris, which is not installed: there are wheels for CPython 3.11 to 3.13 on "
        "Linux x86-64 only, so nothing was fuzzed here\n"
    )
