"""The named retry policies: who waits how long for what.

Retry stands in this one layer; botocore's and the Elasticsearch client's own are turned off.  Every wait ends at once
when the program stops.
"""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, stop_never
from tenacity.wait import wait_random_exponential

from exporter.errors import FeedError, InventoryError, SourceError, Stopped, Unavailable

Attempt = RetryCallState
"""What is told of a failed attempt before the wait: its number, its outcome, and how long the wait will be."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A retry policy: its name in the metrics, what it retries, first and longest wait, and for how long in all."""

    name: str
    on: tuple[type[Exception], ...]
    first_wait: float
    longest_wait: float
    give_up_after: float | None


SOURCE = Policy("source", (SourceError,), first_wait=0.5, longest_wait=20, give_up_after=120)
"""S3: a later poll finds the object again, so giving up after two minutes loses nothing."""

INVENTORY = Policy("inventory", (InventoryError,), first_wait=1, longest_wait=20, give_up_after=120)
"""EC2: its token bucket refills within seconds; the last snapshot serves meanwhile."""

FEED = Policy("feed", (FeedError,), first_wait=1, longest_wait=20, give_up_after=60)
"""What is kept fresh, from S3 or by HTTP: what was read last serves meanwhile, and it is read again by schedule."""

OUTPUT = Policy("output", (Unavailable,), first_wait=0.5, longest_wait=60, give_up_after=None)
"""Elasticsearch: a server that is away for hours costs nothing but time."""


def failed(state: Attempt) -> tuple[BaseException | None, float]:
    """What a failed attempt met, and how many seconds the wait for the next one will be."""
    error = state.outcome.exception() if state.outcome else None
    return error, state.next_action.sleep if state.next_action else 0


def retrying(policy: Policy, stop: Event, on_retry: Callable[[Attempt], None] = lambda _: None) -> Retrying:
    """A tenacity controller for `policy`: call it with a function, or iterate over its attempts.

    The error of the last attempt is raised as it is; Stopped where `stop` is set during a wait.
    """

    def sleep(seconds: float) -> None:
        if stop.wait(seconds):
            raise Stopped(f"stopped while waiting to retry ({policy.name})")

    return Retrying(
        retry=retry_if_exception_type(policy.on),
        wait=wait_random_exponential(multiplier=policy.first_wait, max=policy.longest_wait),
        stop=stop_never if policy.give_up_after is None else stop_after_delay(policy.give_up_after),
        sleep=sleep,
        before_sleep=on_retry,
        reraise=True,
    )
