"""A way to a server that fails as networks do: an HTTP proxy on a real socket that breaks requests by a seeded plan.

It knows one request a connection, reads each whole, and passes it on whole; so it can cut what passes where it likes,
and let a server take a request whose answer never arrives, which is the worst case for whoever must not send twice.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from queue import SimpleQueue

LARGEST = 256 * 1024 * 1024
"""Bytes of a request or an answer that the proxy takes: it holds them whole."""

TARGET_SECONDS = 120
"""How long the server behind may take to answer."""

_HEAD_LIMIT = 64 * 1024
_AT_ONCE = struct.pack("ii", 1, 0)
_SLICES = 10


class Kind(StrEnum):
    """What happens to a request."""

    HEALTHY = "healthy"
    DELAY = "delay"
    """It comes late by `Plan.delay`."""
    SLOW = "slow"
    """The answer trickles, for `Plan.delay` in all."""
    RESET = "reset"
    """The connection is reset before the server sees anything."""
    RESET_LATE = "reset late"
    """The server took the request; instead of its answer the connection is reset."""
    CUT_REQUEST = "cut request"
    """The server gets half of it, and the connection is reset."""
    CUT_ANSWER = "cut answer"
    """Half of the answer's body arrives, though more was promised."""
    STALL = "stall"
    """The server took the request; nothing comes for `Plan.stall`, then a reset."""
    TRUNCATED = "truncated"
    """The server took the request; half of its answer's body comes as if that were all: JSON that breaks off."""
    TOO_MANY = "429"
    BAD_GATEWAY = "502"
    UNAVAILABLE = "503"


EMPTY_ANSWERS_PASS = frozenset({Kind.CUT_ANSWER, Kind.TRUNCATED})
"""What cannot be done to an answer without a body: that passes whole, and counts as healthy."""

_JSON = '{{"error":{{"type":"as_told","reason":"status {0}"}},"status":{0}}}'
_XML = "<Error><Code>SlowDown</Code><Message>status {0}</Message></Error>"
_HTML = "<html><body>status {0}</body></html>"

REFUSALS: dict[str, Mapping[Kind, tuple[str, str]]] = {
    "elasticsearch": {
        Kind.TOO_MANY: ("application/json\r\nX-Elastic-Product: Elasticsearch", _JSON),
        Kind.BAD_GATEWAY: ("text/html", _HTML),
        Kind.UNAVAILABLE: ("application/json\r\nX-Elastic-Product: Elasticsearch", _JSON),
    },
    "s3": {
        Kind.TOO_MANY: ("application/xml", _XML),
        Kind.BAD_GATEWAY: ("text/html", _HTML),
        Kind.UNAVAILABLE: ("application/xml", _XML),
    },
}
"""By what stands behind: the type (with more headers) and the text of each refusal; the 502 is a load balancer's."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens to requests: they draw from a deck of `cards`, so many of each kind, shuffled anew when it is empty.

    A deck, so that the shares hold for short runs too, and each kind does happen.  Seconds for `delay` and `stall`.
    """

    seed: int
    cards: Mapping[Kind, int]
    speaks: str = "elasticsearch"
    delay: float = 0.3
    stall: float = 3.0

    def draws(self) -> Iterator[Kind]:
        """The kinds, one a request, for ever."""
        chance = random.Random(self.seed)  # noqa: S311 - repeatable, not secret
        deck = [kind for kind, count in sorted(self.cards.items()) for _ in range(count)]
        while True:
            chance.shuffle(deck)
            yield from deck


@dataclass(slots=True)
class Proxy:
    """A running proxy.  `mode` may be changed at any time: `faulty` by plan, `healthy`, or `away` (all are reset)."""

    target: str
    plan: Plan
    url: str = ""
    mode: str = "faulty"
    done: Counter[Kind] = field(default_factory=Counter)
    """What was done to how many requests; without those that came while it was away."""

    def faults(self) -> int:
        """How many requests did not pass as they should have."""
        return sum(count for kind, count in self.done.items() if kind is not Kind.HEALTHY)


@dataclass(frozen=True, slots=True)
class _Message:
    """A request or an answer, its body whole."""

    first: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def header(self, name: bytes) -> bytes:
        return next((value for key, value in self.headers if key.lower() == name), b"")

    def wire(self, *, promised: int | None = None) -> bytes:
        """As it goes over the wire, the connection's last; `promised` is the length that it names, else its own."""
        kept = [(key, value) for key, value in self.headers if key.lower() not in _REWRITTEN]
        length = self._length() if promised is None else b"%d" % promised
        kept += [(b"Connection", b"close"), *([(b"Content-Length", length)] if length else [])]
        return b"\r\n".join([self.first, *(b"%b: %b" % pair for pair in kept), b"", b""]) + self.body

    def _length(self) -> bytes:
        """Its own length; of an answer to HEAD what that says."""
        return b"%d" % len(self.body) if self.body or self.header(b"transfer-encoding") else self.header(_LENGTH)


_LENGTH = b"content-length"
_REWRITTEN = frozenset({b"connection", b"keep-alive", b"transfer-encoding", _LENGTH})


@contextmanager
def proxy(target: str, plan: Plan) -> Iterator[Proxy]:
    """Runs a proxy before the server at the address `target`, in a thread, as long as the block lasts."""
    made, ready = Proxy(target, plan), SimpleQueue[Callable[[], object]]()
    thread = threading.Thread(target=lambda: asyncio.run(_run(made, ready)), name="proxy", daemon=True)
    thread.start()
    end = ready.get(timeout=10)
    try:
        yield made
    finally:
        end()
        thread.join()


async def _run(made: Proxy, ready: SimpleQueue[Callable[[], object]]) -> None:
    """Serves until what it puts into `ready` is called."""
    draws, ends, under_way = made.plan.draws(), asyncio.Event(), set[asyncio.Task[None]]()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        under_way.add(task)
        try:
            await _one(made, draws, reader, writer)
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError, asyncio.CancelledError):
            _reset(writer)
        finally:
            under_way.discard(task)
            await _closed(writer)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=_HEAD_LIMIT)
    made.url = "http://{}:{}".format(*server.sockets[0].getsockname())
    ready.put(partial(asyncio.get_running_loop().call_soon_threadsafe, ends.set))
    await ends.wait()
    server.close()
    tasks = list(under_way)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _one(made: Proxy, draws: Iterator[Kind], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection: its request, and what becomes of that."""
    if made.mode == "away":
        _reset(writer)
        return
    request = await _read(reader, answer=False)
    kind = next(draws) if made.mode == "faulty" else Kind.HEALTHY
    if kind not in EMPTY_ANSWERS_PASS:
        made.done[kind] += 1
    await _done(made, kind, request, writer)


async def _done(made: Proxy, kind: Kind, request: _Message, writer: asyncio.StreamWriter) -> None:
    plan = made.plan
    if kind is Kind.RESET:
        _reset(writer)
    elif kind in REFUSALS[plan.speaks]:
        await _send(writer, _refusal(plan, kind).wire())
    elif kind is Kind.CUT_REQUEST:
        await _half(made.target, request)
        _reset(writer)
    else:
        if kind is Kind.DELAY:
            await asyncio.sleep(plan.delay)
        await _answered(made, kind, await _asked(made.target, request), writer)


async def _answered(made: Proxy, kind: Kind, answer: _Message, writer: asyncio.StreamWriter) -> None:
    """What becomes of an answer; the server took its request in any case."""
    if kind in EMPTY_ANSWERS_PASS:
        kind = kind if answer.body else Kind.HEALTHY
        made.done[kind] += 1
    half = _Message(answer.first, answer.headers, answer.body[: len(answer.body) // 2])
    if kind is Kind.RESET_LATE:
        _reset(writer)
    elif kind is Kind.STALL:
        await asyncio.sleep(made.plan.stall)
        _reset(writer)
    elif kind is Kind.CUT_ANSWER:
        await _send(writer, half.wire(promised=len(answer.body)))
    elif kind is Kind.TRUNCATED:
        await _send(writer, half.wire())
    elif kind is Kind.SLOW:
        await _trickle(writer, answer.wire(), made.plan.delay)
    else:
        await _send(writer, answer.wire())


def _refusal(plan: Plan, kind: Kind) -> _Message:
    content, text = REFUSALS[plan.speaks][kind]
    headers = ((b"Content-Type", content.encode()),)
    return _Message(f"HTTP/1.1 {kind} As told".encode(), headers, text.format(kind.value).encode())


async def _asked(target: str, request: _Message) -> _Message:
    """The server's own answer."""
    reader, writer = await _connected(target)
    try:
        await _send(writer, request.wire())
        return await asyncio.wait_for(
            _read(reader, answer=True, head=request.first.startswith(b"HEAD ")), TARGET_SECONDS
        )
    finally:
        await _closed(writer)


async def _half(target: str, request: _Message) -> None:
    """Half of a request to the server, and no more."""
    _, writer = await _connected(target)
    whole = request.wire()
    await _send(writer, whole[: len(whole) - max(1, len(request.body) // 2)])
    _reset(writer)
    await _closed(writer)


async def _connected(target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urllib.parse.urlsplit(target)
    return await asyncio.open_connection(parts.hostname, parts.port, limit=_HEAD_LIMIT)


async def _read(reader: asyncio.StreamReader, *, answer: bool, head: bool = False) -> _Message:
    """A request, or an answer, which without a length ends with the connection; EOFError where it breaks off."""
    lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
    headers = tuple((key, value.strip()) for key, _, value in (line.partition(b":") for line in lines[1:]))
    message = _Message(lines[0], headers, b"")
    if head:
        return message
    if message.header(b"transfer-encoding").lower() == b"chunked":
        body = await _chunks(reader)
    elif length := message.header(_LENGTH):
        body = await reader.readexactly(_bounded(int(length)))
    else:
        body = await reader.read(LARGEST) if answer else b""
    return _Message(lines[0], headers, body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts, total = [], 0
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        total = _bounded(total + size)
        parts.append((await reader.readexactly(size + 2))[:-2])
    return b"".join(parts)


def _bounded(size: int) -> int:
    if size > LARGEST:
        raise OSError(f"a body of more than {LARGEST} bytes, which the proxy does not hold")
    return size


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def _trickle(writer: asyncio.StreamWriter, data: bytes, seconds: float) -> None:
    step = len(data) // _SLICES + 1
    for first in range(0, len(data), step):
        await _send(writer, data[first : first + step])
        await asyncio.sleep(seconds / _SLICES)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Closes so that the other side gets a reset, and what was not sent yet is gone."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    writer.transport.abort()
