"""Options that several commands share."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from exporter import config, logs

ConfigPath = Annotated[
    Path,
    typer.Option(
        "--config",
        "-c",
        envvar="VPCFLOW_EXPORTER_CONFIG",
        help="The configuration (YAML); config.example.yaml explains every option.",
        show_default=True,
    ),
]

CONFIG_PATH = Path("config.yaml")


_TIME_IS = "expected a time from 2015 to 2099 such as 2026-03-01 or 2026-03-01T06:00:00Z"


def time_of(text: str) -> datetime:
    """A time as source.s3[].start takes it: without a zone it is UTC, a date is its midnight; BadParameter else."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(_TIME_IS) from None
    if not 2015 <= time.year <= 2099:  # noqa: PLR2004 - as the text says
        raise typer.BadParameter(_TIME_IS)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def loaded(path: Path) -> config.Config:
    """The checked configuration; logging is as it says from here on."""
    settings = config.load(path, os.environ)
    logs.configure(settings.log)
    return settings
