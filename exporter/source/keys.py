"""What a key tells: whose flow log it is, where it was taken and when; and under which folders such keys lie.

Source of the layouts: the AWS guide's "Publish flow logs to Amazon S3", "Flow log files".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from exporter.flow import S3Object

ROOT = "AWSLogs/"
"""The folder, below the prefix that a flow log was given, under which all deliveries lie."""

SUFFIXES = (".gz", ".log", ".parquet")
"""How the keys of flow-log files end; AWS's own end in .log.gz and .log.parquet."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One way of laying out folders: account, `service`, region, `day` (as for strftime), and an hour or none.

    `account` matches the whole name of an account's folder; `place` finds account, region and day in a key.
    """

    name: str
    account: re.Pattern[str]
    service: str
    day: str
    place: re.Pattern[str]


PLAIN = Layout(
    "plain",
    re.compile(r"\d{12}/"),
    "vpcflowlogs/",
    "%Y/%m/%d/",
    re.compile(
        r"(?:^|/)(?P<account>\d{12})/vpcflowlogs/(?P<region>[^/]+)/"
        r"(?P<year>\d{4})/(?P<month>\d\d)/(?P<day>\d\d)/(?:(?P<hour>\d\d)/)?"
    ),
)
HIVE = Layout(
    "hive",
    re.compile(r"aws-account-id=\d{12}/"),
    "aws-service=vpcflowlogs/",
    "year=%Y/month=%m/day=%d/",
    re.compile(
        r"(?:^|/)aws-account-id=(?P<account>\d{12})/aws-service=vpcflowlogs/aws-region=(?P<region>[^/]+)/"
        r"year=(?P<year>\d{4})/month=(?P<month>\d\d)/day=(?P<day>\d\d)/(?:hour=(?P<hour>\d\d)/)?"
    ),
)
LAYOUTS = (PLAIN, HIVE)

_ORGANIZATION = re.compile(r"o-[a-z0-9]{10,32}/")
_STAMP = re.compile(r"(?<!\d)\d{8}T\d{4}Z(?![^_.])")


def is_flow_log(key: str) -> bool:
    """Whether `key` names a flow-log file (of a VPC or of a transit gateway), by its folders and its ending.

    Folder markers, which end in a slash, do not.
    """
    return "vpcflowlogs/" in key and key.endswith(SUFFIXES)


def is_organization(folder: str) -> bool:
    """Whether a folder's name, with its slash, is an organization's id, below which accounts lie."""
    return _ORGANIZATION.fullmatch(folder) is not None


def layout_of(folder: str) -> Layout | None:
    """The layout below an account's folder by its name, with its slash; None where it is no account's folder."""
    return next((layout for layout in LAYOUTS if layout.account.fullmatch(folder)), None)


def root_prefix(prefix: str) -> str:
    """The folder that holds the accounts' folders, for the prefix of a source's settings."""
    return f"{prefix.rstrip('/')}/{ROOT}" if prefix else ROOT


def days(first: date, last: date) -> Iterator[date]:
    """Each day from `first` to `last`, both included; none where `last` is the earlier."""
    return (first + timedelta(days=offset) for offset in range((last - first).days + 1))


def day_prefix(region_folder: str, layout: Layout, day: date) -> str:
    """The prefix of all keys of `day` (UTC) below a region's folder, in hourly folders or not."""
    return f"{region_folder}{day.strftime(layout.day)}"


def parse_key(bucket: str, key: str, etag: str, size: int, last_modified: datetime) -> S3Object:
    """The object that a listing or a notification speaks of; `etag` with or without its quotes.

    `time` is the start of the file's five minutes, from its name.  A name without one: `last_modified`, moved into the
    hour or the day of its folder where it lies outside (late, or copied later).  Account and region are None in a
    layout that is not known.
    """
    place = next((found for layout in LAYOUTS if (found := layout.place.search(key))), None)
    time = _named_time(key) or _folder_time(place, last_modified.astimezone(UTC))
    account, region = (place["account"], place["region"]) if place else (None, None)
    return S3Object(bucket, key, etag.strip('"'), size, time, account, region)


def _named_time(key: str) -> datetime | None:
    """The time in a file's name; None where there is none, or none that exists."""
    found = _STAMP.search(key.rpartition("/")[2])
    try:
        return datetime.fromisoformat(found[0]) if found else None
    except ValueError:
        return None


def _folder_time(place: re.Match[str] | None, last_modified: datetime) -> datetime:
    """`last_modified`, moved into the hour or day of the folder."""
    if place is None:
        return last_modified
    try:
        year, month, day, hour = (int(place[part] or 0) for part in ("year", "month", "day", "hour"))
        start = datetime(year, month, day, hour, tzinfo=UTC)
    except ValueError:
        return last_modified
    length = timedelta(hours=1) if place["hour"] else timedelta(days=1)
    return min(max(last_modified, start), start + length - timedelta(seconds=1))
