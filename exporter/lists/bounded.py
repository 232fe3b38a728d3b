"""Work that may hang, done within a time: it is left then, for nothing ends a look-up of a name or a silent server."""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Event, Thread
from time import monotonic
from typing import Generic, TypeVar

from exporter.errors import FeedError, Stopped

T = TypeVar("T")

_LOOK = 0.25
"""Seconds between two looks whether the program stops."""


class Bounded(Generic[T]):
    """Does one piece of work at a time, in a thread that does not hold the process."""

    def __init__(self, stop: Event) -> None:
        self._stop = stop
        self._thread: Thread | None = None

    def run(self, work: Callable[[Event], T], seconds: float) -> T:
        """What `work` returns or raises; FeedError where it takes longer, Stopped where the program stops.

        The work is given an event that is set once nobody waits for it any more; it should then clear up and end.
        Where earlier work still hangs no other is begun, so that no threads gather.
        """
        if self._thread is not None and self._thread.is_alive():
            raise FeedError("an earlier attempt still hangs, and nothing else is begun before it ends")
        over, answers = Event(), SimpleQueue[tuple[T | None, BaseException | None]]()
        self._thread = Thread(target=_run, args=(work, over, answers), name="fetch", daemon=True)
        self._thread.start()
        try:
            result, error = self._answer(answers, seconds)
        finally:
            over.set()
        self._thread.join()
        if error is not None:
            raise error
        return result  # type: ignore[return-value]  # no error: then it is what the work returned

    def _answer(
        self, answers: SimpleQueue[tuple[T | None, BaseException | None]], seconds: float
    ) -> tuple[T | None, BaseException | None]:
        until = monotonic() + seconds
        while (left := until - monotonic()) > 0:
            if self._stop.is_set():
                raise Stopped("stopped before all of it had come")
            try:
                return answers.get(timeout=min(left, _LOOK))
            except Empty:
                continue
        raise FeedError(f"not all of it came within {seconds:g} s")


def _run(work: Callable[[Event], T], over: Event, answers: SimpleQueue[tuple[T | None, BaseException | None]]) -> None:
    try:
        answers.put((work(over), None))
    except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
        answers.put((None, error))
