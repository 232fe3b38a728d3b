"""Nothing is undocumented: commands, options, metrics, releases; and links lead somewhere.

python -m tests.test_docs        writes docs/{commands,documents,metrics}.md anew, from the program's own tables
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
from exporter.commands.inspect import KINDS
from exporter.fields import FIELDS
from exporter.metrics import METRICS
from exporter.read.reader import OTHERS
from tests.install.paths import ALL

ROOT = Path(__file__).parents[1]
AGAIN = "Written by `python -m tests.test_docs` from the program itself: change that, then run it."

PROGRAM: Any = typer.main.get_command(app)


def flat(commands: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every command by its whole name; a group goes by its commands."""
    for name, command in commands.items():
        if hasattr(command, "commands"):
            yield from flat(command.commands, f"{above}{name} ")
        else:
            yield f"{above}{name}", command


COMMANDS: dict[str, Any] = dict(flat(PROGRAM.commands))
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
    intro = "With `metrics.listen` set, `run` serves these to Prometheus; `once` prints the main ones at its end."
    return "\n\n".join(["# Metrics", AGAIN, intro, table(("metric", "kind", "labels", "what"), rows)]) + "\n"


DERIVED_MEANING = {
    "@timestamp": "the record's end, else its start, else the time of its object",
    "event.kind": "event",
    "event.category": "network",
    "event.dataset": "aws.vpcflow",
    "event.module": "aws",
    "event.type": "connection, and allowed or denied by the action; not for NODATA and SKIPDATA",
    "event.outcome": "success for ACCEPT, failure for REJECT",
    "event.duration": "end less start, in nanoseconds",
    "event.ingested": "when this program made the document",
    "event.original": "the record's line, where `output.event_original` is on",
    "data_stream": "type logs, dataset aws.vpcflow, the configured namespace",
    "ecs.version": "9.4.0",
    "cloud.provider": "aws",
    "cloud.account.name": "of the reporting interface's account, where that is the document's `cloud.account.id`",
    "cloud.instance.name": "of the reporting interface's instance, where the record names no other one",
    "cloud.machine.type": "as above",
    "cloud.origin": "of the source end's interface: account and name, region, zone id, instance, machine type, service",
    "cloud.target": "the same of the destination end's; of AWS's own addresses: service and region",
    "network.transport": "IANA's keyword for the protocol, in lower case; none where IANA has none",
    "network.type": "ipv4 or ipv6, from the addresses",
    "network.community_id": "Community ID v1, seed 0; ports only for ICMP, TCP, UDP, ICMPv6 and SCTP",
    "related.ip": "all addresses of the record, each once",
    "source.locality": "internal or external; neither for link-local, multicast and other special addresses",
    "destination.locality": "the same of the destination",
    "flow.locality": "internal where both ends are, external where both are known and one is",
    "source.geo": "where the source is, if it is external: of the databases that `enrich.geoip` names",
    "destination.geo": "the same of the destination",
    "source.as": "the network (autonomous system) that the source is in, if it is external",
    "destination.as": "the same of the destination",
    "client": "the end that began: its address and port, and what the record counts if that went from it",
    "server": "the same of the end that answered; neither where nothing tells which is which",
    "network.protocol": "IANA's name for the server's port: what it was given to, not what was seen",
    "aws.vpcflow.client_rule": "what told who began: `tcp_flags`, `pair` (another record of the conversation), `port`",
    "aws.vpcflow.reporter": (
        "`source` or `destination`: whose view of a flow this is that both ends report; both where only one of them "
        "does, so that a sum over either counts each flow once; `copy`: of an interface on the packets' way"
    ),
    "aws.vpcflow.cost.kind": "what AWS charges for this traffic at this interface, see docs/cost.md",
    "aws.vpcflow.cost.usd": "how much that is, an estimate in US dollars",
    "aws.vpcflow.sample_rate": "the share of such records that was kept, where a filter's rule took a sample",
    "threat.feed.name": "the threat feeds that have one of the record's addresses",
    "threat.enrichments": "each such indicator, what it says and which field it matched",
    "orchestrator.type": "ecs, where the record names an ECS cluster",
    "aws.s3": "bucket and key of the object",
    "log.offset": "the line in the object, the header being 0; the log event in JSON and the row in Parquet, from 0",
    "log.file.path": "the file, in documents of `convert`",
    "aws.vpcflow.tcp_flags_array": "the names of the flags, in bit order; none for 0",
    "aws.vpcflow.vpc_name": "the Name tag of the reporting interface's VPC",
    "aws.vpcflow.subnet_name": "the Name tag of its subnet",
    "aws.vpcflow.security_group_ids": "of the reporting interface",
    "aws.vpcflow.source": (
        "the source end's interface: type, subnet, VPC, groups, the resource behind it, its EKS cluster, chosen tags"
    ),
    "aws.vpcflow.destination": "the same of the destination end's",
    "aws.vpcflow.extra": "fields of the record that are not known yet, by their names",
}
"""What a document has beside the record's own fields; a path stands for all below it."""


DOCUMENTS_RULES = """\
A field without a value is left out: a document has no nulls, no `-`, no empty objects or arrays. What a record says
always wins over the inventory. Where the record has no `vpc-id`, `subnet-id`, `instance-id`, `region`, `az-id` or
`interface-type`, the inventory's value for its interface stands in; for the account and the region, the object's key
after that."""


def listed(names: tuple[str, ...]) -> str:
    """Names as code, with commas between."""
    return ", ".join(f"`{name}`" for name in names)


def documents_page() -> str:
    """docs/documents.md."""
    of_records = (
        (f"`{field.name}`", f"v{field.since}", listed(field.paths), field.kind.value, listed(field.spellings))
        for field in FIELDS
    )
    derived = ((f"`{path}`", meaning) for path, meaning in DERIVED_MEANING.items())
    return (
        "\n\n".join(
            (
                "# Documents",
                AGAIN,
                DOCUMENTS_RULES,
                "## Fields of the record",
                table(("field", "since", "in the document", "kind", "other names"), of_records),
                "## Derived",
                table(("in the document", "what"), derived),
            )
        )
        + "\n"
    )


PAGES: dict[str, Callable[[], str]] = {
    "docs/commands.md": commands_page,
    "docs/documents.md": documents_page,
    "docs/metrics.md": metrics_page,
}


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


def test_every_path_of_the_mappings_is_explained() -> None:
    explained = {path for field in FIELDS for path in field.paths} | set(DERIVED_MEANING)
    assert [path for path in ALL if not any(path == each or path.startswith(f"{each}.") for each in explained)] == []


def test_every_container_is_named() -> None:
    """Those that are read, and those that are only recognised."""
    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    names = [name.removeprefix("a ").removesuffix(" archive") for name in OTHERS.values()]
    assert [name for name in (*(f"| `{kind}` |" for kind in KINDS), *names[1:]) if name not in text] == []


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
