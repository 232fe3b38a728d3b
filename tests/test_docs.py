"""Nothing is undocumented: commands, options, metrics, releases; and links lead somewhere.

python -m tests.test_docs        writes docs/commands.md and docs/metrics.md anew, from the program's own tables
"""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from exporter import __version__
from exporter.__main__ import app
from exporter.metrics import METRICS

ROOT = Path(__file__).parents[1]
AGAIN = "Written by `python -m tests.test_docs` from the program itself: change that, then run it."

PROGRAM: Any = typer.main.get_command(app)
COMMANDS: dict[str, Any] = PROGRAM.commands
"""Typer's own objects, by name; their classes are not the same in all of its releases."""


def shown(option: Any) -> Iterator[tuple[str, ...]]:  # noqa: ANN401 - see COMMANDS
    """The row of an option or argument: how it is written, its default, what it does."""
    name = option.metavar if option.param_type_name == "argument" else ", ".join(option.opts)
    silent = option.default is None or option.default == "" or isinstance(option.default, bool)
    default = "required" if option.required else "" if silent else f"`{option.default}`"
    notes = [option.help or "", f"Environment: `{option.envvar}`." if option.envvar else ""]
    yield f"`{name}`", default, " ".join(filter(None, notes))


def table(header: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [header, tuple("---" for _ in header), *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def commands_page() -> str:
    """docs/commands.md."""
    parts = ["# Commands", AGAIN, PROGRAM.callback.__doc__.strip()]
    parts.append(
        "Exit status: 0 where all went well, 1 where something is left undone, 2 for a faulty configuration or option."
    )
    for name, command in COMMANDS.items():
        text = re.sub(r"\n[ ]+", "\n", command.help.strip())
        rows = (row for option in command.params if option.name != "help" for row in shown(option))
        parts += [f"## `vpcflow-exporter {name}`", text, table(("option", "default", "what"), rows)]
    return "\n\n".join(parts) + "\n"


def metrics_page() -> str:
    """docs/metrics.md."""
    rows = (
        (f"`vpcflow_{row.name}`", row.kind, ", ".join(f"`{label}`" for label in row.labels), row.help)
        for row in METRICS
    )
    intro = "With `metrics.listen` set, `run` serves these to Prometheus; `once` logs the main ones at its end."
    return "\n\n".join(["# Metrics", AGAIN, intro, table(("metric", "kind", "labels", "what"), rows)]) + "\n"


PAGES: dict[str, Callable[[], str]] = {"docs/commands.md": commands_page, "docs/metrics.md": metrics_page}


@pytest.mark.parametrize("page", PAGES)
def test_the_page_says_what_the_program_says(page: str) -> None:
    assert (ROOT / page).read_text(encoding="utf-8") == PAGES[page](), "run: python -m tests.test_docs"


def test_every_command_and_option_is_named() -> None:
    text = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/commands.md"))
    assert COMMANDS.keys() >= {"run", "once", "setup", "convert", "generate"}
    assert [name for name in COMMANDS if f"vpcflow-exporter {name}" not in text] == []
    options = {name for command in COMMANDS.values() for each in command.params for name in each.opts if name[0] == "-"}
    assert options >= {"--config", "-c", "--inventory", "--list-incidents"}
    assert [name for name in sorted(options) if not re.search(rf"(?<![\w-]){name}(?![\w-])", text)] == []


def test_every_option_says_what_it_does() -> None:
    silent = [f"{name} {each.name}" for name, command in COMMANDS.items() for each in command.params if not each.help]
    assert silent == []
    assert [name for name, command in COMMANDS.items() if not command.help] == []


def test_every_metric_is_named() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert [row.name for row in METRICS if f"`vpcflow_{row.name}`" not in text or row.help not in text] == []


def test_a_metric_that_a_page_names_exists() -> None:
    known = {f"vpcflow_{row.name}" for row in METRICS}
    named = {
        (page.name, name)
        for page in pages()
        for name in re.findall(r"`(vpcflow_\w+)", page.read_text(encoding="utf-8"))
        if name.endswith(("_total", "_seconds")) or name in known
    }
    assert {name for _, name in named} >= known
    assert {(page, name) for page, name in named if name not in known} == set()


def test_the_changelog_has_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    entry = re.search(rf"^## {re.escape(__version__)}\b.*\n((?:(?!## ).*\n)*)", text, re.MULTILINE)
    assert entry, f"expected a heading '## {__version__}' in CHANGELOG.md"
    assert re.search(r"^- \S", entry[1], re.MULTILINE), "expected at least one line of what changed"


def pages() -> list[Path]:
    """All Markdown of the project."""
    return [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def test_links_lead_to_files() -> None:
    broken = [
        (page.name, target)
        for page in pages()
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []


if __name__ == "__main__":
    for name, page in PAGES.items():
        (ROOT / name).write_text(page(), encoding="utf-8")
        sys.stdout.write(f"{name}\n")
