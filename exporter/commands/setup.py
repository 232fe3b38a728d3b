"""`vpcflow-exporter setup`: what the cluster needs before the first document."""

import sys

from rich.console import Console
from rich.table import Table

from exporter import wiring
from exporter.commands.options import CONFIG_PATH, ConfigPath, loaded
from exporter.errors import ConfigError, Fault
from exporter.install import templates

_WIDTH = 140
"""Columns where nobody's terminal tells: names are longer than half of the usual 80."""


def setup(config: ConfigPath = CONFIG_PATH) -> None:
    """Install or upgrade the templates in Elasticsearch; running it again changes nothing.

    Where a data stream exists with older mappings it is rolled over, so that new documents get the new ones.
    """
    settings = loaded(config)
    target = settings.output.elasticsearch
    if target is None:
        raise ConfigError((Fault("output.elasticsearch", "setup installs into a cluster: name one here"),))
    with wiring.cluster(target) as client:
        installed = templates.setup(
            client,
            namespace=settings.output.namespace,
            retention=target.retention,
            index_mode=target.index_mode,
            shards=target.shards,
            replicas=target.replicas,
            dead_letters=settings.streams_letters,
        )
    title = f"{installed.stream}, index mode {installed.index_mode}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2))
    for head in ("what", "now", "why"):
        table.add_column(head, overflow="fold")
    for step in installed.steps:
        table.add_row(step.what, step.outcome, step.why)
    Console(width=None if sys.stdout.isatty() else _WIDTH).print(table)
