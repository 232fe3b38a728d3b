"""What is measured: each case goes over one object and tells the CPU seconds of its stages."""

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from time import process_time
from typing import TypeVar

import orjson

from bench.features import cases, enrichment
from bench.traffic import CONTAINERS, FIELDS, REWRITTEN, Sample, sample
from exporter.ecs.document import Encoder
from exporter.enrich.ends import Known
from exporter.enrich.snapshot_file import load
from exporter.protocols import PROTOCOLS, tcp_flags
from exporter.read.inflate import inflated
from exporter.read.reader import Reader

T = TypeVar("T")

REQUEST_BYTES = 5 * 1024 * 1024


@dataclass(slots=True)
class Cost:
    """CPU seconds by stage, and what came out."""

    records: int = 0
    bytes: int = 0
    stages: dict[str, float] = field(default_factory=dict)


def columnar(sample: Sample, known: Callable[[Sample], Known | None], parts: tuple[str, ...] = ()) -> Cost:
    """The program's own path from stored bytes to request bodies, with these parts of bench/features.py on.

    Both ends are enriched by what is known.
    """
    cost, encoder, made = Cost(), Encoder("exporter", REQUEST_BYTES), enrichment(sample, known, parts)
    reader = Reader(lambda _: [("the bench", FIELDS)])
    if parts:  # a daemon meets the same places and indicators all day
        with sample.path.open("rb") as stream:
            for piece in reader.read(stream, sample.source):
                made(piece.batch)
    with sample.path.open("rb") as stream:
        for piece in _timed(cost, "read", reader.read(stream, sample.source)):
            enriched = _once(cost, "enrich", partial(made, piece.batch))
            batch, _ = _once(cost, "filter", partial(made.filter.apply, enriched))
            for body in _timed(cost, "encode", encoder.encode(batch)):
                cost.records += body.count
                cost.bytes += len(body.data) - 48 * body.count
    return cost


def inflate_only(sample: Sample) -> Cost:
    """What of `read` is undoing gzip."""
    cost = Cost()
    with sample.path.open("rb") as stream:
        for chunk in _timed(cost, "inflate", inflated(stream)):
            cost.records += chunk.count(b"\n")
            cost.bytes += len(chunk)
    return cost


def plain_loop(sample: Sample) -> Cost:
    """The same records by a plain Python loop and orjson: no inventory, no Community ID, no look at bad lines."""
    cost, source = Cost(), sample.source
    began = process_time()
    ingested = datetime.now(UTC).isoformat()
    body: list[bytes] = []
    with gzip.open(sample.path, "rt") as lines:
        names = next(lines).split()
        for row, line in enumerate(lines, 1):
            values = dict(zip(names, line.split(), strict=False))
            if values["version"] == "version":
                continue
            document = {
                **_plain_document(values),
                "log": {"offset": row},
                "ecs": {"version": "9.4.0"},
                "data_stream": {"type": "logs", "dataset": "aws.vpcflow", "namespace": "exporter"},
            }
            document["event"]["ingested"] = ingested
            document["aws"]["s3"] = {"bucket": {"name": source.bucket}, "object": {"key": source.key}}
            body.append(orjson.dumps({"create": {"_id": f"{source.id_prefix}{row:08x}"}}))
            body.append(orjson.dumps(document))
            cost.records += 1
            cost.bytes += len(body[-1])
            if len(body) > 4000:  # noqa: PLR2004
                b"\n".join(body)
                body.clear()
    cost.stages["all of it"] = process_time() - began
    return cost


def _plain_document(record: dict[str, str]) -> dict[str, dict]:  # type: ignore[type-arg]
    """One record as a document, as straightforward code would have it."""
    known = {name: value for name, value in record.items() if value != "-"}
    start, end = (datetime.fromtimestamp(int(known[name]), UTC) for name in ("start", "end"))
    event = {
        "kind": "event",
        "category": ["network"],
        "dataset": "aws.vpcflow",
        "module": "aws",
        "start": start.isoformat(),
        "end": end.isoformat(),
        "duration": int((end - start).total_seconds() * 1e9),
    }
    own = {"version": known["version"], "account_id": known["account-id"], "interface_id": known["interface-id"]}
    for name in ("action", "log-status", "vpc-id", "subnet-id", "instance-id", "type", "tcp-flags", "traffic-path"):
        if name in known:
            own[name.replace("-", "_")] = known[name]
    document: dict[str, dict] = {  # type: ignore[type-arg]
        "@timestamp": end.isoformat(),  # type: ignore[dict-item]
        "event": event,
        "cloud": {
            "provider": "aws",
            "account": {"id": known["account-id"]},
            "region": known["region"],
            "availability_zone": known["az-id"],
        },
        "aws": {"vpcflow": own},
    }
    if "instance-id" in known:
        document["cloud"]["instance"] = {"id": known["instance-id"]}
    if "srcaddr" in known:
        _plain_flow(document, known)
    return document


def _plain_flow(document: dict[str, dict], known: dict[str, str]) -> None:  # type: ignore[type-arg]
    packets, size = int(known["packets"]), int(known["bytes"])
    source, target = known["srcaddr"], known["dstaddr"]
    document["source"] = {
        "address": source,
        "ip": source,
        "port": int(known["srcport"]),
        "packets": packets,
        "bytes": size,
    }
    document["destination"] = {"address": target, "ip": target, "port": int(known["dstport"])}
    network = {"iana_number": known["protocol"], "packets": packets, "bytes": size}
    network["transport"] = PROTOCOLS.get(int(known["protocol"]), "")
    network["type"] = "ipv6" if ":" in source else "ipv4"
    if "flow-direction" in known:
        network["direction"] = known["flow-direction"]
    document["network"] = network
    document["related"] = {"ip": list(dict.fromkeys((source, target, known["pkt-srcaddr"], known["pkt-dstaddr"])))}
    accepted = known["action"] == "ACCEPT"
    document["event"] |= {
        "action": known["action"],
        "outcome": "success" if accepted else "failure",
        "type": ["connection", "allowed" if accepted else "denied"],
    }
    own = document["aws"]["vpcflow"]
    own |= {"pkt_srcaddr": known["pkt-srcaddr"], "pkt_dstaddr": known["pkt-dstaddr"]}
    if known.get("tcp-flags", "0") != "0":
        own["tcp_flags_array"] = tcp_flags(int(known["tcp-flags"]))


def make(sample: Sample) -> Cost:
    """Nothing but the object, made before it is measured: that takes more memory than reading it."""
    return Cost(1, sample.path.stat().st_size)


def _on(form: str, case: Callable[[Sample], Cost]) -> Callable[[int], Cost]:
    return lambda records: case(sample(records, form))


def snapshot(sample: Sample) -> Known:
    """An inventory of one moment."""
    return load(sample.inventory)


def over_time(sample: Sample) -> Known:
    """The same interfaces among a hundred thousand, in a history of a million intervals."""
    from bench.ownership import made  # noqa: PLC0415 - it takes a minute

    return made(sample).view


FULL = partial(columnar, known=snapshot)

CASES: dict[str, Callable[[int], Cost]] = {
    **{f"make {form}": _on(form, make) for form in (*CONTAINERS, *REWRITTEN)},
    "both ends": _on("v5", FULL),
    **{name: _on("v5", partial(FULL, parts=parts)) for name, parts in cases()},
    "over time": _on("v5", partial(columnar, known=over_time)),
    "no inventory": _on("v5", partial(columnar, known=lambda _: None)),
    "v2": _on("v2", FULL),
    "parquet": _on("parquet", FULL),
    "messages": _on("messages", FULL),
    "commas": _on("commas", FULL),
    "inflate": _on("v5", inflate_only),
    "plain loop": _on("v5", plain_loop),
}
"""By the name under which `python -m bench NAME --records N` runs one alone, in a process of its own."""


def _once(cost: Cost, stage: str, work: Callable[[], T]) -> T:
    began = process_time()
    result = work()
    cost.stages[stage] = cost.stages.get(stage, 0.0) + process_time() - began
    return result


def _timed(cost: Cost, stage: str, results: Iterator[T]) -> Iterator[T]:
    """The results, the time that making them took being put to the stage's account."""
    while True:
        began = process_time()
        try:
            result = next(results)
        except StopIteration:
            return
        finally:
            cost.stages[stage] = cost.stages.get(stage, 0.0) + process_time() - began
        yield result
