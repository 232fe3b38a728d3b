"""The last good copy of what is fetched, on disk: there whole or not at all, and only what was read with success."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from exporter.errors import FeedError

FORMAT, VERSION = "vpcflow-exporter feed", 1

_ABOUT = "about.json"
_LARGEST = 64 * 1024
_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy: its file, the hash of its content, by what to ask whether the original changed, and when it was had.

    `time` is in seconds since 1970.
    """

    path: Path
    sha256: str
    mark: Mapping[str, str]
    time: float


class LastGood:
    """One copy in a folder of its own: a file named by its hash, and one that says which it is.

    That second file is what counts, and it is replaced at once; so a crash leaves the copy before or the new one.
    `place` is where the original lies: a copy from elsewhere is none.  Only its hash is written, for it may be secret.
    """

    def __init__(self, folder: Path, place: str) -> None:
        self.folder = folder
        self._place = sha256(place.encode()).hexdigest()

    def read(self) -> Copy | None:
        """The copy; None where there is none.  FeedError where it is damaged, and so no good any more."""
        try:
            with (self.folder / _ABOUT).open("rb") as file:
                text = file.read(_LARGEST)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FeedError(f"{self.folder} cannot be used: {error.strerror}") from error
        return self._copy(text)

    def keep(self, copy: Copy) -> Copy:
        """Takes the copy's file, durably, for the last good one, and removes all others; FeedError where it cannot."""
        path = self.folder / copy.sha256
        try:
            _sync(copy.path)
            copy.path.replace(path)
            kept = replace(copy, path=path)
            self._write(kept)
            for other in self.folder.iterdir():
                if other.name not in {path.name, _ABOUT}:
                    other.unlink(missing_ok=True)
        except OSError as error:
            raise self._unkept(error) from error
        return kept

    def note(self, copy: Copy) -> None:
        """Writes down what is new about the copy that is there; FeedError where it cannot."""
        try:
            self._write(copy)
        except OSError as error:
            raise self._unkept(error) from error

    def _unkept(self, error: OSError) -> FeedError:
        return FeedError(f"it cannot be kept in {self.folder}: {error.strerror}")

    def _write(self, copy: Copy) -> None:
        about = {"format": FORMAT, "version": VERSION, "place": self._place}
        about |= {"sha256": copy.sha256, "mark": dict(copy.mark), "time": copy.time}
        fresh = self.folder / f"{_ABOUT}.part"
        fresh.write_text(json.dumps(about) + "\n", encoding="utf-8")
        _sync(fresh)
        fresh.replace(self.folder / _ABOUT)
        _sync(self.folder)

    def _copy(self, text: bytes) -> Copy | None:
        damaged = FeedError(f"the copy in {self.folder} is damaged and is not used")
        try:
            about = json.loads(text)
            if about["format"] != FORMAT:
                raise damaged
            if about["version"] != VERSION or about["place"] != self._place:
                return None
            mark = {str(name): str(value) for name, value in about["mark"].items()}
            copy = Copy(self.folder / str(about["sha256"]), str(about["sha256"]), mark, float(about["time"]))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise damaged from None
        with suppress(OSError):
            if copy.path.parent == self.folder and _hash(copy.path) == copy.sha256:
                return copy
        raise damaged


def _hash(path: Path) -> str:
    hashed = sha256()
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            hashed.update(data)
    return hashed.hexdigest()


def _sync(path: Path) -> None:
    """Makes a file's content durable, or a folder's names: a file's own does not cover its name."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
