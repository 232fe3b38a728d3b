"""How the program logs: one line an event to standard error, as text or as ECS JSON."""

import logging
import sys

import ecs_logging

from exporter.config import Log

_LOUD = ("boto3", "botocore", "elastic_transport", "elasticsearch", "s3transfer", "schedule", "urllib3")
"""Libraries that log each call; their warnings are enough, for errors come back as exceptions."""


def configure(settings: Log) -> None:
    """Replaces whatever logging there was; the libraries' own logs only from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S%z")
    handler.setFormatter(ecs_logging.StdlibFormatter() if settings.format == "ecs" else text)
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.WARNING)
