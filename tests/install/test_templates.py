"""Setting up a real Elasticsearch, and what the mappings make of documents."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from elasticsearch import Elasticsearch

from exporter.errors import Refused, Unavailable
from exporter.install import templates
from exporter.install.templates import IndexMode, Installed, Step, _put_retention, duration, mappings_root, setup
from tests.install.paths import ALL, NESTED
from tests.services.elasticsearch import Cluster
from tests.sink.faults import Answer, serve

TIME = "2026-11-21T10:00:00.000Z"


@pytest.fixture
def client(elasticsearch: Cluster) -> Iterator[Elasticsearch]:
    with Elasticsearch(elasticsearch.url, max_retries=0) as made:
        yield made


@pytest.fixture
def namespace(client: Elasticsearch) -> Iterator[str]:
    """A name that no other test uses; what was set up for it goes again."""
    name = f"install_{uuid4().hex}"
    yield name
    # A server without the data stream API (400, 405) is one that is thrown away after the run, with its streams.
    gone = client.options(ignore_status=(400, 404, 405))
    gone.indices.delete_data_stream(name=f"logs-aws.vpcflow-{name}")
    gone.indices.delete_index_template(name=f"logs-aws.vpcflow-{name}")


def index(elasticsearch: Elasticsearch, namespace: str, /, **document: object) -> None:
    """Puts a document into the data stream."""
    elasticsearch.create(
        index=f"logs-aws.vpcflow-{namespace}", id=uuid4().hex, document={"@timestamp": TIME, **document}
    )
    elasticsearch.indices.refresh(index=f"logs-aws.vpcflow-{namespace}")


def outcomes(installed: Installed) -> list[str]:
    """What became of each step, in order."""
    return [step.outcome for step in installed.steps]


def write_indices(client: Elasticsearch, namespace: str) -> dict[str, Any]:
    """The data stream's indices by name, oldest first."""
    return dict(sorted(client.indices.get(index=f"logs-aws.vpcflow-{namespace}").body.items()))


def mapped(properties: dict[str, Any], above: str = "") -> dict[str, str]:
    """The mappings' paths with their types."""
    found: dict[str, str] = {}
    for name, mapping in properties.items():
        if "properties" in mapping:
            found |= mapped(mapping["properties"], f"{above}{name}.")
        else:
            found[above + name] = mapping["type"]
    return found


def test_the_mappings_have_every_field_that_is_written_and_no_other() -> None:
    text = (mappings_root() / "elasticsearch" / "mappings.json").read_text("utf-8")
    assert mapped(json.loads(text)["template"]["mappings"]["properties"]) == ALL


SAMPLES: dict[str, tuple[object, dict[str, Any]]] = {
    "keyword": ("An exact Value", {"term": "An exact Value"}),
    "ip": ("2001:db8::7", {"term": "2001:db8::/64"}),
    "long": (9_007_199_254_740_993, {"range": {"gt": 9_007_199_254_740_992, "lt": 9_007_199_254_740_994}}),
    "date": (TIME, {"range": {"gte": "2026-11-21T11:00:00+01:00", "lt": "2026-11-21T10:00:01Z"}}),
    "flattened": ({"new-field": "v"}, {"term": "v"}),
    "object": ({"Team": "core"}, {"exists": None}),
    "double": (0.125, {"range": {"gt": 0.1249999999999, "lt": 0.1250000000001}}),
    "geo_point": (
        {"lat": 50.0, "lon": 8.25},
        {"geo_bounding_box": {"top_left": {"lat": 50.1, "lon": 8.2}, "bottom_right": {"lat": 49.9, "lon": 8.3}}},
    ),
}
"""For each type a value, and a query that finds it only where it is of that type."""

NOT_SEARCHABLE = {"event.original"}


def document_of(values: dict[str, object]) -> dict[str, Any]:
    """Dotted paths as nested objects."""
    document: dict[str, Any] = {}
    for path, value in values.items():
        *above, name = path.split(".")
        inner = document
        for part in above:
            inner = inner.setdefault(part, {})
        inner[name] = value
    return document


def query_for(path: str, query: dict[str, Any]) -> dict[str, Any]:
    ((kind, asked),) = query.items()
    asking = {"exists": {"field": path}} if kind == "exists" else {kind: {path: asked}}
    above = next((each for each in NESTED if path.startswith(f"{each}.")), None)
    return {"nested": {"path": above, "query": asking}} if above else asking


@pytest.mark.parametrize("mode", ["standard", "logsdb"])
def test_every_field_is_found_by_a_search_of_its_type(client: Elasticsearch, namespace: str, mode: IndexMode) -> None:
    assert setup(client, namespace=namespace, index_mode=mode, replicas=0).index_mode == mode
    whole = document_of({path: SAMPLES[kind][0] for path, kind in ALL.items()})
    index(client, namespace, **whole)
    searches: list[dict[str, Any]] = []
    for path, kind in ALL.items():
        searches += [{}, {"query": query_for(path, SAMPLES[kind][1]), "size": 1}]
    answers = client.msearch(index=f"logs-aws.vpcflow-{namespace}", searches=searches)["responses"]
    missing = {path for path, answer in zip(ALL, answers, strict=True) if answer.get("hits", {}).get("hits", []) == []}
    assert missing == NOT_SEARCHABLE
    (hit,) = client.search(index=f"logs-aws.vpcflow-{namespace}")["hits"]["hits"]
    assert hit["_source"]["event"]["original"] == "An exact Value"


def test_an_older_server_gets_plain_objects_for_nested_ones() -> None:
    """Elasticsearch before 8.16 refuses nested fields in a sorted index; 8.12 is the oldest that Kibana's part asks."""
    old, new = ({"number": number, "build_flavor": "default"} for number in ("8.12.2", "8.16.0"))
    serverless = {"number": "8.11.0", "build_flavor": "serverless"}
    kinds = [
        templates.mappings_template(about)["template"]["mappings"]["properties"]["threat"]["properties"][
            "enrichments"
        ].get("type")
        for about in (old, new, serverless)
    ]
    assert kinds == [None, "nested", "nested"]


def test_tags_and_unknown_fields_of_any_name_refuse_nothing(client: Elasticsearch, namespace: str) -> None:
    setup(client, namespace=namespace, replicas=0)
    tags = {"a": "1", "a.b": "2", "kubernetes.io/cluster/x": "owned", "aws:cloudformation:stack-name": "s"}
    extra = {"a": "1", "a.b": "2", "long": "x" * 40_000}
    index(client, namespace, aws={"vpcflow": {"source": {"tags": tags}, "extra": extra}})
    index(client, namespace, aws={"vpcflow": {"source": {"tags": {"Team": "x" * 40_000}}}})

    def found(field: str, value: str) -> int:
        answer = client.search(index=f"logs-aws.vpcflow-{namespace}", query={"term": {f"aws.vpcflow.{field}": value}})
        return len(answer["hits"]["hits"])

    assert [found(f"source.tags.{name}", value) for name, value in tags.items()] == [1, 1, 1, 1]
    assert found("extra.a.b", "2") == 1
    assert found("source.tags.a", "2") == 0
    buckets = client.search(
        index=f"logs-aws.vpcflow-{namespace}", aggs={"t": {"terms": {"field": "aws.vpcflow.source.tags.a.b"}}}, size=0
    )["aggregations"]["t"]["buckets"]
    assert buckets == [{"key": "2", "doc_count": 1}]


def test_a_field_that_is_not_mapped_is_kept_and_maps_nothing(client: Elasticsearch, namespace: str) -> None:
    setup(client, namespace=namespace, replicas=0)
    index(client, namespace, surprise="x")
    ((_, made),) = write_indices(client, namespace).items()
    assert "surprise" not in made["mappings"]["properties"]
    (hit,) = client.search(index=f"logs-aws.vpcflow-{namespace}")["hits"]["hits"]
    assert hit["_source"]["surprise"] == "x"


def test_a_second_run_changes_nothing_before_and_after_the_first_document(
    client: Elasticsearch, namespace: str
) -> None:
    setup(client, namespace=f"{namespace}_before", replicas=0)  # the mappings are there for all namespaces
    first = setup(client, namespace=namespace, replicas=0)
    stream = f"logs-aws.vpcflow-{namespace}"
    not_yet = "the data stream does not exist yet; the first document makes it"
    assert first.stream == stream
    assert first.steps == (
        Step(f"_component_template/vpcflow-exporter-settings-{namespace}", "created"),
        Step("_component_template/vpcflow-exporter-mappings", "unchanged"),
        Step(f"_index_template/{stream}", "created"),
        Step(f"retention of {stream}", "left alone", "the data stream does not exist yet; the template has it"),
        Step(stream, "left alone", not_yet),
    )
    assert outcomes(setup(client, namespace=namespace, replicas=0)) == ["unchanged"] * 3 + ["left alone"] * 2
    index(client, namespace, aws={"vpcflow": {"source": {"tags": {"Team": "core"}}}})
    *templates, retention, roll_over = outcomes(setup(client, namespace=namespace, replicas=0))
    assert templates == ["unchanged"] * 3
    assert retention in {"unchanged", "left alone"}  # the latter where the server has no lifecycle API
    assert roll_over == "unchanged"
    assert len(write_indices(client, namespace)) == 1


def test_dead_letters_get_a_data_stream_where_they_are_asked_for(client: Elasticsearch, namespace: str) -> None:
    """Kept as long and as often as documents; a stream that has older settings is rolled over."""
    setup(client, namespace=f"{namespace}_before", replicas=0, dead_letters=True)  # mappings are for all namespaces
    installed = setup(client, namespace=namespace, retention=timedelta(hours=36), replicas=0, dead_letters=True)
    stream = f"logs-vpcflow_exporter.dead_letter-{namespace}"
    assert installed.steps[5:] == (
        Step(f"_component_template/vpcflow-exporter-dead-letter-settings-{namespace}", "created"),
        Step("_component_template/vpcflow-exporter-dead-letter-mappings", "unchanged"),
        Step(f"_index_template/{stream}", "created"),
        Step(f"retention of {stream}", "left alone", "the data stream does not exist yet; the template has it"),
        Step(stream, "left alone", "the data stream does not exist yet; the first document makes it"),
    )
    assert (installed.stream, installed.index_mode) == (f"logs-aws.vpcflow-{namespace}", "logsdb")
    client.create(index=stream, id="1", document={"@timestamp": TIME})
    ((_, made),) = client.indices.get(index=stream).items()
    settings = made["settings"]["index"]
    assert (settings["mode"], settings["number_of_replicas"]) == ("standard", "0")
    assert settings["sort"]["field"] == ["vpcflow_exporter.letter.id", "@timestamp"]
    simulated = client.indices.simulate_index_template(name=stream)["template"]
    assert simulated["lifecycle"]["data_retention"] == "36h"
    again = setup(client, namespace=namespace, retention=timedelta(hours=36), replicas=0, dead_letters=True)
    assert set(outcomes(again)) <= {"unchanged", "left alone"}
    assert again.steps[-1] == Step(stream, "unchanged")
    assert outcomes(setup(client, namespace=namespace, shards=2, replicas=0, dead_letters=True))[-1] == "rolled over"
    assert len(setup(client, namespace=namespace, replicas=0).steps) == 5
    client.options(ignore_status=(400, 404, 405)).indices.delete_data_stream(name=stream)


def test_an_index_is_made_as_the_configuration_says(client: Elasticsearch, namespace: str) -> None:
    installed = setup(client, namespace=namespace, retention=timedelta(hours=36), shards=2, replicas=0)
    assert installed.index_mode == "logsdb"
    index(client, namespace)
    ((_, made),) = write_indices(client, namespace).items()
    settings = made["settings"]["index"]
    assert (settings["mode"], settings["codec"]) == ("logsdb", "best_compression")
    assert (settings["number_of_shards"], settings["number_of_replicas"]) == ("2", "0")
    assert settings["sort"] == {"field": ["aws.vpcflow.interface_id", "@timestamp"], "order": ["asc", "desc"]}
    simulated = client.indices.simulate_index_template(name=installed.stream)["template"]
    assert simulated["lifecycle"]["data_retention"] == "36h"
    setup(client, namespace=namespace, retention=None, replicas=0)
    assert "lifecycle" not in client.indices.simulate_index_template(name=installed.stream)["template"]


def test_an_older_index_is_rolled_over_once(client: Elasticsearch, namespace: str) -> None:
    setup(client, namespace=namespace, replicas=0)
    older = json.loads((mappings_root() / "elasticsearch" / "mappings.json").read_text("utf-8"))
    del older["template"]["mappings"]["properties"]["event"]["properties"]["reason"]
    client.cluster.put_component_template(name="vpcflow-exporter-mappings", template=older["template"])
    index(client, namespace, event={"reason": "BPA"})
    *steps, rolled = setup(client, namespace=namespace, replicas=0).steps
    assert [step.outcome for step in steps[:3]] == ["unchanged", "updated", "unchanged"]
    assert rolled.outcome == "rolled over"
    assert "lacked mappings.properties.event.properties.reason" in rolled.why
    index(client, namespace, event={"reason": "BPA"})
    found = client.search(index=f"logs-aws.vpcflow-{namespace}", query={"term": {"event.reason": "BPA"}})["hits"]
    assert [hit["_index"] for hit in found["hits"]] == [list(write_indices(client, namespace))[1]]
    assert outcomes(setup(client, namespace=namespace, replicas=0))[-1] == "unchanged"
    assert len(write_indices(client, namespace)) == 2


def test_another_index_mode_takes_a_roll_over(client: Elasticsearch, namespace: str) -> None:
    setup(client, namespace=namespace, index_mode="standard", replicas=0)
    index(client, namespace)
    assert outcomes(setup(client, namespace=namespace, index_mode="logsdb", replicas=0))[-1] == "rolled over"
    index(client, namespace)
    modes = [made["settings"]["index"].get("mode") for made in write_indices(client, namespace).values()]
    assert modes == ["standard", "logsdb"]


def test_a_stronger_template_of_somebody_else_is_told(client: Elasticsearch, namespace: str) -> None:
    name = f"logs-aws.vpcflow-{namespace}"
    client.indices.put_index_template(name=f"{name}-other", index_patterns=[name], priority=900, data_stream={})
    with pytest.raises(Refused, match=f"priority above 250 matches {name}"):
        setup(client, namespace=namespace)
    client.indices.delete_index_template(name=f"{name}-other")
    setup(client, namespace=namespace)


def test_a_template_of_the_same_priority_is_refused_with_the_servers_words(
    client: Elasticsearch, namespace: str
) -> None:
    name = f"logs-aws.vpcflow-{namespace}"
    client.indices.put_index_template(name=f"{name}-other", index_patterns=[name], priority=250, data_stream={})
    with pytest.raises(Refused, match="-other"):
        setup(client, namespace=namespace)
    client.indices.delete_index_template(name=f"{name}-other")


FAULTS = {
    "not there": (Answer(503, "{}"), Unavailable),
    "no privilege": (Answer(403, '{"error":{"type":"security_exception"}}'), Refused),
    "closes": (Answer(0), Unavailable),
    "no JSON": (Answer(200, "<html>"), Unavailable),
}


@pytest.mark.parametrize(("answer", "error"), FAULTS.values(), ids=FAULTS)
def test_a_server_that_does_not_do_it(answer: Answer, error: type[Exception]) -> None:
    with serve(answer) as server, Elasticsearch(server.url, max_retries=0) as faulty, pytest.raises(error):
        setup(faulty)


def lifecycle(retention: str | None) -> Answer:
    """The answer about a data stream's lifecycle."""
    told = {"enabled": True, **({"data_retention": retention} if retention else {})}
    return Answer(200, json.dumps({"data_streams": [{"name": "s", "lifecycle": told}]}))


DONE = Answer(200, '{"acknowledged":true}')
RETENTIONS = {
    "the same": (timedelta(days=90), [lifecycle("90d")], "unchanged", 2),
    "another": (timedelta(days=30), [lifecycle("90d"), DONE], "updated", 3),
    "none now": (None, [lifecycle("90d"), DONE], "updated", 3),
    "never any": (None, [lifecycle(None)], "unchanged", 2),
    "no such API": (timedelta(days=90), [Answer(400, '{"error":"no handler found for uri"}')], "left alone", 2),
}


@pytest.mark.parametrize(("retention", "answers", "outcome", "requests"), RETENTIONS.values(), ids=RETENTIONS)
def test_an_existing_stream_gets_its_retention(
    retention: timedelta | None, answers: list[Answer], outcome: str, requests: int
) -> None:
    """The API is not in the server that tests get without Docker: its answers are as documented."""
    with serve(Answer(200), *answers) as server, Elasticsearch(server.url, max_retries=0) as client:
        assert _put_retention(client, "s", retention).outcome == outcome
        assert len(server.bodies) == requests
        assert server.paths[1:] == ["/_data_stream/s/_lifecycle"] * (requests - 1)
        if outcome == "updated":
            assert server.bodies[-1] == (b'{"data_retention":"30d"}' if retention else b"")


DURATIONS = {"90d": {"days": 90}, "36h": {"hours": 36}, "24d": {"weeks": 3, "days": 3}, "90m": {"minutes": 90}}


@pytest.mark.parametrize(("text", "time"), DURATIONS.items(), ids=DURATIONS)
def test_duration(text: str, time: dict[str, int]) -> None:
    assert duration(timedelta(**time)) == text
