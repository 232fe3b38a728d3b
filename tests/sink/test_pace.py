"""How the pace follows an output: a table of what happens and what may go then."""

from threading import Event

import pytest

from exporter.sink.pace import Pace

MIB = 1024 * 1024
CALM = ["faster"] * 8

STORIES = {
    "unhurt": ([], 4, None),
    "calm at full pace changes nothing": (CALM * 3, 4, None),
    "requests are halved first": (["slower"], 2, None),
    "down to one": (["slower", "slower"], 1, None),
    "then their size": (["slower"] * 3, 1, MIB // 2),
    "never below 64 KiB": (["slower"] * 20, 1, 64 * 1024),
    "seven good ones are not calm yet": (["slower", *CALM[1:]], 2, None),
    "eight are": (["slower", *CALM], 3, None),
    "trouble in between starts the count again": (["slower", "slower", *CALM[1:], "slower", *CALM[1:]], 1, MIB // 2),
    "size comes back before requests": (["slower"] * 4 + CALM, 1, MIB // 2),
    "size whole again": (["slower"] * 4 + CALM * 2, 1, None),
    "and all again": (["slower"] * 4 + CALM * 5, 4, None),
    "too large is remembered for good": (["too_large", *CALM * 4], 4, MIB // 2),
    "too large twice": (["too_large", "too_large"], 4, MIB // 2),
    "below the bound and back up to it": (["too_large"] + ["slower"] * 4 + CALM * 2, 1, MIB // 2),
}


@pytest.mark.parametrize(("story", "requests", "size"), STORIES.values(), ids=STORIES)
def test_pace(story: list[str], requests: int, size: int | None) -> None:
    pace = Pace(4, MIB, Event())
    for happened in story:
        if happened == "too_large":
            pace.too_large(MIB)
        else:
            getattr(pace, happened)()
    assert (pace.requests, pace.bytes) == (requests, size)
    assert pace.allows(size or 100 * MIB)
    assert size is None or not pace.allows(size + 1)
