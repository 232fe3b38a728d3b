"""Options that several commands share."""

import os
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


def loaded(path: Path) -> config.Config:
    """The checked configuration; logging is as it says from here on."""
    settings = config.load(path, os.environ)
    logs.configure(settings.log)
    return settings
