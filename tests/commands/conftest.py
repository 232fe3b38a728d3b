"""A bucket of one's own, as the tests of the source have it."""

from tests.source.conftest import bucket

__all__ = ["bucket"]
