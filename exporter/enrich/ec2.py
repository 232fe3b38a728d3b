"""Asks EC2 who owns what, in all accounts and regions side by side, and holds the newest answers."""

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from threading import Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING

from exporter.enrich.accounts import Account, Known
from exporter.enrich.answers import Answers, Asked, snapshot
from exporter.enrich.calls import Calls, Declined, Item, NotAllowed, Page, Question, Whom
from exporter.enrich.history import LAG, View
from exporter.enrich.inventory import Snapshot
from exporter.enrich.oddities import Oddities
from exporter.enrich.owners import Owners
from exporter.errors import ConfigError, ExporterError, InventoryError, Stopped
from exporter.metrics import Metrics

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

log = logging.getLogger(__name__)

PAGE_SIZE = 1000
"""Items a page, the most that EC2 gives."""

SIDE_BY_SIDE = 8
"""Scopes that are asked at once: most of the time each waits for EC2."""

AGAIN = timedelta(minutes=1)
"""Records come minutes after their flows: two askings so close to each other would hardly tell more than one."""

PATIENCE = 20.0
"""Seconds that flows wait for an answer that reaches up to them; without it their ends are named where that is sure."""

TOGETHER = 5.0
"""Answers that come within so many seconds are added together."""

_LOOK_SECONDS = 0.1

CLOCKS_MAY_DIFFER = timedelta(minutes=1)


def _question(operation: str, permission: str, items: str, *, optional: bool = False) -> Question:
    return Question(operation, f"ec2:{permission}", items, PAGE_SIZE, optional)


INTERFACES = _question("describe_network_interfaces", "DescribeNetworkInterfaces", "NetworkInterfaces")
SUBNETS = _question("describe_subnets", "DescribeSubnets", "Subnets")
VPCS = _question("describe_vpcs", "DescribeVpcs", "Vpcs")
RESERVATIONS = _question("describe_instances", "DescribeInstances", "Reservations")
SECURITY_GROUPS = _question("describe_security_groups", "DescribeSecurityGroups", "SecurityGroups")
PEERINGS = _question(
    "describe_vpc_peering_connections", "DescribeVpcPeeringConnections", "VpcPeeringConnections", optional=True
)
GATEWAY_ATTACHMENTS = _question(
    "describe_transit_gateway_vpc_attachments",
    "DescribeTransitGatewayVpcAttachments",
    "TransitGatewayVpcAttachments",
    optional=True,
)

QUESTIONS = (INTERFACES, SUBNETS, VPCS, RESERVATIONS, SECURITY_GROUPS, PEERINGS, GATEWAY_ATTACHMENTS)
"""All that is asked; their permissions are all that the inventory needs of an account."""


@dataclass(frozen=True, slots=True)
class Scope:
    """One account in one region: what is asked, kept and told of in one piece.  Another name or role is no other."""

    region: str
    id: str | None = None
    account: Account = field(default=Account(), compare=False)

    @classmethod
    def of(cls, account: Account, region: str) -> "Scope":
        """An account's region."""
        return cls(region, account.id, account)

    def __str__(self) -> str:
        return f"{self.id} {self.region}" if self.id else self.region

    @property
    def labels(self) -> dict[str, str]:
        """In metrics; the account is empty where nobody asked which it is."""
        return {"account": self.id or "", "region": self.region}

    @property
    def whom(self) -> Whom:
        """Who is asked."""
        text = f"EC2 in {self.region}" + (f" for the account {self.id}" if self.id else "")
        return Whom(str(self), text, self.account.role_arn)


def describe(  # noqa: PLR0913  what it works with is passed in
    client: "EC2Client",
    scope: Scope,
    calls: Calls,
    *,
    tag_keys: tuple[str, ...],
    oddities: Oddities,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Snapshot:
    """The inventory of one account in one region, all pages; times by AWS's clock, else by `now` (UTC).

    What joins VPCs is done without where EC2 does not tell it.  Raises as `Calls.items`.
    """
    times = _Times(now)

    def all_of(question: Question) -> tuple[Item, ...]:
        try:
            return tuple(calls.items(client, question, scope.whom, times.note))
        except Declined as error:
            if not question.optional:
                raise
            oddities.note("links_refused", str(scope), f"which VPCs reach each other stays unknown: {error}")
            return ()

    interfaces = all_of(INTERFACES)
    if not interfaces:  # most regions of an organization are empty, and then only its VPCs' ranges tell something
        return _snapshot(Answers(vpcs=all_of(VPCS)), scope, times, tag_keys, oddities)
    answers = Answers(
        interfaces=interfaces,
        subnets=all_of(SUBNETS),
        vpcs=all_of(VPCS),
        instances=tuple(each for reservation in all_of(RESERVATIONS) for each in reservation.get("Instances") or ()),
        security_groups=all_of(SECURITY_GROUPS),
        peerings=all_of(PEERINGS),
        gateway_attachments=all_of(GATEWAY_ATTACHMENTS),
    )
    return _snapshot(answers, scope, times, tag_keys, oddities)


def _snapshot(
    answers: Answers, scope: Scope, times: "_Times", tag_keys: tuple[str, ...], oddities: Oddities
) -> Snapshot:
    """The answers as a snapshot; what is odd about them, and about the clocks, is noted."""
    account = scope.account
    asked = Asked(scope.region, times.taken, times.answered, account.id, account.name, tag_keys)
    found, odd = snapshot(answers, asked)
    for each in odd:
        oddities.note(each.kind, str(scope), each.what)
    if abs(times.ahead) > CLOCKS_MAY_DIFFER:
        side = "ahead of" if times.ahead > timedelta() else "behind"
        seconds = abs(times.ahead).total_seconds()
        told = f"this machine's clock is {seconds:.0f} s {side} AWS's: set it; AWS's counts here"
        oddities.note("clock", "AWS", told)
    return found


class _Times:
    """When EC2 was asked first and had answered last, by the Date of its answers.

    Date is in whole seconds, and when the answer was sent: the question came before by no more than the call took,
    and the answer held at some time within that second.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._is_first = True
        self.taken = self.answered = now()
        self.ahead = timedelta()
        """How much this machine's clock is ahead of AWS's."""

    def note(self, page: Page, seconds: float) -> None:
        """A page has come, `seconds` after it was asked for."""
        here, date = self._now(), _date(page)
        sent = date or here.replace(microsecond=0)
        if self._is_first:
            self.taken = sent - timedelta(seconds=math.ceil(seconds))
            self._is_first = False
        self.answered = sent + timedelta(seconds=1)
        self.ahead = here - date if date else timedelta()


def _date(page: Page) -> datetime | None:
    """When AWS sent an answer, by its own clock (RFC 9110, 6.6.1); None where it does not say."""
    text = ((page.get("ResponseMetadata") or {}).get("HTTPHeaders") or {}).get("date")
    try:
        date = parsedate_to_datetime(text) if text else None
    except ValueError:
        return None
    return date.replace(tzinfo=date.tzinfo or UTC).astimezone(UTC) if date else None


class Inventory:
    """Who owned what, by all that EC2 has told; any thread may look while another one refreshes.

    `accounts` tells whom to ask, `client` makes a client of an account in a region (used once and closed, for a client
    of EC2 takes more than a megabyte); `now` tells the time in UTC.  Of a scope that does not answer nothing new is
    known until it does; the others go on.
    """

    def __init__(  # noqa: PLR0913  clients, settings and services are passed in
        self,
        accounts: Callable[[], Known],
        regions: Sequence[str],
        client: "Callable[[Account, str], EC2Client]",
        *,
        owners: Owners,
        calls: Calls,
        tag_keys: tuple[str, ...],
        oddities: Oddities,
        metrics: Metrics,
        refresh_every: timedelta = timedelta(minutes=5),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._accounts = accounts
        self._regions = tuple(regions)
        self._client = client
        self._owners = owners
        self._calls = calls
        self._tag_keys = tag_keys
        self._oddities = oddities
        self._metrics = metrics
        self._refresh_every = refresh_every
        self._now = now
        self._refreshing = Lock()
        self._starting = Lock()
        self._beside: Thread | None = None
        self._too_long: Thread | None = None
        self._taken: dict[Scope, datetime] = {}
        self._asked: datetime | None = None
        self._ready = False
        self.faults: Mapping[str, str] = {}
        """Why scopes did not answer at the last refresh, or the list of accounts was not had."""

    def current(self) -> View | None:
        """What is known: None before each scope has answered once, by what is remembered too, or has refused."""
        return self._owners.view() if self._ready else None

    def refresh(self) -> bool:
        """Asks all scopes and adds what they tell; whether all went well.  Stopped and LedgerError pass.

        Where one fails, a warning says how old its last answer is, once until it answers again.
        """
        with self._refreshing:
            return self._refresh()

    def reach(self, moment: datetime) -> None:
        """Sees that what is known goes up to `moment`, as far as that takes no longer than PATIENCE.

        A flow that ended after the last answer would have ends that nothing proves.  AGAIN passes between the end of
        one asking and the next; an asking that was waited for in vain is not waited for again.
        """
        moment = min(moment, self._now())  # nobody tells what is yet to come
        if self._reaches(moment):
            return
        with self._starting:
            if self._beside is None or not self._beside.is_alive():
                self._beside = Thread(target=self._refresh_beside, args=(moment,), name="reach", daemon=True)
                self._beside.start()
            asking = self._beside
        until = monotonic() + (0 if asking is self._too_long else PATIENCE)
        while asking.is_alive() and not self._reaches(moment) and monotonic() < until:
            asking.join(_LOOK_SECONDS)
        if asking.is_alive() and not self._reaches(moment):
            self._too_long = asking

    def _refresh_beside(self, moment: datetime) -> None:
        with self._refreshing:
            recent = self._asked is not None and self._now() - self._asked < AGAIN
            if not recent and not self._reaches(moment):
                try:
                    self._refresh()
                except Stopped:
                    pass
                except ExporterError as error:
                    log.warning("the EC2 inventory was not refreshed: %s", error)

    def _reaches(self, moment: datetime) -> bool:
        """A scope that failed the last time is not waited for: it would hold up the flows of all others."""
        least = moment + timedelta(seconds=LAG)
        taken = list(self._taken.items())  # another thread may be adding to it
        return bool(taken) and all(time >= least for scope, time in taken if str(scope) not in self.faults)

    def _refresh(self) -> bool:
        begun = monotonic()
        try:
            return self._ask_and_add()
        finally:
            self._asked = self._now()
            seconds = monotonic() - begun
            self._metrics.set("inventory_refresh_seconds", seconds)
            if seconds > self._refresh_every.total_seconds():
                told = (
                    f"a refresh took {seconds:.0f} s, longer than enrich.ec2.refresh_every: name fewer regions, or "
                    "raise calls_per_second or refresh_every; until then what comes and goes is hardly ever proven"
                )
                self._oddities.note("slow", "the inventory", told)

    def _ask_and_add(self) -> bool:
        known = self._accounts()
        scopes = [Scope.of(account, region) for account in known.accounts for region in self._regions]
        self._forget(self._taken.keys() - set(scopes))
        errors: dict[Scope, InventoryError] = {}
        fresh: dict[Scope, Snapshot] = {}
        added = monotonic()
        for answer in self._answers(scopes):
            if answer is not None:
                scope, told = answer
                if isinstance(told, Snapshot):
                    fresh[scope] = told
                else:
                    errors[scope] = told
                    self._tell(scope, told)
            if fresh and monotonic() - added >= TOGETHER:
                self._add(fresh)
                fresh, added = {}, monotonic()
        self._add(fresh)
        self.faults = dict(known.faults) | {str(scope): str(error) for scope, error in errors.items()}
        awaited = [scope for scope, error in errors.items() if not isinstance(error, NotAllowed)]
        remembered = self._owners.scopes
        self._ready |= bool(self._taken) and all(each in self._taken or str(each) in remembered for each in awaited)
        self._metrics.add("inventory_refreshes_total", outcome="failed" if self.faults else "ok")
        return not self.faults

    def _answers(self, scopes: Sequence[Scope]) -> Iterator[tuple[Scope, Snapshot | InventoryError] | None]:
        """What each scope tells, or what went wrong there, as they answer; None at least every TOGETHER seconds.

        Stopped passes.
        """
        pool = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="inventory")
        try:
            waiting = {pool.submit(self._ask, scope): scope for scope in scopes}
            while waiting:
                for future in wait(waiting, TOGETHER, FIRST_COMPLETED).done:
                    yield waiting.pop(future), future.result()
                yield None
        finally:
            pool.shutdown(cancel_futures=True)

    def _add(self, fresh: Mapping[Scope, Snapshot]) -> None:
        if fresh:
            self._owners.add({str(scope): each for scope, each in fresh.items()}, max(s.taken for s in fresh.values()))
            self._note(fresh)

    def _ask(self, scope: Scope) -> Snapshot | InventoryError:
        try:
            client = self._client(scope.account, scope.region)
        except ConfigError as error:
            return InventoryError(str(error))
        try:
            return describe(client, scope, self._calls, tag_keys=self._tag_keys, oddities=self._oddities, now=self._now)
        except InventoryError as error:
            return error
        finally:
            client.close()

    def _note(self, fresh: Mapping[Scope, Snapshot]) -> None:
        for scope, each in fresh.items():
            self._taken[scope] = each.taken
            self._metrics.set("inventory_interfaces", each.owners.height, **scope.labels)
            self._metrics.set("inventory_time_seconds", each.taken.timestamp(), **scope.labels)

    def _forget(self, gone: Iterable[Scope]) -> None:
        """Lets go of scopes that nobody asks any more; what they told stays remembered."""
        for scope in gone:
            del self._taken[scope]
            for name in ("inventory_interfaces", "inventory_time_seconds"):
                self._metrics.forget(name, **scope.labels)

    def _tell(self, scope: Scope, error: InventoryError) -> None:
        """A warning where the scope answered before, or was not asked; what went on failing is in `faults` anyway."""
        level = logging.DEBUG if str(scope) in self.faults else logging.WARNING
        log.log(level, "the EC2 inventory of %s was not refreshed, %s: %s", scope, self._age(scope), error)

    def _age(self, scope: Scope) -> str:
        if scope not in self._taken:
            return "and it has not answered yet"
        return f"its last answer is {(self._now() - self._taken[scope]).total_seconds():.0f} s old"
