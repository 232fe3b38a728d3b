"""A message's body to what it says: notifications of S3, straight, through SNS, and from EventBridge.

Sources: the S3 guide's "Event message structure" (the key is URL-encoded, a blank is `+`) and "EventBridge mapping"
(the key is as it is); the SNS guide's "Amazon SNS message and JSON formats" (the envelope; raw delivery has none).

A body is what anybody wrote who may send to the queue: it is bounded before it is read, and no text of it raises.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

from exporter.notices import Notice, Notified
from exporter.source.keys import is_file, is_flow_log

LONGEST_BODY = 1 << 20
"""Characters; SQS itself takes 1 MiB (256 KiB before August 2025)."""

MOST_EVENTS = 1000
"""In one message; S3 sends one, and promises no bound."""

ENVELOPES = 2
"""SNS's around one another; each makes a text of what it holds, so nothing deeper is any use."""

_SHAPE_LENGTH, _SHAPE_DEPTH, _SHAPE_KEYS, _NAME_LENGTH = 300, 4, 8, 40
_LONGEST_KEY = 1024  # bytes of UTF-8: the S3 guide's "Naming objects"
_LARGEST_OBJECT = 50 << 40  # bytes: S3's bound since December 2025
_YEARS = range(2006, 2200)
_BUCKET = re.compile(r"[A-Za-z0-9._-]{3,255}")  # no ARN, which would choose a host; long and capital: before 2018
_ETAG = re.compile(r"[0-9A-Fa-f]{32}(-[0-9]{1,5})?")
_REGION = re.compile(r"[a-z]{2,5}(-[a-z]{1,20}){1,3}-[0-9]{1,2}")
_NAME = re.compile(r"[\w.:-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which objects are ours: of these buckets (none: of any), below `root`, and only AWS's names where `flow_logs`."""

    buckets: frozenset[str] = frozenset()
    root: str = ""
    flow_logs: bool = True


class _ForeignError(Exception):
    """It is none of ours; the text says why."""


def read_body(body: str, wanted: Wanted) -> Notice:
    """What a body says; never raises.

    Each event decides for itself: what is ours is in `objects` even where another event of the message is foreign.
    """
    try:
        said = _opened(body)
    except _ForeignError as error:
        return Notice(foreign=f"{error}; text of {len(body):,} characters")
    try:
        if said.get("Event") == "s3:TestEvent" and "Records" not in said:
            return Notice(is_test=True)
        events, read = _events(said)
    except _ForeignError as error:
        return Notice(foreign=f"{error}; its shape: {shape(said)}")
    return _each(events, read, wanted, said)


def _each(events: list[Any], read: Callable[[Any], Notified | None], wanted: Wanted, said: dict[str, Any]) -> Notice:
    """What the events say together; of several foreign ones the first reason is told."""
    objects, foreign, passed_over = dict[Notified, None](), list[str](), 0
    for event in events:
        try:
            notified = read(event)
            if notified is None or not _is_wanted(notified, wanted):
                passed_over += 1
            else:
                objects[notified] = None
        except _ForeignError as error:
            foreign.append(str(error))
    of = f" ({len(foreign)} of {len(events)} events)" if len(events) > 1 else ""
    why = f"{foreign[0]}{of}; its shape: {shape(said)}" if foreign else None
    return Notice(tuple(objects), passed_over, foreign=why)


def _opened(body: str) -> dict[str, Any]:
    """The notification itself, out of SNS's envelopes."""
    said = _parsed(body)
    for _ in range(ENVELOPES):
        if said.get("Type") != "Notification" or not isinstance(said.get("Message"), str):
            break
        said = _parsed(said["Message"])
    return said


def _parsed(text: str) -> dict[str, Any]:
    if len(text) > LONGEST_BODY:
        raise _ForeignError(f"it is longer than {LONGEST_BODY:,} characters")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise _ForeignError("expected a notification of S3 in JSON; it is no JSON, or nested too deep") from None
    if not isinstance(value, dict):
        raise _ForeignError("expected a notification of S3, a JSON object")
    return value


def _events(said: dict[str, Any]) -> tuple[list[Any], Callable[[Any], Notified | None]]:
    """The events of a notification, and what reads each."""
    records = said.get("Records")
    if isinstance(records, list) and records:
        if len(records) > MOST_EVENTS:
            raise _ForeignError(f"it has more than {MOST_EVENTS:,} events")
        return records, _of_s3
    if said.get("source") == "aws.s3":
        return [said], _of_eventbridge
    if said.get("Type") in ("SubscriptionConfirmation", "UnsubscribeConfirmation"):
        raise _ForeignError("it asks to confirm a subscription of SNS, which the queue's owner has to do")
    raise _ForeignError("it is no notification of S3: expected Records, or EventBridge's source aws.s3")


def _of_s3(record: Any) -> Notified | None:  # noqa: ANN401 - anything that JSON can hold
    """S3's own record; None where it is not that an object was stored."""
    if _at(record, "eventSource") != "aws:s3":
        raise _ForeignError("expected eventSource aws:s3")
    version = _at(record, "eventVersion")
    if version is not None and (not isinstance(version, str) or not version.startswith("2.")):
        raise _ForeignError("expected eventVersion 2.x: another one may mean something else by the same names")
    name = _at(record, "eventName")
    if not isinstance(name, str):
        raise _ForeignError("expected an eventName")
    if not name.removeprefix("s3:").startswith("ObjectCreated:"):
        return None
    key = _at(record, "s3", "object", "key")
    try:
        key = unquote_plus(key, errors="strict") if isinstance(key, str) else key
    except UnicodeDecodeError:
        raise _ForeignError("the key, once URL-decoded, is no UTF-8") from None
    told = _at(record, "s3", "object", "eTag"), _at(record, "s3", "object", "size")
    time, region = _at(record, "eventTime"), _at(record, "awsRegion")
    return _notified(_at(record, "s3", "bucket", "name"), key, *told, time=time, region=region)


def _of_eventbridge(event: Any) -> Notified | None:  # noqa: ANN401 - as above
    """EventBridge's event; None where it is not that an object was stored."""
    kind = _at(event, "detail-type")
    if not isinstance(kind, str):
        raise _ForeignError("expected a detail-type")
    if kind != "Object Created":
        return None
    detail = _at(event, "detail")
    told = _at(detail, "object", "etag"), _at(detail, "object", "size")
    time, region = _at(event, "time"), _at(event, "region")
    return _notified(_at(detail, "bucket", "name"), _at(detail, "object", "key"), *told, time=time, region=region)


def _at(value: Any, *path: str) -> Any:  # noqa: ANN401 - as above
    """What lies at the path; None where nothing does."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _notified(bucket: Any, key: Any, etag: Any, size: Any, *, time: Any, region: Any) -> Notified:  # noqa: ANN401, PLR0913 - as above
    """An object by what was written of it: where it lies has to be right, the rest may be asked for."""
    if not isinstance(bucket, str) or not _BUCKET.fullmatch(bucket):
        raise _ForeignError("expected the name of a bucket")
    if not isinstance(key, str) or not 0 < _bytes(key) <= _LONGEST_KEY:
        raise _ForeignError(f"expected a key of 1 to {_LONGEST_KEY:,} bytes of UTF-8")
    etag = etag.strip('"') if isinstance(etag, str) else ""
    return Notified(
        bucket,
        key,
        etag=etag if _ETAG.fullmatch(etag) else None,
        size=size if type(size) is int and 0 <= size <= _LARGEST_OBJECT else None,
        time=_time(time),
        region=region if isinstance(region, str) and _REGION.fullmatch(region) else None,
    )


def _bytes(text: str) -> int:
    """Its length in UTF-8; 0 for half a surrogate pair, which JSON can hold and UTF-8 cannot."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return 0


def _time(text: object) -> datetime | None:
    """A time with its zone, in UTC; None where it is none, or one that no notification has."""
    try:
        time = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return time.astimezone(UTC) if time and time.tzinfo and time.year in _YEARS else None


def _is_wanted(notified: Notified, wanted: Wanted) -> bool:
    """Whether it is to be done; no where nobody would: a folder's marker.  Foreign where the filters leave it out."""
    if wanted.buckets and notified.bucket not in wanted.buckets:
        raise _ForeignError("the bucket is none of the queue's `buckets`")
    if not notified.key.startswith(wanted.root):
        raise _ForeignError(f"the key does not begin with {wanted.root}")
    if not is_file(notified.key):
        return False
    if wanted.flow_logs and not is_flow_log(notified.key):
        raise _ForeignError("the key is not of a flow log in AWS's layout (with `layout: any` any file is taken)")
    return True


def shape(value: object) -> str:
    """The names and types of a JSON value, without its values: `{Records: [{eventSource: string, …}]}`, cut."""
    text = _shape(value, _SHAPE_DEPTH)
    return text if len(text) <= _SHAPE_LENGTH else f"{text[:_SHAPE_LENGTH]}…"


def _shape(value: object, depth: int) -> str:
    match value:
        case dict():
            return f"{{{', '.join(_members(value, depth))}}}"
        case list():
            inside = [_shape(each, depth - 1) for each in value[:1] if depth] + ["…"] * (len(value) > 1 or not depth)
            return f"[{', '.join(inside)}]"
        case str():
            return "string"
        case bool():
            return "boolean"
        case None:
            return "null"
    return "number"


def _members(value: dict[str, Any], depth: int) -> Iterator[str]:
    """A name that is none of a notification's own kind stands in quotes, escaped."""
    for name in list(value)[: _SHAPE_KEYS if depth else 0]:
        shown = name[:_NAME_LENGTH] + "…" * (len(name) > _NAME_LENGTH)
        yield f"{name if _NAME.fullmatch(shown) else json.dumps(shown)}: {_shape(value[name], depth - 1)}"
    if len(value) > _SHAPE_KEYS or not depth:
        yield "…"
