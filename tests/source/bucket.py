"""A bucket on the test's S3, and keys as AWS makes them."""

from dataclasses import dataclass
from typing import Any

from exporter.flow import S3Object
from exporter.source.keys import parse_key


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket and the client that fills it."""

    name: str
    client: Any

    def put(self, *keys: str, body: bytes = b"x") -> None:
        """Stores the same few bytes under each key."""
        for key in keys:
            self.client.put_object(Bucket=self.name, Key=key, Body=body)

    def object(self, key: str) -> S3Object:
        """What a listing says of a key at this moment."""
        head = self.client.head_object(Bucket=self.name, Key=key)
        return parse_key(self.name, key, head["ETag"], head["ContentLength"], head["LastModified"])


def plain(account: str, region: str, stamp: str, *, hourly: bool = False, log: str = "fl-1") -> str:
    """A key of the plain layout for a time as 20261103T0905."""
    hour = f"{stamp[9:11]}/" if hourly else ""
    folder = f"AWSLogs/{account}/vpcflowlogs/{region}/{stamp[:4]}/{stamp[4:6]}/{stamp[6:8]}/{hour}"
    return f"{folder}{account}_vpcflowlogs_{region}_{log}_{stamp}Z_abc.log.gz"


def hive(account: str, region: str, stamp: str, *, hourly: bool = False, log: str = "fl-1") -> str:
    """A key of the hive layout."""
    hour = f"hour={stamp[9:11]}/" if hourly else ""
    service = f"AWSLogs/aws-account-id={account}/aws-service=vpcflowlogs/aws-region={region}/"
    folder = f"{service}year={stamp[:4]}/month={stamp[4:6]}/day={stamp[6:8]}/{hour}"
    return f"{folder}{account}_vpcflowlogs_{region}_{log}_{stamp}Z_abc.log.gz"
