"""What the program says over HTTP, asked for over a real socket."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from exporter.errors import ConfigError
from exporter.health import OUTPUT, Health
from exporter.listener import listening
from exporter.metrics import Metrics

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def url(health: Health, caplog: pytest.LogCaptureFixture) -> Iterator[str]:
    caplog.set_level("INFO")
    metrics = Metrics()
    metrics.add("records_total", 7)
    with listening(("127.0.0.1", 0), metrics, health):
        yield caplog.messages[-1].split()[-1].removesuffix("/metrics")


def asked(url: str) -> tuple[int, str]:
    try:
        with DIRECT.open(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_metrics_are_there(url: str) -> None:
    status, text = asked(f"{url}/metrics")
    assert status == 200
    assert "\nvpcflow_records_total 7.0\n" in text


def test_readiness_says_what_works_and_what_does_not(url: str, health: Health) -> None:
    status, text = asked(f"{url}/ready")
    assert (status, json.loads(text)) == (503, {"ready": False, "parts": {}})
    health.tell(OUTPUT, None)
    health.tell("s3://logs/", None)
    health.tell("s3://other/", "could not list s3://other/: AccessDenied")
    status, text = asked(f"{url}/ready")
    parts = {OUTPUT: None, "s3://logs/": None, "s3://other/": "could not list s3://other/: AccessDenied"}
    assert (status, json.loads(text)) == (200, {"ready": True, "parts": parts})


def test_it_lives_while_it_answers_and_knows_no_other_path(url: str) -> None:
    assert asked(f"{url}/live") == (200, '{\n "live": true\n}\n')
    assert asked(f"{url}/")[0] == 404


def test_a_client_that_is_silent_holds_up_no_other(url: str) -> None:
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)):
        assert asked(f"{url}/live")[0] == 200


def test_the_address_is_given_back(health: Health) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    for _ in range(2):
        with listening(("127.0.0.1", free), Metrics(), health):
            assert asked(f"http://127.0.0.1:{free}/live")[0] == 200
    with pytest.raises(OSError, match="refused"):
        DIRECT.open(f"http://127.0.0.1:{free}/live", timeout=10)


def test_an_address_that_is_taken_is_a_fault_of_the_configuration(health: Health) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        with (
            pytest.raises(ConfigError, match=rf"metrics\.listen +127\.0\.0\.1:{taken} cannot be had: Address already"),
            listening(("127.0.0.1", taken), Metrics(), health),
        ):
            pass


def test_without_an_address_nothing_listens(health: Health, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with listening(None, Metrics(), health):
        assert caplog.messages == []
