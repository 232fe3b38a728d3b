"""The servers that tests share: each starts when the first test asks for it, once a run, and ends with the run."""

from collections.abc import Iterator

import pytest

from tests.services.aws import Aws
from tests.services.aws import aws as run_aws
from tests.services.elasticsearch import Cluster, cluster


@pytest.fixture(scope="session")
def elasticsearch() -> Iterator[Cluster]:
    """A real Elasticsearch without security."""
    with cluster() as running:
        yield running


@pytest.fixture(scope="session")
def aws() -> Iterator[Aws]:
    """Every AWS service that moto has, on loopback."""
    with run_aws() as running:
        yield running
