"""A world for each test of the whole program."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.services.aws import Aws
from tests.services.clock import Clock, clock
from tests.services.elasticsearch import Cluster
from tests.system.world import REGION, Network, World, make_network

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def network(aws: Aws) -> Network:
    """The network that every record of these tests comes from."""
    return make_network(aws)


@pytest.fixture
def world(aws: Aws, elasticsearch: Cluster, network: Network, tmp_path: Path) -> Iterator[World]:
    """A bucket and a stream that nobody else has, set up by the program's own command."""
    del network
    made = World(aws, elasticsearch, f"system{next(_numbers)}", tmp_path)
    aws.client("s3", REGION).create_bucket(Bucket=made.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    made.command("setup")
    yield made
    client = aws.client("s3", REGION)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=made.bucket):
        for item in page.get("Contents", ()):
            client.delete_object(Bucket=made.bucket, Key=item["Key"])


@pytest.fixture
def aws_clock(aws: Aws) -> Iterator[Clock]:
    """AWS's clock, where a test has to set it."""
    with clock(aws.url) as running:
        yield running


@pytest.fixture
def timed_world(world: World, aws_clock: Clock) -> World:
    """The world whose program lives by that clock."""
    return replace(world, by_clock=Aws(aws_clock.url))
