"""Every counter and gauge, with its help text, in one table; emitting one that is not in the table fails."""

from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


@dataclass(frozen=True, slots=True)
class Metric:
    """One row: name (without the prefix `vpcflow_`), kind, what it tells, its labels."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


METRICS: tuple[Metric, ...] = (
    Metric("objects_total", "counter", "Objects by what became of them.", ("outcome",)),
    Metric("object_bytes_total", "counter", "Bytes of objects read, as stored."),
    Metric("object_seconds", "histogram", "Seconds from an object's start to its end."),
    Metric("objects_in_flight", "gauge", "Objects under way now."),
    Metric("records_total", "counter", "Records read."),
    Metric("bad_lines_total", "counter", "Lines that are no records, kept as dead letters."),
    Metric("skipped_lines_total", "counter", "Lines without a record: blank, or a repeated header."),
    Metric("unknown_fields_total", "counter", "Values of fields that are not known yet, all carried."),
    Metric(
        "ends_total",
        "counter",
        "Ends of records by how they became known (own_vpc, public, interface, reachable, unique), or why not: known "
        "at other times only (not_then), it may be several (ambiguous), never seen (unknown).",
        ("end", "resolved"),
    ),
    Metric(
        "clients_total", "counter", "Flows by what told which end is the client; undecided: nothing did.", ("rule",)
    ),
    Metric(
        "threats_total",
        "counter",
        "Records with an address of a threat feed; one of two feeds counts for each.",
        ("feed",),
    ),
    Metric(
        "filtered_total",
        "counter",
        "Records that a filter's rule dropped (dropped), left out of a sample (sampled out), or would have, were it no "
        "dry run (would drop).",
        ("rule", "outcome"),
    ),
    Metric(
        "feed_reads_total",
        "counter",
        "Readings of what is kept fresh (databases, AWS's ranges, threat feeds): changed, unchanged, or failed, and "
        "then what was read before stays in use.",
        ("feed", "outcome"),
    ),
    Metric("feed_entries", "gauge", "Entries of it in use.", ("feed",)),
    Metric("feed_skipped", "gauge", "Entries of it that could not be used.", ("feed",)),
    Metric("feed_time_seconds", "gauge", "When it was last read with success, seconds since 1970.", ("feed",)),
    Metric("documents_total", "counter", "Documents by what became of them.", ("outcome",)),
    Metric("document_bytes_total", "counter", "Bytes of requests accepted by the output."),
    Metric(
        "looks_total",
        "counter",
        "Objects looked for in the output before they were sent again: none or some of their documents were there; "
        "unknown where not all of it could be asked.",
        ("found",),
    ),
    Metric("dead_letters_total", "counter", "Dead letters written."),
    Metric("requests_total", "counter", "Requests to the output by HTTP status or kind of failure.", ("status",)),
    Metric("requests_in_flight_limit", "gauge", "Requests to the output that may be under way at once now."),
    Metric("output_bytes_held", "gauge", "Bytes of documents that wait for the output or travel to it."),
    Metric("retries_total", "counter", "Calls repeated, by retry policy.", ("policy",)),
    Metric("list_requests_total", "counter", "S3 listing requests.", ("bucket",)),
    Metric("list_denied_total", "counter", "Folders that a pass was not allowed to list.", ("bucket",)),
    Metric("polls_total", "counter", "Polls of the sources by outcome.", ("outcome",)),
    Metric("messages_total", "counter", "Messages of queues by what became of them.", ("outcome",)),
    Metric("messages_in_flight", "gauge", "Messages held: their objects are under way."),
    Metric("queue_faults_total", "counter", "Messages or receives that failed, by the call to the queue.", ("call",)),
    Metric("inventory_refresh_seconds", "gauge", "How long the last refresh of the EC2 inventory took."),
    Metric("inventory_refreshes_total", "counter", "Refreshes of the EC2 inventory by outcome.", ("outcome",)),
    Metric(
        "inventory_interfaces",
        "gauge",
        "Interfaces in the inventory; the account is empty where it is that of the program's own credentials.",
        ("account", "region"),
    ),
    Metric(
        "inventory_time_seconds",
        "gauge",
        "When EC2 was last asked with success, seconds since 1970 by AWS's clock.",
        ("account", "region"),
    ),
    Metric(
        "inventory_remembered",
        "gauge",
        "Interfaces, and times that they had an address, that are remembered; of what is gone too.",
        ("what",),
    ),
    Metric(
        "inventory_oddities_total",
        "counter",
        "What EC2's answers hold that cannot be used (interface_without_id, no_address, no_network) or not for all "
        "(interface_without_vpc, two_owners of one address at once), questions that it refuses and that the inventory "
        "does without (links_refused), clocks that differ or jump (clock), refreshes that take too long (slow).",
        ("kind",),
    ),
    Metric("newest_object_time_seconds", "gauge", "The time of the newest object done, seconds since 1970."),
)

_KINDS = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}


class Metrics:
    """The program's counters in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._metrics = {
            row.name: _KINDS[row.kind](f"vpcflow_{row.name}", row.help, row.labels, registry=self.registry)
            for row in METRICS
        }

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        """Adds to a counter (or gauge); labels by name."""
        self._at(name, labels).inc(amount)

    def set(self, name: str, value: float, **labels: str) -> None:
        """Sets a gauge."""
        self._at(name, labels).set(value)

    def forget(self, name: str, **labels: str) -> None:
        """Lets go of a gauge's value for these labels, where it has one."""
        self._metrics[name].remove_by_labels(labels)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Adds an observation to a histogram."""
        self._at(name, labels).observe(value)

    def value(self, name: str, **labels: str) -> float:
        """What a counter or gauge stands at; 0 where nothing was added yet."""
        return self.registry.get_sample_value(f"vpcflow_{name}", labels) or 0.0

    def _at(self, name: str, labels: dict[str, str]):  # type: ignore[no-untyped-def]  # noqa: ANN202 - one of three classes
        metric = self._metrics[name]
        return metric.labels(**labels) if labels else metric
