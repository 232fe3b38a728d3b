"""Calls page by page and at their pace, to a client that the test plays; real answers stand in test_ec2.py.

Played because neither moto nor botocore's Stubber gives tokens in a circle, or tells when it was called.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from time import monotonic
from typing import Any

import pytest
from botocore.exceptions import ClientError

from exporter.enrich import calls as calls_module
from exporter.enrich.budget import Budget
from exporter.enrich.calls import Calls, Question, Whom
from exporter.errors import InventoryError
from exporter.metrics import Metrics
from exporter.retry import INVENTORY

QUESTION = Question("describe_things", "ec2:DescribeThings", "Things", page_size=5)
SCOPE = "111111111111 us-east-1"


class Played:
    """A client: answers as it is told, and notes each call's token and time."""

    def __init__(self, pages: Iterator[dict[str, Any] | Exception]) -> None:
        self._pages = pages
        self.tokens: list[str | None] = []
        self.times: list[float] = []

    def describe_things(self, **asked: Any) -> dict[str, Any]:  # noqa: ANN401 - as boto3's
        self.tokens.append(asked.get("NextToken"))
        self.times.append(monotonic())
        page = next(self._pages)
        if isinstance(page, Exception):
            raise page
        return page


def made(budget: Budget, metrics: Metrics | None = None) -> Calls:
    return Calls(budget=budget, stop=Event(), metrics=metrics or Metrics())


def names(calls: Calls, client: Played, scope: str = SCOPE) -> list[str]:
    return [each["Id"] for each in calls.items(client, QUESTION, Whom(scope, "EC2 in us-east-1"))]


def page(name: str, token: str | None) -> dict[str, Any]:
    return {"Things": [{"Id": name}]} | ({"NextToken": token} if token else {})


def test_all_pages_by_their_tokens() -> None:
    client = Played(iter([page("a", "1"), {"NextToken": "2"}, page("b", "3"), page("c", "")]))
    assert names(made(Budget(10_000)), client) == ["a", "b", "c"]
    assert client.tokens == [None, "1", "2", "3"]


@pytest.mark.parametrize(
    ("tokens", "calls"),
    [(["1", "1"], 2), (["1", "2", "1"], 3), (["1", "2", "3", "2"], 4)],
    ids=["the same again", "in turns", "a circle"],
)
def test_a_token_that_comes_again_ends_it(tokens: list[str], calls: int) -> None:
    client = Played(page("a", token) for token in [*tokens, *tokens * 2])
    with pytest.raises(InventoryError, match=r"^EC2 in us-east-1 answered describe_things with one NextToken twice$"):
        names(made(Budget(10_000)), client)
    assert len(client.tokens) == calls


@pytest.mark.parametrize(
    "code",
    [
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "EC2ThrottledException",
        "TooManyRequestsException",
    ],
)
def test_a_throttle_by_any_of_its_names_is_asked_again_at_half_the_rate(
    code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls_module, "INVENTORY", replace(INVENTORY, first_wait=0.01))
    answer = {"Error": {"Code": code, "Message": "wait"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    client = Played(iter([ClientError(answer, "DescribeThings"), page("a", None)]))  # type: ignore[arg-type]  # less than all of it
    budget, metrics = Budget(10_000), Metrics()
    assert names(made(budget, metrics), client) == ["a"]
    assert metrics.value("retries_total", policy="inventory") == 1
    assert budget.rate(SCOPE) == 5000 + 50  # halved, and one answer


def test_calls_of_several_scopes_at_once_stay_within_the_budget_together() -> None:
    """Eight scopes of ten pages at 200 calls a second: call n goes n/200 s after the first at the soonest.

    On the machine's own clock, for the waits are real ones; a busy machine only makes calls later.
    """
    rate, scopes, pages = 200, 8, 10
    calls = made(Budget(rate))
    clients = [
        Played(page("a", str(each) if each < pages else None) for each in range(1, pages + 1)) for _ in range(scopes)
    ]

    def ask(number: int) -> int:
        return len(names(calls, clients[number], f"{number} us-east-1"))

    began = monotonic()
    with ThreadPoolExecutor(scopes) as pool:
        assert list(pool.map(ask, range(scopes))) == [pages] * scopes
    times = sorted(time - began for client in clients for time in client.times)
    assert len(times) == scopes * pages
    early = [
        (number, time) for number, time in enumerate(times) if time < number / rate - 0.002
    ]  # the clock's own grain
    assert early == []
