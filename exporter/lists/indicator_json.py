"""The objects of a JSON list one by one, with at most one of them in memory.

Python's own decoder reads each: it gives up on what is nested too deep, where a reader that keeps the path to each
value takes memory by the square of the depth.
"""

import json
from codecs import getincrementaldecoder
from collections.abc import Iterator
from typing import Any, BinaryIO

from exporter.errors import FeedError

LARGEST = 4 * 1024 * 1024
"""Characters that an object may have, more or less."""

_CHUNK = 256 * 1024


class _Stream:
    """Values and signs of a JSON text, from its beginning; FeedError where the next one is not what it must be."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._bytes = getincrementaldecoder("utf-8-sig")("replace")
        self._decode = json.JSONDecoder().raw_decode
        self._text = ""
        self._at = 0
        self._dropped = 0
        self.objects = 0

    @property
    def position(self) -> int:
        """Characters that were taken."""
        return self._dropped + self._at

    def peek(self) -> str:
        """The next character that is no blank; empty at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in " \t\r\n":
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ""

    def take(self, signs: str) -> str:
        """The next character, which must be one of these."""
        sign = self.peek()
        if not sign or sign not in signs:
            raise self.broken()
        self._at += 1
        return sign

    def value(self) -> Any:  # noqa: ANN401 - whatever JSON has
        """The next value, whole."""
        self.peek()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except RecursionError as error:
                raise self.broken() from error
            except ValueError as error:
                if not self._more():
                    raise self.broken() from error
                continue
            if end < len(self._text) or not self._more():  # a number may go on
                self._at = end
                return value

    def broken(self) -> FeedError:
        """What to say of a text that does not go on as it must."""
        return FeedError(f"is no JSON, or breaks off, behind {self.objects:,} objects")

    def _more(self) -> bool:
        """Reads on, by as much as there is already: so a large value is not begun again too often."""
        self._dropped += self._at
        self._text, self._at = self._text[self._at :], 0
        if len(self._text) > LARGEST:
            raise FeedError(
                f"has a value of more than {LARGEST:,} characters, behind {self.objects:,} objects, or is no JSON"
            )
        data = self._file.read(max(_CHUNK, len(self._text)))
        self._text += self._bytes.decode(data, final=not data)
        return bool(data)


def objects_of(file: BinaryIO) -> Iterator[Any]:
    """Each value in the array `objects` of an object, in an array, or else at the top; of all that the file has.

    FeedError where it is no JSON or breaks off; what stands before was given out then.
    """
    stream = _Stream(file)
    while sign := stream.peek():
        for found in _elements(stream) if sign == "[" else _members(stream):
            stream.objects += 1
            yield found


def _elements(stream: _Stream) -> Iterator[Any]:
    stream.take("[")
    if stream.peek() == "]":
        stream.take("]")
        return
    yield stream.value()
    while stream.take(",]") == ",":
        yield stream.value()


def _members(stream: _Stream) -> Iterator[Any]:
    """The values of its array `objects`; an object that has none is one itself."""
    begin, found, is_list = stream.position, dict[str, Any](), False
    stream.take("{")
    sign = stream.take("}") if stream.peek() == "}" else ","
    while sign == ",":
        key = stream.value()
        stream.take(":")
        if key == "objects" and stream.peek() == "[":
            is_list = True
            yield from _elements(stream)
        elif isinstance(key, str):
            value = stream.value()
            if not is_list:
                found[key] = value
            if not is_list and stream.position - begin > LARGEST:
                raise FeedError(f"has an object of more than {LARGEST:,} characters")
        else:
            raise stream.broken()
        sign = stream.take(",}")
    if not is_list:
        yield found
