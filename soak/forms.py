"""The forms of the soak: what each does with a world, and the figures that it has to show."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from soak.memory import Samples
from tests.delivery.daemon import total
from tests.delivery.kills import Figures, Kills, interrupt
from tests.delivery.objects import REGION
from tests.delivery.replicas import Queue, share
from tests.delivery.stream import Verdict, compare
from tests.delivery.test_network import BEFORE_ELASTICSEARCH, BEFORE_S3, MEMORY
from tests.delivery.world import Settings, World, rolling_over
from tests.services.proxy import Plan, Proxy, proxy

Say = Callable[[str], None]

FINISH_SECONDS = 1800
"""What is begun is finished, however few minutes were given: that it can be is a part of what is shown."""

ROLL_SECONDS = 10
"""Between two roll-overs while the network is faulty."""

AHEAD = 16
"""Objects that lie in the bucket and are not done, while there are more to come."""


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for."""

    seed: int
    objects: int
    records: int
    seconds: float
    kills: int = 30
    replicas: int = 2


@dataclass(frozen=True, slots=True)
class Result:
    """The figures, each with its name and unit; what the stream holds; and what else is not as it should be."""

    table: list[tuple[str, str]]
    verdict: Verdict
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """One form: what it does in words, its usual numbers, and the daemon's settings where they are not the usual."""

    what: str
    run: Callable[[World, Options, Say], Result]
    usual: Mapping[str, int]
    settings: Settings = field(default_factory=Settings)


def _interrupted(world: World, options: Options, say: Say, **more: str) -> Result:
    """Kills, roll-overs in between."""
    world.bucket.put(options.objects, options.records, options.seed)
    at_most = max(1, int(1.4 * world.bucket.records / options.kills))
    plan = Kills(options.seed, options.kills, at_most, seconds=options.seconds, **more)  # type: ignore[arg-type]
    figures = interrupt(world, replace(plan, finish=FINISH_SECONDS), say)
    verdict = compare(world.search, world.stream, world.bucket.expected)
    return Result(figures.table(), verdict, tuple(_too_few(figures, options)))


def _too_few(figures: Figures, options: Options) -> list[str]:
    if figures.kills < options.kills:
        return [f"only {figures.kills} of {options.kills} kills: more minutes or more records are needed"]
    return []


def _network(world: World, options: Options, say: Say) -> Result:
    """Faults before Elasticsearch and before S3 at once."""
    world.bucket.put(options.objects, options.records, options.seed)
    with (
        proxy(world.cluster.url, Plan(options.seed, BEFORE_ELASTICSEARCH, stall=7)) as output,
        proxy(world.aws.url, Plan(options.seed + 1, BEFORE_S3, speaks="s3", stall=2)) as source,
    ):
        world.elasticsearch_url, world.aws_url = output.url, source.url
        began = time.monotonic()
        with world.daemon() as daemon, rolling_over(world, ROLL_SECONDS):
            world.wait_for_all(daemon, FINISH_SECONDS + options.seconds, say)
            seconds, memory = time.monotonic() - began, daemon.memory()[1]
            daemon.terminate()
    table = [*_faults("Elasticsearch", output), *_faults("S3", source), *_pace(world, seconds), _peak(memory)]
    return Result(table, compare(world.search, world.stream, world.bucket.expected), _bounded(memory))


def _faults(before: str, way: Proxy) -> list[tuple[str, str]]:
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(way.done.items()))
    return [(f"requests to {before} that failed", f"{way.faults():,} of {way.done.total():,}"), ("", kinds)]


def _memory(world: World, options: Options, say: Say) -> Result:
    """Many objects through one process, its memory looked at every second."""
    samples, began, put = Samples(), time.monotonic(), world.bucket.put
    with world.daemon() as daemon:
        while True:
            have, done = len(world.bucket.expected), world.done()
            over = time.monotonic() - began > options.seconds
            if have < options.objects and have - done < AHEAD and not over:
                put(min(AHEAD, options.objects - have), options.records, options.seed)
            elif (have >= options.objects or over) and world.all_done():
                break
            samples.add(daemon.memory()[0], int(total(daemon.metrics(), "vpcflow_records_total")))
            say(f"{done} objects done, {samples.records:,} records, {samples.last / 1e6:.0f} MB")
            daemon.wait(partial(samples.due, time.monotonic()), 60, "the next look")
        seconds, cpu, memory = time.monotonic() - began, daemon.cpu(), daemon.memory()[1]
        daemon.terminate()
    records = world.bucket.records
    table = [
        *_pace(world, seconds),
        ("the daemon's processor time", f"{cpu:.0f} s, {cpu / records * 1e6:.2f} s a million records"),
        *samples.table(),
        _peak(memory),
    ]
    return Result(
        table, compare(world.search, world.stream, world.bucket.expected), _bounded(memory) + samples.faults()
    )


def _pace(world: World, seconds: float) -> list[tuple[str, str]]:
    records, objects = world.bucket.records, len(world.bucket.expected)
    return [
        ("time", f"{seconds:.0f} s"),
        ("objects, records", f"{objects}, {records:,} ({records / seconds:,.0f} a second)"),
    ]


def _peak(memory: int) -> tuple[str, str]:
    return "the daemon's memory at most", f"{memory / 1e6:.0f} MB"


def _bounded(memory: int) -> tuple[str, ...]:
    return (
        () if memory < MEMORY else (f"the daemon held {memory / 1e6:.0f} MB, and {MEMORY / 1e6:.0f} MB is the bound",)
    )


def _replicas(world: World, options: Options, say: Say) -> Result:
    """Replicas on one queue, of which one is killed."""
    queue = Queue.make(world.aws.client("sqs", REGION), f"flow-logs-{options.seed}")
    world.settings = replace(world.settings, queue=queue.url)
    world.command("setup")
    world.bucket.put(options.objects, options.records, options.seed)
    queue.tell(world.bucket)
    shared = share(world, queue, options.replicas, FINISH_SECONDS + options.seconds, say)
    idle = [] if min(shared.done) else ["a replica did nothing: the work was not shared"]
    return Result(shared.table(), compare(world.search, world.stream, world.bucket.expected), tuple(idle))


LONG, USUAL = {"objects": 16, "records": 200_000}, Settings(request_bytes="5MiB", requests_in_flight=4, timeout="20s")

FORMS: dict[str, Form] = {
    "crash": Form("SIGKILL at random moments, roll-overs in between", _interrupted, LONG),
    "term": Form("SIGTERM at random moments, roll-overs in between", partial(_interrupted, sign="SIGTERM"), LONG),
    "network": Form("faults before Elasticsearch and S3", _network, {"objects": 8, "records": 100_000}),
    "memory": Form("many objects, memory looked at every second", _memory, {"objects": 200, "records": 50_000}, USUAL),
    "two": Form("two replicas on one queue, one killed", _replicas, {"objects": 16, "records": 100_000, "replicas": 2}),
    "four": Form(
        "four replicas on one queue, one killed", _replicas, {"objects": 32, "records": 50_000, "replicas": 4}
    ),
}
