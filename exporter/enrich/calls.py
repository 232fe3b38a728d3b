"""Calls to AWS for the inventory: page by page, at a polite rate, and again where an error may pass.

The client must not retry by itself (`Config(retries={"total_max_attempts": 1})`): retry stands in one layer.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from threading import Event
from time import monotonic
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError  # noqa: A004 - botocore's own
from botocore.parsers import ResponseParserError

from exporter.enrich.budget import Budget
from exporter.errors import InventoryError
from exporter.metrics import Metrics
from exporter.retry import INVENTORY, retrying

THROTTLED = frozenset(
    {
        *("RequestLimitExceeded", "Throttling", "ThrottlingException", "EC2ThrottledException"),
        *("RequestThrottled", "RequestThrottledException", "ThrottledException"),
        "TooManyRequestsException",  # Organizations'
    }
)
"""Codes by which AWS says that its token bucket is empty."""

DENIED = frozenset(
    {
        *("UnauthorizedOperation", "AuthFailure", "OptInRequired", "AccessDenied", "AccessDeniedException"),
        "AWSOrganizationsNotInUseException",
        *("Blocked", "PendingVerification"),  # the account
        *("RegionDisabledException", "InvalidClientTokenId"),  # STS's, of a region that is not enabled
    }
)
"""Codes by which AWS says that somebody has to allow it first; AuthFailure also for a region that is not enabled."""

_SERVER_FAULT = 500

Item = Mapping[str, Any]
Page = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """One call: boto3's name for it, the permission it needs, where its answer has the items, and how many a page.

    `page_size` None leaves that to AWS; what is `optional` is done without where AWS refuses it.
    """

    operation: str
    permission: str
    items: str
    page_size: int | None = None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Whom:
    """Who is asked: `scope` throttles on its own, `text` names it to a person, `role` is the ARN that is assumed."""

    scope: str
    text: str
    role: str | None = None


class Declined(InventoryError):
    """AWS answered that it will not tell, and would the next time."""


class NotAllowed(Declined):
    """AWS refuses until somebody changes something."""


class Calls:
    """Asks; any thread may, each with clients of its own."""

    def __init__(self, *, budget: Budget, stop: Event, metrics: Metrics) -> None:
        self._budget = budget
        self._stop = stop
        self._metrics = metrics

    def items(
        self, client: object, question: Question, whom: Whom, note: Callable[[Page, float], None] = lambda *_: None
    ) -> Iterator[Item]:
        """The items of all pages; `note` is given each page as it comes, and the seconds that its call took.

        Throttling, server faults and lost connections are retried by policy, page by page; InventoryError where that
        gives up, Declined at once where AWS refuses, Stopped where the program stops during a wait.
        """
        token: str | None = None
        seen = set[str]()
        while True:
            page, seconds = self._asked(client, question, whom, token)
            note(page, seconds)
            yield from page.get(question.items) or ()
            token = page.get("NextToken")
            if not token:
                return
            if token in seen:
                raise InventoryError(f"{whom.text} answered {question.operation} with one NextToken twice")
            seen.add(token)

    def answer(self, client: object, question: Question, whom: Whom) -> Page:
        """What is answered in one piece; errors as above."""
        return self._asked(client, question, whom, None)[0]

    def _asked(self, client: object, question: Question, whom: Whom, token: str | None) -> tuple[Page, float]:
        """One page, and the seconds that its call took."""
        retry = retrying(INVENTORY, self._stop, lambda _: self._metrics.add("retries_total", policy=INVENTORY.name))
        try:
            return retry(self._once, client, question, whom, token)
        except (ClientError, BotoCoreError) as error:
            raise _declined(error)(_refusal(question, whom, error)) from error

    def _once(self, client: object, question: Question, whom: Whom, token: str | None) -> tuple[Page, float]:
        """One attempt.  InventoryError for what passes by itself; botocore's own error for what does not."""
        call: Callable[..., Page] = getattr(client, question.operation)
        size = {"MaxResults": question.page_size} if question.page_size else {}
        self._budget.wait(whom.scope, self._stop)
        began = monotonic()
        try:
            page = call(**size, **({"NextToken": token} if token else {}))
        except (
            HTTPClientError,
            ConnectionError,
            ResponseParserError,
        ) as error:  # the latter where something between answers in HTML
            raise InventoryError(f"{whom.text} could not be reached for {question.operation}: {error}") from error
        except ClientError as error:
            if _code(error) in THROTTLED:
                self._budget.throttled(whom.scope)
            if not _passes(error):
                raise
            raise InventoryError(f"{whom.text} cannot answer {question.operation} for now: {error}") from error
        self._budget.answered(whom.scope)
        return page, monotonic() - began


def _declined(error: Exception) -> type[InventoryError]:
    """What kind of error this is: what AWS itself answered is a refusal, credentials that are not there are none."""
    if not isinstance(error, ClientError):
        return InventoryError
    return NotAllowed if _code(error) in DENIED else Declined


def _passes(error: ClientError) -> bool:
    """Whether AWS is only busy or ill."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return _code(error) in THROTTLED or status >= _SERVER_FAULT


def _code(error: Exception) -> str:
    return str(error.response.get("Error", {}).get("Code")) if isinstance(error, ClientError) else ""


def _refusal(question: Question, whom: Whom, error: Exception) -> str:
    if isinstance(error, ClientError) and error.operation_name == "AssumeRole":
        return (
            f"the role {whom.role} is not given, so {whom.text} was not asked: {error}; allow sts:AssumeRole on the "
            "role to these credentials, and these credentials in the role's trust policy, with its external id"
        )
    return (
        f"{whom.text} refused {question.operation}: {error}; "
        f"the inventory needs credentials with the permission {question.permission}"
    )
