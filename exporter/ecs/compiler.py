"""Turns a list of document leaves into NDJSON for a whole frame at once.

A document is a run of constant text with values in between.  Which text is constant is decided anew for each frame: a
column of one value (an object has one account and one region) is constant text itself, a column without nulls needs no
commas of its own, a column of nulls is not there at all, and only what is there for some records and not for others
costs a piece of text of its own.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import polars as pl


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value of the document: its path, a String column of the frame, and whether it still lacks its quotes.

    A column without quotes holds JSON text (a number, an array, an object).
    """

    path: tuple[str, ...]
    column: str
    quoted: bool = True


@dataclass(frozen=True, slots=True)
class Constant:
    """One value that is the same in every document of the frame: its path and its JSON text."""

    path: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Members:
    """Ready members of the object at a path: a String column of `,"name":value` once or several times, else null."""

    path: tuple[str, ...]
    column: str


Node: TypeAlias = "Tree | Leaf | Constant | Members"
Tree: TypeAlias = dict[str, Node]
Part: TypeAlias = Leaf | Constant | Members
Segment = str | pl.Expr


def escaped(text: str) -> str:
    """A text as it stands between the quotes of a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def constant(path: str, value: object) -> Constant:
    """A constant leaf from a dotted path and a value; what is no UTF-8 in it (in a file's name) becomes `?`."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Constant(tuple(path.split(".")), text.encode("utf-8", "replace").decode())


def compiled(parts: Sequence[Part], frame: pl.DataFrame) -> list[pl.Expr]:
    """What pl.concat_str(…, ignore_nulls=True) makes the documents of `frame` from, without line ends."""
    nulls = {column.name: column.null_count() for column in frame}
    there = [part for part in parts if isinstance(part, Constant) or nulls[part.column] < frame.height]
    known = [
        _constant_if_same(part, frame) if isinstance(part, Leaf) and not nulls[part.column] else part for part in there
    ]
    sure = {
        part.path for part in known if isinstance(part, Constant) or (isinstance(part, Leaf) and not nulls[part.column])
    }
    return _merged(_members(_tree(known), (), sure))


def _constant_if_same(leaf: Leaf, frame: pl.DataFrame) -> Leaf | Constant:
    column, quote = frame[leaf.column], '"' * leaf.quoted
    return Constant(leaf.path, f"{quote}{column[0]}{quote}") if _is_same(column) else leaf


def _is_same(column: pl.Series) -> bool:
    """Whether the column has one value only; a look at some rows tells most others apart."""
    some = column.gather_every(max(1, len(column) // 16))
    return some.n_unique() == 1 and bool((column == column[0]).all())


def _tree(parts: Sequence[Part]) -> Tree:
    tree: Tree = {}
    for part in parts:
        *above, last = (*part.path, f"\0{part.column}") if isinstance(part, Members) else part.path
        node = tree
        for name in above:
            below = node.setdefault(name, {})
            if not isinstance(below, dict):
                raise TypeError(f"{'.'.join(part.path)}: {name} is a value already")
            node = below
        node[last] = part
    return tree


def _is_sure(node: Node, sure: set[tuple[str, ...]]) -> bool:
    """Whether every document has this value, or something of this object."""
    if isinstance(node, dict):
        return any(_is_sure(below, sure) for below in node.values())
    return not isinstance(node, Members) and node.path in sure


def _members(tree: Tree, path: tuple[str, ...], sure: set[tuple[str, ...]]) -> Iterator[Segment]:
    """The object's text.  What is sure comes first, so that all else can begin with a comma."""
    names = sorted(tree, key=lambda name: not _is_sure(tree[name], sure))
    yield "{"
    for position, name in enumerate(names):
        node, key = tree[name], f"{',' * (position > 0)}{json.dumps(name)}:"
        if _is_sure(node, sure):
            yield key
            yield from _value(node, (*path, name), sure)
        else:
            yield from _optional(node, key, (*path, name), sure)
    yield "}"


def _value(node: Node, path: tuple[str, ...], sure: set[tuple[str, ...]]) -> Iterator[Segment]:
    if isinstance(node, dict):
        yield from _members(node, path, sure)
    elif isinstance(node, Constant):
        yield node.text
    elif isinstance(node, Leaf):
        quote = '"' * node.quoted
        yield quote
        yield pl.col(node.column)
        yield quote


def _optional(node: Node, key: str, path: tuple[str, ...], sure: set[tuple[str, ...]]) -> Iterator[Segment]:
    """Key and value for the records that have it, nulls for the others.  Values are never copied, only what is around.

    `key` begins with a comma.
    """
    opening, closing = key, ""
    while isinstance(node, dict) and len(node) == 1 and not isinstance(next(iter(node.values())), Members):
        ((name, node),) = node.items()
        path, opening, closing = (*path, name), f"{opening}{{{json.dumps(name)}:", closing + "}"
    if isinstance(node, Members):
        yield pl.col(node.column)
    elif isinstance(node, Leaf):
        yield from _known(node, _choice(_is_known(node), opening + '"' * node.quoted), closing)
    elif isinstance(node, dict):
        leaves = {name: below for name, below in node.items() if isinstance(below, Leaf)}
        make = _optional_leaves if len(leaves) == len(node) else _optional_object
        yield from make(node, opening + "{", path, sure)  # type: ignore[arg-type]
        yield _choice(_any_known(node), "}" + closing)


def _choice(code: pl.Expr, *texts: str) -> pl.Expr:
    """Nothing for code 0, the first text for 1, and so on: a look-up in a table costs a fraction of a `when`."""
    return pl.lit(pl.Series([None, *texts], dtype=pl.String)).gather(code)


def _is_known(leaf: Leaf | Members) -> pl.Expr:
    return pl.col(leaf.column).is_not_null().cast(pl.UInt8)


def _known(leaf: Leaf, opening: pl.Expr, closing: str = "") -> Iterator[Segment]:
    """The leaf's value and what is around it, where there is a value."""
    closing = '"' * leaf.quoted + closing
    yield opening
    yield pl.col(leaf.column)
    if closing:
        yield _choice(_is_known(leaf), closing)


def _optional_leaves(leaves: dict[str, Leaf], opening: str, *_: object) -> Iterator[Segment]:
    """The values of an object without a sure one: whichever is the first of them in a record opens the object."""
    before = pl.lit(0, dtype=pl.UInt8)
    for name, leaf in leaves.items():
        key = json.dumps(name) + ":" + '"' * leaf.quoted
        known = _is_known(leaf)
        yield from _known(leaf, _choice(known * (before + 1), opening + key, "," + key))
        before = before | known


def _optional_object(tree: Tree, opening: str, path: tuple[str, ...], sure: set[tuple[str, ...]]) -> Iterator[Segment]:
    """The members of an object without a sure one and with objects below it."""
    inner: list[Segment] = []
    for name, below in tree.items():
        inner += _optional(below, f",{json.dumps(name)}:", (*path, name), sure)
    text = pl.concat_str(_merged(inner), ignore_nulls=True).str.strip_prefix(",")
    yield pl.when(text != "").then(pl.concat_str(pl.lit(opening), text))


def _any_known(tree: Tree) -> pl.Expr:
    """1 where a record has anything of an object that has nothing sure, else 0."""
    known = pl.lit(0, dtype=pl.UInt8)
    for below in tree.values():
        if isinstance(below, Leaf | Members):
            known = known | _is_known(below)
        elif isinstance(below, dict):
            known = known | _any_known(below)
    return known


def _merged(segments: Iterator[Segment] | Sequence[Segment]) -> list[pl.Expr]:
    """Expressions, neighbouring constants made one."""
    result: list[pl.Expr] = []
    text = ""
    for segment in segments:
        if isinstance(segment, str):
            text += segment
        else:
            result += [pl.lit(text), segment] if text else [segment]
            text = ""
    return [*result, pl.lit(text)] if text else result
