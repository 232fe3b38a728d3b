"""A bucket of one's own, as the tests of the source have it, and logging as it was before a command."""

import logging
from collections.abc import Iterator

import pytest

from tests.source.conftest import bucket

__all__ = ["bucket", "restored_logging"]


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Every command sets up the process's logging."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
