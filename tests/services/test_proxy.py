"""Each thing that the proxy does, seen from both sides."""

import http.client
import time
from collections.abc import Iterator

import pytest

from tests.services.proxy import Kind, Plan, Proxy, proxy
from tests.sink.faults import Answer, Faulty, serve

TEXT = '{"took":1,"items":[]}'
BODY = b"line\n" * 200_000


@pytest.fixture
def server() -> Iterator[Faulty]:
    """Answers every request with the same text, and keeps what came."""
    with serve(Answer(200, TEXT)) as running:
        yield running


def ask(through: Proxy, method: str = "POST", body: bytes | None = BODY) -> tuple[int, bytes]:
    """Status and body of one request, on a connection of its own."""
    connection = http.client.HTTPConnection(through.url.removeprefix("http://"), timeout=5)
    try:
        connection.request(method, "/path?query", body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def only(kind: Kind, **more: float) -> Plan:
    return Plan(1, {kind: 1}, delay=more.get("delay", 0.3), stall=more.get("stall", 0.2))


@pytest.mark.parametrize(
    ("kind", "answer", "taken"),
    [
        (Kind.HEALTHY, (200, TEXT.encode()), [BODY]),
        (Kind.DELAY, (200, TEXT.encode()), [BODY]),
        (Kind.SLOW, (200, TEXT.encode()), [BODY]),
        (Kind.TRUNCATED, (200, b'{"took":1,'), [BODY]),
        (Kind.TOO_MANY, (429, b'{"error":{"type":"as_told","reason":"status 429"},"status":429}'), []),
        (Kind.BAD_GATEWAY, (502, b"<html><body>status 502</body></html>"), []),
        (Kind.UNAVAILABLE, (503, b'{"error":{"type":"as_told","reason":"status 503"},"status":503}'), []),
    ],
)
def test_what_is_answered(server: Faulty, kind: Kind, answer: tuple[int, bytes], taken: list[bytes]) -> None:
    with proxy(server.url, only(kind)) as through:
        assert ask(through) == answer
        assert through.done == {kind: 1}
        assert through.faults() == (kind is not Kind.HEALTHY)
    assert server.bodies == taken


@pytest.mark.parametrize(
    ("kind", "error", "taken"),
    [
        (Kind.RESET, ConnectionResetError, []),
        (Kind.CUT_REQUEST, ConnectionResetError, []),
        (Kind.RESET_LATE, ConnectionResetError, [BODY]),
        (Kind.STALL, ConnectionResetError, [BODY]),
        (Kind.CUT_ANSWER, http.client.IncompleteRead, [BODY]),
    ],
)
def test_what_breaks(server: Faulty, kind: Kind, error: type[Exception], taken: list[bytes]) -> None:
    with proxy(server.url, only(kind)) as through:
        with pytest.raises(error):
            ask(through)
        assert through.done == {kind: 1}
    assert [body for body in server.bodies if body == BODY] == taken


@pytest.mark.parametrize("kind", [Kind.DELAY, Kind.SLOW])
def test_what_comes_late(server: Faulty, kind: Kind) -> None:
    with proxy(server.url, only(kind)) as through:
        began = time.monotonic()
        ask(through)
        assert 0.25 <= time.monotonic() - began < 3


def test_an_answer_without_a_body_cannot_be_cut(server: Faulty) -> None:
    with proxy(server.url, only(Kind.CUT_ANSWER)) as through:
        assert ask(through, "HEAD", None) == (200, b"")
        assert through.done == {Kind.HEALTHY: 1}


def test_the_mode_can_be_changed_meanwhile(server: Faulty) -> None:
    with proxy(server.url, only(Kind.BAD_GATEWAY)) as through:
        through.mode = "away"
        with pytest.raises(OSError, match=r"reset|closed|Broken pipe"):
            ask(through)
        through.mode = "healthy"
        assert ask(through) == (200, TEXT.encode())
        through.mode = "faulty"
        assert ask(through)[0] == 502
        assert through.done == {Kind.HEALTHY: 1, Kind.BAD_GATEWAY: 1}


def test_the_same_seed_makes_the_same_plan_and_each_deck_holds_its_shares() -> None:
    cards = {Kind.HEALTHY: 6, Kind.RESET: 3, Kind.TOO_MANY: 1}

    def drawn(seed: int) -> list[Kind]:
        return [kind for kind, _ in zip(Plan(seed, cards).draws(), range(20), strict=False)]

    assert drawn(7) == drawn(7) != drawn(8)
    for deck in (drawn(7)[:10], drawn(7)[10:]):
        assert {kind: deck.count(kind) for kind in cards} == cards
