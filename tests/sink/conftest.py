"""A data stream for each test of the sinks that wants one."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from elasticsearch import Elasticsearch

from exporter.install.templates import setup
from tests.services.elasticsearch import Cluster


@pytest.fixture
def stream(elasticsearch: Cluster) -> Iterator[str]:
    """The namespace of a data stream of the test's own, set up and empty."""
    namespace = f"sink_{uuid4().hex}"
    with Elasticsearch(elasticsearch.url) as client:
        setup(client, namespace=namespace, replicas=0)
        yield namespace
        # A server without the data stream API (400) is one that is thrown away after the run.
        client.options(ignore_status=(400, 404)).indices.delete_data_stream(name=f"logs-aws.vpcflow-{namespace}")
