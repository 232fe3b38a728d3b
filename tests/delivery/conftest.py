"""What the tests of this folder share: a seed that is printed, and can be given."""

import os
import random

import pytest

SEED = "DELIVERY_TEST_SEED"


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Another one each time; pytest shows it with a test that failed."""
    chosen = int(os.environ.get(SEED) or random.randrange(1_000_000))  # noqa: S311 - repeatable, not secret
    print(f"{request.node.name}: {SEED}={chosen}")  # noqa: T201
    return chosen
