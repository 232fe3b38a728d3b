"""How the program logs: one line an event to standard error, as text or as ECS JSON."""

import logging
import sys

import ecs_logging

from exporter.config import Log

_LOUD = ("boto3", "botocore", "elastic_transport", "elasticsearch", "s3transfer", "schedule", "urllib3")
"""Libraries that log each call; their warnings are enough, for errors come back as exceptions."""

_TELLS_TWICE = "botocore.credentials"
"""Warns, with a traceback and at each call, of a role that is not given: the error itself is told, and says more."""

_STEERING = (*range(9), *range(10, 32), *range(127, 160))
"""Control characters but the tab: they end lines, and steer a terminal."""

_HIDING = (
    *(0x061C, 0x180E, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x2070)),  # these turn text around
    *(0x00AD, 0x200B, 0x200C, 0x200D, *range(0x2060, 0x2065), 0xFEFF, *range(0xFFF9, 0xFFFC)),  # these are not seen
    *(0x2028, 0x2029, *range(0xE0000, 0xE0080)),  # line ends to some viewers; letters that are not seen
)
"""Characters with which text looks like another one."""

CONTROL = {
    **{code: f"\\x{code:02x}" for code in _STEERING},
    **{code: f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}" for code in _HIDING},  # noqa: PLR2004 - 4 digits
}
"""What a key, or a line of a file, could forge log lines, steer a terminal or deceive its reader with."""


class OneLine(logging.Formatter):
    """Text in which control and hidden characters are escaped; only a traceback has further lines."""

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
    logging.getLogger(_TELLS_TWICE).setLevel(logging.ERROR)
