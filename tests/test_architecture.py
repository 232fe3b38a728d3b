"""The rules of the house, read from the imports: which module may know which other one, and which library."""

import ast
import json
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "exporter"

STAGES = frozenset({"source", "read", "enrich", "lists", "filter", "ecs", "sink", "install", "simulate"})
"""Packages that each do one thing and know nothing of each other."""

PLAIN = frozenset(
    {"addresses", "errors", "fields", "flow", "identity", "metrics", "notices", "protocols", "retry", "config"}
)
"""Modules that every stage may import."""

CONFIG_PARTS = frozenset({"option_types", "config_file", "config_conflicts"})
"""What `config` is made of; everybody else imports `config`."""

TOGETHER = ("pipeline", "clients", "enrichment", "wiring", "commands", "commands.*", "__main__")
"""The only modules outside the stages that import stages."""

LIBRARIES: dict[str, tuple[str, ...]] = {
    "boto3": ("clients", "commands.generate"),
    "botocore": ("source.*", "enrich.calls", "lists.fetching", "clients", "commands.generate"),
    "ecs_logging": ("logs",),
    "elasticsearch": (
        "sink.elasticsearch",
        "sink.bulk",
        "sink.presence",
        "sink.letter_stream",
        "sink.streamed_letters",
        "install.*",
        "wiring",
    ),
    "isal": ("read.*",),
    "maxminddb": ("lists.mmdb",),
    "mypy_boto3_ec2": ("enrich.ec2", "source.formats", "clients"),
    "mypy_boto3_s3": ("source.*", "lists.feeds", "lists.fetching", "enrichment", "clients"),
    "mypy_boto3_sqs": ("source.sqs", "clients"),
    "numpy": ("addresses", "flow", "read.*", "enrich.*", "lists.*", "filter.*", "ecs.*", "simulate.*"),
    "polars": (
        "addresses",
        "flow",
        "read.*",
        "enrich.*",
        "lists.*",
        "filter.*",
        "ecs.*",
        "simulate.*",
        "commands.network_inventory",
        "commands.generate",
    ),
    "prometheus_client": ("metrics", "listener"),
    "pydantic": ("config", "option_types"),
    "pydantic_core": ("config",),
    "rich": ("commands.*",),
    "schedule": ("daemon",),
    "sqlite3": ("ledger_file",),
    "tenacity": ("retry",),
    "typer": ("__main__", "commands.*"),
    "urllib3": ("source.calls", "lists.web", "lists.fetching"),
    "yaml": ("config_file",),
}
"""Each library with the modules that may import it (`*` for all of a package); any other is imported nowhere.

sqlite3 is Python's own, and stands here because only the ledger may hold a database.
"""

COMES_WITH = {"botocore": "boto3", "pydantic_core": "pydantic"}
"""Libraries that a dependency brings along, whose types cannot be had from it."""

STUBS = frozenset({"mypy_boto3_ec2", "mypy_boto3_s3", "mypy_boto3_sqs"})
"""Types only, not there at run time."""

BAD_NAMES = frozenset({"utils", "util", "helpers", "helper", "manager", "base", "misc", "common"})

MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path != PACKAGE / "__init__.py"
}
"""Every module below `exporter`, by its name without that; a package goes by its own name."""


def code(path: Path) -> ast.Module:
    """A module's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(tree: ast.AST) -> Iterator[str]:
    """The full name of every module that is imported anywhere in it, in functions and for types too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = "." * node.level + (node.module or "")
            for alias in node.names:
                below = f"{above}.{alias.name}".removeprefix("exporter.")
                yield f"exporter.{below}" if above.startswith("exporter") and below in MODULES else above


def own_imports(tree: ast.AST) -> set[str]:
    """The names, without `exporter.`, of this program's modules that are imported."""
    return {name.removeprefix("exporter.") for name in imports(tree) if name.startswith("exporter.")}


def layering_faults(module: str, tree: ast.AST) -> Iterator[str]:
    """Imports of this program's own modules that `module` may not have."""
    package = module.partition(".")[0]
    for name in sorted(own_imports(tree)):
        other = name.partition(".")[0]
        if package in STAGES:
            allowed = other in {package, *PLAIN}
        elif package in PLAIN | CONFIG_PARTS:
            allowed = other in PLAIN or (other in CONFIG_PARTS and package in {"config", *CONFIG_PARTS})
        else:
            allowed = other not in CONFIG_PARTS and (other not in STAGES or may(module, TOGETHER))
        if not allowed:
            yield f"{module} imports {name}"


def library_faults(module: str, tree: ast.AST) -> Iterator[str]:
    """Imports of libraries that `module` may not have."""
    for name in sorted({name.partition(".")[0] for name in imports(tree)}):
        if name == "":
            yield f"{module} has a relative import"
        elif name in LIBRARIES and not may(module, LIBRARIES[name]):
            yield f"{module} imports {name}"
        elif name not in {"exporter", *LIBRARIES, *sys.stdlib_module_names}:
            yield f"{module} imports {name}, which is in no row of LIBRARIES"


def may(module: str, patterns: tuple[str, ...]) -> bool:
    """Whether one of the patterns stands for the module."""
    return any(fnmatchcase(module, pattern) for pattern in patterns)


def test_stages_do_not_know_each_other_and_only_a_few_modules_know_stages() -> None:
    faults = [fault for module, path in MODULES.items() for fault in layering_faults(module, code(path))]
    assert faults == []


def test_libraries_are_imported_where_they_belong() -> None:
    faults = [fault for module, path in MODULES.items() for fault in library_faults(module, code(path))]
    assert faults == []


@pytest.mark.parametrize(
    ("module", "line", "fault"),
    [
        ("sink.files", "from exporter.ecs.document import Encoder", "sink.files imports ecs.document"),
        ("sink.files", "from exporter import ledger", "sink.files imports ledger"),
        ("sink.files", "import exporter.wiring", "sink.files imports wiring"),
        ("sink.files", "from exporter.option_types import Url", "sink.files imports option_types"),
        ("daemon", "from exporter.source.s3 import S3Listing", "daemon imports source.s3"),
        ("daemon", "def run():\n    from exporter.read import text", "daemon imports read.text"),
        ("flow", "from exporter.ledger import Ledger", "flow imports ledger"),
        ("logs", "from exporter.option_types import Url", "logs imports option_types"),
    ],
)
def test_an_import_across_the_layers_is_found(module: str, line: str, fault: str) -> None:
    assert list(layering_faults(module, ast.parse(line))) == [fault]


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("sink.files", "from exporter.sink.durable import sync_folder\nfrom exporter import retry, __version__"),
        ("pipeline", "from exporter.ecs.document import Encoder\nfrom exporter.ledger import Ledger"),
        ("commands.convert", "from exporter.enrich import snapshot_file"),
        ("config", "from exporter.option_types import Url\nfrom exporter.errors import ConfigError"),
    ],
)
def test_the_imports_that_are_meant_are_no_fault(module: str, line: str) -> None:
    assert list(layering_faults(module, ast.parse(line))) == []


@pytest.mark.parametrize(
    ("module", "line", "fault"),
    [
        ("ecs.document", "import boto3", "ecs.document imports boto3"),
        ("wiring", "from schedule import every", "wiring imports schedule"),
        ("sink.files", "from elasticsearch.helpers import bulk", "sink.files imports elasticsearch"),
        ("read.text", "import requests", "read.text imports requests, which is in no row of LIBRARIES"),
        ("read.text", "from . import inflate", "read.text has a relative import"),
        ("daemon", "if TYPE_CHECKING:\n    from tenacity import RetryCallState", "daemon imports tenacity"),
    ],
)
def test_a_library_in_the_wrong_place_is_found(module: str, line: str, fault: str) -> None:
    assert list(library_faults(module, ast.parse(line))) == [fault]


def test_no_row_of_the_tables_is_idle() -> None:
    """A library that nobody imports any more, or a place that no longer uses it, leaves the table."""
    used = {(lib.partition(".")[0], module) for module, path in MODULES.items() for lib in imports(code(path))}
    idle = [
        f"{library} in {pattern}"
        for library, patterns in LIBRARIES.items()
        for pattern in patterns
        if not any(library == lib and fnmatchcase(module, pattern) for lib, module in used)
    ]
    assert idle == []
    assert {module.partition(".")[0] for module in MODULES} >= STAGES | PLAIN | CONFIG_PARTS


def test_what_is_imported_is_a_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {line.split(">=")[0].replace("-", "_") for line in project["dependencies"]}
    names = {"pyyaml": "yaml"}
    importable = {names.get(name, name) for name in declared}
    needed = {COMES_WITH.get(library, library) for library in LIBRARIES} - STUBS - set(sys.stdlib_module_names)
    assert needed == importable


def test_stubs_are_imported_for_types_only() -> None:
    for module, path in MODULES.items():
        for_types = {
            name
            for node in ast.walk(code(path))
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for name in imports(node)
        }
        stubs = {name for name in imports(code(path)) if name.partition(".")[0] in STUBS}
        assert stubs <= for_types, module


def test_the_package_has_two_levels_and_telling_names() -> None:
    assert [module for module in MODULES if module.count(".") > 1] == []
    assert [module for module in MODULES if set(module.split(".")) & BAD_NAMES] == []


IMPORT_AND_TELL = """
import gc, importlib, json, logging, sys, threading

libraries, modules = json.loads(sys.argv[1]), json.loads(sys.argv[2])
for name in libraries:
    importlib.import_module(name)
from botocore.client import BaseClient
from elasticsearch import Elasticsearch

DOES = ("socket.", "subprocess.", "sqlite3.", "os.mkdir", "os.rename", "os.remove", "os.putenv")
seen = []

def look(event, arguments):
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if writes or event.startswith(DOES):
        seen.append(event)

handlers = list(logging.getLogger().handlers)
sys.addaudithook(look)
for name in modules:
    importlib.import_module(name)
seen += [type(each).__name__ for each in gc.get_objects() if isinstance(each, (BaseClient, Elasticsearch))]
if threading.active_count() > 1:
    seen.append("a thread is running")
if logging.getLogger().handlers != handlers:
    seen.append("logging was set up")
print(json.dumps(sorted(set(seen))))
"""
"""Imports the libraries, then the modules, and prints what those did besides: what Python's audit hooks and gc tell.

The libraries come first, for some of them look for themselves whether the machine has IPv6.
"""


def done_by_importing(*modules: str) -> list[str]:
    """What the modules do when they are imported, in an interpreter of their own."""
    libraries = sorted({*LIBRARIES} - STUBS)
    command = [sys.executable, "-B", "-c", IMPORT_AND_TELL, json.dumps(libraries), json.dumps(modules)]
    answer = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=120)  # noqa: S603 - our own code
    assert answer.stderr == ""
    found: list[str] = json.loads(answer.stdout)
    return found


def test_importing_does_nothing() -> None:
    assert done_by_importing("exporter", *(f"exporter.{module}" for module in MODULES)) == []


def test_a_module_that_does_something_on_import_is_found() -> None:
    assert done_by_importing("tests.busy_on_import") == [
        "Elasticsearch",
        "a thread is running",
        "logging was set up",
        "socket.__new__",
    ]


def public(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Name, and whether it has a docstring, of every public function, class and method of public classes."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, ast.get_docstring(node) is not None
            for inner in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and not inner.name.startswith("_"):
                    yield f"{node.name}.{inner.name}", ast.get_docstring(inner) is not None


def test_public_names_are_documented() -> None:
    names = [
        (f"{module}: {name}", documented) for module in MODULES for name, documented in public(code(MODULES[module]))
    ]
    missing = [name for name, documented in names if not documented]
    assert len(missing) <= len(names) * 0.05, missing
    assert [module for module, path in MODULES.items() if ast.get_docstring(code(path)) is None] == []


def code_lines(path: Path) -> int:
    """Lines that hold code: no blanks, comments and docstrings."""
    tree, lines = code(path), set[int]()
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type in {tokenize.NAME, tokenize.NUMBER, tokenize.OP, tokenize.STRING}:
                lines |= set(range(token.start[0], token.end[0] + 1))
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    return len(lines - {line for text in texts for line in range(text.lineno, (text.end_lineno or 0) + 1)})


def test_the_pipeline_stays_on_one_screen() -> None:
    assert code_lines(PACKAGE / "pipeline.py") <= 70


def test_functions_are_short() -> None:
    long = [
        f"{module}: {node.name}"
        for module, path in MODULES.items()
        for node in ast.walk(code(path))
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 60
    ]
    assert long == []
