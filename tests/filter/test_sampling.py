"""Which records of a sample are kept."""

import base64
from datetime import UTC, datetime

import numpy as np
import pytest

from exporter.filter.sampling import are_kept, hashes
from exporter.flow import S3Object

MASK = 2**64 - 1


def source(name: str) -> S3Object:
    return S3Object("logs", name, "e", 1, datetime(2026, 11, 3, tzinfo=UTC))


def test_the_hash_is_splitmix64_of_the_row_and_the_object() -> None:
    """By the published constants, one number at a time; the seed is the first 8 of the 12 bytes in each id."""
    seed = int.from_bytes(base64.urlsafe_b64decode(source("a").id_prefix)[:8], "big")
    rows = [0, 1, 2, 77, 2**32 - 1]
    expected = []
    for row in rows:
        z = ((row ^ seed) + 0x9E3779B97F4A7C15) & MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        expected.append(z ^ (z >> 31))
    assert hashes(source("a"), np.array(rows, dtype=np.uint32)).tolist() == expected


@pytest.mark.parametrize("rate", [0.001, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("step", [1, 2, 4096])
def test_a_sample_is_as_large_as_its_rate_says(rate: float, step: int) -> None:
    """Within five standard deviations, whichever rows an object has."""
    rows = np.arange(1, 100_000 * step, step, dtype=np.uint32)
    kept = are_kept(hashes(source("a"), rows), rate)
    assert abs(kept.sum() - rate * len(rows)) < 5 * (len(rows) * rate * (1 - rate)) ** 0.5


def test_the_same_record_is_kept_each_time_and_at_every_higher_rate() -> None:
    rows = np.arange(10_000, dtype=np.uint32)
    hashed = hashes(source("a"), rows)
    kept = are_kept(hashed, 0.1)
    assert (are_kept(hashes(source("a"), rows[5000:]), 0.1) == kept[5000:]).all()
    assert (kept <= are_kept(hashed, 0.11)).all()
    assert not (are_kept(hashes(source("b"), rows), 0.1) == kept).all()
    assert are_kept(hashed, 1 - 2**-53).all()
