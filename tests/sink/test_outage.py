"""An output that goes away while several objects are under way: what is held meanwhile, and what is there after."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import pytest

from exporter.flow import Delivered
from tests.sink.bodies import GOOD, SOURCE, Rig, body
from tests.sink.faults import Answer, Faulty, serve

WORKERS = 4
SENDERS = 8
BODIES = 60
"""Of each worker."""

DOCUMENT = GOOD[:-1] + f',"event":{{"original":"{"x" * 1200}"}}}}'
DOCUMENTS = 100
"""Of each body: so much that it is cut in two where the pace is at its least."""

SECONDS = 0.8
"""How long each kind of outage lasts; a request gives up after half of it."""


@contextmanager
def watched(rig: Rig) -> Iterator[tuple[list[float], list[int]]]:
    """Bytes held, and threads that are not the server's, looked at all the time."""
    held: list[float] = []
    threads: list[int] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.005):
            held.append(rig.metrics.value("output_bytes_held"))
            threads.append(sum("process_request_thread" not in each.name for each in threading.enumerate()))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield held, threads
    finally:
        over.set()
        watcher.join()


def work(rig: Rig, number: int, delivered: list[Delivered]) -> None:
    """What a worker of the pipeline does: one object's bodies, one after the other."""
    delivery = rig.sink.open(SOURCE)
    for position in range(number * BODIES, (number + 1) * BODIES):
        delivery.send(body(*[DOCUMENT] * DOCUMENTS, first_row=position * DOCUMENTS))
    delivered.append(delivery.finish())


def ids_in(*servers: Faulty) -> set[bytes]:
    """The ids of all that came."""
    return {line[-11:-3] for server in servers for sent in server.bulks for line in sent.split(b"\n")[:-1:2]}


@pytest.mark.parametrize("least", [1, SENDERS])
def test_silence_then_503_then_nobody_there_cost_nothing_but_time(least: int) -> None:
    size = len(body(*[DOCUMENT] * DOCUMENTS).data)
    delivered: list[Delivered] = []
    silence = threading.Event()
    before = threading.active_count()
    with ExitStack() as until_the_end:
        with serve(None) as server:
            rig = until_the_end.enter_context(
                Rig(
                    server.url,
                    requests_in_flight=SENDERS,
                    min_requests_in_flight=least,
                    request_bytes=size,
                    timeout=SECONDS / 2,
                )
            )
            held, threads = until_the_end.enter_context(watched(rig))
            workers = [threading.Thread(target=work, args=(rig, number, delivered)) for number in range(WORKERS)]
            for worker in workers:
                worker.start()
            server.wait(requests=BODIES)
            for outage in (Answer(200, wait_for=silence), Answer(503), Answer(0)):
                server.answers[:] = [outage]
                time.sleep(SECONDS)
            port = urlsplit(server.url).port
        silence.set()
        time.sleep(SECONDS)
        assert delivered == []
        with serve(None, port=port or 0) as again:
            for worker in workers:
                worker.join(60)
        assert sorted(each.created for each in delivered) == [BODIES * DOCUMENTS] * WORKERS
        assert ids_in(server, again) == {b"%08x" % row for row in range(WORKERS * BODIES * DOCUMENTS)}
        assert {"timeout", "503", "connection", "200"} <= rig.requests().keys()
        assert rig.metrics.value("output_bytes_held") == 0
    assert max(held) <= size * (SENDERS + 2)
    if least == SENDERS:
        assert max(held) > size * (SENDERS + 1)
    # The workers, the senders, whoever watches, and the server's own.
    assert max(threads) <= before + WORKERS + SENDERS + 2
