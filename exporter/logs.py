"""How the program logs: one line an event to standard error, as text or as ECS JSON."""

import logging
import sys

import ecs_logging

from exporter.config import Log

_LOUD = ("boto3", "botocore", "elastic_transport", "elasticsearch", "s3transfer", "schedule", "urllib3")
"""Libraries that log each call; their warnings are enough, for errors come back as exceptions."""


CONTROL = {code: f"\\x{code:02x}" for code in (*range(9), *range(10, 32), *range(127, 160))}
"""What a key, or a line of a file, could forge log lines or steer a terminal with."""


class OneLine(logging.Formatter):
    """Text in which control characters are escaped; only a traceback has further lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - its name there
        """The line without the traceback."""
        return super().formatMessage(record).rstrip().translate(CONTROL)


def configure(settings: Log) -> None:
    """Replaces whatever logging there was; the libraries' own logs only from warnings on; Python's warnings too."""
    handler = logging.StreamHandler(sys.stderr)
    text = OneLine("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S%z")
    handler.setFormatter(ecs_logging.StdlibFormatter() if settings.format == "ecs" else text)
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for name in _LOUD:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
