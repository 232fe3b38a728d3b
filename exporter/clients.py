"""Sessions and clients of AWS, made from the configuration: who asks, in which region, at which endpoint."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

import boto3
import botocore.session
from botocore.config import Config as BotoConfig
from botocore.exceptions import BotoCoreError

from exporter import __version__
from exporter.config import Config, S3Source, SqsSource
from exporter.errors import ConfigError, Fault
from exporter.source.roles import Renewed, assumed

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.credentials import Credentials
    from botocore.loaders import Loader
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_FALLBACK_REGION = "us-east-1"
_CONNECT_SECONDS, _READ_SECONDS = 10, 60

BUCKETS = 10_000
"""How many buckets are remembered that only messages name; the oldest is forgotten first."""


@dataclass(frozen=True, slots=True)
class Role:
    """Whom a client stands for: a role to assume (None: the credentials themselves), and what its trust asks for."""

    arn: str | None = None
    external_id: str | None = None

    @classmethod
    def of(cls, source: S3Source | SqsSource) -> "Role":
        """The role of an entry of the configuration."""
        return cls(source.role_arn, source.external_id)


class Clients:
    """Makes clients of AWS; one session a role, so that credentials are asked for and renewed once.

    Raises ConfigError where boto3 finds a fault in its own configuration.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        own = Renewed(partial(_found, config.aws.profile), "the credentials of this program")
        with explained():
            plain = botocore.session.Session(profile=config.aws.profile)
            self._descriptions: Loader = plain.get_component("data_loader")
            self._own = self._session(own)
            self.region: str | None = self._own.region_name
            """Of the configuration, the profile or the environment; None where none of them names one."""
        self._roles = {Role(): self._own}
        self._lock = Lock()
        self._making = Lock()  # boto3's sessions make one client at a time
        self.s3 = S3Clients(config, self)

    def ec2(self, region: str, role: Role = Role()) -> "EC2Client":
        """A client for EC2, with this program's own credentials or a role's, which STS gives in this program's region.

        Any thread may ask.
        """
        with explained(), self._making:
            return self.session(role, self.here).client(
                "ec2", region, endpoint_url=self._config.aws.endpoint_url, config=self._calls()
            )

    def sts(self) -> "BaseClient":
        """A client that tells whose credentials this program has."""
        with explained(), self._making:
            client: BaseClient = self._own.client(
                "sts", self.here, endpoint_url=self._config.aws.endpoint_url, config=self._calls()
            )
            return client

    def organizations(self, role: Role) -> "BaseClient":
        """A client for the organization: one service for all regions of a partition."""
        with explained(), self._making:
            client: BaseClient = self.session(role, self.here).client(
                "organizations", self.here, endpoint_url=self._config.aws.endpoint_url, config=self._calls()
            )
            return client

    def sqs(self, queue: SqsSource) -> "SQSClient":
        """A client for a queue: at its URL's host, or where that is AWS's own, as the other services."""
        region = queue.queue_region or self.here
        endpoint = queue.endpoint or self._config.aws.endpoint_url
        with explained(), self._making:
            return self.session(Role.of(queue), region).client(
                "sqs", region, endpoint_url=endpoint, config=self._calls()
            )

    def s3_in(self, region: str, role: Role) -> "S3Client":
        """A client for the buckets of a region."""
        with explained(), self._making:
            return self.session(role, region).client(
                "s3", region, endpoint_url=self._config.aws.endpoint_url, config=self._calls()
            )

    def session(self, role: Role, region: str) -> boto3.Session:
        """The one session of a role, which STS gives in the region that asks first."""
        with self._lock:
            if role not in self._roles:
                self._roles[role] = self._session(self._assuming(role, region))
            return self._roles[role]

    def _assuming(self, role: Role, region: str) -> Renewed:
        endpoint, arn = self._config.aws.endpoint_url, str(role.arn)
        sts = self._own.client("sts", region, endpoint_url=endpoint, config=self._calls())
        return Renewed(partial(assumed, sts, arn, role.external_id), f"the credentials of the role {arn}")

    def _session(self, credentials: Renewed) -> boto3.Session:
        session = botocore.session.Session(profile=self._config.aws.profile)
        # EC2's description alone takes 25 MiB: one for all roles.
        session.register_component("data_loader", self._descriptions)
        credentials.sign_for(session)
        return boto3.Session(botocore_session=session, region_name=self._config.aws.region)

    def known_regions(self) -> frozenset[str]:
        """The regions of the configuration, and those that boto3 knows in the same partitions: no other is ever called.

        The region of a key or a message is what somebody wrote; it becomes part of a host's name, and a request
        carries a token of this partition's.
        """
        regions = frozenset({*self._config.enrich.ec2.regions, *self.source_regions(), self.here})
        return regions.union(*(self._own.get_available_regions("ec2", each) for each in map(self._partition, regions)))

    def source_regions(self) -> tuple[str, ...]:
        """The regions of all sources, each once; without those of which nothing tells the region."""
        source = self._config.source
        named = [*(each.region for each in source.s3), *(each.queue_region for each in source.sqs)]
        return tuple(dict.fromkeys(region for each in named if (region := each or self.region)))

    @property
    def here(self) -> str:
        """The region of what names none."""
        return self.region or _FALLBACK_REGION

    @property
    def partition(self) -> str:
        """The partition of this program's region: aws, aws-cn, aws-us-gov."""
        return self._partition(self.here)

    def _partition(self, region: str) -> str:
        """The partition of a region; of one that boto3 cannot place, the usual one."""
        try:
            return self._own.get_partition_for_region(region)
        except BotoCoreError:
            return "aws"

    def _calls(self) -> BotoConfig:
        """One attempt a call, for retry.py repeats them; path-style where an endpoint of one's own is named."""
        return BotoConfig(
            retries={"total_max_attempts": 1},
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            max_pool_connections=max(10, 2 * self._config.workers),
            user_agent_extra=f"vpcflow-exporter/{__version__}",
            s3={"addressing_style": "path" if self._config.aws.endpoint_url else "auto"},
        )


@dataclass(frozen=True, slots=True)
class _Way:
    """How a bucket is reached."""

    region: str
    role: Role


class S3Clients:
    """Each bucket's client, one a region and role; any thread may ask.

    A bucket lies in one region: where one of its entries names that, it holds for the others too.
    """

    def __init__(self, config: Config, clients: Clients) -> None:
        self._clients = clients
        source, here = config.source, clients.here
        regions = {each.bucket: each.region for each in source.s3 if each.region}
        self._listed = {each.bucket: _Way(regions.get(each.bucket) or here, Role.of(each)) for each in source.s3}
        of_queues = [(each, _Way(each.queue_region or here, Role.of(each))) for each in source.sqs]
        self._named = {bucket: way for each, way in reversed(of_queues) for bucket in each.buckets}
        self._else = next((way for each, way in of_queues if not each.buckets), _Way(here, Role()))
        self._known = clients.known_regions() if source.sqs else frozenset[str]()
        self._learned: dict[str, _Way] = {}
        self._made: dict[_Way, S3Client] = {}
        self._lock = Lock()

    def of(self, bucket: str, region: str | None = None, queue: SqsSource | None = None) -> "S3Client":
        """The client that reads and lists this bucket.

        An entry of `source.s3` says how.  Another bucket was named by a message of `queue`, whose role reads it, in the
        message's `region` if that is a known one; this is remembered for whoever asks by the bucket's name alone.
        """
        with self._lock:
            way = self._listed.get(bucket) or (self._learn(bucket, region, queue) if queue else self._way(bucket))
            if way not in self._made:
                self._made[way] = self._clients.s3_in(way.region, way.role)
            return self._made[way]

    def own(self, bucket: str) -> "S3Client":
        """The client that reads a list in this bucket: by the entry of `source` that names it, else this program's own.

        What messages name has no say in it.
        """
        with self._lock:
            way = self._listed.get(bucket) or self._named.get(bucket) or _Way(self._clients.here, Role())
            if way not in self._made:
                self._made[way] = self._clients.s3_in(way.region, way.role)
            return self._made[way]

    def _learn(self, bucket: str, region: str | None, queue: SqsSource) -> _Way:
        if bucket in self._named and bucket not in queue.buckets:
            return self._way(bucket)  # another queue's: whoever may send to this one has no say in it
        at = region if region in self._known else None
        self._learned.pop(bucket, None)
        while len(self._learned) >= BUCKETS:
            del self._learned[next(iter(self._learned))]
        way = _Way(at or queue.queue_region or self._clients.here, Role.of(queue))
        self._learned[bucket] = way
        return way

    def _way(self, bucket: str) -> _Way:
        """As a message told; after a restart, by the entry that names the bucket, else by the one that takes all."""
        return self._learned.get(bucket) or self._named.get(bucket) or self._else


def _found(profile: str | None) -> "Credentials | None":
    """What botocore finds now: a session of its own reads files anew."""
    return botocore.session.Session(profile=profile).get_credentials()


@contextmanager
def explained() -> Iterator[None]:
    """What boto3 cannot start with: a profile or a file of its own that is not there or wrong, an odd endpoint."""
    try:
        yield
    except (BotoCoreError, ValueError) as error:
        raise ConfigError((Fault("aws", f"boto3 finds a fault in its own configuration: {error}"),)) from error
