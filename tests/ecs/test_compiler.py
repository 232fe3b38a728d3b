"""Leaves to text: every pattern of presence, and what decides which text is constant."""

import itertools
import json
from collections.abc import Sequence

import polars as pl
import pytest

from exporter.ecs.compiler import Constant, Leaf, compiled, constant
from tests.ecs.cases import parsed

FIXED = constant("kind", "event")
SHAPES = [
    ("a",),
    ("b", "c"),
    ("b", "d"),
    ("e", "f", "g"),
    ("e", "h"),
    ("i", "j", "k", "l"),
]
"""Single values, siblings, objects of one value in objects of one value."""


def documents(leaves: Sequence[Leaf | Constant], frame: pl.DataFrame) -> list[str]:
    text = pl.concat_str(compiled(leaves, frame), ignore_nulls=True)
    return frame.with_columns(text=text)["text"].to_list()


def expected(row: dict[str, str | None]) -> dict[str, object]:
    """The document of a row whose columns are dotted paths."""
    document: dict[str, object] = {"kind": "event"}
    for column, value in row.items():
        node = document
        *above, name = column.split(".")
        if value is not None:
            for part in above:
                node = node.setdefault(part, {})  # type: ignore[assignment]
            node[name] = value
    return document


@pytest.mark.parametrize("sure", list(itertools.product([False, True], repeat=len(SHAPES))))
def test_every_combination_of_sure_and_optional_values(sure: tuple[bool, ...]) -> None:
    """Sure columns have a value in each row; the optional ones show, row by row, every combination of null and not."""
    columns = [".".join(path) for path in SHAPES]
    rows = [
        dict(zip(columns, values, strict=True))
        for values in itertools.product(
            *([f"v{at}"] if is_sure else [None, f"v{at}"] for at, is_sure in enumerate(sure))
        )
    ]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String))
    leaves: list[Leaf | Constant] = [FIXED, *(Leaf(path, ".".join(path)) for path in SHAPES)]
    assert [parsed(text.encode()) for text in documents(leaves, frame)] == [expected(row) for row in rows]


@pytest.mark.parametrize("position", range(4))
def test_a_column_is_constant_only_where_all_rows_have_its_value(position: int) -> None:
    """The quick look at three rows of ten must not decide it alone."""
    values = ["same"] * 10
    values[(0, 3, 5, 9)[position]] = "other"
    assert [
        json.loads(text)["a"] for text in documents([FIXED, Leaf(("a",), "a")], pl.DataFrame({"a": values}))
    ] == values


def test_a_column_of_one_value_in_all_rows_and_one_that_only_some_have() -> None:
    columns = {"a": ["x", "x", "x"], "b": ["x", None, "x"], "c": [None, None, None]}
    frame = pl.DataFrame(columns, dict.fromkeys(columns, pl.String))
    leaves: list[Leaf | Constant] = [FIXED, *(Leaf((name,), name) for name in "abc")]
    assert documents(leaves, frame) == [
        '{"kind":"event","a":"x","b":"x"}',
        '{"kind":"event","a":"x"}',
        '{"kind":"event","a":"x","b":"x"}',
    ]


def test_values_without_quotes_are_json_already() -> None:
    frame = pl.DataFrame({"n": ["1", "2"], "list": ['["a"]', None], "same": ['{"x":1}', '{"x":1}']})
    leaves: list[Leaf | Constant] = [FIXED, *(Leaf((name,), name, quoted=False) for name in ("n", "list", "same"))]
    assert [json.loads(text) for text in documents(leaves, frame)] == [
        {"kind": "event", "n": 1, "list": ["a"], "same": {"x": 1}},
        {"kind": "event", "n": 2, "same": {"x": 1}},
    ]


@pytest.mark.parametrize("name", ["a{b", "{", "}", '"', "\\", "é", "a.b", ""])
def test_any_name_is_a_key(name: str) -> None:
    frame = pl.DataFrame({"v": ["1", None]})
    assert [json.loads(text) for text in documents([FIXED, Leaf(("x", "y", name), "v")], frame)] == [
        {"kind": "event", "x": {"y": {name: "1"}}},
        {"kind": "event"},
    ]


def test_a_value_with_a_value_below_it_is_a_fault() -> None:
    frame = pl.DataFrame({"v": ["1"]})
    with pytest.raises(TypeError, match=r"a\.b: a is a value already"):
        compiled([Leaf(("a",), "v"), Leaf(("a", "b"), "v")], frame)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", '"plain"'),
        ('a "b"\\\n', '"a \\"b\\"\\\\\\n"'),
        (["network"], '["network"]'),
        ("Jörg 🤖", '"Jörg 🤖"'),
        ("not\udcffutf-8", '"not?utf-8"'),
    ],
)
def test_constant(value: object, text: str) -> None:
    assert constant("a.b", value) == Constant(("a", "b"), text)
