"""Asks EC2 who owns what, and holds the newest answer."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError  # noqa: A004 - botocore's own
from botocore.parsers import ResponseParserError

from exporter.enrich.answers import Answers, snapshot
from exporter.enrich.inventory import Snapshot, merge
from exporter.errors import InventoryError
from exporter.metrics import Metrics
from exporter.retry import INVENTORY, retrying

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

log = logging.getLogger(__name__)

PAGE_SIZE = 1000
"""Items a page, the most that EC2 gives."""

THROTTLED = frozenset({"RequestLimitExceeded", "Throttling", "ThrottlingException", "EC2ThrottledException"})
"""Codes by which EC2 says that its token bucket is empty."""

DENIED = frozenset({"UnauthorizedOperation", "AuthFailure", "OptInRequired", "AccessDenied", "AccessDeniedException"})
"""Codes by which EC2 says that somebody has to allow it first; AuthFailure also for a region that is not enabled."""

_SERVER_FAULT = 500


@dataclass(frozen=True, slots=True)
class Question:
    """One Describe call: boto3's name for it, the permission it needs, and where its answer has the items."""

    operation: str
    permission: str
    items: str


INTERFACES = Question("describe_network_interfaces", "ec2:DescribeNetworkInterfaces", "NetworkInterfaces")
SUBNETS = Question("describe_subnets", "ec2:DescribeSubnets", "Subnets")
VPCS = Question("describe_vpcs", "ec2:DescribeVpcs", "Vpcs")
RESERVATIONS = Question("describe_instances", "ec2:DescribeInstances", "Reservations")
SECURITY_GROUPS = Question("describe_security_groups", "ec2:DescribeSecurityGroups", "SecurityGroups")

QUESTIONS = (INTERFACES, SUBNETS, VPCS, RESERVATIONS, SECURITY_GROUPS)
"""All that is asked; their permissions are all that the inventory needs."""


def describe(  # noqa: PLR0913  each is one thing that EC2's answer does not tell
    client: "EC2Client",
    region: str,
    account: str | None,
    *,
    tag_keys: tuple[str, ...],
    now: datetime,
    stop: Event,
    metrics: Metrics,
) -> Snapshot:
    """The inventory of one account in one region, all pages.

    `account` stands in for an interface whose owner EC2 does not tell; `now` becomes the snapshot's `taken`.
    Throttling, server faults and lost connections are retried by policy, page by page; InventoryError where that gives
    up and, at once, where EC2 refuses; Stopped where `stop` is set during a wait.
    """

    def all_of(question: Question) -> tuple[Mapping[str, Any], ...]:
        return tuple(_items(client, region, question, stop, metrics))

    answers = Answers(
        interfaces=all_of(INTERFACES),
        subnets=all_of(SUBNETS),
        vpcs=all_of(VPCS),
        instances=tuple(each for reservation in all_of(RESERVATIONS) for each in reservation.get("Instances", ())),
        security_groups=all_of(SECURITY_GROUPS),
    )
    return snapshot(answers, region=region, account=account, tag_keys=tag_keys, taken=now)


def _items(
    client: "EC2Client", region: str, question: Question, stop: Event, metrics: Metrics
) -> Iterator[Mapping[str, Any]]:
    """The items of all pages of one question."""
    retry = retrying(INVENTORY, stop, lambda _: metrics.add("retries_total", policy=INVENTORY.name))
    token: str | None = None
    while True:
        try:
            page = retry(_page, client, region, question, token)
        except (ClientError, BotoCoreError) as error:
            kind = NotAllowed if _code(error) in DENIED else InventoryError
            raise kind(_refusal(region, question, error)) from error
        yield from page.get(question.items, ())
        previous, token = token, page.get("NextToken")
        if not token:
            return
        if token == previous:
            raise InventoryError(f"EC2 in {region} answered {question.operation} with one NextToken twice")


def _page(client: "EC2Client", region: str, question: Question, token: str | None) -> Mapping[str, Any]:
    """One page.  InventoryError for what passes by itself; botocore's own error for what does not."""
    call: Callable[..., Mapping[str, Any]] = getattr(client, question.operation)
    try:
        return call(MaxResults=PAGE_SIZE, **({"NextToken": token} if token else {}))
    except (
        HTTPClientError,
        ConnectionError,
        ResponseParserError,
    ) as error:  # the latter where something between answers in HTML
        raise InventoryError(f"EC2 in {region} could not be reached for {question.operation}: {error}") from error
    except ClientError as error:
        if not _passes(error):
            raise
        raise InventoryError(f"EC2 in {region} cannot answer {question.operation} for now: {error}") from error


def _passes(error: ClientError) -> bool:
    """Whether EC2 is only busy or ill."""
    code = _code(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return code in THROTTLED or status >= _SERVER_FAULT


def _code(error: Exception) -> str:
    return str(error.response.get("Error", {}).get("Code")) if isinstance(error, ClientError) else ""


def _refusal(region: str, question: Question, error: Exception) -> str:
    return (
        f"EC2 in {region} refused {question.operation}: {error}; "
        f"the inventory needs credentials with the permission {question.permission}"
    )


class NotAllowed(InventoryError):
    """EC2 refuses until somebody changes something."""


class Inventory:
    """The newest snapshot of each region; any thread may read them while another one refreshes.

    `clients` by region; `account` as for `describe`; `now` tells the time in UTC.  A region that does not answer keeps
    its last snapshot, and one that was never allowed has none: its ends stay without names, the others go on.
    """

    def __init__(  # noqa: PLR0913  clients, settings and services are passed in
        self,
        clients: "Mapping[str, EC2Client]",
        *,
        tag_keys: tuple[str, ...],
        stop: Event,
        metrics: Metrics,
        account: str | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._clients = clients
        self._tag_keys = tag_keys
        self._stop = stop
        self._metrics = metrics
        self._account = account
        self._now = now
        self._refreshing = Lock()
        self._newest: dict[str, Snapshot] = {}
        self._current: Snapshot | None = None
        self.faults: Mapping[str, str] = {}
        """Why regions did not answer at the last refresh."""

    def current(self) -> Snapshot | None:
        """The snapshot in use: None before each region has answered once, or has refused."""
        return self._current

    def refresh(self) -> bool:
        """Asks all regions and swaps the snapshot whole; whether all went well.  Stopped passes.

        Where one fails, its last snapshot stays in use, and one warning says how old it is.
        """
        with self._refreshing:
            faults: dict[str, InventoryError] = {}
            for region in self._clients:
                try:
                    self._newest[region] = self._ask(region)
                except InventoryError as error:
                    faults[region] = error
                    log.warning(
                        "the EC2 inventory of %s was not refreshed, %s: %s", region, self._in_use(region), error
                    )
            self.faults = {region: str(error) for region, error in faults.items()}
            awaited = [region for region, error in faults.items() if not isinstance(error, NotAllowed)]
            if self._newest and all(region in self._newest for region in awaited):
                self._swap()
            self._metrics.add("inventory_refreshes_total", outcome="failed" if faults else "ok")
            return not faults

    def _swap(self) -> None:
        """The snapshots of all regions become the one in use, its index made, so that no record waits for that."""
        fresh = merge(list(self._newest.values()))
        _ = fresh.index
        self._current = fresh
        self._metrics.set("inventory_interfaces", fresh.owners.height)
        self._metrics.set("inventory_time_seconds", fresh.taken.timestamp())

    def _ask(self, region: str) -> Snapshot:
        """One region's, its index made: an address that is none spoils no other region's."""
        fresh = describe(
            self._clients[region],
            region,
            self._account,
            tag_keys=self._tag_keys,
            now=self._now(),
            stop=self._stop,
            metrics=self._metrics,
        )
        _ = fresh.index
        return fresh

    def _in_use(self, region: str) -> str:
        if region not in self._newest:
            return "and there is none yet"
        seconds = (self._now() - self._newest[region].taken).total_seconds()
        return f"the one in use is {seconds:.0f} s old"
