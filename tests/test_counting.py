"""What the counters say of an object on its way."""

from datetime import UTC, datetime

from exporter import counting
from exporter.flow import Outcome, S3Object
from exporter.metrics import Metrics

SOURCE = S3Object("logs", "k", "e", 1, datetime(2026, 11, 3, tzinfo=UTC))


def test_what_filters_dropped_adds_up_over_the_pieces_of_an_object() -> None:
    outcome, metrics = Outcome(SOURCE), Metrics()
    counting.filtered({("dns", "dropped"): 2, ("dns", "would drop"): 1}, outcome, metrics)
    counting.filtered({}, outcome, metrics)
    counting.filtered({("dns", "dropped"): 3, ("chatter", "sampled out"): 4}, outcome, metrics)
    assert outcome.dropped == {("dns", "dropped"): 5, ("dns", "would drop"): 1, ("chatter", "sampled out"): 4}
    assert metrics.value("filtered_total", rule="dns", outcome="dropped") == 5
    assert metrics.value("filtered_total", rule="dns", outcome="would drop") == 1
    assert metrics.value("filtered_total", rule="chatter", outcome="sampled out") == 4
