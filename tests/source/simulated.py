"""A bucket of any number of keys that no computer holds: listings are answered from arithmetic, as S3 answers them."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, overload

ETAG, SIZE = '"d41d8cd98f00b204e9800998ecf8427e"', 20_000


@dataclass(frozen=True, slots=True)
class FlowLogKeys(Sequence[str]):
    """The keys of every account, region and day in AWS's plain layout, `files` a day, in the order of their bytes."""

    accounts: int
    regions: tuple[str, ...]
    first: date
    days: int
    files: int

    def __len__(self) -> int:
        return self.accounts * len(self.regions) * self.days * self.files

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...

    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        assert isinstance(index, int)
        if not 0 <= index < len(self):
            raise IndexError(index)
        index, file = divmod(index, self.files)
        index, day = divmod(index, self.days)
        account, region = divmod(index, len(self.regions))
        return key_of(account, self.regions[region], self.first + timedelta(days=day), file, self.files)


def key_of(account: int, region: str, day: date, file: int, files: int) -> str:
    """The key of a day's file, the first of which is midnight's."""
    hour, minute = divmod(file * (24 * 60) // files, 60)
    owner, (folder, stamp) = f"{account + 1:012}", _written(day)
    name = f"{owner}_vpcflowlogs_{region}_fl-0a1b2c3d_{stamp}T{hour:02}{minute:02}Z_ab.log.gz"
    return f"AWSLogs/{owner}/vpcflowlogs/{region}/{folder}/{name}"


@lru_cache(100)
def _written(day: date) -> tuple[str, str]:
    """A day as folders and as part of a name."""
    return f"{day:%Y/%m/%d}", f"{day:%Y%m%d}"


@dataclass(slots=True)
class SimulatedS3:
    """A client with one call, for some sorted keys; `late` come on top; `requests` counts the calls."""

    keys: Sequence[str]
    late: list[str] = field(default_factory=list)
    requests: int = 0

    def list_objects_v2(  # noqa: PLR0913 - S3's own parameters
        self,
        *,
        Bucket: str,  # noqa: N803
        Prefix: str = "",  # noqa: N803
        Delimiter: str = "",  # noqa: N803
        StartAfter: str = "",  # noqa: N803
        ContinuationToken: str = "",  # noqa: N803
        MaxKeys: int = 1000,  # noqa: N803
    ) -> dict[str, Any]:
        """S3's answer, as far as this program reads it."""
        assert Bucket
        self.requests += 1
        entries: list[tuple[str, bool]] = []
        truncated = False
        for entry in self._entries(Prefix, Delimiter, ContinuationToken or StartAfter):
            if len(entries) == MaxKeys:
                truncated = True
                break
            entries.append(entry)
        answer: dict[str, Any] = {"IsTruncated": truncated}
        if truncated:
            answer["NextContinuationToken"] = entries[-1][0]
        if contents := [_item(key) for key, folder in entries if not folder]:
            answer["Contents"] = contents
        if folders := [{"Prefix": key} for key, folder in entries if folder]:
            answer["CommonPrefixes"] = folders
        return answer

    def _entries(self, prefix: str, delimiter: str, after: str) -> Iterator[tuple[str, bool]]:
        """Keys and common prefixes (True) behind `after`, in order.

        A common prefix is one entry and stands behind `after` where any of its keys does, but not where it is `after`.
        """
        at, told = max(prefix, after + "\0" if after else ""), ""
        while key := next(self._from(at), None):
            if not key.startswith(prefix):
                return
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            if end >= 0:
                folder = key[: end + 1]
                if folder != after:
                    yield folder, True
                at = folder[:-1] + chr(ord(folder[-1]) + 1)  # behind all that begin with it
                continue
            for told in self._from(at):
                if not told.startswith(prefix) or (delimiter and delimiter in told[len(prefix) :]):
                    break
                yield told, False
                at = told + "\0"
            else:
                return

    def _from(self, at: str) -> Iterator[str]:
        """All keys from `at` on."""
        return heapq.merge(*(_tail(keys, at) for keys in (self.keys, sorted(self.late))))


def _tail(keys: Sequence[str], at: str) -> Iterator[str]:
    return (keys[index] for index in range(bisect_left(keys, at), len(keys)))


def _item(key: str) -> dict[str, Any]:
    return {"Key": key, "ETag": ETAG, "Size": SIZE, "LastModified": datetime(2026, 11, 3, tzinfo=UTC)}
