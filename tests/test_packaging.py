"""The wheel, installed elsewhere: it has all it needs, and nothing of the checkout."""

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

from exporter import __version__
from exporter.__main__ import app

ROOT = Path(__file__).parents[1]

RECORD = (
    "2 123456789010 eni-1235b8ca123456789 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK"
)
"""An example of AWS's guide, with the default fields."""

APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
"""SHA-256 of the licence's text as the Apache Software Foundation publishes it."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A wheel and the environment that it was installed into."""

    wheel: Path
    folder: Path

    def run(self, *command: str, text: str = "") -> str:
        """What a program of the environment prints, started in a folder with nothing of ours in it."""
        program, *words = command
        answer = subprocess.run(  # noqa: S603 - programs that we installed
            [self.folder / "bin" / program, *words],
            cwd=self.folder.parent,
            env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
            input=text,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    def names(self) -> set[str]:
        """The files in the wheel."""
        with zipfile.ZipFile(self.wheel) as archive:
            return set(archive.namelist())


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Built without a network, and installed beside the libraries of the environment that runs the tests."""
    place = tmp_path_factory.mktemp("packaging")
    python(ROOT, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(place), str(ROOT))
    (wheel,) = place.glob("*.whl")
    venv = place / "venv"
    python(place, "-m", "venv", "--without-pip", str(venv))
    inside = str(venv / "bin" / "python")
    python(place, "-m", "pip", "--python", inside, "install", "--no-deps", "--no-index", "--quiet", str(wheel))
    (libraries,) = venv.glob("lib/python3.*/site-packages")
    (libraries / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return Installed(wheel, venv)


def python(folder: Path, *words: str) -> None:
    """Runs Python; its output is shown where it fails."""
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    command = [sys.executable, *words]
    answer = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_wheel_holds_the_package_its_data_and_its_licence(installed: Installed) -> None:
    about = f"vpcflow_exporter-{__version__}.dist-info"
    assert installed.wheel.name == f"vpcflow_exporter-{__version__}-py3-none-any.whl"
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "exporter").rglob("*.py")}
    data = {
        f"exporter/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "mappings").rglob("*") if path.is_file()
    }
    data.add("exporter/enrich/ports.tsv")
    own = {f"{about}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")}
    assert installed.names() == modules | data | own


def test_the_licence_is_the_whole_apache_2(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as archive:
        licence = archive.read(f"vpcflow_exporter-{__version__}.dist-info/licenses/LICENSE")
    assert hashlib.sha256(licence).hexdigest() == APACHE_2
    assert licence == (ROOT / "LICENSE").read_bytes()


def test_the_command_runs_from_anywhere(installed: Installed) -> None:
    assert installed.run("vpcflow-exporter", "--version") == f"{__version__}\n"
    text = installed.run("vpcflow-exporter", "--help")
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined] # a group has them
    assert commands.keys() >= {"run", "once", "setup", "convert", "generate"}
    assert [name for name in commands if f"\n  {name} " not in text] == []


def test_the_templates_are_found_in_the_package(installed: Installed) -> None:
    script = """
import json, exporter
from exporter.install.templates import mappings_root
folder = mappings_root() / "elasticsearch"
templates = {each.name: json.loads(each.read_text()) for each in folder.iterdir()}
print(json.dumps([exporter.__file__, str(folder), templates]))
"""
    package, folder, templates = json.loads(installed.run("python", "-c", script))
    assert Path(package).is_relative_to(installed.folder)
    assert Path(folder) == Path(package).parent / "mappings" / "elasticsearch"
    sources = {path.name: json.loads(path.read_text("utf-8")) for path in (ROOT / "mappings/elasticsearch").iterdir()}
    assert templates == sources
    assert templates


def test_a_record_becomes_a_document(installed: Installed) -> None:
    names = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action"
    text = f"{names} log-status\n{RECORD}\n"
    (line,) = io.StringIO(installed.run("vpcflow-exporter", "convert", "-", text=text))
    document = json.loads(line)
    assert document["source"]["ip"] == "172.31.16.139"
    assert document["destination"]["port"] == 22
    assert document["network"]["bytes"] == 4249


LOCKS = ("requirements.lock", "requirements-dev.lock", "deploy/requirements-build.lock")


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_versions_and_hashes_and_no_place(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip())
    assert [entry for entry in entries if not re.match(r"[\w.-]+==\S+( ; [^\\\n]+)? \\\n +--hash=sha256:", entry)] == []
    assert [line for line in text.splitlines() if "://" in line or re.search(r"(^|\s)(--(?!hash)|/)", line)] == []


def test_the_lock_has_what_the_tests_need_and_where() -> None:
    """A library that only some machines have is locked with the condition that pyproject.toml gives."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    locked = dict(re.findall(r"^([\w.-]+)==\S+(?: ; ([^\\\n]+))? \\$", text, re.MULTILINE))
    wanted = {line for extra in ("demo", "dev") for line in project["optional-dependencies"][extra]}
    conditions = {re.split(r"[\[<>=;]", line)[0]: line.partition(";")[2].strip() for line in wanted}
    assert {name: locked.get(name) for name in conditions} == conditions
    assert [name for name, condition in conditions.items() if condition] == ["atheris"]
