"""The demo's embedded AWS: a bucket, and a network built through EC2's own API."""

from pathlib import Path
from threading import Event

from exporter.enrich.budget import Budget
from exporter.enrich.calls import Calls
from exporter.enrich.ec2 import Scope, describe
from exporter.enrich.oddities import Oddities
from exporter.enrich.snapshot_file import save
from exporter.metrics import Metrics
from exporter.simulate.aws import build
from exporter.simulate.plan import plausible
from tests.services.aws import Aws

REGION = "us-east-1"


def make_network(cloud: Aws, bucket: str, inventory: Path) -> None:
    """VPCs, subnets in three zones, instances, NAT gateways, load balancers, Lambda and RDS interfaces; and a bucket.

    `inventory` then holds what EC2 says of it, so that the traffic is made for the interfaces that there are.
    """
    cloud.client("s3").create_bucket(Bucket=bucket)
    ec2 = cloud.client("ec2")
    build(ec2, plausible(seed=1))
    metrics = Metrics()
    calls = Calls(budget=Budget(20), stop=Event(), metrics=metrics)
    save(describe(ec2, Scope(REGION), calls, tag_keys=(), oddities=Oddities(metrics)), inventory)
