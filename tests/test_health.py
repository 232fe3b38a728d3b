"""When the program counts as ready."""

import pytest

from exporter.health import INVENTORY, OUTPUT, Answer, Health

DENIED = "could not list s3://logs/"


@pytest.mark.parametrize(
    ("told", "ready"),
    [
        ({}, False),
        ({OUTPUT: None}, False),  # no source has been looked at yet
        ({"s3://logs/": None}, False),  # nobody has looked at the output yet
        ({OUTPUT: None, "s3://logs/": None}, True),
        ({OUTPUT: "no connection", "s3://logs/": None}, False),
        ({OUTPUT: None, "s3://logs/": DENIED}, False),
        ({OUTPUT: None, "s3://logs/": DENIED, "s3://other/": None}, True),
        ({OUTPUT: None, "s3://logs/": None, INVENTORY: "EC2 refused"}, True),  # records go out without names
        ({OUTPUT: None, INVENTORY: None}, False),
    ],
)
def test_ready_is_a_program_whose_output_and_one_source_work(told: dict[str, str | None], ready: bool) -> None:  # noqa: FBT001 - a table's column
    health = Health()
    for part, why in told.items():
        health.tell(part, why)
    assert health.answer() == Answer(ready, told)


def test_what_was_said_last_counts() -> None:
    health = Health()
    for why in ("no connection", None, "no connection", None):
        health.tell(OUTPUT, why)
    health.tell("s3://logs/", None)
    assert health.answer() == Answer(ready=True, parts={OUTPUT: None, "s3://logs/": None})
