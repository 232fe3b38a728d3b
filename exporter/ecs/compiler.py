"""Turns a list of document leaves into NDJSON for a whole frame at once.

A document is a run of constant text with values in between.  Which text is constant is decided anew for each frame: a
column of one value (an object has one account and one region) is constant text itself, a column without nulls needs no
commas of its own, a column of nulls is not there at all, and only what is there for some records and not for others
costs a piece of text of its own.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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


Tree = dict[str, "Tree | Leaf | Constant"]
Segment = str | pl.Expr


def constant(path: str, value: object) -> Constant:
    """A constant leaf from a dotted path and a value; what is no UTF-8 in it (in a file's name) becomes `?`."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Constant(tuple(path.split(".")), text.encode("utf-8", "replace").decode())


def compiled(leaves: Sequence[Leaf | Constant], frame: pl.DataFrame) -> list[pl.Expr]:
    """What pl.concat_str(…, ignore_nulls=True) makes the documents of `frame` from, without line ends."""
    nulls = {column.name: column.null_count() for column in frame}
    same = {column.name for column in frame if not nulls[column.name] and _is_same(column)}
    there = [
        Constant(leaf.path, _literal(leaf, frame)) if isinstance(leaf, Leaf) and leaf.column in same else leaf
        for leaf in leaves
        if isinstance(leaf, Constant) or nulls[leaf.column] < frame.height
    ]
    sure = {leaf.path for leaf in there if isinstance(leaf, Constant) or nulls[leaf.column] == 0}
    return _merged(_members(_tree(there), (), sure))


def _is_same(column: pl.Series) -> bool:
    """Whether the column has one value only; a look at three rows tells most others apart."""
    first = column[0]
    return bool(first == column[-1] == column[len(column) // 2] and (column == first).all())


def _literal(leaf: Leaf, frame: pl.DataFrame) -> str:
    quote = '"' * leaf.quoted
    return f"{quote}{frame[leaf.column][0]}{quote}"


def _tree(leaves: Sequence[Leaf | Constant]) -> Tree:
    tree: Tree = {}
    for leaf in leaves:
        node = tree
        for name in leaf.path[:-1]:
            below = node.setdefault(name, {})
            if not isinstance(below, dict):
                raise TypeError(f"{'.'.join(leaf.path)}: {name} is a value already")
            node = below
        node[leaf.path[-1]] = leaf
    return tree


def _is_sure(node: "Tree | Leaf | Constant", sure: set[tuple[str, ...]]) -> bool:
    """Whether every document has this value, or something of this object."""
    if isinstance(node, dict):
        return any(_is_sure(below, sure) for below in node.values())
    return node.path in sure


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
            yield _optional(node, key, (*path, name), sure)
    yield "}"


def _value(node: "Tree | Leaf | Constant", path: tuple[str, ...], sure: set[tuple[str, ...]]) -> Iterator[Segment]:
    if isinstance(node, dict):
        yield from _members(node, path, sure)
    elif isinstance(node, Constant):
        yield node.text
    else:
        quote = '"' * node.quoted
        yield quote
        yield pl.col(node.column)
        yield quote


def _optional(node: "Tree | Leaf | Constant", key: str, path: tuple[str, ...], sure: set[tuple[str, ...]]) -> pl.Expr:
    """Key and value for the records that have it, null for the others."""
    opening, closing = key, ""
    while isinstance(node, dict) and len(node) == 1:
        ((name, node),) = node.items()
        path, opening, closing = (*path, name), f"{opening}{{{json.dumps(name)}:", closing + "}"
    if isinstance(node, dict):
        inner = [_optional(below, f",{json.dumps(name)}:", (*path, name), sure) for name, below in node.items()]
        text = pl.concat_str(inner, ignore_nulls=True).str.strip_prefix(",")
        return pl.when(text != "").then(pl.concat_str(pl.lit(opening + "{"), text, pl.lit("}" + closing)))
    return pl.concat_str(_merged((opening, *_value(node, path, sure), closing)))


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
