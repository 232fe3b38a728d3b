"""How much may be under way to an output: bytes that wait or travel, requests at once, and how large they are."""

import threading

from exporter.errors import Stopped

_LOOK_SECONDS = 0.1
"""How soon a wait sees that the program stops: an Event cannot end a Condition's wait."""


class Room:
    """A bound on the bytes that are held; something larger than all of it still passes, alone."""

    def __init__(self, size: int, stop: threading.Event) -> None:
        self._size = size
        self._stop = stop
        self._held = 0
        self._changed = threading.Condition()

    def enter(self, size: int) -> None:
        """Waits for room for `size` bytes.  Raises Stopped where the program stops meanwhile."""
        with self._changed:
            while self._held and self._held + size > self._size:
                if self._stop.is_set():
                    raise Stopped("stopped while waiting for the output to take what it has")
                self._changed.wait(_LOOK_SECONDS)
            self._held += size

    def leave(self, size: int) -> None:
        """Gives `size` bytes back."""
        with self._changed:
            self._held -= size
            self._changed.notify_all()


class Pace:
    """Requests at once and bytes a request, both brought down by an output that has too much, and up again slowly.

    First the requests are halved, down to one; then their size, down to `SMALLEST`.  Each `CALM` requests in a row
    that went well bring one step back: the size doubled, and when it is whole again one request more.  `bytes` is
    None where a request may have any size.
    """

    SMALLEST = 64 * 1024
    CALM = 8

    def __init__(self, requests: int, request_bytes: int, stop: threading.Event) -> None:
        self.requests = self._most_requests = requests
        self.bytes: int | None = None
        self._usual_bytes = request_bytes
        self._ceiling: int | None = None
        self._stop = stop
        self._running = 0
        self._calm = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        """Waits until one request more may go.  Raises Stopped where the program stops meanwhile."""
        with self._changed:
            while self._running >= self.requests:
                if self._stop.is_set():
                    raise Stopped("stopped while waiting for other requests to the output")
                self._changed.wait(_LOOK_SECONDS)
            self._running += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._running -= 1
            self._changed.notify_all()

    def allows(self, size: int) -> bool:
        """Whether a request of `size` bytes may go whole."""
        with self._changed:
            return self.bytes is None or size <= self.bytes

    def slower(self) -> None:
        """The output had too much."""
        with self._changed:
            self._calm = 0
            if self.requests > 1:
                self.requests //= 2
            else:
                self.bytes = max(self.SMALLEST, (self.bytes or self._usual_bytes) // 2)

    def too_large(self, size: int) -> None:
        """The output takes no request of `size` bytes, now or later: none of more than half of it goes again."""
        with self._changed:
            self._ceiling = min(self._ceiling or size, size // 2)
            self.bytes = min(self.bytes or size, self._ceiling)

    def faster(self) -> None:
        """The output took a request."""
        with self._changed:
            self._calm += 1
            if self._calm < self.CALM:
                return
            self._calm = 0
            if self.bytes == self._ceiling:
                self.requests = min(self._most_requests, self.requests + 1)
            else:
                doubled = (self.bytes or self._usual_bytes) * 2
                self.bytes = self._ceiling if doubled >= (self._ceiling or self._usual_bytes) else doubled
            self._changed.notify_all()
