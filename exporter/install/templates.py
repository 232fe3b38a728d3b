"""Puts the index template and its component templates into a cluster, and rolls the data stream over where it must.

The templates are data, under mappings/elasticsearch; here they only get what depends on the configuration.  They are
written the way a server gives them back (settings nested and as strings, defaults spelled out), so that what stands
in a cluster can be compared with what is wanted by plain equality.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

from elasticsearch import ApiError, BadRequestError, Elasticsearch, NotFoundError, TransportError

from exporter.errors import Refused, Unavailable

IndexMode = Literal["auto", "standard", "logsdb"]
Json = dict[str, Any]

LOGSDB_SINCE = (8, 17)
"""The first release whose logsdb is more than a preview."""

NESTED_SINCE = (8, 16)
"""The first release that takes nested fields in an index that is sorted (its pull request 110251)."""

_LATER = {429, 500, 502, 503, 504}
"""Answers that may be others in a while."""

_JSON = {"accept": "application/json", "content-type": "application/json"}

_PRIVILEGES = (
    "setting up needs the cluster privileges manage_index_templates and monitor, and on the data stream "
    "view_index_metadata and manage; nothing that was done is undone, so `vpcflow-exporter setup` can be run again"
)

_NAMED = 5
"""Of many fields that an index lacks, so many are named."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that setting up looked at, what it did there, and why where that is not plain."""

    what: str
    outcome: Literal["created", "updated", "unchanged", "rolled over", "left alone"]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Installed:
    """What `setup` found and did: the data stream's name, its index mode, and each step in order."""

    stream: str
    index_mode: Literal["standard", "logsdb"]
    steps: tuple[Step, ...]


def mappings_root() -> Traversable:
    """The folder with the mappings: inside the package where it is installed, beside it in a checkout."""
    packaged = resources.files("exporter") / "mappings"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "mappings"


def setup(  # noqa: PLR0913 one argument an option, each with a name
    client: Elasticsearch,
    *,
    namespace: str = "exporter",
    retention: timedelta | None = timedelta(days=90),
    index_mode: IndexMode = "auto",
    shards: int | None = None,
    replicas: int | None = None,
    dead_letters: bool = False,
) -> Installed:
    """Brings the cluster to where the data stream of `namespace` can be written; a second run changes nothing.

    With `dead_letters` that of dead letters too, which is kept as long; its index mode is always standard.  An existing
    data stream whose write index was made from other mappings or settings is rolled over.  Raises Refused where the
    server says no (the text says what is missing) and Unavailable where it does not answer.
    """
    stream = f"logs-aws.vpcflow-{namespace}"
    with _explained():
        about = client.info()["version"]
        mode = _mode(client, index_mode, about)
        wanted = {
            f"_component_template/vpcflow-exporter-settings-{namespace}": settings_template(
                retention, mode, shards, replicas
            ),
            "_component_template/vpcflow-exporter-mappings": mappings_template(about),
            f"_index_template/{stream}": _read("index_template.json", namespace),
        }
        steps = _install(client, stream, wanted, retention)
        if dead_letters:
            letters = f"logs-vpcflow_exporter.dead_letter-{namespace}"
            settings = settings_template(retention, "standard", shards, replicas, "dead_letter_settings.json")
            steps += _install(client, letters, _of_letters(namespace, settings), retention)
    return Installed(stream, mode, tuple(steps))


def _of_letters(namespace: str, settings: Json) -> dict[str, Json]:
    """The templates of the data stream of dead letters, by their paths."""
    return {
        f"_component_template/vpcflow-exporter-dead-letter-settings-{namespace}": settings,
        "_component_template/vpcflow-exporter-dead-letter-mappings": _read("dead_letter_mappings.json"),
        f"_index_template/logs-vpcflow_exporter.dead_letter-{namespace}": _read(
            "dead_letter_index_template.json", namespace
        ),
    }


def _install(client: Elasticsearch, stream: str, wanted: Mapping[str, Json], retention: timedelta | None) -> list[Step]:
    """Puts a data stream's templates, by their paths, and brings the stream to them where there is one."""
    steps = [_put(client, path, body) for path, body in wanted.items()]
    _check_precedence(client, stream)
    return [*steps, _put_retention(client, stream, retention), _roll_over(client, stream)]


def settings_template(
    retention: timedelta | None, mode: str, shards: int | None, replicas: int | None, name: str = "settings.json"
) -> Json:
    """The component template with the settings that come from the configuration; None leaves one to the server."""
    body = _read(name)
    chosen = {"mode": mode, "number_of_shards": shards, "number_of_replicas": replicas}
    body["template"]["settings"]["index"] |= {name: str(value) for name, value in chosen.items() if value is not None}
    if retention is not None:
        body["template"]["lifecycle"] = {"enabled": True, "data_retention": duration(retention)}
    return body


def duration(time: timedelta) -> str:
    """As Elasticsearch writes one, in the largest whole unit: 90d, 36h, 90m, 45s."""
    seconds = int(time.total_seconds())
    unit, length = next((u, n) for u, n in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)) if seconds % n == 0)
    return f"{seconds // length}{unit}"


def _read(name: str, namespace: str = "") -> Json:
    text = (mappings_root() / "elasticsearch" / name).read_text("utf-8")
    body: Json = json.loads(text.replace("NAMESPACE", namespace))
    return body


def mappings_template(about: Json) -> Json:
    """The component template with the mappings, for the server that tells this of its version.

    An older one has plain objects in place of nested ones: which of several threats matched which field is then told
    by the documents and not by a search.
    """
    body = _read("mappings.json")
    if not _is_since(about, NESTED_SINCE):
        del body["template"]["mappings"]["properties"]["threat"]["properties"]["enrichments"]["type"]
    return body


def _mode(client: Elasticsearch, wanted: IndexMode, about: Json) -> Literal["standard", "logsdb"]:
    """What is asked for; for `auto` logsdb where the server is new enough and accepts it."""
    if wanted != "auto":
        return wanted
    return "logsdb" if _is_since(about, LOGSDB_SINCE) and _accepts_logsdb(client) else "standard"


def _is_since(about: Json, release: tuple[int, ...]) -> bool:
    """Whether a server that tells this of its version is of this release or a newer one; serverless always is."""
    return about.get("build_flavor") == "serverless" or version_of(about["number"]) >= release


def version_of(number: str) -> tuple[int, ...]:
    """9.4.3-SNAPSHOT as (9, 4, 3)."""
    return tuple(int(part) for part in re.findall(r"\d+", number)[:3])


def _accepts_logsdb(client: Elasticsearch) -> bool:
    """Whether a template with logsdb would be taken; nothing is left behind."""
    template = {"settings": {"index": {"mode": "logsdb"}}}
    try:
        client.indices.simulate_template(
            index_patterns=["vpcflow-exporter-tries-logsdb"], priority=999_999, data_stream={}, template=template
        )
    except BadRequestError:
        return False
    return True


def _put(client: Elasticsearch, path: str, wanted: Json) -> Step:
    """Creates or replaces a template unless exactly that stands there."""
    found = _standing(client, path)
    if found == wanted:
        return Step(path, "unchanged")
    client.perform_request("PUT", f"/{path}", headers=_JSON, body=wanted)
    return Step(path, "updated" if found else "created")


def _standing(client: Elasticsearch, path: str) -> Json | None:
    """The template at `path` as the server has it, without the times that newer servers add; None for none."""
    kind = path.partition("/")[0].removeprefix("_")
    try:
        answer = client.perform_request("GET", f"/{path}", headers={"accept": "application/json"})
    except NotFoundError:
        return None
    found: Json = answer.body[f"{kind}s"][0][kind]
    return {name: value for name, value in found.items() if not name.endswith(("_date", "_date_millis"))}


def _check_precedence(client: Elasticsearch, stream: str) -> None:
    """Another template may match the stream's name and win; the mark in our mappings tells."""
    mappings = client.indices.simulate_index_template(name=stream)["template"].get("mappings", {})
    if mappings.get("_meta", {}).get("managed_by") != "vpcflow-exporter":
        raise Refused(
            f"another index template with a priority above 250 matches {stream} and wins over ours: "
            "narrow its pattern or lower its priority, then run `vpcflow-exporter setup` again"
        )


def _put_retention(client: Elasticsearch, stream: str, retention: timedelta | None) -> Step:
    """A template's lifecycle counts when a stream is made; a stream that exists keeps its own until it is told."""
    what, wanted = f"retention of {stream}", duration(retention) if retention else None
    if not client.indices.exists(index=stream):
        return Step(what, "left alone", "the data stream does not exist yet; the template has it")
    try:
        streams = client.indices.get_data_lifecycle(name=stream)["data_streams"]
    except BadRequestError:
        return Step(what, "left alone", "this server has no data stream lifecycles")
    if wanted == next((entry.get("lifecycle", {}).get("data_retention") for entry in streams), None):
        return Step(what, "unchanged")
    if wanted is None:
        client.indices.delete_data_lifecycle(name=stream)
    else:
        client.indices.put_data_lifecycle(name=stream, data_retention=wanted)
    return Step(what, "updated", f"to {wanted or 'none: documents are kept until somebody deletes them'}")


def _roll_over(client: Elasticsearch, stream: str) -> Step:
    """Starts a new write index where the present one lacks something that the templates now give."""
    if not client.indices.exists(index=stream):
        return Step(stream, "left alone", "the data stream does not exist yet; the first document makes it")
    index, found = _write_index(client, stream)
    wanted = client.indices.simulate_index_template(name=stream)["template"]
    lacking = sorted(_leaves(wanted) - _leaves(found))
    if not lacking:
        return Step(stream, "unchanged")
    client.indices.rollover(alias=stream)
    more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
    names = ", ".join(name for name, _ in lacking[:_NAMED]) + more
    return Step(stream, "rolled over", f"{index} lacked {names}")


def _write_index(client: Elasticsearch, stream: str) -> tuple[str, Json]:
    """The newest backing index (names end in a rising number of at least six digits), its mappings and settings."""
    both = client.indices.get(index=stream)
    name = max(both, key=lambda index: int(index.rpartition("-")[2]))
    return name, both[name]


def _leaves(template: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Mappings and settings as (dotted path, JSON value) pairs.

    Where an index is allocated is left out, and that an object is one: a server says so only while it is empty.
    """
    settings = {name: value for name, value in template["settings"]["index"].items() if name != "routing"}
    leaves = set(_flat("", {"mappings": template["mappings"], "settings": settings}))
    return {(path, value) for path, value in leaves if (path.rpartition(".")[2], value) != ("type", '"object"')}


def _flat(path: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(f"{path}.{name}" if path else name, inner)
    else:
        yield path, json.dumps(value, sort_keys=True)


@contextmanager
def _explained() -> Iterator[None]:
    """Turns what the client raises into this program's errors."""
    try:
        yield
    except ApiError as error:
        if error.meta.status in _LATER:
            raise Unavailable(f"Elasticsearch cannot be set up now: {error}") from error
        advice = _PRIVILEGES if error.meta.status in {401, 403} else "nothing that was done is undone"
        raise Refused(f"Elasticsearch refused a step of setting up ({error}): {advice}") from error
    except TransportError as error:
        raise Unavailable(f"Elasticsearch did not answer while setting up: {error}") from error
