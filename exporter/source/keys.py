"""What a key tells: whose flow log it is, where it was taken and when; and under which folders such keys lie.

Source of the layouts: the AWS guide's "Publish flow logs to Amazon S3", "Flow log files".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from exporter.flow import S3Object

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

_NAME = re.compile(r"(?<!\d)(?P<account>\d{12})_vpcflowlogs_(?P<region>[a-z0-9-]{1,32})_fl-[0-9a-f]+_\d{8}T\d{4}Z_")
_FLOW_LOG = re.compile(r"(?<![0-9A-Za-z])fl-[0-9a-f]{8,17}(?![0-9A-Za-z])")
_ORGANIZATION = re.compile(r"o-[a-z0-9]{10,32}/")
_STAMP = re.compile(r"(?<!\d)\d{8}T\d{4}Z(?![^_.])")


def is_flow_log(key: str) -> bool:
    """Whether `key` names a flow-log file (of a VPC or of a transit gateway), by its folders and its ending.

    Folder markers, which end in a slash, do not.
    """
    return "vpcflowlogs/" in key and key.endswith(SUFFIXES)


def is_file(key: str) -> bool:
    """Whether `key` may name a file of anybody's: no folder marker, and not what CloudWatch Logs writes as a trial."""
    return not key.endswith("/") and key.rpartition("/")[2] != "aws-logs-write-test"


def flow_log_of(key: str) -> str | None:
    """The id of the flow log (fl-…) that a file's name tells; None where it tells none."""
    found = _FLOW_LOG.search(key.rpartition("/")[2])
    return found[0] if found else None


def is_organization(folder: str) -> bool:
    """Whether a folder's name, with its slash, is an organization's id, below which accounts lie."""
    return _ORGANIZATION.fullmatch(folder) is not None


def layout_of(folder: str) -> Layout | None:
    """The layout below an account's folder by its name, with its slash; None where it is no account's folder."""
    return next((layout for layout in LAYOUTS if layout.account.fullmatch(folder)), None)


def days(first: date, last: date) -> Iterator[date]:
    """Each day from `first` to `last`, both included; none where `last` is the earlier."""
    return (first + timedelta(days=offset) for offset in range((last - first).days + 1))


def day_prefix(region_folder: str, layout: Layout, day: date) -> str:
    """The prefix of all keys of `day` (UTC) below a region's folder, in hourly folders or not."""
    return f"{region_folder}{day.strftime(layout.day)}"


def parse_key(bucket: str, key: str, etag: str, size: int, last_modified: datetime) -> S3Object:
    """The object that a listing or a notification speaks of; `etag` with or without its quotes.

    `time` is the start of the file's five minutes, from its name.  A name without one: `last_modified`, moved into the
    hour or the day of its folder where it lies outside (late, or copied later).  Account and region are those of the
    folders, else (copied files, folders of one's own) of the name that AWS gave the file, else None.
    """
    place = next((found for layout in LAYOUTS if (found := layout.place.search(key))), None)
    time = _named_time(key) or _folder_time(place, last_modified.astimezone(UTC))
    told = place or _NAME.search(key.rpartition("/")[2])
    account, region = (told["account"], told["region"]) if told else (None, None)
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
