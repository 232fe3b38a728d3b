"""YAML to checked, frozen settings; all faults at once, each by its path.

Every scalar of the file is taken as text, and the option's own type reads it: YAML makes no boolean of a namespace
`no`, no number of an account id and no date of a time, and a value from the environment is read like one written out.
A fault shows what was given as it stands in the file, so never what a variable holds, and nothing at all of an option
that may hold a secret.

`option_types` has the types, `config_file` reads the file, `config_conflicts` looks for what no option can tell alone.
"""

import base64
import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from exporter.config_conflicts import conflicts
from exporter.config_file import Loc, dotted, is_verbatim, read_text, read_yaml
from exporter.errors import ConfigError, Fault
from exporter.option_types import (
    SECRET_FILES,
    URL,
    AccountId,
    AccountName,
    ApiKey,
    Authorization,
    Bucket,
    CloudId,
    CommaList,
    Conditions,
    Day,
    ExternalId,
    File,
    Fingerprint,
    Flag,
    FlowLogId,
    Folder,
    Format,
    Host,
    Listen,
    Namespace,
    Network,
    Password,
    Pipeline,
    Place,
    Prefix,
    Price,
    Profile,
    QueueUrl,
    Region,
    RoleArn,
    RoleName,
    ShortName,
    Start,
    TagKey,
    Url,
    User,
    aws_prefix,
    cloud_address,
    decimal,
    duration,
    keys_root,
    queue_endpoint,
    queue_region,
    secret_file,
    size,
    whole,
)


class Settings(BaseModel):
    """A section of the configuration: frozen, unknown keys are faults, an empty section is all defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _empty(cls, value: object) -> object:
        return {} if value is None else value


class S3Source(Settings):
    """One bucket with flow logs."""

    bucket: Bucket
    layout: Literal["aws", "ordered", "any"] = "aws"
    prefix: Prefix = ""
    region: Region | None = None
    role_arn: RoleArn | None = None
    external_id: ExternalId | None = None
    start: Start = "now"
    lookback: Annotated[timedelta, duration("1h", "60d")] = timedelta(days=2)
    format: Format | None = None

    @property
    def root(self) -> str:
        """What all its keys begin with."""
        return keys_root(self.prefix, self.layout)

    @property
    def source_id(self) -> str:
        """Under which the ledger remembers it: another layout is another source."""
        keys = f"s3://{self.bucket}/{self.root}"
        return keys if self.layout == "aws" else f"{keys}* ({self.layout})"

    @field_validator("prefix")
    @classmethod
    def _fits_layout(cls, prefix: str, info: ValidationInfo) -> str:
        return aws_prefix(prefix) if info.data.get("layout") == "aws" else prefix


class SqsSource(Settings):
    """One queue with notifications of new objects."""

    queue_url: QueueUrl
    region: Region | None = None
    role_arn: RoleArn | None = None
    external_id: ExternalId | None = None
    buckets: Annotated[tuple[Bucket, ...], CommaList, Field(max_length=1000)] = ()
    layout: Literal["aws", "any"] = "aws"
    prefix: Prefix = ""
    format: Format | None = None
    visibility: Annotated[timedelta, duration("30s", "12h")] = timedelta(minutes=5)

    @property
    def root(self) -> str:
        """What all keys begin with that are taken."""
        return keys_root(self.prefix, self.layout)

    @property
    def source_id(self) -> str:
        """By which it is told of."""
        return f"the queue {self.queue_url.partition('://')[2].rpartition('@')[2].rstrip('/')}"

    @property
    def endpoint(self) -> str | None:
        """Where the queue answers, if that is not AWS's usual place for its region."""
        return queue_endpoint(self.queue_url)

    @property
    def queue_region(self) -> str | None:
        """The region as given, else the one that the queue's URL names; None where neither tells."""
        return self.region or queue_region(self.queue_url)

    @field_validator("prefix")
    @classmethod
    def _fits_layout(cls, prefix: str, info: ValidationInfo) -> str:
        return aws_prefix(prefix) if info.data.get("layout") == "aws" else prefix


class FlowLog(Settings):
    """What is known of one flow log."""

    id: FlowLogId
    format: Format


class Source(Settings):
    """Where objects come from, and how those are written that do not say it themselves."""

    s3: Annotated[tuple[S3Source, ...], Field(max_length=1000)] = ()
    sqs: Annotated[tuple[SqsSource, ...], Field(max_length=100)] = ()
    flow_logs: Annotated[tuple[FlowLog, ...], Field(max_length=1000)] = ()
    describe_flow_logs: Flag = True
    poll_every: Annotated[timedelta, duration("1s", "1d")] = timedelta(seconds=60)

    @property
    def buckets(self) -> frozenset[str] | None:
        """The buckets that are read; None where a queue's messages name them."""
        if any(not each.buckets for each in self.sqs):
            return None
        return frozenset((*(each.bucket for each in self.s3), *(name for each in self.sqs for name in each.buckets)))

    @property
    def ids(self) -> tuple[str, ...]:
        """By which all sources are told of."""
        return (*(each.source_id for each in self.s3), *(each.source_id for each in self.sqs))

    def format_of(self, bucket: str, key: str) -> tuple[str, ...] | None:
        """The format of the entry with the longest beginning of this key; None where no entry tells one."""
        entries = [(each.bucket, each.root, each.format) for each in self.s3]
        entries += [(name, each.root, each.format) for each in self.sqs for name in each.buckets]
        here = [(root, names) for name, root, names in entries if names and name == bucket and key.startswith(root)]
        return max(here, key=lambda each: len(each[0]))[1] if here else None


class Aws(Settings):
    """How AWS is reached; credentials come from the environment, a profile or the instance, as boto3 finds them."""

    region: Region | None = None
    profile: Profile | None = None
    endpoint_url: Url | None = None


class AskedAccount(Settings):
    """One account whose interfaces are known."""

    id: AccountId
    name: AccountName | None = None
    role_arn: RoleArn | None = None
    external_id: ExternalId | None = None


class Organization(Settings):
    """The organization whose accounts are asked."""

    enabled: Flag = False
    role_arn: RoleArn | None = None
    external_id: ExternalId | None = None
    exclude: Annotated[tuple[AccountId, ...], CommaList, Field(max_length=10_000)] = ()


class Ec2Inventory(Settings):
    """Which interfaces are known."""

    enabled: Flag = True
    regions: Annotated[tuple[Region, ...], CommaList, Field(max_length=100)] = ()
    refresh_every: Annotated[timedelta, duration("10s", "1d")] = timedelta(minutes=5)
    tags: Annotated[tuple[TagKey, ...], CommaList, Field(max_length=50)] = ()
    accounts: Annotated[tuple[AskedAccount, ...], Field(max_length=10_000)] = ()
    role_name: RoleName | None = None
    external_id: ExternalId | None = None
    organization: Organization = Organization()
    calls_per_second: Annotated[int, whole(1, 1000)] = 20
    remember: Annotated[timedelta, duration("1h", "400d")] = timedelta(days=30)
    assume_unchanged: Annotated[timedelta, duration("0s", "7d")] = timedelta()


class Geoip(Settings):
    """Where external addresses are, and whose networks they are in."""

    databases: Annotated[tuple[File, ...], CommaList, Field(max_length=10)] = ()


class AwsRanges(Settings):
    """Which public addresses are AWS's own."""

    location: Place | None = None
    refresh_every: Annotated[timedelta, duration("1m", "30d")] = timedelta(days=1)


class ThreatFeed(Settings):
    """One list of addresses and networks that mean harm."""

    name: ShortName
    location: Place
    format: Literal["auto", "plain", "csv", "stix"] = "auto"
    column: ShortName | None = None
    provider: ShortName | None = None
    refresh_every: Annotated[timedelta, duration("1m", "30d")] = timedelta(hours=1)
    expire_after: Annotated[timedelta, duration("1h", "3650d")] | None = None
    authorization: Authorization | None = None


class Threats(Settings):
    """Lists of addresses that mean harm."""

    feeds: Annotated[tuple[ThreatFeed, ...], Field(max_length=100)] = ()


class Prices(Settings):
    """What AWS takes for a gigabyte in one region, in US dollars."""

    region: Region
    date: Day
    nat_processing: Price
    cross_zone: Price
    inter_region: Price
    internet_egress: Price
    transit_gateway: Price
    endpoint: Price


class Cost(Settings):
    """What flows are estimated to cost."""

    prices: Annotated[tuple[Prices, ...], Field(max_length=100)] = ()


class Enrich(Settings):
    """What is added to records."""

    ec2: Ec2Inventory = Ec2Inventory()
    internal_networks: Annotated[tuple[Network, ...], CommaList, Field(max_length=1000)] = ()
    client_server: Flag = True
    reporter: Flag = True
    geoip: Geoip = Geoip()
    aws_ranges: AwsRanges = AwsRanges()
    threats: Threats = Threats()
    cost: Cost = Cost()


class FilterRule(Settings):
    """What becomes of the records that fit: the first rule that a record fits decides."""

    name: ShortName
    action: Literal["keep", "drop", "sample"]
    where: Conditions
    unless: Conditions | None = None
    rate: Annotated[float, decimal(0.000001, 1)] | None = None
    dry_run: Flag | None = None


class Filter(Settings):
    """Which records go out."""

    dry_run: Flag = True
    nodata: Literal["keep", "drop"] = "keep"
    own_traffic: Literal["keep", "drop"] = "keep"
    own_addresses: Annotated[tuple[Network, ...], CommaList, Field(max_length=100)] = ()
    rules: Annotated[tuple[FilterRule, ...], Field(max_length=1000)] = ()


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the Elasticsearch client signs in with: an encoded API key, or (user, password), or neither."""

    api_key: str | None = None
    basic: tuple[str, str] | None = None

    def __repr__(self) -> str:
        return "Credentials(hidden)"


class ElasticsearchOutput(Settings):
    """The cluster and how it is written to; certificates are always verified."""

    hosts: Annotated[tuple[Host, ...], CommaList, Field(max_length=100)] = ()
    cloud_id: CloudId | None = None
    api_key: ApiKey | None = None
    api_key_file: File | None = None
    username: User | None = None
    password: Password | None = None
    password_file: File | None = None
    allow_plaintext: Flag = False
    ca_certs: File | None = None
    certificate_fingerprint: Fingerprint | None = None
    requests_in_flight: Annotated[int, whole(1, 64)] = 4
    min_requests_in_flight: Annotated[int, whole(1, 64)] = 1
    compress: Flag = False
    timeout: Annotated[timedelta, duration("1s", "10m")] = timedelta(seconds=60)
    pipeline: Pipeline | None = "_none"
    retention: Annotated[timedelta, duration("1d", "36500d")] | None = timedelta(days=90)
    index_mode: Literal["auto", "standard", "logsdb"] = "auto"
    shards: Annotated[int, whole(1, 1024)] | None = None
    replicas: Annotated[int, whole(0, 20)] | None = None

    @field_validator("min_requests_in_flight")
    @classmethod
    def _not_above(cls, least: int, info: ValidationInfo) -> int:
        if least > (most := info.data.get("requests_in_flight", least)):
            raise ValueError(f"expected no more than output.elasticsearch.requests_in_flight, which is {most}")
        return least

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Host and port of each of its addresses; a host in brackets is an IPv6 address."""
        urls = [URL.fullmatch(each) for each in self.hosts]
        named = [(match[2], int(match[3])) for match in urls if match]
        return (*named, cloud_address(self.cloud_id)) if self.cloud_id else tuple(named)

    def credentials(self) -> Credentials:
        """The secrets in plain text, files read now; ConfigError where a file has become unreadable."""
        api_key = self._plain("api_key", self.api_key, self.api_key_file)
        if api_key is not None:
            encoded = base64.b64encode(api_key.encode()).decode() if ":" in api_key else api_key
            return Credentials(api_key=encoded)
        password = self._plain("password", self.password, self.password_file)
        return Credentials(basic=(self.username, password) if self.username and password else None)

    def _plain(self, option: str, value: SecretStr | None, file: Path | None) -> str | None:
        if value is not None or file is None:
            return value.get_secret_value() if value else None
        try:
            return secret_file(file, SECRET_FILES[f"{option}_file"])
        except ValueError as error:
            raise ConfigError((Fault(f"output.elasticsearch.{option}_file", str(error)),)) from None


class FilesOutput(Settings):
    """A folder that takes NDJSON files, one an object."""

    folder: Folder


class Output(Settings):
    """Where documents go: one of elasticsearch and files."""

    namespace: Namespace = "exporter"
    elasticsearch: ElasticsearchOutput | None = None
    files: FilesOutput | None = None
    request_bytes: Annotated[int, size("64KiB", "90MiB")] = 5 * 1024 * 1024
    event_original: Flag = False
    dead_letters: Literal["auto", "file", "stream"] = "auto"


class State(Settings):
    """Where the ledger and the dead letters live."""

    folder: Folder


class Log(Settings):
    """What is logged, to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "ecs"] = "text"


class MetricsListener(Settings):
    """Where Prometheus finds the counters."""

    listen: Listen | None = None

    @property
    def address(self) -> tuple[str, int] | None:
        """Host (an IPv6 address without brackets) and port of `listen`; port 0 takes a free one."""
        if self.listen is None:
            return None
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


class Config(Settings):
    """The whole configuration."""

    source: Source
    aws: Aws = Aws()
    enrich: Enrich = Enrich()
    filter: Filter = Filter()
    output: Output
    state: State
    workers: Annotated[int, whole(1, 16)] = 2
    grace: Annotated[timedelta, duration("1s", "1h")] = timedelta(seconds=25)
    log: Log = Log()
    metrics: MetricsListener = MetricsListener()

    @property
    def streams_letters(self) -> bool:
        """Whether dead letters go to a data stream: where replicas may share a queue, none has a folder for all."""
        asked = self.output.dead_letters
        return asked == "stream" or (
            asked == "auto" and bool(self.source.sqs) and self.output.elasticsearch is not None
        )


def options(section: type[Settings] = Config, above: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every section and option with its dotted path, `[]` for an entry of a list: `source.s3[].bucket`."""
    for name, info in section.model_fields.items():
        below = _section_in(info.annotation)
        entry = "[]" if get_origin(info.annotation) is tuple else ""
        yield f"{above}{name}", info
        if below:
            yield from options(below, f"{above}{name}{entry}.")


def _section_in(annotation: object) -> type[Settings] | None:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    return next(filter(None, map(_section_in, get_args(annotation))), None)


_PATHS = tuple(path for path, _ in options())
_UNSHOWN = frozenset(
    {
        "api_key",
        "password",
        "username",
        "hosts",
        "cloud_id",
        "endpoint_url",
        "queue_url",
        "external_id",
        "location",
        "authorization",
    }
)
"""Options whose text is never repeated: it is a secret, or a careless hand could have put one there."""


_SENTENCES = {
    "missing": "missing: it has no default",
    "model_type": "expected a section: options below it, one a line",
    "tuple_type": "expected a list",
    "too_long": "expected at most {max_length} in the list",
    "literal_error": "expected {expected}",
    "value_error": "{error}",
}


def _sentence(error: ErrorDetails, written: Mapping[Loc, str]) -> str:
    """What pydantic found in plain words, with what was given where that may be shown."""
    kind, loc, context = error["type"], error["loc"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown option; {_suggestion(loc)}"
    if kind == "literal_error":
        context = {"expected": str(context["expected"]).replace("'", "")}
    sentence = _SENTENCES[kind].format(**context) if kind in _SENTENCES else error["msg"]
    given = written.get(loc) or written.get(loc[:-1], "nothing")
    if kind not in ("literal_error", "value_error") or "@" in given or _UNSHOWN.intersection(loc):
        return sentence
    note = " (what the variable holds is not shown)" if "${" in given and not is_verbatim(loc) else ""
    return f"{sentence}; given: {given}{note}"


def _suggestion(loc: Loc) -> str:
    above, name = re.sub(r"\[[0-9]+\]", "[]", dotted(loc[:-1])), str(loc[-1])
    here = [path.rpartition(".")[2] for path in _PATHS if path.rpartition(".")[0] == above]
    if close := difflib.get_close_matches(name[:60], here, 1):
        return f"did you mean {close[0]}?"
    if elsewhere := [path for path in _PATHS if path.rpartition(".")[2] == name]:
        return f"did you mean {' or '.join(elsewhere)}?"
    return f"known here: {', '.join(here)}"


def parse(text: str, name: str, environment: Mapping[str, str]) -> Config:
    """Checked settings from YAML; `name` stands for the file in faults.  ConfigError with every fault."""
    tree = read_yaml(text, name, environment)
    found: list[tuple[Loc, str]] = []
    config = None
    try:
        config = Config.model_validate(tree.values)
    except ValidationError as error:
        found += [(e["loc"], _sentence(e, tree.written)) for e in error.errors(include_input=False)]
    found += conflicts(tree.values)
    # A value that could not be put together has its fault; that what stands in for it is wrong is none.
    found = [*tree.faults, *((loc, problem) for loc, problem in found if not tree.spoiled & {loc, loc[:-1]})]
    if found or config is None:
        raise ConfigError(tuple(Fault(dotted(loc) or name, problem) for loc, problem in found))
    return config


def load(path: Path, environment: Mapping[str, str]) -> Config:
    """Checked settings from a YAML file of at most 1 MiB; ConfigError with every fault."""
    return parse(read_text(path), str(path), environment)
