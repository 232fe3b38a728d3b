"""The configuration: what is read, what is refused and in which words, and that the example cannot rot."""

import itertools
import re
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic_core import PydanticUndefined

from exporter.config import (
    AskedAccount,
    Aws,
    Config,
    Credentials,
    Ec2Inventory,
    ElasticsearchOutput,
    Enrich,
    FilesOutput,
    FlowLog,
    Log,
    MetricsListener,
    Organization,
    Output,
    S3Source,
    Source,
    SqsSource,
    State,
    load,
    options,
    parse,
)
from exporter.errors import ConfigError

EXAMPLE = Path(__file__).parent.parent / "config.example.yaml"
EXAMPLE_ENVIRONMENT = {"FLOW_LOG_BUCKET": "flow-logs", "ELASTICSEARCH_URL": "https://es.example.com:9200"}

MINIMAL = """
source: {s3: [{bucket: flow-logs}]}
output: {files: {folder: out}}
state: {folder: state}
"""


def faults_of(text: str, environment: dict[str, str] | None = None) -> list[tuple[str, str]]:
    """The faults of a configuration named c.yaml, as (path, problem)."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "c.yaml", environment or {})
    return [(fault.path, fault.problem) for fault in caught.value.faults]


def with_option(path: str, value: str) -> str:
    """MINIMAL with one more option; `value` is YAML.  An option of elasticsearch takes the place of files."""
    tree = yaml.safe_load(MINIMAL)
    if path.startswith("output.elasticsearch."):
        tree["output"] = {"elasticsearch": {"cloud_id": "d:ZXguY29tJGFiYw=="}}
    *above, name = path.split(".")
    section = tree
    for part, below in itertools.pairwise([*above, name]):
        section = section[0] if part == "0" else section.setdefault(part, [{}] if below == "0" else {})
    section[name] = "VALUE HERE"
    return str(yaml.safe_dump(tree, default_flow_style=True, width=10_000)).replace("VALUE HERE", value)


def value_at(config: Any, path: str) -> Any:  # noqa: ANN401 # an option may be of any type
    for part in path.split("."):
        config = config[0] if part == "0" else getattr(config, part)
    return config


def test_the_least_configuration_is_all_defaults() -> None:
    assert parse(MINIMAL, "c.yaml", {}) == Config(
        source=Source(
            s3=(
                S3Source(
                    bucket="flow-logs",
                    layout="aws",
                    prefix="",
                    region=None,
                    role_arn=None,
                    external_id=None,
                    start="now",
                    lookback=timedelta(days=2),
                    format=None,
                ),
            ),
            sqs=(),
            flow_logs=(),
            describe_flow_logs=True,
            poll_every=timedelta(minutes=1),
        ),
        aws=Aws(region=None, profile=None, endpoint_url=None),
        enrich=Enrich(
            ec2=Ec2Inventory(
                enabled=True,
                regions=(),
                refresh_every=timedelta(minutes=5),
                tags=(),
                accounts=(),
                role_name=None,
                external_id=None,
                organization=Organization(enabled=False, role_arn=None, external_id=None, exclude=()),
                calls_per_second=20,
                remember=timedelta(days=30),
                assume_unchanged=timedelta(0),
            )
        ),
        output=Output(
            namespace="exporter",
            elasticsearch=None,
            files=FilesOutput(folder=Path("out")),
            request_bytes=5_242_880,
            event_original=False,
        ),
        state=State(folder=Path("state")),
        workers=2,
        grace=timedelta(seconds=25),
        log=Log(level="info", format="text"),
        metrics=MetricsListener(listen=None),
    )


def test_a_full_cluster_section() -> None:
    text = """
source:
  s3:
  - {bucket: one, prefix: team/a, region: us-gov-west-1, start: 2026-03-01, lookback: 1h}
  - {bucket: one, prefix: team/b, start: "2026-03-01T06:00:00+02:00", lookback: 60d}
output:
  namespace: no
  request_bytes: 500kB
  elasticsearch:
    hosts: [https://a.example.com, "http://[::1]:9200/es/"]
    api_key: abcDEF==
    requests_in_flight: 64
    min_requests_in_flight: 2
    compress: yes
    timeout: 1m30s
    pipeline: null
    retention: ~
    index_mode: logsdb
    shards: 3
    replicas: 0
enrich: {ec2: {regions: "eu-central-1, us-east-1", tags: [Name, "kubernetes.io/name"]}}
metrics: {listen: "[::1]:9417"}
state: {folder: /var/lib/vpcflow}
"""
    config = parse(text, "c.yaml", {})
    first, second = config.source.s3
    assert (first.prefix, first.region, first.lookback) == ("team/a", "us-gov-west-1", timedelta(hours=1))
    assert first.start == datetime(2026, 3, 1, tzinfo=UTC)
    assert second.start == datetime(2026, 3, 1, 4, tzinfo=UTC)
    assert isinstance(second.start, datetime)
    assert second.start.tzinfo is UTC
    assert config.output.namespace == "no"
    assert config.output.request_bytes == 500_000
    assert config.output.elasticsearch is not None
    cluster = config.output.elasticsearch.model_dump(exclude={"api_key"})
    assert cluster == {
        "hosts": ("https://a.example.com:443", "http://[::1]:9200/es"),
        "cloud_id": None,
        "api_key_file": None,
        "username": None,
        "password": None,
        "password_file": None,
        "allow_plaintext": False,
        "ca_certs": None,
        "certificate_fingerprint": None,
        "requests_in_flight": 64,
        "min_requests_in_flight": 2,
        "compress": True,
        "timeout": timedelta(seconds=90),
        "pipeline": None,
        "retention": None,
        "index_mode": "logsdb",
        "shards": 3,
        "replicas": 0,
    }
    assert config.output.elasticsearch.credentials() == Credentials(api_key="abcDEF==")
    assert config.enrich.ec2.regions == ("eu-central-1", "us-east-1")
    assert config.enrich.ec2.tags == ("Name", "kubernetes.io/name")
    assert config.metrics.address == ("::1", 9417)


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("source.poll_every", "90", timedelta(seconds=90)),
        ("source.poll_every", "1s", timedelta(seconds=1)),
        ("source.poll_every", "1d", timedelta(hours=24)),
        ("source.poll_every", "1h30m", timedelta(minutes=90)),
        ("source.poll_every", "2h1s", timedelta(seconds=7201)),
        ("source.s3.0.lookback", "1d12h", timedelta(hours=36)),
        ("source.s3.0.start", "2026-03-01 06:00:00", datetime(2026, 3, 1, 6, tzinfo=UTC)),
        ("source.s3.0.start", "2026-03-01T06:00:00Z", datetime(2026, 3, 1, 6, tzinfo=UTC)),
        ("output.request_bytes", "64KiB", 65_536),
        ("output.request_bytes", "90MiB", 94_371_840),
        ("output.request_bytes", "1 MB", 1_000_000),
        ("output.request_bytes", "70000", 70_000),
        ("output.event_original", "on", True),
        ("output.event_original", "No", False),
        ("output.namespace", "2024_prod.eu", "2024_prod.eu"),
        ("workers", "16", 16),
        ("log.level", "'debug'", "debug"),
        ("metrics.listen", "0.0.0.0:0", "0.0.0.0:0"),
        ("aws.endpoint_url", "http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("output.elasticsearch.certificate_fingerprint", "'" + ":".join(["AB", "01"] * 16) + "'", "ab01" * 16),
    ],
)
def test_an_option_reads_its_text(path: str, text: str, value: object) -> None:
    read = value_at(parse(with_option(path, text), "c.yaml", {}), path)
    assert read == value
    assert type(read) is type(value)


DURATION = "expected a duration from {} to {}, such as 60s, 5m, 1h30m, 2d or 60 (seconds); given: {}"
SIZE = "expected a size from 64KiB to 90MiB, such as 500kB, 5MiB or 5242880 (bytes); given: {}"
START = "expected now, or a time from 2015 to 2099 such as 2026-03-01 or 2026-03-01T06:00:00Z; given: {}"
BUCKET = (
    "expected a bucket's name: 3 to 63 lower-case letters, digits, dots and hyphens, without s3:// and without a path; "
    "given: {}"
)
NAMESPACE = 'expected at most 100 bytes of lower-case text without blanks and - \\ / * ? " < > | , # :; given: {}'
URL = "expected a URL such as https://es.example.com:9200: http or https, a host, no query"
LISTEN = "expected HOST:PORT such as 127.0.0.1:9417 or [::]:9417; given: {}"
CLOUD_ID = "expected a cloud id as Elastic Cloud shows it: NAME:TEXT-IN-BASE64"
FINGERPRINT = "expected the certificate's SHA-256: 64 hexadecimal digits, with or without colons; given: {}"
PREFIX = (
    "expected only what stands before AWSLogs/ in the keys, no slash in front "
    "(layout any or ordered takes a prefix as it stands); given: {}"
)
ROLE = "expected a role's ARN such as arn:aws:iam::123456789012:role/flow-log-reader; given: {}"
FORMAT = (
    "expected the names of a record's fields in their order, such as ${{version}} ${{account-id}} or version account-id"
)


@pytest.mark.parametrize(
    ("path", "text", "problem"),
    [
        ("workers", "0", "expected a whole number from 1 to 16; given: '0'"),
        ("workers", "17", "expected a whole number from 1 to 16; given: '17'"),
        ("workers", "two", "expected a whole number from 1 to 16; given: 'two'"),
        ("workers", "2.5", "expected a whole number from 1 to 16; given: '2.5'"),
        ("workers", "-2", "expected a whole number from 1 to 16; given: '-2'"),
        ("workers", "", "expected a whole number from 1 to 16; given: nothing"),
        ("workers", "[2]", "expected a whole number from 1 to 16; given: a list"),
        ("workers", "{of: 2}", "expected a whole number from 1 to 16; given: a section"),
        ("grace", "0s", DURATION.format("1s", "1h", "'0s'")),
        ("grace", "61m", DURATION.format("1s", "1h", "'61m'")),
        ("source.poll_every", "0", DURATION.format("1s", "1d", "'0'")),
        ("source.poll_every", "24h1s", DURATION.format("1s", "1d", "'24h1s'")),
        ("source.poll_every", "5 minutes", DURATION.format("1s", "1d", "'5 minutes'")),
        ("source.poll_every", "30m1h", DURATION.format("1s", "1d", "'30m1h'")),
        ("source.poll_every", "1h30", DURATION.format("1s", "1d", "'1h30'")),
        ("source.poll_every", "''", DURATION.format("1s", "1d", "''")),
        ("source.s3.0.lookback", "59m", DURATION.format("1h", "60d", "'59m'")),
        ("source.s3.0.lookback", "61d", DURATION.format("1h", "60d", "'61d'")),
        ("enrich.ec2.refresh_every", "9s", DURATION.format("10s", "1d", "'9s'")),
        ("source.s3.0.start", "yesterday", START.format("'yesterday'")),
        ("source.s3.0.start", "2026-02-30", START.format("'2026-02-30'")),
        ("source.s3.0.start", "0001-01-01T00:00:00+10:00", START.format("'0001-01-01T00:00:00+10:00'")),
        ("source.s3.0.start", "9999-12-31T23:59:59-10:00", START.format("'9999-12-31T23:59:59-10:00'")),
        ("source.s3.0.start", "[now]", START.format("a list")),
        ("source.s3.0.bucket", "Flow_Logs", BUCKET.format("'Flow_Logs'")),
        ("source.s3.0.bucket", "s3://flow-logs/a", BUCKET.format("'s3://flow-logs/a'")),
        ("source.s3.0.bucket", "ab", BUCKET.format("'ab'")),
        ("source.s3.0.bucket", "a..b", BUCKET.format("'a..b'")),
        ("source.s3.0.bucket", "10.0.0.1", BUCKET.format("'10.0.0.1'")),
        ("source.s3.0.bucket", "abc-", BUCKET.format("'abc-'")),
        ("source.s3.0.prefix", "/team", PREFIX.format("'/team'")),
        ("source.s3.0.prefix", "AWSLogs/", PREFIX.format("'AWSLogs/'")),
        ("source.s3.0.prefix", "team/AWSLogs", PREFIX.format("'team/AWSLogs'")),
        (
            "source.s3.0.prefix",
            '"a\\tb"',
            "expected the beginning of keys: at most 900 characters, none of them a control character; given: 'a\\tb'",
        ),
        ("source.s3.0.layout", "plain", "expected aws, ordered or any; given: 'plain'"),
        ("source.s3.0.format", "''", FORMAT.format() + "; given: ''"),
        ("source.s3.0.format", "[]", FORMAT.format() + "; given: a list"),
        ("source.s3.0.format", "{version: 2}", FORMAT.format() + "; given: a section"),
        ("source.s3.0.format", "version=2", FORMAT.format() + "; given: 'version=2'"),
        ("source.s3.0.format", "'${version}${account-id}'", FORMAT.format() + "; given: '${version}${account-id}'"),
        (
            "source.s3.0.format",
            "colour hue",
            FORMAT.format() + "; not one of these is a field's name; given: 'colour hue'",
        ),
        (
            "source.s3.0.format",
            "'version srcaddr colour src-addr'",
            "expected each field once; names 2 and 4 are the same field; given: 'version srcaddr colour src-addr'",
        ),
        (
            "source.s3.0.format",
            "version colour hue colour",
            "expected each field once; names 2 and 4 are the same field; given: 'version colour hue colour'",
        ),
        (
            "source.s3.0.format",
            "version " + " ".join(f"n{number}" for number in range(200)),
            "expected at most 200 names; given: 'version n0 n1 n2 n3 n4 n5 n6 n7 n8 n9 n10 n11 n12 n13 n14 n1…'",
        ),
        ("source.flow_logs", "{}", "expected a list"),
        ("source.describe_flow_logs", "maybe", "expected true or false; given: 'maybe'"),
        ("source.s3.0.region", "eu-central", "expected a region's name such as eu-central-1; given: 'eu-central'"),
        ("source.s3", "flow-logs", "expected a list"),
        ("source.s3.0.role_arn", "flow-log-reader", ROLE.format("'flow-log-reader'")),
        ("source.s3.0.role_arn", "'arn:aws:iam::1234:role/x'", ROLE.format("'arn:aws:iam::1234:role/x'")),
        (
            "source.s3.0.role_arn",
            "'arn:aws:iam::123456789012:user/x'",
            ROLE.format("'arn:aws:iam::123456789012:user/x'"),
        ),
        (
            "source.s3.0.role_arn",
            "'arn:aws:sts::123456789012:assumed-role/x/y'",
            ROLE.format("'arn:aws:sts::123456789012:assumed-role/x/y'"),
        ),
        ("source", "flow-logs", "expected a section: options below it, one a line"),
        ("output.request_bytes", "65535", SIZE.format("'65535'")),
        ("output.request_bytes", "91MiB", SIZE.format("'91MiB'")),
        ("output.request_bytes", "5mb", SIZE.format("'5mb'")),
        ("output.namespace", "my-team", NAMESPACE.format("'my-team'")),
        ("output.namespace", "Team", NAMESPACE.format("'Team'")),
        ("output.namespace", "'a b'", NAMESPACE.format("'a b'")),
        ("output.namespace", "''", NAMESPACE.format("''")),
        ("output.namespace", "ä" * 51, NAMESPACE.format(f"'{'ä' * 51}'")),
        ("output.dead_letters", "files", "expected auto, file or stream; given: 'files'"),
        ("output.event_original", "maybe", "expected true or false; given: 'maybe'"),
        ("output.files.folder", "''", "expected a path; given: ''"),
        ("log.level", "INFO", "expected debug, info, warning or error; given: 'INFO'"),
        ("log.format", "json", "expected text or ecs; given: 'json'"),
        ("metrics.listen", "'9417'", LISTEN.format("'9417'")),
        ("metrics.listen", "localhost:65536", LISTEN.format("'localhost:65536'")),
        ("aws.profile", "''", "expected a profile's name: 1 to 128 characters; given: ''"),
        ("aws.endpoint_url", "localhost:5000", URL),
        ("aws.endpoint_url", "http://localhost:0", URL),
        ("aws.endpoint_url", "http://localhost:65536", URL),
        ("aws.endpoint_url", "ftp://localhost", URL),
        (
            "aws.endpoint_url",
            "http://me:pw@localhost",
            "expected a URL without credentials: they have options of their own",
        ),
        ("output.elasticsearch.cloud_id", "deployment", CLOUD_ID),
        ("output.elasticsearch.cloud_id", "d:bm8gZG9sbGFy", CLOUD_ID),  # "no dollar"
        ("output.elasticsearch.requests_in_flight", "65", "expected a whole number from 1 to 64; given: '65'"),
        ("output.elasticsearch.min_requests_in_flight", "0", "expected a whole number from 1 to 64; given: '0'"),
        (
            "output.elasticsearch.min_requests_in_flight",
            "9",
            "expected no more than output.elasticsearch.requests_in_flight, which is 4; given: '9'",
        ),
        ("output.elasticsearch.timeout", "11m", DURATION.format("1s", "10m", "'11m'")),
        ("output.elasticsearch.retention", "23h", DURATION.format("1d", "36500d", "'23h'")),
        ("output.elasticsearch.replicas", "21", "expected a whole number from 0 to 20; given: '21'"),
        ("output.elasticsearch.shards", "0", "expected a whole number from 1 to 1024; given: '0'"),
        ("output.elasticsearch.index_mode", "ldb", "expected auto, standard or logsdb; given: 'ldb'"),
        (
            "output.elasticsearch.pipeline",
            "'a b'",
            "expected a pipeline's name: 1 to 255 characters, no blanks; given: 'a b'",
        ),
        ("output.elasticsearch.certificate_fingerprint", "ab:cd", FINGERPRINT.format("'ab:cd'")),
        (
            "output.elasticsearch.ca_certs",
            "/nowhere/ca.pem",
            "expected a file with PEM certificates; there is no such file",
        ),
        ("output.elasticsearch.api_key_file", "/nowhere/key", "cannot be read: No such file or directory"),
        ("enrich.ec2.tags", "'a,,b'", "expected a list, or text with commas between its parts; given: 'a,,b'"),
        ("metrics.listne", "a:1", "unknown option; did you mean listen?"),
        ("hosts", "[a]", "unknown option; did you mean output.elasticsearch.hosts?"),
        ("source.s3.0.look_back", "1d", "unknown option; did you mean lookback?"),
        ("log.verify", "no", "unknown option; known here: level, format"),
    ],
)
def test_an_option_says_what_it_wants(path: str, text: str, problem: str) -> None:
    faults = faults_of(with_option(path, text))
    assert faults == [(path.replace(".0.", "[0]."), problem)]


def test_all_faults_are_reported_at_once_in_one_text() -> None:
    text = """
source:
  s3:
  - {bucket: flow-logs, lookback: "${LOOKBACK}"}
  - {prefix: /x, buckt: y}
  - {bucket: flow-logs}
output:
  elasticsearch: {hosts: ["http://es.example.com", "es"], username: me, comprss: true}
workers: many
workers: 3
"""
    with pytest.raises(ConfigError) as caught:
        parse(text, "c.yaml", {"LOOKBACK": "1y"})
    assert sorted((fault.path, fault.problem) for fault in caught.value.faults) == [
        ("output.elasticsearch.comprss", "unknown option; did you mean compress?"),
        (
            "output.elasticsearch.hosts[0]",
            "sends credentials unencrypted: use https, or accept it by allow_plaintext: true",
        ),
        ("output.elasticsearch.hosts[1]", URL),
        ("output.elasticsearch.username", "a user needs a password: give password or password_file too"),
        (
            "source.s3[0].lookback",
            DURATION.format("1h", "60d", "'${LOOKBACK}' (what the variable holds is not shown)"),
        ),
        ("source.s3[1].bucket", "missing: it has no default"),
        ("source.s3[1].buckt", "unknown option; did you mean bucket?"),
        ("source.s3[1].prefix", PREFIX.format("'/x'")),
        ("source.s3[2]", "the same bucket and prefix as source.s3[0]: leave one out"),
        ("state", "missing: it has no default"),
        ("workers", "expected a whole number from 1 to 16; given: 'many'"),
        ("workers", "given twice: on line 9 and on line 10"),
    ]
    assert str(caught.value).startswith("the configuration has 12 faults:\n  workers ")
    assert "\n  source.s3[1].prefix" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("${version} ${account-id} ${srcaddr}", ("version", "account-id", "srcaddr")),
        ("version, account_id,srcAddr", ("version", "account_id", "srcAddr")),
        ("[version, '${account-id}', srcaddr]", ("version", "account-id", "srcaddr")),
        ("$${version} ${HOME}", ("version", "HOME")),
        ('"version\\n\\tcolour"', ("version", "colour")),
        ("version " + " ".join(f"n{number}" for number in range(199)), ("version", *(f"n{n}" for n in range(199)))),
    ],
    ids=["as in the AWS CLI", "plain, with commas", "a list", "a variable's name", "lines", "the most"],
)
def test_a_format_is_names_and_no_variable_is_replaced_in_it(text: str, names: tuple[str, ...]) -> None:
    lines = f"source:\n  s3:\n  - bucket: flow-logs\n    format: {text}\n"
    lines += f"  flow_logs:\n  - id: fl-0a1b2c3d\n    format: {text}\n"
    lines += 'output: {files: {folder: out}}\nstate: {folder: state}\nlog: {format: "${F}"}\n'
    config = parse(lines, "c.yaml", {"HOME": "/root", "version": "7", "F": "ecs"})
    assert config.source.s3[0].format == names
    assert config.source.flow_logs == (FlowLog(id="fl-0a1b2c3d", format=names),)
    assert config.log.format == "ecs"


def test_what_a_flow_log_needs() -> None:
    flow_logs = "flow_logs: [{id: fl-0a1b2c3d, format: version}, {id: 0a1b2c3d}, {id: fl-0a1b2c3d, format: version}]"
    assert faults_of(MINIMAL.replace("source: {", f"source: {{{flow_logs}, ")) == [
        ("source.flow_logs[1].id", "expected a flow log's id such as fl-0a1b2c3d4e5f60718; given: '0a1b2c3d'"),
        ("source.flow_logs[1].format", "missing: it has no default"),
        ("source.flow_logs[2]", "the same id as source.flow_logs[0]: leave one out"),
    ]


@pytest.mark.parametrize(
    ("entry", "root", "source_id"),
    [
        ("{bucket: logs}", "AWSLogs/", "s3://logs/AWSLogs/"),
        ("{bucket: logs, prefix: team}", "team/AWSLogs/", "s3://logs/team/AWSLogs/"),
        ("{bucket: logs, prefix: a/b/}", "a/b/AWSLogs/", "s3://logs/a/b/AWSLogs/"),
        ("{bucket: logs, layout: any}", "", "s3://logs/* (any)"),
        ("{bucket: logs, layout: any, prefix: AWSLogs/}", "AWSLogs/", "s3://logs/AWSLogs/* (any)"),
        ("{bucket: logs, layout: ordered, prefix: /fire}", "/fire", "s3://logs//fire* (ordered)"),
    ],
)
def test_where_a_sources_keys_lie_and_what_it_is_called(entry: str, root: str, source_id: str) -> None:
    (source,) = parse(MINIMAL.replace("{bucket: flow-logs}", entry), "c.yaml", {}).source.s3
    assert (source.root, source.source_id) == (root, source_id)


READER = "arn:aws:iam::123456789012:role/reader"
ONE, TWO = "012345678901", "210987654321"


def with_inventory(inventory: str) -> str:
    """MINIMAL with these options below enrich.ec2."""
    return MINIMAL + f"enrich: {{ec2: {{{inventory}}}}}\n"


def test_accounts_whole() -> None:
    text = f"""accounts: [
        {{id: {ONE}, name: "Payments (EU)", role_arn: "arn:aws-cn:iam::{ONE}:role/team/inventory", external_id: a-1}},
        {{id: {TWO}}},
      ],
      role_name: team/flow-log-inventory, external_id: b=2,
      organization: {{enabled: yes, role_arn: "{READER}", external_id: c.3, exclude: "{ONE},{TWO}"}},
      calls_per_second: 1000, remember: 400d, assume_unchanged: 7d"""
    assert parse(with_inventory(text), "c.yaml", {}).enrich.ec2 == Ec2Inventory(
        accounts=(
            AskedAccount(
                id=ONE,
                name="Payments (EU)",
                role_arn=f"arn:aws-cn:iam::{ONE}:role/team/inventory",
                external_id="a-1",
            ),
            AskedAccount(id=TWO, name=None, role_arn=None, external_id=None),
        ),
        role_name="team/flow-log-inventory",
        external_id="b=2",
        organization=Organization(enabled=True, role_arn=READER, external_id="c.3", exclude=(ONE, TWO)),
        calls_per_second=1000,
        remember=timedelta(days=400),
        assume_unchanged=timedelta(days=7),
    )


NO_ROLE = "an account is asked by a role: give role_arn, or enrich.ec2.role_name for all"
NO_ROLE_NAME = "its accounts are asked by a role of each: give enrich.ec2.role_name too"
NOT_ITS_ROLE = "a role of another account than this entry's id: give one of its own"
ROLE_NAME = "expected a role's name, with its path where it has one, such as flow-log-reader or readers/flow-log-reader"
ACCOUNT_ID = "expected an account's id: 12 digits; given: {}"


@pytest.mark.parametrize(
    ("inventory", "faults"),
    [
        (f"accounts: [{{id: {ONE}}}]", [("accounts[0]", NO_ROLE)]),
        (
            f"accounts: [{{id: {ONE}, role_arn: 'arn:aws:iam::{ONE}:role/x'}}, {{id: {TWO}, name: two}}]",
            [("accounts[1]", NO_ROLE)],
        ),
        ("organization: {enabled: true}", [("organization", NO_ROLE_NAME)]),
        ("organization: {enabled: false}", []),
        (f"organization: {{role_arn: '{READER}'}}", []),
        ("organization: {enabled: true}, role_name: reader", []),
        (
            f"role_name: r, accounts: [{{id: {ONE}}}, {{id: {TWO}}}, {{id: {ONE}, name: again}}]",
            [("accounts[2]", "the same id as enrich.ec2.accounts[0]: leave one out")],
        ),
        (
            f"accounts: [{{id: {ONE}, role_arn: 'arn:aws:iam::{TWO}:role/x'}}]",
            [("accounts[0].role_arn", NOT_ITS_ROLE)],
        ),
        ("external_id: abc", [("external_id", "an external id is told with a role: give role_name too")]),
        (
            "organization: {external_id: abc}",
            [("organization.external_id", "an external id is told with a role: give role_arn too")],
        ),
        (
            "role_name: /reader, accounts: [{id: 1234}, {name: one}], organization: {exclude: [x]}",
            [
                ("accounts[0].id", ACCOUNT_ID.format("'1234'")),
                ("accounts[1].id", "missing: it has no default"),
                ("organization.exclude[0]", ACCOUNT_ID.format("'x'")),
                ("role_name", f"{ROLE_NAME}; given: '/reader'"),
            ],
        ),
        (
            f"accounts: [{{id: {ONE}, name: '', role_arn: 'arn:aws:iam::{TWO}:role/x'}}, {{id: {ONE}}}]",
            [
                ("accounts[0].name", "expected an account's name: 1 to 128 characters; given: ''"),
                ("accounts[0].role_arn", NOT_ITS_ROLE),
                ("accounts[1]", NO_ROLE),
                ("accounts[1]", "the same id as enrich.ec2.accounts[0]: leave one out"),
            ],
        ),
        (
            "calls_per_second: 0, remember: 59m, assume_unchanged: 8d",
            [
                ("assume_unchanged", DURATION.format("0s", "7d", "'8d'")),
                ("calls_per_second", "expected a whole number from 1 to 1000; given: '0'"),
                ("remember", DURATION.format("1h", "400d", "'59m'")),
            ],
        ),
    ],
)
def test_what_accounts_need(inventory: str, faults: list[tuple[str, str]]) -> None:
    text = with_inventory(inventory)
    if not faults:
        assert isinstance(parse(text, "c.yaml", {}), Config)
        return
    assert sorted(faults_of(text)) == [(f"enrich.ec2.{path}", problem) for path, problem in faults]


APART = "lists keys that source.s3[{}] lists too, in another layout: give them prefixes apart"


QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/flow-logs"


def with_source(source: str) -> str:
    """MINIMAL with these sources."""
    return MINIMAL.replace("{s3: [{bucket: flow-logs}]}", source)


def test_a_queue_alone_is_a_source() -> None:
    source = parse(with_source(f"{{sqs: [{{queue_url: '{QUEUE}'}}]}}"), "c.yaml", {}).source
    assert source == Source(
        s3=(),
        sqs=(
            SqsSource(
                queue_url=QUEUE,
                region=None,
                role_arn=None,
                external_id=None,
                buckets=(),
                layout="aws",
                prefix="",
                format=None,
                visibility=timedelta(minutes=5),
            ),
        ),
    )
    assert (source.sqs[0].queue_region, source.sqs[0].root) == ("eu-west-1", "AWSLogs/")


def test_a_full_queue() -> None:
    text = """{sqs: [{queue_url: "http://127.0.0.1:5000/queues/a.b/q.fifo", region: eu-west-1, layout: any,
      role_arn: "arn:aws-us-gov:iam::123456789012:role/team/reader", external_id: "a=+,.@:/-_9",
      buckets: "one-logs,two-logs", prefix: /fire, format: version srcaddr, visibility: 12h}]}"""
    (queue,) = parse(with_source(text), "c.yaml", {}).source.sqs
    assert queue.model_dump() == {
        "queue_url": "http://127.0.0.1:5000/queues/a.b/q.fifo",
        "region": "eu-west-1",
        "role_arn": "arn:aws-us-gov:iam::123456789012:role/team/reader",
        "external_id": "a=+,.@:/-_9",
        "buckets": ("one-logs", "two-logs"),
        "layout": "any",
        "prefix": "/fire",
        "format": ("version", "srcaddr"),
        "visibility": timedelta(hours=12),
    }
    assert (queue.endpoint, queue.queue_region, queue.root) == ("http://127.0.0.1:5000", "eu-west-1", "/fire")


@pytest.mark.parametrize(
    ("url", "region", "endpoint"),
    [
        ("https://sqs.us-gov-west-1.amazonaws.com/1/q", "us-gov-west-1", None),
        ("https://sqs.cn-north-1.amazonaws.com.cn/1/q", "cn-north-1", None),
        ("http://sqs.eu-west-1.amazonaws.com/1/q", "eu-west-1", "http://sqs.eu-west-1.amazonaws.com"),
        ("https://sqs-fips.us-east-1.amazonaws.com/1/q", "us-east-1", "https://sqs-fips.us-east-1.amazonaws.com"),
        (
            "https://vpce-1-2.sqs.eu-west-1.vpce.amazonaws.com/1/q",
            "eu-west-1",
            "https://vpce-1-2.sqs.eu-west-1.vpce.amazonaws.com",
        ),
        ("https://sqs.eu-west-1.api.aws/1/q", "eu-west-1", "https://sqs.eu-west-1.api.aws"),
        ("https://sqs.eu-west-1.amazonaws.com.example.com/q", None, "https://sqs.eu-west-1.amazonaws.com.example.com"),
        ("http://localhost:9324/q", None, "http://localhost:9324"),
        ("http://[::1]:9324/q", None, "http://[::1]:9324"),
    ],
)
def test_what_a_queues_url_tells(url: str, region: str | None, endpoint: str | None) -> None:
    queue = SqsSource(queue_url=url)
    assert (queue.queue_region, queue.endpoint) == (region, endpoint)


NO_QUEUE = "expected a queue's URL such as https://sqs.eu-central-1.amazonaws.com/123456789012/flow-logs"
NO_SOURCE = "expected s3 or sqs or both; neither is given"
OTHER_ROLE = "not the role_arn and external_id that source.s3[{}] has for the same bucket: give both alike"


@pytest.mark.parametrize(
    ("source", "faults"),
    [
        ("{s3: []}", [("source", NO_SOURCE)]),
        ("{s3: [], sqs: []}", [("source", NO_SOURCE)]),
        ("{poll_every: 1m}", [("source", NO_SOURCE)]),
        ("{sqs: [{}]}", [("source.sqs[0].queue_url", "missing: it has no default")]),
        ("{sqs: [{queue_url: flow-logs}]}", [("source.sqs[0].queue_url", URL)]),
        ("{sqs: [{queue_url: 'https://localhost:9324'}]}", [("source.sqs[0].queue_url", NO_QUEUE)]),
        ("{sqs: [{queue_url: 'https://localhost:9324/'}]}", [("source.sqs[0].queue_url", NO_QUEUE)]),
        ("{sqs: [{queue_url: 'https://localhost:9324/q/'}]}", [("source.sqs[0].queue_url", NO_QUEUE)]),
        ("{sqs: [{queue_url: 'https://localhost:9324/q?x=1'}]}", [("source.sqs[0].queue_url", URL)]),
        (
            f"{{sqs: [{{queue_url: '{QUEUE}'}}, {{queue_url: 'http://other/q'}}, {{queue_url: '{QUEUE}'}}]}}",
            [("source.sqs[2]", "the same queue as source.sqs[0]: leave one out")],
        ),
        (
            f"{{sqs: [{{queue_url: '{QUEUE}', layout: ordered, visibility: 29s, external_id: abc, format: version}}]}}",
            [
                ("source.sqs[0].external_id", "an external id is told with a role: give role_arn too"),
                ("source.sqs[0].format", "a format needs the buckets that it holds for: give buckets too"),
                ("source.sqs[0].layout", "expected aws or any; given: 'ordered'"),
                ("source.sqs[0].visibility", DURATION.format("30s", "12h", "'29s'")),
            ],
        ),
        (
            f"{{sqs: [{{queue_url: '{QUEUE}', prefix: AWSLogs/, buckets: [x], visibility: 12h1s}}]}}",
            [
                ("source.sqs[0].buckets[0]", BUCKET.format("'x'")),
                ("source.sqs[0].prefix", PREFIX.format("'AWSLogs/'")),
                ("source.sqs[0].visibility", DURATION.format("30s", "12h", "'12h1s'")),
            ],
        ),
        (
            "{s3: [{bucket: flow-logs, external_id: a}]}",
            [
                (
                    "source.s3[0].external_id",
                    "expected an external id as IAM takes it: 2 to 1224 letters, digits and + = , . @ : / _ -",
                ),
                ("source.s3[0].external_id", "an external id is told with a role: give role_arn too"),
            ],
        ),
        (
            f"{{s3: [{{bucket: logs, prefix: a, role_arn: '{READER}'}}, {{bucket: logs, prefix: b}}]}}",
            [("source.s3[1]", OTHER_ROLE.format(0))],
        ),
        (
            f"""{{s3: [{{bucket: two}}, {{bucket: logs, prefix: a, role_arn: '{READER}'}},
              {{bucket: logs, prefix: b, role_arn: '{READER}', external_id: abc}},
              {{bucket: logs, prefix: c, role_arn: '{READER}'}}]}}""",
            [("source.s3[2]", OTHER_ROLE.format(1))],
        ),
    ],
)
def test_what_sources_need(source: str, faults: list[tuple[str, str]]) -> None:
    assert sorted(faults_of(with_source(source))) == sorted(faults)


def test_the_format_of_an_object_is_that_of_the_longest_beginning_of_its_key() -> None:
    text = f"""{{
    s3: [{{bucket: one, format: version}}, {{bucket: one, prefix: team, format: srcaddr}}, {{bucket: two}}],
    sqs: [{{queue_url: '{QUEUE}', layout: any, prefix: team/AWSLogs/1, buckets: [one, two], format: dstaddr}}],
    }}"""
    source = parse(with_source(text), "c.yaml", {}).source
    assert source.format_of("one", "AWSLogs/1/x") == ("version",)
    assert source.format_of("one", "team/AWSLogs/2/x") == ("srcaddr",)
    assert source.format_of("one", "team/AWSLogs/1/x") == ("dstaddr",)
    assert source.format_of("two", "team/AWSLogs/1/x") == ("dstaddr",)
    assert source.format_of("two", "AWSLogs/1/x") is None
    assert source.format_of("three", "AWSLogs/1/x") is None


@pytest.mark.parametrize(
    ("entries", "faults"),
    [
        ("{bucket: logs}, {bucket: logs, layout: any}", [(1, APART.format(0))]),
        ("{bucket: logs, layout: ordered, prefix: te}, {bucket: logs, prefix: team}", [(1, APART.format(0))]),
        (
            "{bucket: logs}, {bucket: logs, prefix: team}, {bucket: logs, layout: any, prefix: team/AWSLogs/1}",
            [(2, APART.format(1))],
        ),
        (
            "{bucket: logs, layout: any}, {bucket: logs, layout: ordered}",
            [(1, "the same bucket and prefix as source.s3[0]: leave one out")],
        ),
        ("{bucket: logs}, {bucket: logs, layout: any, prefix: fire}, {bucket: logs, layout: any, prefix: fire/a}", []),
        ("{bucket: logs}, {bucket: other, layout: any}", []),
    ],
)
def test_an_object_is_not_listed_in_two_layouts(entries: str, faults: list[tuple[int, str]]) -> None:
    text = MINIMAL.replace("{bucket: flow-logs}", entries)
    if not faults:
        assert len(parse(text, "c.yaml", {}).source.s3) == entries.count("bucket")
        return
    assert faults_of(text) == [(f"source.s3[{index}]", problem) for index, problem in faults]


@pytest.mark.parametrize("text", ["", "# nothing\n", "~"])
def test_an_empty_file_lacks_the_sections(text: str) -> None:
    assert faults_of(text) == [(name, "missing: it has no default") for name in ("source", "output", "state")]


def test_empty_sections_are_all_defaults() -> None:
    assert parse(MINIMAL + "aws:\nenrich: {ec2: }\nlog: ~\n", "c.yaml", {}) == parse(MINIMAL, "c.yaml", {})


@pytest.mark.parametrize(
    ("cluster", "faults"),
    [
        ("{}", [("", "expected one of hosts and cloud_id; neither is given")]),
        ("{hosts: []}", [("", "expected one of hosts and cloud_id; neither is given")]),
        ("{hosts: https://a, cloud_id: 'd:ZXguY29tJGFiYw=='}", [("", "expected only one of hosts and cloud_id")]),
        (
            "{hosts: https://a, api_key: a, api_key_file: KEY, username: u, password: p}",
            [("", "expected only one of api_key and api_key_file and username")],
        ),
        (
            "{hosts: https://a, username: u, password: p, password_file: KEY}",
            [("", "expected only one of password and password_file")],
        ),
        ("{hosts: https://a, password: p}", [(".password", "a password needs a user: give username too")]),
        ("{hosts: https://a, password_file: KEY}", [(".password_file", "a password needs a user: give username too")]),
        (
            "{hosts: 'https://a,http://b', api_key: a}",
            [(".hosts[1]", "sends credentials unencrypted: use https, or accept it by allow_plaintext: true")],
        ),
        (
            "{hosts: [http://127.0.0.2.example.com], api_key_file: KEY}",
            [(".hosts[0]", "sends credentials unencrypted: use https, or accept it by allow_plaintext: true")],
        ),
        (
            "{hosts: [http://localhost], ca_certs: KEY}",
            [(".hosts[0]", "ca_certs needs https: it says nothing about a host without TLS")],
        ),
    ],
)
def test_options_of_the_cluster_that_contradict_each_other(
    cluster: str, faults: list[tuple[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("abc\n")
    tree = MINIMAL.replace("files: {folder: out}", f"elasticsearch: {cluster}".replace("KEY", str(tmp_path / "key")))
    assert faults_of(tree) == [(f"output.elasticsearch{path}", problem) for path, problem in faults]


@pytest.mark.parametrize(
    "cluster",
    [
        "{hosts: http://es.example.com}",
        "{hosts: http://es.example.com, api_key: a, allow_plaintext: true}",
        "{hosts: http://localhost:9200, api_key: a}",
        "{hosts: http://127.8.9.1:9200, username: u, password: p}",
        "{hosts: ['http://[::1]:9200'], api_key: a}",
        "{hosts: https://es.example.com, api_key: a}",
    ],
)
def test_plain_http_is_fine_without_credentials_on_this_machine_or_where_allowed(cluster: str) -> None:
    config = parse(MINIMAL.replace("files: {folder: out}", f"elasticsearch: {cluster}"), "c.yaml", {})
    assert config.output.elasticsearch is not None


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        ("{}", "expected one of elasticsearch and files; neither is given"),
        ("{elasticsearch: }", "expected one of elasticsearch and files; neither is given"),
        ("{elasticsearch: {hosts: https://a}, files: {folder: b}}", "expected only one of elasticsearch and files"),
    ],
)
def test_there_is_one_output(output: str, problem: str) -> None:
    assert faults_of(MINIMAL.replace("{files: {folder: out}}", output)) == [("output", problem)]


@pytest.mark.parametrize(
    ("text", "environment", "value"),
    [
        ("${B}", {"B": "flow-logs"}, "flow-logs"),
        ("a-${B}-${C}", {"B": "x", "C": "y"}, "a-x-y"),
        ("'${B:-other}'", {}, "other"),
        ("${B:-other}", {"B": ""}, "other"),
        ("${B:-other}", {"B": "flow-logs"}, "flow-logs"),
        ("a${B:-}bc", {}, "abc"),
        ("${_b1}", {"_b1": "flow-logs"}, "flow-logs"),
    ],
)
def test_variables_are_replaced(text: str, environment: dict[str, str], value: str) -> None:
    lines = f"source:\n  s3:\n  - bucket: {text}\noutput: {{files: {{folder: out}}}}\nstate: {{folder: state}}\n"
    config = parse(lines, "c.yaml", environment)
    assert config.source.s3[0].bucket == value


def test_variables_take_the_type_of_their_option() -> None:
    text = MINIMAL + 'workers: "${W:-5}"\ngrace: "${G}"\nenrich: {ec2: {enabled: "${E}", regions: "${R}"}}\n'
    config = parse(text, "c.yaml", {"G": "1m", "E": "false", "R": "eu-west-1,eu-west-2"})
    assert (config.workers, config.grace) == (5, timedelta(seconds=60))
    assert config.enrich.ec2 == Ec2Inventory(enabled=False, regions=("eu-west-1", "eu-west-2"))


def test_a_value_that_becomes_empty_is_as_if_not_given() -> None:
    text = (
        MINIMAL + 'workers: "${W:-}"\nenrich: {ec2: {regions: ["${A}", "${B}"], tags: "${T}"}}\naws: {region: "${A}"}\n'
    )
    config = parse(text, "c.yaml", {"A": "", "B": "eu-west-1", "T": ""})
    assert (config.workers, config.enrich.ec2.regions, config.enrich.ec2.tags) == (2, ("eu-west-1",), ())
    assert config.aws.region is None
    assert faults_of(MINIMAL.replace("folder: state", 'folder: "${S}"'), {"S": ""}) == [
        ("state.folder", "missing: it has no default")
    ]


def test_what_replaces_a_variable_is_not_looked_at_again_and_a_doubled_dollar_is_plain() -> None:
    text = MINIMAL.replace("folder: state", 'folder: "$${A}-${B}-$A-$$"')
    assert parse(text, "c.yaml", {"B": "${A}", "A": "no"}).state.folder == Path("${A}-${A}-$A-$$")


def test_names_are_not_replaced() -> None:
    assert faults_of(MINIMAL + '"${W}": 3\n', {"W": "workers"}) == [
        (
            "'${W}'",
            "unknown option; known here: source, aws, enrich, filter, output, state, workers, grace, log, metrics",
        )
    ]


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("${A}", ["the environment variable A is not set: set it, or write ${A:-default}"]),
        (
            "${A}/${B}",
            [f"the environment variable {name} is not set: set it, or write ${{{name}:-default}}" for name in "AB"],
        ),
        ("${A", ["expected ${NAME} or ${NAME:-default}; write $${ for a plain ${"]),
        ("${1}", ["expected ${NAME} or ${NAME:-default}; write $${ for a plain ${"]),
        (
            "${A:-${B}}",
            [
                "expected ${NAME} or ${NAME:-default}; write $${ for a plain ${",
                "the environment variable B is not set: set it, or write ${B:-default}",
            ],
        ),
        ("\\ud800", ["expected text; it holds half of a surrogate pair or bytes that are not UTF-8"]),
    ],
)
@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("workers", "workers"),
        ("source.s3.0.bucket", "source.s3[0].bucket"),
        ("output.elasticsearch.api_key", "output.elasticsearch.api_key"),
        ("output.elasticsearch.api_key_file", "output.elasticsearch.api_key_file"),
        ("enrich.ec2.regions", "enrich.ec2.regions"),
    ],
)
def test_a_value_that_cannot_be_put_together(text: str, problems: list[str], path: str, place: str) -> None:
    assert faults_of(with_option(path, f'"{text}"')) == [(place, problem) for problem in problems]


@pytest.mark.parametrize(
    ("text", "path", "problem"),
    [
        ("a: [1\n", "c.yaml:2:1", "not YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: 1\n b: 2\n", "c.yaml:2:3", "not YAML: mapping values are not allowed here"),
        ("a: b: c\n", "c.yaml:1:5", "not YAML: mapping values are not allowed here"),
        ("a: @b\n", "c.yaml:1:4", "not YAML: found character (not shown) that cannot start any token"),
        ("\ta: b\n", "c.yaml:1:1", "not YAML: found character (not shown) that cannot start any token"),
        ("a: 'b\n", "c.yaml:2:1", "not YAML: found unexpected end of stream"),
        ('a: "\\q"\n', "c.yaml:1:6", "not YAML: found unknown escape character (not shown)"),
        ('a: "\\UFFFFFFFF"\n', "c.yaml", "not YAML: an escape sequence or a number too large"),
        ("a: 1\n---\na: 2\n", "c.yaml:2:1", "not YAML: but found another document"),
        ("a: 1\nb: \x00\n", "c.yaml:2", "not YAML: a character that is no printable text"),
        (
            "a: &b {}\n",
            "c.yaml:1:4",
            "not YAML: anchors, aliases and tags are not understood: put text that begins with & * or ! in quotes",
        ),
        (
            "a: !!python/object/apply:os.system [ls]\n",
            "c.yaml:1:4",
            "not YAML: anchors, aliases and tags are not understood: put text that begins with & * or ! in quotes",
        ),
        (
            "a: [${B}]\n",
            "c.yaml:1:6",
            "not YAML: expected ',' or ']', but got '{'; ${NAME} between [ ] or { } belongs in quotes",
        ),
        ("[" * 5000 + "]" * 5000, "c.yaml:1:21", "not YAML: nested deeper than 20 levels"),
    ],
)
def test_what_is_not_yaml_is_a_fault_with_its_place(text: str, path: str, problem: str) -> None:
    assert faults_of(text) == [(path, problem)]


def test_a_file_that_is_no_mapping() -> None:
    section = "expected a section: options below it, one a line"
    assert faults_of("just text") == [("c.yaml", section)]
    assert faults_of("- a\n- b\n") == [("c.yaml", section)]
    assert faults_of(MINIMAL + "? [a]\n: b\n") == [("c.yaml", "line 5: expected an option's name before the colon")]


SECRET = "hunter2"


@pytest.mark.parametrize(
    "text",
    [
        "output: {elasticsearch: {api_key: hunter2 hunter2}}",
        "output: {elasticsearch: {api_key: [hunter2], password: {hunter2: hunter2}}}",
        'output: {elasticsearch: {password: "hunter2\\nhunter2"}}',
        'output: {elasticsearch: {password: "${P}\\n", api_key: "${P} "}}',
        "output: {elasticsearch: {pasword: hunter2, username: 'me:hunter2'}}",
        "output: {elasticsearch: {hosts: ['https://me:hunter2@es', 'https://es?key=hunter2', 'hunter2']}}",
        "output: {elasticsearch: 'https://me:hunter2@es'}",
        "output: {elasticsearch: {cloud_id: hunter2, hosts: 'https://hunter2@es,x'}}",
        "output: {elasticsearch: {api_key_file: hunter2}}",
        "aws: {endpoint_url: 'http://hunter2@s3'}\npassword: hunter2",
        "workers: ${P}\ngrace: a${P}\nlog: {level: ${P}}",
        'workers: "${P}"\nlog: {level: "${P}"}\nstate: "${P}"\nmetrics: {listen: "x${P}"}',
        "log: {level: 'me:hunter2@host'}",
        "output: {elasticsearch: {password: !hunter2 x}}",
        "output: {elasticsearch: {password: !hunter2!x y}}",
        "output: {elasticsearch: {password: *hunter2}}",
        "output: {elasticsearch: {password: &hunter2 x}}",
        "output: {elasticsearch: {password: @hunter2}}",
        "output: {elasticsearch: {password: 'x' hunter2}}",
        'output: {elasticsearch: {password: "\\hunter2"}}',
        "output:\n  password: %hunter2\n",
        "output:\n  password: |hunter2\n",
        "output:\n  password: hunter2: hunter2\n",
    ],
)
def test_a_secret_is_in_no_fault_no_representation_and_no_traceback(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "c.yaml", {"P": SECRET})
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(caught.value.faults)
    assert caught.value.faults
    # A key of a mapping may be named in a path; where a password should stand, there is no such path.
    assert SECRET not in shown


def test_secrets_are_hidden_in_what_was_read() -> None:
    cluster = f"elasticsearch: {{hosts: https://a, username: me, password: {SECRET}}}"
    config = parse(MINIMAL.replace("files: {folder: out}", cluster), "c.yaml", {})
    assert config.output.elasticsearch is not None
    credentials = config.output.elasticsearch.credentials()
    assert credentials.basic == ("me", SECRET)
    assert credentials.api_key is None
    for shown in (repr(config), str(config), repr(credentials), f"{credentials}", config.model_dump_json()):
        assert SECRET not in shown


def test_an_option_given_by_code_is_checked_too_and_hides_what_it_was_given() -> None:
    with pytest.raises(ValidationError, match="expected an API key") as caught:
        ElasticsearchOutput.model_validate({"api_key": f"{SECRET} {SECRET}"})
    assert SECRET not in str(caught.value)
    with pytest.raises(ValidationError, match="frozen"):
        Log().level = "debug"


@pytest.mark.parametrize(
    ("content", "api_key"),
    [
        (b"VnVhQ2ZHY0JDZGJrUW0tZTVhT3g=\n", "VnVhQ2ZHY0JDZGJrUW0tZTVhT3g="),
        (b"abc\r\n", "abc"),
        (b"id:key", "aWQ6a2V5"),  # base64 of id:key
    ],
)
def test_an_api_key_from_a_file(content: bytes, api_key: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(content)
    text = with_option("output.elasticsearch.api_key_file", str(tmp_path / "key"))
    cluster = parse(text, "c.yaml", {}).output.elasticsearch
    assert cluster is not None
    assert cluster.credentials() == Credentials(api_key=api_key)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "expected a password: one line of text, not empty"),
        (b"\n", "expected a password: one line of text, not empty"),
        (b"two\nlines\n", "expected a password: one line of text, not empty"),
        (b"\xff\n", "expected UTF-8 text in the file"),
        (b"x" * 65_537, "expected a file of at most 65,536 bytes"),
    ],
)
def test_a_file_that_holds_no_secret(content: bytes, problem: str, tmp_path: Path) -> None:
    (tmp_path / "pw").write_bytes(content)
    text = with_option("output.elasticsearch.password_file", str(tmp_path / "pw")).replace(
        "cloud_id", "username: me, cloud_id"
    )
    assert faults_of(text) == [("output.elasticsearch.password_file", problem)]


def test_a_password_file_that_went_away_after_the_start(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("  p w  \n")
    text = with_option("output.elasticsearch.password_file", str(tmp_path / "pw")).replace(
        "cloud_id", "username: me, cloud_id"
    )
    cluster = parse(text, "c.yaml", {}).output.elasticsearch
    assert cluster is not None
    assert cluster.credentials().basic == ("me", "  p w  ")
    (tmp_path / "pw").unlink()
    with pytest.raises(ConfigError, match=r"output\.elasticsearch\.password_file +cannot be read: No such file"):
        cluster.credentials()


def test_without_credentials_there_are_none() -> None:
    assert ElasticsearchOutput(hosts=("http://localhost:9200",)).credentials() == Credentials(api_key=None, basic=None)
    assert MetricsListener().address is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"# " + b"x" * 1_048_575, "expected a file of at most 1,048,576 bytes"),
        (b"a: \xff\n", "expected UTF-8 text; byte 3 is none"),
    ],
)
def test_a_file_that_cannot_be_a_configuration(content: bytes, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert [(fault.path, fault.problem) for fault in caught.value.faults] == [(str(path), problem)]


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.encode() + b"# " + b"x" * (1_048_576 - len(MINIMAL) - 5))
    assert path.stat().st_size == 1_048_576
    assert load(path, {}) == parse(MINIMAL, "c.yaml", {})
    with pytest.raises(ConfigError, match=r"absent\.yaml +cannot be read: No such file or directory"):
        load(tmp_path / "absent.yaml", {})
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path, {})


# The example: every option, with exactly its default.

COMMENTED_OUT = re.compile(r"^( *)#((?:  )*(?:- )?[a-z_0-9]+:(?: .*)?)$")
SHOWN_THOUGH_UNSET = {"output.elasticsearch.hosts"}
NEEDS = {
    "password": {"username"},
    "password_file": {"username"},
    "username": {"password"},
    "external_id": {"role_arn", "role_name"},
    "accounts": {"role_name"},
}
UNSET_AS_A_WHOLE = (
    *("source.sqs.", "source.flow_logs.", "output.files.", "enrich.ec2.accounts."),
    *("enrich.threats.feeds.", "enrich.cost.prices.", "filter.rules."),
)
INSTEAD_OF = {"cloud_id": {"hosts"}}


def leaves() -> dict[str, Any]:
    """Every option that is no section, with its default."""
    every = dict(options())
    return {
        path.replace("[]", ".0"): info.default
        for path, info in every.items()
        if not any(other.startswith((f"{path}.", f"{path}[].")) for other in every)
    }


def paths_in(tree: Any, above: str = "") -> Iterator[str]:  # noqa: ANN401 # what YAML makes of it
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    below = [path for key, value in entries for path in paths_in(value, f"{above}.{key}")]
    if above.lstrip(".") in leaves():
        return iter([above.lstrip(".")])
    return iter(below or [above.lstrip(".")])


LINES = EXAMPLE.read_text(encoding="utf-8").splitlines()


def uncommented(wanted: set[int] | None = None) -> str:
    """The example with the commented-out options of these lines (None: of all) in force."""
    lines = []
    for number, line in enumerate(LINES):
        match = COMMENTED_OUT.match(line) if wanted is None or number in wanted else None
        lines.append(match[1] + match[2] if match else line)
    return "\n".join(lines)


def commented_out() -> dict[int, str]:
    """The options that are commented out, by the numbers of their lines."""
    matches = enumerate(map(COMMENTED_OUT.match, LINES))
    return {number: match[2].split(":")[0].strip(" -") for number, match in matches if match}


def unset_section(number: int) -> range:
    """The lines of the section that is commented out as a whole around this line; none where there is none."""
    for header in (each for each in commented_out() if each <= number):
        start = LINES[header].split("#")[0] + "#  "
        below = itertools.takewhile(lambda line, start=start: line.startswith(start), LINES[header + 1 :])  # type: ignore[misc]
        if (end := header + 1 + len(list(below))) > max(number, header + 1):
            return range(header, end)
    return range(0)


def in_force_with(number: int) -> set[int]:
    """The lines that an option needs beside its own: its section's head and required options, other halves of both."""
    section, names = unset_section(number), commented_out()
    lines = {number, *section[:1]}
    for line in tuple(lines):
        if half := [each for each, name in names.items() if name in NEEDS.get(names[line], ())]:
            lines.add(min(half, key=lambda each, line=line: abs(each - line)))  # type: ignore[misc]
    return {*lines, *(each for each in section if "# REQUIRED" in LINES[each])}


def test_the_example_has_every_option_and_no_other() -> None:
    found = set(paths_in(yaml.safe_load(uncommented())))
    assert found == set(leaves())


def test_the_example_shows_exactly_the_defaults() -> None:
    config = load(EXAMPLE, EXAMPLE_ENVIRONMENT)
    in_force = set(paths_in(yaml.safe_load(EXAMPLE.read_text(encoding="utf-8")))) & set(leaves())
    for path, default in leaves().items():
        if path.startswith(UNSET_AS_A_WHOLE):
            continue
        if default is None:
            assert path not in in_force, f"{path} is unset by default, so it must be commented out"
            continue
        assert path in in_force, f"{path} has a default, so it must stand there"
        if default is not PydanticUndefined and path not in SHOWN_THOUGH_UNSET:
            assert value_at(config, path) == default, path
    assert config.source.s3[0].bucket == "flow-logs"
    assert config.output.elasticsearch is not None
    assert config.output.elasticsearch.hosts == ("https://es.example.com:9200",)
    assert config.state.folder == Path("state")


def test_an_entry_of_the_example_that_is_commented_out_shows_exactly_the_defaults() -> None:
    (entry,) = yaml.safe_load(uncommented())["source"]["sqs"]
    for path, default in leaves().items():
        if path.startswith("source.sqs.0.") and default not in (None, PydanticUndefined):
            name = path.removeprefix("source.sqs.0.")
            shown = SqsSource.model_validate({"queue_url": entry["queue_url"], name: entry[name]})
            assert getattr(shown, name) == default, path


@pytest.mark.parametrize(("number", "name"), commented_out().items())
def test_what_is_commented_out_in_the_example_is_right_too(number: int, name: str, tmp_path: Path) -> None:
    text = uncommented(in_force_with(number))
    if name == "format" and "sqs" in LINES[unset_section(number).start]:
        text = text.replace("  #    buckets: []", "      buckets: [flow-logs]")
    for left_out in INSTEAD_OF.get(name, set()):
        text = re.sub(rf"(?m)^ *{left_out}:.*$", "", text)
    if name in ("files", "folder"):
        text = re.sub(r"(?ms)^  elasticsearch:$.*?(?=^  files:)", "", text)
    for index, path in enumerate(re.findall(r"(?m)^ *(?:ca_certs|\w+_file): (\S+)", text)):
        (tmp_path / str(index)).write_text("abc\n")
        text = text.replace(path, str(tmp_path / str(index)))
    secrets = {"ELASTICSEARCH_API_KEY": "abc", "ELASTICSEARCH_PASSWORD": "abc", "LIST_TOKEN": "abc"}
    changed = parse(text, "example", EXAMPLE_ENVIRONMENT | secrets)
    assert changed != load(EXAMPLE, EXAMPLE_ENVIRONMENT)


def test_each_option_of_the_example_has_a_line_of_why() -> None:
    for line in uncommented().splitlines():
        name = re.match(r" *(?:- )?([a-z_0-9]+):(.*)$", line)
        if name and name[2] and not name[2].isspace():
            assert re.search(r"  ?# ?\S.{8,}$", name[2]), f"no comment: {line}"


# Whatever stands in it, it is a configuration or it has faults.

NAMES = sorted({part for path, _ in options() for part in path.replace("[]", "").split(".")})
TEXTS = ["now", "5m", "${A}", "${B:-x}", "${", "$${", "https://a", "http://b", "true", "a,b", "=", "<<", "\ud800"]
SCALARS = st.none() | st.booleans() | st.integers() | st.dates() | st.text(max_size=8) | st.sampled_from(TEXTS)
KEYS = st.sampled_from(NAMES) | st.text(max_size=6)
TREES = st.recursive(SCALARS, lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=4))


def outcome(text: str) -> Config | ConfigError:
    try:
        return parse(text, "c.yaml", {"A": "1"})
    except ConfigError as error:
        return error


@settings(max_examples=150, deadline=None)
@given(TREES)
def test_any_tree_is_a_configuration_or_has_faults(tree: object) -> None:
    result = outcome(yaml.safe_dump(tree, default_flow_style=True, allow_unicode=False))
    assert isinstance(result, Config) or result.faults
    assert "Input should" not in str(result)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([path.replace("[]", ".0") for path, _ in options()]), TREES)
def test_anything_as_an_option_is_a_configuration_or_has_faults(path: str, tree: object) -> None:
    value = yaml.safe_dump(tree, default_flow_style=True, allow_unicode=False, width=10_000)
    result = outcome(with_option(path, value.removesuffix("\n").removesuffix("\n...")))
    assert isinstance(result, Config) or result.faults
    assert "Input should" not in str(result)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="a:- \n{}[]'\"&*!|>%@#?,$\\xU0\t~<=", max_size=40))
def test_any_text_is_a_configuration_or_has_faults(text: str) -> None:
    result = outcome(text)
    assert isinstance(result, Config) or result.faults
    outcome(MINIMAL + text)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(alphabet="bcdfghjkxyz", min_size=1, max_size=9), min_size=1, max_size=15), TREES)
def test_unknown_keys_are_faults_however_deep(keys: list[str], innermost: object) -> None:
    tree = innermost
    for key in reversed(keys):
        tree = {key: tree}
    result = outcome(MINIMAL + yaml.safe_dump(tree, default_flow_style=True, allow_unicode=False, width=10_000)[1:-2])
    assert isinstance(result, ConfigError)


CLUSTER = "elasticsearch: {hosts: https://a}"
LETTERS = {
    "a bucket": ("{s3: [{bucket: flow-logs}]}", CLUSTER, False),
    "a queue": (f"{{sqs: [{{queue_url: '{QUEUE}'}}]}}", CLUSTER, True),
    "a queue and a folder": (f"{{sqs: [{{queue_url: '{QUEUE}'}}]}}", "files: {folder: out}", False),
    "a queue, and a file is asked for": (
        f"{{sqs: [{{queue_url: '{QUEUE}'}}]}}",
        f"{CLUSTER}, dead_letters: file",
        False,
    ),
    "a bucket, and a stream is asked for": ("{s3: [{bucket: flow-logs}]}", f"{CLUSTER}, dead_letters: stream", True),
}


@pytest.mark.parametrize(("source", "output", "stream"), LETTERS.values(), ids=LETTERS)
def test_dead_letters_go_to_a_stream_where_replicas_may_share_a_queue(
    source: str, output: str, *, stream: bool
) -> None:
    text = f"source: {source}\noutput: {{{output}}}\nstate: {{folder: s}}\n"
    assert parse(text, "c.yaml", {}).streams_letters is stream


def test_a_stream_of_dead_letters_needs_a_cluster() -> None:
    text = MINIMAL.replace("{files: {folder: out}}", "{files: {folder: out}, dead_letters: stream}")
    told = "a stream needs output.elasticsearch: with output.files they go to a file"
    assert faults_of(text) == [("output.dead_letters", told)]
