"""The command line's entry: `vpcflow-exporter COMMAND`, or `python -m exporter COMMAND`."""

import sys
from typing import Annotated

import typer

from exporter import __version__
from exporter.commands.convert import convert
from exporter.commands.generate import generate
from exporter.commands.once import once
from exporter.commands.run import run
from exporter.commands.setup import setup
from exporter.errors import ConfigError, ExporterError

_CONFIG_FAULT, _FAILED = 2, 1

app = typer.Typer(
    name="vpcflow-exporter",
    help="VPC flow logs from S3 to Elasticsearch, enriched at both ends from EC2.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (run, once, setup, convert, generate):
    app.command()(command)


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
        sys.stderr.write(f"{error}\n")
        sys.exit(_CONFIG_FAULT)
    except ExporterError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(_FAILED)


if __name__ == "__main__":
    main()
