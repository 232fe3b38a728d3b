"""The types of options: what text each takes, and in which words it refuses another.

A type reads text, or takes a value that it has read before, so that settings can be made in Python too.  It refuses by
a ValueError that says what was expected and never repeats what was given: that may be a secret.
"""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, SecretStr

from exporter.fields import MOST_NAMES, columns_of, field_named, names_of_format

SECRET_LIMIT = 64 * 1024
"""Bytes a file with a secret may have."""

T = TypeVar("T")


def _bounded(kind: type[T], read: Callable[[str], T | None], bounds: tuple[T, T], expected: str) -> BeforeValidator:
    """Text read by `read` (None: not understood), within bounds that may be reached."""
    least, most = bounds

    def check(value: object) -> T:
        given = read(value) if isinstance(value, str) else value
        if not isinstance(given, kind) or isinstance(given, bool) or not least <= given <= most:  # type: ignore[operator]
            raise ValueError(f"expected {expected}")
        return given

    return BeforeValidator(check)


def _read_whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def whole(least: int, most: int) -> BeforeValidator:
    """A whole number within bounds that may be reached."""
    return _bounded(int, _read_whole, (least, most), f"a whole number from {least} to {most}")


_UNITS = {"": 1, "B": 1, "kB": 10**3, "KiB": 2**10, "MB": 10**6, "MiB": 2**20, "GB": 10**9, "GiB": 2**30}


def _read_size(text: str) -> int | None:
    match = re.fullmatch(r"([0-9]{1,15}) ?([A-Za-z]*)", text)
    return int(match[1]) * _UNITS[match[2]] if match and match[2] in _UNITS else None


def size(least: str, most: str) -> BeforeValidator:
    """Bytes, within bounds that may be reached; the bounds are written as the option is."""
    bounds = (_read_size(least) or 0, _read_size(most) or 0)
    return _bounded(int, _read_size, bounds, f"a size from {least} to {most}, such as 500kB, 5MiB or 5242880 (bytes)")


_DURATION = re.compile(
    r"(?P<plain>[0-9]{1,9})|(?=.)(?:(?P<days>[0-9]{1,6})d)?(?:(?P<hours>[0-9]{1,6})h)?"
    r"(?:(?P<minutes>[0-9]{1,9})m)?(?:(?P<seconds>[0-9]{1,9})s)?"
)


def _read_duration(text: str) -> timedelta | None:
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    parts = {unit: int(number) for unit, number in match.groupdict().items() if number}
    return timedelta(seconds=parts.pop("plain", 0)) + timedelta(**parts)


def duration(least: str, most: str) -> BeforeValidator:
    """A timedelta within bounds that may be reached; the bounds are written as the option is."""
    bounds = (_read_duration(least) or timedelta(), _read_duration(most) or timedelta())
    expected = f"a duration from {least} to {most}, such as 60s, 5m, 1h30m, 2d or 60 (seconds)"
    return _bounded(timedelta, _read_duration, bounds, expected)


def _read_start(value: object) -> object:
    """`now`, or a time made aware and UTC; a time without a zone is UTC, a date is its midnight."""
    expected = ValueError("expected now, or a time from 2015 to 2099 such as 2026-03-01 or 2026-03-01T06:00:00Z")
    if value == "now":
        return value
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise expected from None
    if not isinstance(time, datetime) or not 2015 <= time.year <= 2099:  # noqa: PLR2004 # as the text says
        raise expected
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


FLAGS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
"""Words for true and false, in lower case."""


def _read_flag(value: object) -> bool:
    flag = value if isinstance(value, bool) else FLAGS.get(value.lower()) if isinstance(value, str) else None
    if flag is None:
        raise ValueError("expected true or false")
    return flag


def _read_list(value: object) -> object:
    """Text with commas is a list too, so that one variable can hold several values."""
    if not isinstance(value, str):
        return value
    parts = [part.strip() for part in value.split(",")]
    if not all(parts):
        raise ValueError("expected a list, or text with commas between its parts")
    return parts


def _matching(pattern: str, expected: str) -> BeforeValidator:
    """Text that `pattern` describes as a whole."""
    compiled = re.compile(pattern)

    def check(value: object) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise ValueError(f"expected {expected}")
        return value

    return BeforeValidator(check)


def _read_format(value: object) -> tuple[str, ...]:
    """The names of a record's fields in their order, of text as the AWS CLI takes it or of a list."""
    expected = "the names of a record's fields in their order, such as ${version} ${account-id} or version account-id"
    text = value if isinstance(value, str) else "\n".join(map(str, value)) if isinstance(value, list | tuple) else ""
    names = names_of_format(text)
    if not names or not all(re.fullmatch(r"[\w.:/-]{1,128}", name) for name in names):
        raise ValueError(f"expected {expected}")
    if len(names) > MOST_NAMES:
        raise ValueError(f"expected at most {MOST_NAMES} names")
    if not any(map(field_named, names)):
        raise ValueError(f"expected {expected}; not one of these is a field's name")
    columns = columns_of(names)
    for index, column in enumerate(columns):
        if (before := columns.index(column)) != index:
            raise ValueError(f"expected each field once; names {before + 1} and {index + 1} are the same field")
    return names


def _read_namespace(value: object) -> str:
    """Elasticsearch's rule for the last part of a data stream's name."""
    good = isinstance(value, str) and value == value.lower() and re.fullmatch(r'[^-\\/*?"<>|,#:\s\x00-\x1f]+', value)
    if not isinstance(value, str) or not good or len(value.encode()) > 100:  # noqa: PLR2004 # as the text says
        raise ValueError('expected at most 100 bytes of lower-case text without blanks and - \\ / * ? " < > | , # :')
    return value


def _read_path(value: object) -> object:
    if isinstance(value, str | Path) and str(value).isprintable() and str(value).strip():
        return Path(value)
    raise ValueError("expected a path")


URL = re.compile(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?((?:/[^\s?#@]*)?)")
"""A URL in four groups: scheme, host, port, path; no user, no query."""


def _read_url(value: object) -> str:
    if isinstance(value, str) and "@" in value:
        raise ValueError("expected a URL without credentials: they have options of their own")
    match = URL.fullmatch(value) if isinstance(value, str) else None
    if match is None or not 0 < int(match[3] or "1") < 2**16:
        raise ValueError("expected a URL such as https://es.example.com:9200: http or https, a host, no query")
    return match[0]


def _read_host(value: object) -> str:
    """A URL with its port written out, which the Elasticsearch client wants, and without a slash at its end."""
    match = URL.fullmatch(_read_url(value))
    scheme, host, port, path = match.groups() if match else ()
    return f"{scheme}://{host}:{port or {'http': 80, 'https': 443}[scheme]}{path.rstrip('/')}"


_QUEUE_PATH = re.compile(r"/(?:[A-Za-z0-9_.-]+/)*[A-Za-z0-9_-]{1,80}(?:\.fifo)?")


def _read_queue_url(value: object) -> str:
    match = URL.fullmatch(_read_url(value))
    if match is None or not _QUEUE_PATH.fullmatch(match[4]):
        raise ValueError("expected a queue's URL such as https://sqs.eu-central-1.amazonaws.com/123456789012/flow-logs")
    return match[0]


def queue_region(url: str) -> str | None:
    """The region in the host's name where AWS serves a queue, a VPC endpoint's included; None in another's."""
    match = URL.fullmatch(url)
    host = _QUEUE_HOST.fullmatch(match[2]) if match else None
    return host[1] if host else None


def queue_endpoint(url: str) -> str | None:
    """Scheme, host and port of a queue that is not at AWS's usual host of its region, where every client goes."""
    if re.match(rf"https://sqs\.{_REGION}\.amazonaws\.com(\.cn)?/", url):
        return None
    return "/".join(url.split("/")[:3])


def _read_cloud_id(value: object) -> object:
    """What Elastic Cloud shows: a name, a colon, then `host$elasticsearch$kibana` in base64."""
    try:
        parts = base64.b64decode(str(value).partition(":")[2], validate=True).decode("ascii").split("$")
    except ValueError:
        parts = []
    if len(parts) < 2 or not all(parts[:2]):  # noqa: PLR2004 # the host and the Elasticsearch behind it
        raise ValueError("expected a cloud id as Elastic Cloud shows it: NAME:TEXT-IN-BASE64")
    return value


def cloud_address(cloud_id: str) -> tuple[str, int]:
    """Host and port of the Elasticsearch that a cloud id names."""
    host, elasticsearch, *_ = base64.b64decode(cloud_id.partition(":")[2]).decode("ascii").split("$")
    name, _, port = host.partition(":")
    return f"{elasticsearch}.{name}", int(port) if port.isdecimal() else 443


def _read_fingerprint(value: object) -> str:
    digits = value.replace(":", "").lower() if isinstance(value, str) else ""
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise ValueError("expected the certificate's SHA-256: 64 hexadecimal digits, with or without colons")
    return digits


def _read_listen(value: object) -> str:
    match = (
        re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})", value) if isinstance(value, str) else None
    )
    if match is None or int(match[2]) >= 2**16:
        raise ValueError("expected HOST:PORT such as 127.0.0.1:9417 or [::]:9417")
    return match[0]


def _checked_api_key(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9+/=_-]+(:[A-Za-z0-9+/=_-]+)?", text):
        raise ValueError("expected an API key as Elasticsearch gives it: the encoded one, or id:api_key")
    return text


def _checked_password(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError("expected a password: one line of text, not empty")
    return text


def _checked_header(text: str) -> str:
    if not text or not text.isascii() or not text.isprintable():
        raise ValueError("expected what the Authorization header says, such as Bearer TOKEN: one line of ASCII text")
    return text


def _secret(check: Callable[[str], str]) -> BeforeValidator:
    def read(value: object) -> SecretStr:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        return SecretStr(check(text if isinstance(text, str) else ""))

    return BeforeValidator(read)


def secret_file(path: Path, check: Callable[[str], str]) -> str:
    """The secret in a file, without the line end; ValueError says what is wrong, never what is in it."""
    try:
        with path.open("rb") as file:
            data = file.read(SECRET_LIMIT + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    if len(data) > SECRET_LIMIT:
        raise ValueError(f"expected a file of at most {SECRET_LIMIT:,} bytes")
    try:
        text = data.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("expected UTF-8 text in the file") from None
    return check(text)


@dataclass(frozen=True, slots=True)
class Location:
    """Where something lies that is read from time to time: a file's path, an object in S3, or an address (a URL)."""

    text: str

    @property
    def s3(self) -> tuple[str, str] | None:
        """Bucket and key of an object in S3; None for anything else."""
        bucket, _, key = self.text.removeprefix("s3://").partition("/")
        return (bucket, key) if self.text.startswith("s3://") else None

    @property
    def url(self) -> str | None:
        """The address to ask; None for anything else."""
        return self.text if self.text.startswith(("https://", "http://")) else None

    @property
    def path(self) -> Path | None:
        """The file; None for anything else."""
        return Path(self.text) if self.url is None and self.s3 is None else None

    def __str__(self) -> str:
        """Without a query, which may hold a key."""
        return self.text.partition("?")[0] if self.url else self.text


_LOCATION_IS = "a file's path, s3://BUCKET/KEY, or an address such as https://lists.example.com/addresses.txt"
_LOOPBACK = re.compile(r"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])")
_ADDRESS = re.compile(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?(?:/[^\s#@]*)?")


def _read_location(value: object) -> Location:
    if isinstance(value, Location):
        return value
    text = str(value) if isinstance(value, str | Path) else ""
    if not text.strip() or not text.isprintable():
        raise ValueError(f"expected {_LOCATION_IS}")
    if text.startswith("s3://"):
        if not re.fullmatch(rf"s3://{_BUCKET}/[^\x00-\x1f\x7f]{{1,1024}}", text):
            raise ValueError("expected s3://BUCKET/KEY")
    elif "://" in text:
        match = _ADDRESS.fullmatch(text)
        if match is None:
            raise ValueError(f"expected {_LOCATION_IS}; an address has no user in it")
        if match[1] == "http" and not _LOOPBACK.fullmatch(match[2]):
            raise ValueError("expected https: over http anybody on the way could change what is read")
    return Location(text)


def _read_network(value: object) -> str:
    try:
        return str(ip_network(str(value).strip()))
    except ValueError:
        raise ValueError(
            "expected a network such as 10.0.0.0/8 or fd00::/8, with no bits set behind its length, or an address"
        ) from None


def _read_day(value: object) -> date:
    try:
        return value if isinstance(value, date) else date.fromisoformat(str(value))
    except ValueError:
        raise ValueError("expected a day such as 2026-03-01") from None


def _read_decimal(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,12})?", text) else None


def decimal(least: float, most: float) -> BeforeValidator:
    """A number within bounds that may be reached; an int is one too."""

    def read(value: object) -> float:
        number = _read_decimal(value) if isinstance(value, str) else value
        if isinstance(number, bool) or not isinstance(number, float | int) or not least <= number <= most:
            bounds = " to ".join(f"{bound:.6f}".rstrip("0").rstrip(".") for bound in (least, most))
            raise ValueError(f"expected a number from {bounds} such as 0.05")
        return float(number)

    return BeforeValidator(read)


def _read_conditions(value: object) -> dict[str, tuple[str, ...]]:
    """A field of documents to the texts of which one must fit; one text is a list of one."""
    expected = ValueError("expected fields of documents, each with a value or a list of values")
    if not isinstance(value, dict) or not value:
        raise expected
    conditions = {}
    for name, given in value.items():
        values = tuple(given) if isinstance(given, list | tuple) else (given,)
        if not isinstance(name, str) or not values or not all(isinstance(each, str | int | float) for each in values):
            raise expected
        conditions[name] = tuple(str(each).lower() if isinstance(each, bool) else str(each) for each in values)
    return conditions


_BUCKET = r"(?!.*\.\.)(?![0-9.]+$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_BUCKET_IS = "a bucket's name: 3 to 63 lower-case letters, digits, dots and hyphens, without s3:// and without a path"
_PREFIX_IS = "the beginning of keys: at most 900 characters, none of them a control character"
_REGION = r"[a-z]{2,5}(?:-[a-z]+)+-[0-9]{1,2}"
_QUEUE_HOST = re.compile(
    rf"(?:[a-z0-9-]+\.)?sqs(?:-fips)?\.({_REGION})\.(?:vpce\.)?(?:amazonaws\.com(?:\.cn)?|api\.aws)"
)
_ROLE_IS = "a role's ARN such as arn:aws:iam::123456789012:role/flow-log-reader"
_ROLE_NAME_IS = "a role's name, with its path where it has one, such as flow-log-reader or readers/flow-log-reader"
_EXTERNAL_IS = "an external id as IAM takes it: 2 to 1224 letters, digits and + = , . @ : / _ -"
_REGION_IS = "a region's name such as eu-central-1"
_TAG_IS = "a tag's key: 1 to 128 letters, digits, blanks and . : / = + - @ _"


def aws_prefix(prefix: str) -> str:
    """A prefix as it stands before AWSLogs/; ValueError where it cannot stand there."""
    if prefix.startswith("/") or re.search(r"(^|/)AWSLogs(/|$)", prefix):
        raise ValueError(
            "expected only what stands before AWSLogs/ in the keys, no slash in front "
            "(layout any or ordered takes a prefix as it stands)"
        )
    return prefix


def keys_root(prefix: str, layout: str) -> str:
    """What all keys of a source begin with: AWS's layout has AWSLogs/ below the prefix, another one just the prefix."""
    if layout != "aws":
        return prefix
    return f"{prefix.rstrip('/')}/AWSLogs/" if prefix else "AWSLogs/"


Place = Annotated[Location, BeforeValidator(_read_location)]
Network = Annotated[str, BeforeValidator(_read_network)]
Price = Annotated[float, decimal(0, 1000)]
Day = Annotated[date, BeforeValidator(_read_day)]
Conditions = Annotated[dict[str, tuple[str, ...]], BeforeValidator(_read_conditions)]
ShortName = Annotated[
    str, _matching(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}", "a name: 1 to 64 letters, digits, blanks and . _ -")
]
Flag = Annotated[bool, BeforeValidator(_read_flag)]
Bucket = Annotated[str, _matching(_BUCKET, _BUCKET_IS)]
Prefix = Annotated[str, _matching(r"[^\x00-\x1f\x7f]{0,900}", _PREFIX_IS)]
Region = Annotated[str, _matching(_REGION, _REGION_IS)]
RoleArn = Annotated[str, _matching(r"arn:aws(-[a-z]+)*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]{1,576}", _ROLE_IS)]
RoleName = Annotated[str, _matching(r"[A-Za-z0-9_+=,.@-][A-Za-z0-9_+=,.@/-]{0,575}", _ROLE_NAME_IS)]
AccountId = Annotated[str, _matching(r"[0-9]{12}", "an account's id: 12 digits")]
AccountName = Annotated[str, _matching(r"[^\x00-\x1f\x7f]{1,128}", "an account's name: 1 to 128 characters")]
ExternalId = Annotated[str, _matching(r"[A-Za-z0-9_+=,.@:/-]{2,1224}", _EXTERNAL_IS)]
TagKey = Annotated[str, _matching(r"[\w .:/=+@-]{1,128}", _TAG_IS)]
Profile = Annotated[str, _matching(r"[^\x00-\x1f\x7f]{1,128}", "a profile's name: 1 to 128 characters")]
User = Annotated[str, _matching(r"[^:\x00-\x1f\x7f]{1,1024}", "a user's name: 1 to 1024 characters, no colon")]
Pipeline = Annotated[str, _matching(r"[^\s]{1,255}", "a pipeline's name: 1 to 255 characters, no blanks")]
FlowLogId = Annotated[str, _matching(r"fl-[0-9a-f]{8,17}", "a flow log's id such as fl-0a1b2c3d4e5f60718")]
Format = Annotated[tuple[str, ...], BeforeValidator(_read_format)]
Start = Annotated[datetime | Literal["now"], BeforeValidator(_read_start)]
Folder = Annotated[Path, BeforeValidator(_read_path)]
File = Annotated[Path, BeforeValidator(_read_path)]
Url = Annotated[str, BeforeValidator(_read_url)]
QueueUrl = Annotated[str, BeforeValidator(_read_queue_url)]
Host = Annotated[str, BeforeValidator(_read_host)]
CommaList = BeforeValidator(_read_list)
Namespace = Annotated[str, BeforeValidator(_read_namespace)]
CloudId = Annotated[str, BeforeValidator(_read_cloud_id)]
Fingerprint = Annotated[str, BeforeValidator(_read_fingerprint)]
Listen = Annotated[str, BeforeValidator(_read_listen)]
ApiKey = Annotated[SecretStr, _secret(_checked_api_key)]
Password = Annotated[SecretStr, _secret(_checked_password)]
Authorization = Annotated[SecretStr, _secret(_checked_header)]

SECRET_FILES = {"api_key_file": _checked_api_key, "password_file": _checked_password}
"""Options that name a file with a secret, and what checks it."""
