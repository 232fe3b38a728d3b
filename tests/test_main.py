"""The command line's entry: every command is listed and imported only when it is asked for."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from exporter import __version__
from exporter.__main__ import COMMANDS, app

HEAVY = ("boto3", "elasticsearch", "numpy", "polars", "prometheus_client")


def test_the_list_of_commands_says_what_each_says_of_itself() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined] # a group has them
    assert list(commands) == list(COMMANDS)
    for name, line in COMMANDS.items():
        assert commands[name].help.startswith(line.rstrip(".")), name
    modules = {path.stem for path in (Path(__file__).parents[1] / "exporter" / "commands").glob("*.py")}
    assert modules >= {name.replace("-", "_") for name in COMMANDS}


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (("--version",), 0, __version__),
        (("--help",), 0, "  once          Send what is new now, in buckets and queues, then exit."),
        ((), 2, "  convert       Print the documents of local flow-log files, one a line."),
        (("flood",), 2, "Error: No such command 'flood'."),
    ],
)
def test_what_needs_no_command_imports_none(arguments: tuple[str, ...], status: int, line: str) -> None:
    script = (
        "import atexit, sys; from exporter.__main__ import main; "
        f"atexit.register(lambda: print('imported', sorted(set({HEAVY}) & set(sys.modules)))); main()"
    )
    ended = subprocess.run(  # noqa: S603
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == status
    assert line in (ended.stdout + ended.stderr).splitlines()
    assert ended.stdout.splitlines()[-1] == "imported []"


@pytest.mark.parametrize(
    ("content", "status", "fault"),
    [
        (None, 2, "absent.yaml"),
        ("outputs: {}", 2, "outputs  unknown option; did you mean output?"),
    ],
)
def test_a_faulty_configuration_is_told_without_a_traceback(
    content: str | None, status: int, fault: str, tmp_path: Path
) -> None:
    path = tmp_path / "absent.yaml"
    if content is not None:
        path.write_text(content)
    command = [sys.executable, "-m", "exporter", "once", "--config", str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    assert (ended.returncode, ended.stdout) == (status, "")
    assert ended.stderr.startswith("the configuration has ")
    assert fault in ended.stderr
    assert "Traceback" not in ended.stderr
