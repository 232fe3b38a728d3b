"""A real server that has little memory for indexing and takes small requests only: 429 and 413, and all gets there."""

from pathlib import Path

from tests.delivery.daemon import total
from tests.delivery.stream import compare
from tests.delivery.world import Settings, world
from tests.services.aws import Aws
from tests.services.elasticsearch import cluster

LIMITS = {"indexing_pressure.memory.limit": "600kb", "http.max_content_length": "1mb"}


def test_too_many_and_too_large_requests(aws: Aws, tmp_path: Path, seed: int) -> None:
    settings = Settings(request_bytes="2MiB", requests_in_flight=4)
    with (
        cluster(LIMITS, bootstrap_password="of-the-tests-only") as strict,
        world(aws, strict, tmp_path, settings) as made,
    ):
        made.bucket.put(3, 4_000, seed)
        with made.daemon() as daemon:
            made.wait_for_all(daemon, 120)
            metrics = daemon.metrics()
            daemon.terminate()
        verdict = compare(made.search, made.stream, made.bucket.expected)
    print({name: value for name, value in metrics.items() if "requests_total" in name}, verdict)  # noqa: T201
    assert verdict.exact, verdict
    assert total(metrics, "vpcflow_requests_total", status="413") >= 1
    assert total(metrics, "vpcflow_requests_total", status="429") >= 1
    taken = [total(metrics, "vpcflow_documents_total", outcome=outcome) for outcome in ("created", "existing")]
    assert sum(taken) == 12_000, "a request that timed out may have arrived: what it brought is there already"
    assert total(metrics, "vpcflow_dead_letters_total") == 0
