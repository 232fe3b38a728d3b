"""A configuration's file: bytes to text, YAML to a tree of dicts, lists and text, with the variables replaced."""

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from exporter.errors import ConfigError, Fault

FILE_LIMIT = 1024 * 1024
"""Bytes a configuration may have."""
DEPTH_LIMIT = 20
"""Levels the YAML may be nested; the options need five."""

Loc = tuple[str | int, ...]
"""A place in the tree: names of options, and numbers of entries in lists."""


VERBATIM: frozenset[Loc] = frozenset({("source", each, "format") for each in ("s3", "sqs", "flow_logs")})
"""Options, without the numbers of their entries, that stand for themselves: in a format `${NAME}` is a field."""


@dataclass(frozen=True, slots=True)
class Tree:
    """What a file says.

    `values` are dicts, lists, text and None; `faults` what could not be read; `written` the text of the file by its
    place; `spoiled` the places whose text could not be put together, so that "?" stands there.
    """

    values: object
    faults: tuple[tuple[Loc, str], ...]
    written: Mapping[Loc, str]
    spoiled: AbstractSet[Loc]


def read_text(path: Path) -> str:
    """The text of a file of at most 1 MiB; ConfigError says why it has none."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_LIMIT + 1)
    except OSError as error:
        raise ConfigError((Fault(str(path), f"cannot be read: {error.strerror}"),)) from error
    if len(data) > FILE_LIMIT:
        raise ConfigError((Fault(str(path), f"expected a file of at most {FILE_LIMIT:,} bytes"),))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError((Fault(str(path), f"expected UTF-8 text; byte {error.start} is none"),)) from None


def read_yaml(text: str, name: str, environment: Mapping[str, str]) -> Tree:
    """The tree of a YAML text; `name` stands for the file in faults.  ConfigError where it is no YAML at all."""
    reading = _Reading(environment)
    values = reading.value(_composed(text, name), ())
    values = {} if values is _NOT_GIVEN else values
    return Tree(values, tuple(reading.faults), reading.written, reading.spoiled)


def dotted(loc: Loc) -> str:
    """A place as text: `source.s3[0].bucket`; a key that is no plain word is quoted, so that it cannot mislead."""
    words = [
        part if not isinstance(part, str) or re.fullmatch(r"[\w-]{1,60}", part) else repr(part[:60]) for part in loc
    ]
    return "".join(f"[{word}]" if isinstance(word, int) else f".{word}" for word in words).removeprefix(".")


def is_verbatim(loc: Loc) -> bool:
    """Whether variables are left as they stand at this place, or in the list that stands there."""
    return tuple(part for part in loc if isinstance(part, str)) in VERBATIM


class _Loader(yaml.BaseLoader):
    """PyYAML's safest: it makes no objects.  It composes nodes of text, and refuses what could refer or nest."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) or getattr(event, "tag", None):
            problem = "anchors, aliases and tags are not understood: put text that begins with & * or ! in quotes"
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        if self.depth >= DEPTH_LIMIT:
            problem = f"nested deeper than {DEPTH_LIMIT} levels"
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _composed(text: str, name: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        # PyYAML quotes what it met, which may be a part of a secret; its own token names, in <>, say more.
        problem = re.sub(r"(found|character|handle) (?!'<)(['\"]).*?\2(?= |$)", r"\1 (not shown)", error.problem or "")
        hint = "; ${NAME} between [ ] or { } belongs in quotes" if problem.endswith("but got '{'") else ""
        raise ConfigError((Fault(where, f"not YAML: {problem}{hint}"),)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, int(error.position)) + 1
        raise ConfigError((Fault(f"{name}:{line}", "not YAML: a character that is no printable text"),)) from None
    except (ValueError, OverflowError):  # PyYAML itself, at escapes and versions with numbers too large
        raise ConfigError((Fault(name, "not YAML: an escape sequence or a number too large"),)) from None


_VARIABLE = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^{}]*))?\}|\$\{")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_NOT_GIVEN = object()
"""What a value becomes that is empty once its variables are replaced: as if its key were not there."""


@dataclass(slots=True)
class _Reading:
    """Turns nodes into dicts, lists, text and None.

    `written` keeps the text of the file by its place; `spoiled` the places whose text could not be put together.
    """

    environment: Mapping[str, str]
    faults: list[tuple[Loc, str]] = field(default_factory=list)
    written: dict[Loc, str] = field(default_factory=dict)
    spoiled: set[Loc] = field(default_factory=set)

    def value(self, node: yaml.Node | None, loc: Loc) -> object:
        if isinstance(node, yaml.MappingNode):
            self.written[loc] = "a section"
            return self._mapping(node, loc)
        if isinstance(node, yaml.SequenceNode):
            self.written[loc] = "a list"
            return self._list(node, loc)
        if not isinstance(node, yaml.ScalarNode) or (node.style is None and node.value in _NULLS):
            self.written[loc] = "nothing"
            return None
        self.written[loc] = repr(node.value if len(node.value) <= 60 else f"{node.value[:60]}…")  # noqa: PLR2004 # fits a line
        return self._text(node.value, loc)

    def _list(self, node: yaml.SequenceNode, loc: Loc) -> list[object]:
        values: list[object] = []
        for entry in node.value:
            if (value := self.value(entry, (*loc, len(values)))) is not _NOT_GIVEN:
                values.append(value)
        return values

    def _mapping(self, node: yaml.MappingNode, loc: Loc) -> dict[str, object]:
        values: dict[str, object] = {}
        lines: dict[str, int] = {}
        for key, entry in node.value:
            if not isinstance(key, yaml.ScalarNode) or not _is_text(key.value):
                self.faults.append((loc, f"line {key.start_mark.line + 1}: expected an option's name before the colon"))
                continue
            here = (*loc, key.value)
            line = key.start_mark.line + 1
            if key.value in lines:
                self.faults.append((here, f"given twice: on line {lines[key.value]} and on line {line}"))
                continue
            lines[key.value] = line
            if (value := self.value(entry, here)) is not _NOT_GIVEN:
                values[key.value] = value
        return values

    def _text(self, text: str, loc: Loc) -> object:
        problems: list[str] = []

        def replaced(match: re.Match[str]) -> str:
            name, default = match["name"], match["default"]
            if name is None and match[0] == "${":
                problems.append("expected ${NAME} or ${NAME:-default}; write $${ for a plain ${")
            elif name and default is None and name not in self.environment:
                problems.append(f"the environment variable {name} is not set: set it, or write ${{{name}:-default}}")
            return (self.environment.get(name) or default or "") if name else "${"

        result = text if is_verbatim(loc) else _VARIABLE.sub(replaced, text)
        if not _is_text(result):
            problems.append("expected text; it holds half of a surrogate pair or bytes that are not UTF-8")
        if problems:
            self.faults.extend((loc, problem) for problem in problems)
            self.spoiled.add(loc)
            return "?"
        return _NOT_GIVEN if text and not result else result


def _is_text(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
