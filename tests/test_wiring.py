"""What is built from a configuration: clients as they should call, the sink it names, faults in plain words."""

import itertools
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, cast

import pytest

from exporter import __version__, wiring
from exporter.clients import Clients
from exporter.config import Config, parse
from exporter.daemon import Stops
from exporter.enrich.budget import Budget
from exporter.enrich.ec2 import Inventory
from exporter.enrich.ends import Known
from exporter.errors import ConfigError, InventoryError, LedgerError, SinkError
from exporter.metrics import Metrics
from exporter.sink.elasticsearch import ElasticsearchSink
from exporter.sink.files import FilesSink
from tests.enrich.cases import Interface, snapshot
from tests.enrich.day import MIDNIGHT, timed
from tests.services.aws import Aws
from tests.source.bucket import Bucket, plain
from tests.source.faulty import Fault, faulty

SECRET = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"
PASSWORD = "correct horse battery staple"


@pytest.fixture(autouse=True)
def own_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials of the environment, and nothing from this machine's AWS files."""
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "aws").write_text("[profile far]\nregion = ap-southeast-2\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


def config(folder: Path, s3: str = "[{bucket: logs}]", more: str = "", output: str = "") -> Config:
    output = output or f"files: {{folder: {folder}/out}}"
    return parse(f"source: {{s3: {s3}}}\noutput: {{{output}}}\nstate: {{folder: {folder}/state}}\n{more}", "c", {})


@contextmanager
def built(settings: Config) -> Iterator[wiring.Program]:
    with wiring.program(settings, Stops()) as program:
        yield program


def regions(settings: Config) -> dict[str, str]:
    clients = Clients(settings).s3
    return {each.bucket: clients.of(each.bucket).meta.region_name for each in settings.source.s3}


@pytest.mark.parametrize(
    ("s3", "more", "environment", "expected"),
    [
        ("[{bucket: one}]", "", {}, {"one": "us-east-1"}),
        ("[{bucket: one}]", "aws: {region: eu-west-1}", {}, {"one": "eu-west-1"}),
        ("[{bucket: one}]", "", {"AWS_DEFAULT_REGION": "eu-north-1"}, {"one": "eu-north-1"}),
        ("[{bucket: one}]", "aws: {profile: far}", {}, {"one": "ap-southeast-2"}),
        ("[{bucket: one, region: eu-west-3}]", "aws: {region: eu-west-1}", {}, {"one": "eu-west-3"}),
        (
            "[{bucket: one, prefix: a}, {bucket: one, prefix: b, region: eu-west-3}, {bucket: two}]",
            "aws: {region: eu-west-1}",
            {},
            {"one": "eu-west-3", "two": "eu-west-1"},
        ),
    ],
)
def test_a_buckets_region(  # noqa: PLR0913, PLR0917 - a table's columns
    s3: str,
    more: str,
    environment: dict[str, str],
    expected: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert regions(config(tmp_path, s3, more)) == expected


def test_buckets_of_one_region_share_a_client(tmp_path: Path) -> None:
    settings = config(tmp_path, "[{bucket: one}, {bucket: two}, {bucket: far, region: eu-west-1}]")
    clients = Clients(settings).s3
    assert clients.of("one") is clients.of("two")
    assert clients.of("one") is not clients.of("far")


def test_a_client_calls_once_by_path_where_an_endpoint_is_named(tmp_path: Path) -> None:
    with faulty("http://127.0.0.1:9") as proxy:
        proxy.always.append(Fault("", refuse=(400, "NoSuchBucket")))
        settings = config(tmp_path, more=f"aws: {{endpoint_url: {proxy.url}}}\nworkers: 8")
        client = Clients(settings).s3.of("logs")
        with pytest.raises(client.exceptions.ClientError):
            client.list_objects_v2(Bucket="logs")
        proxy.always[0] = Fault("", refuse=(503, "SlowDown"))
        with pytest.raises(client.exceptions.ClientError):
            client.list_objects_v2(Bucket="logs")
    assert [path for path, _ in proxy.seen] == ["/logs?list-type=2&encoding-type=url"] * 2
    calls: Any = client.meta.config
    assert (calls.max_pool_connections, calls.connect_timeout, calls.read_timeout) == (16, 10, 60)
    assert f"vpcflow-exporter/{__version__}" in calls.user_agent_extra


def test_without_an_endpoint_the_bucket_is_part_of_the_hosts_name(tmp_path: Path) -> None:
    settings = config(tmp_path, more="aws: {region: eu-west-1}")
    client = Clients(settings).s3.of("logs")
    url = client.generate_presigned_url("get_object", Params={"Bucket": "logs", "Key": "k"})
    assert url.startswith(("https://logs.s3.eu-west-1.amazonaws.com/k?", "https://logs.s3.amazonaws.com/k?"))


def test_a_folder_or_a_cluster(tmp_path: Path) -> None:
    off = "enrich: {ec2: {enabled: false}}"
    with built(config(tmp_path, more=off)) as program:
        assert isinstance(program.sink, FilesSink)
        assert program.inventory is None
        program.verify()
    output = "namespace: mine, elasticsearch: {hosts: ['http://127.0.0.1:9']}"
    with built(config(tmp_path, more=off, output=output)) as program:
        assert isinstance(program.sink, ElasticsearchSink)
        assert program.sink.stream == "logs-aws.vpcflow-mine"


def test_the_end_gives_the_state_folder_back(tmp_path: Path) -> None:
    settings = config(tmp_path, more="aws: {region: eu-west-1}")
    with built(settings) as program:
        assert program.inventory is not None
        with pytest.raises(LedgerError, match="is in use by process"), built(settings):
            pass
        program.ledger.summary()
    with built(settings):
        pass
    with pytest.raises(LedgerError, match="is not open"):
        program.ledger.summary()


def test_without_any_region_there_is_no_inventory_and_that_is_a_fault(tmp_path: Path) -> None:
    told = "enrich.ec2.regions  no region is known: name some here, or set aws.region"
    with pytest.raises(ConfigError, match=told), built(config(tmp_path)):
        pass
    with built(config(tmp_path, more="enrich: {ec2: {enabled: false}}")) as program:
        assert program.inventory is None


@pytest.mark.parametrize(
    ("more", "environment", "fault"),
    [
        ("aws: {profile: nobody}", {}, "The config profile (nobody) could not be found"),
        ("", {"AWS_PROFILE": "nobody"}, "The config profile (nobody) could not be found"),
        ("aws: {region: eu-west-1}", {"AWS_ENDPOINT_URL": "nowhere"}, "Invalid endpoint: nowhere"),
    ],
)
def test_what_boto3_cannot_start_with_is_a_fault_of_the_configuration(
    more: str, environment: dict[str, str], fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as raised, built(config(tmp_path, more=more)):
        pass
    assert [(each.path, fault in each.problem) for each in raised.value.faults] == [("aws", True)]


def test_certificates_that_are_none_are_a_fault_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    output = f"elasticsearch: {{hosts: ['https://es:9200'], ca_certs: {tmp_path}/ca.pem}}"
    with pytest.raises(ConfigError) as raised, built(config(tmp_path, more="aws: {region: eu-west-1}", output=output)):
        pass
    (fault,) = raised.value.faults
    assert fault.path == "output.elasticsearch.ca_certs"
    assert fault.problem.startswith(f"expected PEM certificates; {tmp_path}/ca.pem cannot be read as such: ")


def test_no_secret_is_logged_or_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With every log of this program at its loudest, through a failing call; the libraries' own is turned down."""
    caplog.set_level(logging.DEBUG, "exporter")
    with faulty("http://127.0.0.1:9") as proxy:
        proxy.always.append(Fault("", refuse=(400, "AccessDenied")))
        cluster = f"hosts: ['{proxy.url}'], username: writer, password: '{PASSWORD}'"
        settings = config(
            tmp_path,
            more=f"aws: {{region: eu-west-1, endpoint_url: {proxy.url}}}",
            output=f"elasticsearch: {{{cluster}}}",
        )
        with built(settings) as program:
            shown = [repr(program), repr(settings), str(settings)]
            program.poller.poll()
            with pytest.raises(SinkError, match=r"logs-aws\.vpcflow-exporter") as raised:
                program.verify()
    said = "\n".join([*shown, caplog.text, str(raised.value)])
    assert "AccessDenied" in said
    assert SECRET not in said
    assert PASSWORD not in said


_numbers = itertools.count(1)


@pytest.fixture
def bucket(aws: Aws) -> Iterator[Bucket]:
    """Empty at first; its server is the one of `at`."""
    client = aws.client("s3")
    made = Bucket(f"wired-{next(_numbers)}", client)
    client.create_bucket(Bucket=made.name)
    yield made
    client.close()


def at(server: Aws) -> str:
    """The options that lead a program to the test's AWS."""
    return f"aws: {{region: us-east-1, endpoint_url: '{server.url}'}}\nenrich: {{ec2: {{enabled: false}}}}"


def documents(folder: Path) -> list[dict[str, Any]]:
    lines = [line for file in (folder / "out").rglob("*.ndjson") for line in file.read_text().splitlines()]
    return [json.loads(line) for line in lines]


RECORD = b"10.0.0.1 10.0.0.2 1784541600 1784541659 REJECT\n"
"""Without a header, from 2026-07-20T10:00:00Z on."""
TODAY = datetime.now(UTC).date()
NOW = f"{TODAY:%Y%m%d}T1000"
FIELDS = "${srcaddr} ${dstaddr} ${start} ${end} ${action}"


@pytest.mark.parametrize(
    ("layout", "taken"),
    [
        ("ordered", ["2026/07/20/10/b", "2026/07/20/11/a"]),
        ("any", ["2026/07/20/09/a", "2026/07/20/10/b", "2026/07/20/11/a"]),
    ],
)
def test_only_where_keys_rise_the_listing_begins_behind_the_ledgers_marker(
    layout: str, taken: list[str], tmp_path: Path, aws: Aws, bucket: Bucket
) -> None:
    s3 = f"[{{bucket: {bucket.name}, layout: {layout}, start: 2020-01-01, format: '{FIELDS}'}}]"
    settings = config(tmp_path, s3, at(aws))
    place = f"s3://{bucket.name}/* ({layout}) from 2020-01-01T00:00:00+00:00"
    bucket.put("2026/07/20/09/a", "2026/07/20/10/b", "2026/07/20/11/a", body=RECORD)
    with built(settings) as program:
        program.ledger.move_marker(place, "2026/07/20/10/a")
        for _ in range(2):
            program.poll()
        assert program.metrics.value("polls_total", outcome="ok") == 2
        assert program.metrics.value("objects_total", outcome="done") == len(taken)
        assert program.ledger.floor(place) is not None
    assert sorted(each["aws"]["s3"]["object"]["key"] for each in documents(tmp_path)) == taken


def test_a_file_without_a_header_is_read_by_the_format_that_ec2_tells(tmp_path: Path, aws: Aws, bucket: Bucket) -> None:
    """The configured format does not fit the line; the flow log's own does."""
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    (flow_log,) = ec2.create_flow_logs(
        ResourceIds=[vpc],
        ResourceType="VPC",
        TrafficType="ALL",
        LogDestinationType="s3",
        LogDestination=f"arn:aws:s3:::{bucket.name}",
        LogFormat=FIELDS,
    )["FlowLogIds"]
    ec2.close()
    bucket.put(plain("123456789012", "us-east-1", NOW, log=flow_log), body=RECORD)
    s3 = f"[{{bucket: {bucket.name}, start: {TODAY}, format: version srcaddr dstaddr srcport dstport}}]"
    with built(config(tmp_path, s3, at(aws))) as program:
        program.poll()
        assert program.metrics.value("objects_total", outcome="done") == 1
    (document,) = documents(tmp_path)
    assert document["source"]["ip"] == "10.0.0.1"
    assert document["event"]["action"] == "REJECT"
    assert document["event"]["start"] == "2026-07-20T10:00:00.000Z"


def test_without_ec2_a_file_without_a_header_is_read_by_the_configured_format_or_set_aside(
    tmp_path: Path, aws: Aws, bucket: Bucket
) -> None:
    known, unknown = (plain("123456789012", "us-east-1", NOW, log=f"fl-{number * 8}") for number in "12")
    bucket.put(known, unknown, body=RECORD)
    source = f"source: {{describe_flow_logs: false, flow_logs: [{{id: fl-11111111, format: '{FIELDS}'}}], s3: "
    s3 = f"[{{bucket: {bucket.name}, start: {TODAY}}}]"
    text = (
        f"{source}{s3}}}\noutput: {{files: {{folder: {tmp_path}/out}}}}\nstate: {{folder: {tmp_path}/state}}\n{at(aws)}"
    )
    with built(parse(text, "c", {})) as program:
        program.poll()
        assert [program.metrics.value("objects_total", outcome=each) for each in ("done", "set aside")] == [1, 1]
        assert [entry.source.key for entry in program.ledger.kept()] == [unknown]
    assert [each["aws"]["s3"]["object"]["key"] for each in documents(tmp_path)] == [known]


def test_names_in_a_format_that_are_no_known_fields_are_told_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    s3 = "[{bucket: one}, {bucket: two, format: '${version} ${colour} ${src-addr} ${hue}'}], "
    s3 += "flow_logs: [{id: fl-11111111, format: 'version, shade'}]"
    with built(config(tmp_path, s3, "enrich: {ec2: {enabled: false}}")):
        pass
    assert caplog.messages == [
        "source.s3[1].format: no known fields; their values go to aws.vpcflow.extra: colour, hue",
        "source.flow_logs[0].format: no known fields; their values go to aws.vpcflow.extra: shade",
    ]


class Refusing(BaseHTTPRequestHandler):
    """EC2 as it answers credentials that may nothing."""

    def do_POST(self) -> None:
        error = "<Error><Code>UnauthorizedOperation</Code><Message>You are not authorized</Message></Error>"
        answer = f"<Response><Errors>{error}</Errors><RequestID>1</RequestID></Response>".encode()
        self.send_response(403)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


def test_nothing_is_sent_before_ec2_has_answered_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told = r"nothing is sent before EC2 has answered once.*enrich\.ec2\.enabled: false"
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        settings = config(tmp_path, more=f"aws: {{region: eu-west-1, endpoint_url: {url}}}")
        with built(settings) as program, pytest.raises(InventoryError, match=told):
            program.poll()
        server.shutdown()
    value = program.metrics.value
    assert value("inventory_refreshes_total", outcome="failed") == 1
    assert value("polls_total", outcome="ok") + value("polls_total", outcome="failed") == 0
    assert "needs credentials with the permission ec2:DescribeNetworkInterfaces" in caplog.text


def test_calls_to_ec2_are_paced_as_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Patched, for nothing outside shows a rate without waiting; what it does stands in tests/enrich/test_calls.py."""
    made: list[float] = []

    class Noted(Budget):
        def __init__(self, calls_per_second: float) -> None:
            made.append(calls_per_second)
            super().__init__(calls_per_second)

    monkeypatch.setattr(wiring, "Budget", Noted)
    more = "aws: {region: eu-west-1}\nenrich: {ec2: {calls_per_second: 7}}"
    with built(config(tmp_path, more=more)):
        pass
    assert made == [7]


@pytest.mark.parametrize(
    ("region", "others"),
    [("us-east-1", {"cn-north-1", "us-iso-east-1", "us-gov-west-1"}), ("cn-north-1", {"us-east-1", "us-gov-west-1"})],
)
def test_no_key_leads_a_request_into_another_partition(region: str, others: set[str]) -> None:
    text = (
        "source: {s3: [{bucket: logs}]}\noutput: {files: {folder: ./documents}}\nstate: {folder: ./state}\n"
        f"aws: {{region: {region}}}\n"
    )
    config = parse(text, "t.yaml", {})
    known = Clients(config).known_regions()
    assert region in known
    assert not known & others


@pytest.mark.parametrize(
    ("times", "reached"),
    [
        ([(60, 119), (30, 180)], ["00:03:00"]),
        ([(60, 119), (None, None)], ["00:01:59"]),
        ([(None, None)], []),
    ],
)
def test_owners_are_asked_for_up_to_the_newest_flow_of_a_batch(
    times: list[tuple[int | None, int | None]], reached: list[str]
) -> None:
    """In seconds of the day; where no record tells a time there is nothing to wait for."""
    asked: list[str] = []

    class Recorded:
        def reach(self, moment: datetime) -> None:
            asked.append(f"{moment - MIDNIGHT}".rjust(8, "0"))

        def current(self) -> Known | None:
            return snapshot([Interface("eni-1", "vpc-a", ("10.0.0.1",))]) if len(asked) == len(reached) else None

    columns: dict[str, list[str | None]] = {"srcaddr": ["10.0.0.1"] * len(times), "dstaddr": ["8.8.8.8"] * len(times)}
    enriched = wiring.ends_step(cast("Inventory", Recorded()), Metrics())(timed(columns, times))
    assert asked == reached
    assert enriched.frame["source_owner"].to_list() == [0] * len(times)
