"""What is odd in AWS's answers and stops nothing: counted always, logged once."""

import logging
from threading import Lock

from exporter.metrics import Metrics

log = logging.getLogger(__name__)


class Oddities:
    """Counts each oddity by its kind; of each kind and place the first one is logged.  Any thread may tell."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lock = Lock()
        self._told: set[tuple[str, str]] = set()

    def note(self, kind: str, where: str, what: str) -> None:
        """`kind` is the metric's label; `where` and `what` a person reads."""
        self._metrics.add("inventory_oddities_total", kind=kind)
        with self._lock:
            told = (kind, where) in self._told
            self._told.add((kind, where))
        if not told:
            log.warning("%s: %s (said once; vpcflow_inventory_oddities_total{kind=%r} counts on)", where, what, kind)
