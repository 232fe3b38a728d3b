"""What lies at a place - a file, an object in S3, an address - to a file of our own: unpacked, and not too large."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NotConnected
from urllib3.exceptions import HTTPError

from exporter.errors import FeedError, Stopped
from exporter.lists import web
from exporter.lists.bounded import Bounded
from exporter.lists.unpacking import unpacked
from exporter.lists.web import CHUNK, Limits, Opened, Passing

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LIMITS = Limits()

PART = ".part"
"""How the names of files end that are not whole yet."""

_HEAD = 64 * 1024
_MARKUP = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<!--")
_BEFORE = b"\xef\xbb\xbf \t\r\n\f\v"
_UNCHANGED, _SERVER_FAULT, _TOO_MANY = 304, 500, 429
_ADVICE = {
    **dict.fromkeys(
        ("AccessDenied", "403"), "; allow s3:GetObject on it and, if it is encrypted with a KMS key, kms:Decrypt"
    ),
    **dict.fromkeys(("NoSuchKey", "NoSuchBucket", "404"), "; check the bucket and the key"),
}


class Place(Protocol):
    """Where something lies, as config.Location: one of `path`, `s3` (bucket and key) and `url` is there.

    Its str() has no secret; `text` may.
    """

    @property
    def text(self) -> str:
        """As configured."""
        ...  # pragma: no cover

    @property
    def path(self) -> Path | None:
        """A file."""
        ...  # pragma: no cover

    @property
    def s3(self) -> tuple[str, str] | None:
        """Bucket and key."""
        ...  # pragma: no cover

    @property
    def url(self) -> str | None:
        """An address."""
        ...  # pragma: no cover


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file of our own, the hash of what is in it, and by what to ask whether the original changed."""

    path: Path
    sha256: str
    mark: Mapping[str, str]


class Fetcher:
    """Fetches from one place; one thread at a time.

    `s3` gives a bucket's client; `authorization` is a header's value; `limit` is in bytes, unpacked or not.
    """

    def __init__(  # noqa: PLR0913 - clients and limits are passed in
        self,
        place: Place,
        *,
        s3: Callable[[str], S3Client] | None,
        authorization: str | None,
        limit: int,
        stop: Event,
        limits: Limits = LIMITS,
    ) -> None:
        self._place = place
        self._s3 = s3
        self._authorization = authorization
        self._limit = limit
        self._limits = limits
        self._bounded = Bounded[Fetched | None](stop)

    def fetch(self, folder: Path, mark: Mapping[str, str]) -> Fetched | None:
        """A new file in `folder`, which is the caller's from then on; None where nothing changed since `mark`.

        FeedError says what is wrong, without the place: it cannot be had (Passing: now), it is too large, empty or a
        web page.  Stopped where the program stops meanwhile.
        """
        return self._bounded.run(lambda over: self._fetch(folder, mark, over), self._limits.total)

    def _fetch(self, folder: Path, mark: Mapping[str, str], over: Event) -> Fetched | None:
        with self._opened(mark) as found:
            return None if found is None else self._stored(found, folder, over)

    @contextmanager
    def _opened(self, mark: Mapping[str, str]) -> Iterator[Opened | None]:
        place = self._place
        if place.url is not None:
            with web.opened(place.url, mark, self._authorization, self._limits) as found:
                yield found
        elif place.s3 is not None:
            with _of_s3(self._s3, *place.s3, mark) as found:
                yield found
        else:
            with _of_file(place.path or Path(place.text), mark) as found:
                yield found

    def _stored(self, found: Opened, folder: Path, over: Event) -> Fetched:
        """The bytes in a file that is gone again where they are not what they should be."""
        hashed = sha256()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(PART, dir=folder)
        except OSError as error:
            raise _unkept(folder, error) from error
        path = Path(name)
        try:
            with _writing(folder, handle) as write:
                for chunk in unpacked(_while_wanted(found.chunks, over), self._limit):
                    write(chunk)
                    hashed.update(chunk)
            _check(path)
        except BaseException:
            with suppress(OSError):
                path.unlink()
            raise
        return Fetched(path, hashed.hexdigest(), found.mark)


def _while_wanted(chunks: Iterator[bytes], over: Event) -> Iterator[bytes]:
    for chunk in chunks:
        if over.is_set():
            raise Stopped("nobody waits for it any more")
        yield chunk


@contextmanager
def _writing(folder: Path, handle: int) -> Iterator[Callable[[bytes], object]]:
    """Writes to a file; what the disk meets is told apart from what the source meets."""

    def write(chunk: bytes) -> None:
        left = memoryview(chunk)
        try:
            while left:
                left = left[file.write(left) :]
        except OSError as error:
            raise _unkept(folder, error) from error

    with os.fdopen(handle, "wb", buffering=0) as file:
        yield write


def _unkept(folder: Path, error: OSError) -> FeedError:
    return FeedError(f"it cannot be kept in {folder}: {error.strerror}")


def _check(path: Path) -> None:
    """FeedError for what is no list at first sight."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    text = head.lstrip(_BEFORE)
    if not text and len(head) < _HEAD:
        raise FeedError("it is empty, which a list never is; what was there before may be in the making anew")
    if text[:32].lower().startswith(_MARKUP):
        raise FeedError("that is a web page, not a list: give the address of the list itself, not of a page about it")


@contextmanager
def _of_file(path: Path, mark: Mapping[str, str]) -> Iterator[Opened | None]:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # before it is opened: a pipe would hang
            raise FeedError("it is no file; expected a list as a file")
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            now = {"modified": str(about.st_mtime_ns), "size": str(about.st_size), "inode": str(about.st_ino)}
            yield None if now == mark else Opened(_read(file.read), now)
    except OSError as error:
        raise FeedError(f"it cannot be read: {error.strerror}; expected a file there") from error


def _read(read: Callable[[int], bytes]) -> Iterator[bytes]:
    while data := read(CHUNK):
        yield data


@contextmanager
def _of_s3(
    clients: Callable[[str], S3Client] | None, bucket: str, key: str, mark: Mapping[str, str]
) -> Iterator[Opened | None]:
    if clients is None:
        raise FeedError("it lies in S3, which is not asked here; give a file")
    try:
        client, tag = clients(bucket), mark.get("ETag")
        answer = (
            client.get_object(Bucket=bucket, Key=key, IfNoneMatch=tag)
            if tag
            else client.get_object(Bucket=bucket, Key=key)
        )
        body = answer["Body"]
        try:
            yield Opened(_read(body.read), {"ETag": answer["ETag"]})
        finally:
            body.close()
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status != _UNCHANGED or not mark:
            raise _refused(error, status) from error
        yield None
    except NotConnected as error:
        raise Passing(f"S3 cannot be reached: {error}") from error
    except (HTTPClientError, HTTPError) as error:  # urllib3's own, where a body breaks off
        raise Passing(f"the connection to S3 broke off ({type(error).__name__})") from error
    except BotoCoreError as error:
        raise FeedError(f"S3 cannot be asked: {error}") from error


def _refused(error: ClientError, status: int) -> FeedError:
    code, message = (str(error.response.get("Error", {}).get(name, "")) for name in ("Code", "Message"))
    kind = Passing if status == _TOO_MANY or status >= _SERVER_FAULT else FeedError
    return kind(f"S3 answers {code}: {message}{_ADVICE.get(code, '')}")
