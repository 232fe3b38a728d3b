"""The command line's entry: `vpcflow-exporter COMMAND`, or `python -m exporter COMMAND`."""

import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from exporter import __version__
from exporter.errors import ConfigError, ExporterError
from exporter.logs import CONTROL

_CONFIG_FAULT, _FAILED = 2, 1

COMMANDS = {
    "run": "Send what is new in buckets and queues, until SIGTERM or SIGINT.",
    "once": "Send what is new now, in buckets and queues, then exit.",
    "status": "Show how the work stands: whether all is well, what is done and what is not.",
    "backfill": "Send the records of a range of time, from any bucket of source.s3, and nothing twice.",
    "dead-letters": "Show the lines and documents that could not go out, and send them again.",
    "objects": "Show the objects that are not simply done, and have them tried again.",
    "inventory": "Show who owned an address when, and why a record names whom it names.",
    "setup": "Install or upgrade the templates in Elasticsearch.",
    "convert": "Print the documents of local flow-log files, one a line.",
    "inspect": "Tell what flow-log files are and what is in them.",
    "generate": "Make flow-log objects: a plausible day of a made-up network, and incidents on request.",
}
"""Every command with what `--help` lists it by; each is the function of its name in the module of its name, or a group
of commands.  A name in Python has `_` where the command's has `-`.
"""

_STYLE: dict[str, Any] = {"add_completion": False, "pretty_exceptions_enable": False, "rich_markup_mode": None}


class _Loaded(Mapping[str, Any]):
    """The commands, each imported when it is looked up: polars, boto3 and the rest take a second or two."""

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - Typer's classes are not the same in all of its releases
        if name not in COMMANDS:
            raise KeyError(name)
        module = name.replace("-", "_")
        found = getattr(import_module(f"exporter.commands.{module}"), module)
        if isinstance(found, typer.Typer):
            return typer.main.get_command(found)
        alone = typer.Typer(**_STYLE)
        alone.command(name)(found)
        return typer.main.get_command(alone)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Group(TyperGroup):
    """The program, whose help imports no command."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - see _Loaded
        super().__init__(**settings)
        self.commands: Any = _Loaded()

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - see _Loaded
        """The list of commands in the help."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


app = typer.Typer(
    name="vpcflow-exporter",
    cls=_Group,
    help="VPC flow logs from S3 to Elasticsearch, enriched at both ends from EC2.",
    no_args_is_help=True,
    **_STYLE,
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer passes a flag's value so
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    *, version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True)] = False
) -> None:
    """Take VPC flow logs from S3, enrich both ends of every record, and index them as ECS documents."""
    del version


def main() -> None:
    """Runs a command; this program's own errors are told in a sentence, with 2 for a faulty configuration, else 1."""
    try:
        app()
    except ConfigError as error:
        _tell(str(error))
        sys.exit(_CONFIG_FAULT)
    except ExporterError as error:
        _tell(f"error: {error}")
        sys.exit(_FAILED)


def _tell(text: str) -> None:
    """To standard error, line by line; keys and answers of servers in it cannot steer a terminal."""
    for line in text.split("\n"):
        sys.stderr.write(f"{line.translate(CONTROL)}\n")


if __name__ == "__main__":
    main()
