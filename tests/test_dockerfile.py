"""What the Dockerfile promises, read with a parser; it need not be built for this."""

import io
import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import typer
from dockerfile_parse import DockerfileParser  # type: ignore[import-untyped] # there are none

from exporter.__main__ import app

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PARSER = DockerfileParser(fileobj=io.BytesIO((ROOT / "Dockerfile").read_bytes()))

Instruction = tuple[str, str]


def stages() -> list[list[Instruction]]:
    """Instructions with their values, stage by stage; what stands before the first FROM is left out."""
    found: list[list[Instruction]] = []
    for each in PARSER.structure:
        if each["instruction"] == "FROM":
            found.append([])
        if found and each["instruction"] != "COMMENT":
            found[-1].append((each["instruction"], each["value"]))
    return found


def values(instruction: str, stage: list[Instruction]) -> list[str]:
    """The values of all instructions of this name."""
    return [value for name, value in stage if name == instruction]


BUILD, FINAL = stages()
"""There are exactly two stages."""


def environment(stage: list[Instruction]) -> dict[str, str]:
    """The variables that the stage sets."""
    pairs = (word.partition("=") for value in values("ENV", stage) for word in shlex.split(value))
    return {name: value for name, _, value in pairs}


def option(name: str) -> str:
    """The value of an option in the image's command."""
    (command,) = values("CMD", FINAL)
    words: list[str] = json.loads(command)
    return words[words.index(name) + 1]


def test_both_stages_stand_on_the_same_fully_named_base() -> None:
    build, final = PARSER.parent_images
    assert build == final
    match = re.fullmatch(r"python:(3\.\d+)\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?", final)
    assert match
    assert f"Programming Language :: Python :: {match[1]}" in PROJECT["classifiers"]


def test_nothing_is_fetched_but_by_hash() -> None:
    installs = [step for value in values("RUN", BUILD) for step in value.split("&&") if "-m pip" in step]
    assert len(installs) == 4
    for step in installs:
        words = shlex.split(step)
        assert "--require-hashes" in words or "--no-index" in words, step
    assert [word for step in installs for word in shlex.split(step) if word.endswith(".lock")] == [
        "requirements.lock",
        "requirements-build.lock",
    ]
    for lock in ("requirements.lock", "deploy/requirements-build.lock"):
        text = (ROOT / lock).read_text(encoding="utf-8")
        entries = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip())
        assert [entry for entry in entries if not re.match(r"[\w.-]+==\S+ \\\n +--hash=sha256:", entry)] == []
    assert not values("ADD", BUILD) + values("ADD", FINAL)
    assert not values("RUN", FINAL)[1:]


def test_the_lock_has_every_dependency() -> None:
    locked = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE))
    assert {re.split(r"[<>=]", line)[0] for line in PROJECT["dependencies"]} <= locked


def test_what_is_copied_is_there_and_not_ignored() -> None:
    copied = [source for value in values("COPY", BUILD) for source in value.split()[:-1]]
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    first, *rules = (line for line in lines if line and not line.startswith("#"))
    assert first == "*"
    for source in copied:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in rules
    needed = {PROJECT["readme"], *PROJECT["license-files"], "exporter", "mappings", "pyproject.toml"}
    assert needed <= set(copied)
    assert {rule.removeprefix("!") for rule in rules if rule.startswith("!")} == {"Dockerfile", *copied}


def test_only_the_environment_goes_from_stage_to_stage() -> None:
    assert values("COPY", FINAL) == ["--from=build /opt/vpcflow-exporter /opt/vpcflow-exporter"]
    assert environment(FINAL)["PATH"] == "/opt/vpcflow-exporter/bin:$PATH"


def test_it_runs_as_nobody_special() -> None:
    (user,) = values("USER", FINAL)
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    order = [name for name, _ in FINAL]
    assert order.index("USER") > max(order.index("RUN"), order.index("COPY"))


def test_only_the_state_is_written() -> None:
    (user,), (volume,), (made,) = values("USER", FINAL), values("VOLUME", FINAL), values("RUN", FINAL)
    owner, group = user.split(":")
    (state,) = json.loads(volume)
    assert values("WORKDIR", FINAL) == [state]
    assert environment(FINAL)["STATE_FOLDER"] == state
    folder = shlex.split(made.split("&&")[0])
    assert {f"--owner={owner}", f"--group={group}", "--directory", state} <= set(folder)
    assert environment(FINAL)["PYTHONDONTWRITEBYTECODE"] == "1"
    assert environment(BUILD)["PIP_NO_CACHE_DIR"] == "1"


def test_it_runs_the_daemon_and_ends_on_sigterm() -> None:
    (entry,) = values("ENTRYPOINT", FINAL)
    assert json.loads(entry) == [name for name, target in PROJECT["scripts"].items() if target.startswith("exporter.")]
    (command,) = values("CMD", FINAL)
    name, *words = json.loads(command)
    with typer.main.get_command(app).make_context("vpcflow-exporter", [name, *words]) as context:
        known = context.command.get_command(context, name)  # type: ignore[attr-defined] # a group has them
        assert known.make_context(name, words).params == {"config": Path("/etc/vpcflow-exporter/config.yaml")}
    assert option("--config") == "/etc/vpcflow-exporter/config.yaml"
    assert values("STOPSIGNAL", FINAL) == ["SIGTERM"]
    assert environment(FINAL)["PYTHONUNBUFFERED"] == "1"


def test_no_secret_is_built_in_and_nothing_is_left_to_chance() -> None:
    names = [*environment(BUILD), *environment(FINAL)]
    names += [each["value"].partition("=")[0] for each in PARSER.structure if each["instruction"] == "ARG"]
    assert [name for name in names if re.search(r"KEY|SECRET|TOKEN|PASS|CRED", name.upper())] == []
    assert [value for stage in (BUILD, FINAL) for _, value in stage if ":latest" in value] == []
    assert values("HEALTHCHECK", FINAL) == []


def test_the_labels_say_what_the_project_says() -> None:
    named = {name.rpartition(".")[2]: value for name, value in PARSER.labels.items()}
    assert named == {"title": PROJECT["name"], "description": PROJECT["description"], "licenses": PROJECT["license"]}
