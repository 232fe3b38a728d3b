"""`dead-letters` on a real data stream, alone and with a file beside it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from uuid import uuid4

import pytest
from elasticsearch import Elasticsearch
from typer.testing import CliRunner, Result

from exporter.__main__ import app
from exporter.errors import ExporterError
from exporter.flow import DeadLetter
from exporter.metrics import Metrics
from exporter.sink.dead_letter import DeadLetterFile
from exporter.sink.kept_letters import read as read_file
from exporter.sink.letter_stream import LetterStream
from tests.commands.test_dead_letters import FIRST, GOOD, SECOND, document, id_of, line
from tests.services.elasticsearch import Cluster
from tests.sink.faults import Answer, serve

CONFIG = """
source: {{s3: [{{bucket: logs, start: 2026-01-01}}]}}
enrich: {{ec2: {{enabled: false}}}}
output: {{namespace: {namespace}, elasticsearch: {{hosts: ["{url}"], replicas: 0}}, dead_letters: {letters}}}
state: {{folder: {folder}/state}}
log: {{level: warning}}
"""


class Place:
    """A configuration with a data stream for dead letters, and a folder that may have a file of them."""

    def __init__(self, url: str, folder: Path, letters: str = "stream") -> None:
        self.namespace = f"store_{uuid4().hex}"
        self.config = folder / "config.yaml"
        self.config.write_text(CONFIG.format(url=url, folder=folder, namespace=self.namespace, letters=letters))
        self.client = Elasticsearch(url, max_retries=0)
        self.file = DeadLetterFile(folder / "state", Metrics())
        self.stream = LetterStream(
            self.client, namespace=self.namespace, fallback=self.file, metrics=Metrics(), stop=Event()
        )

    def run(self, command: str, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["dead-letters", command, "--config", str(self.config), *arguments])

    def listed(self, *arguments: str) -> list[str]:
        """The ids of a list, in its order."""
        result = self.run("list", "--json", *arguments)
        assert (result.exit_code, result.stderr) == (0, "")
        return [json.loads(each)["id"] for each in result.stdout.splitlines()]

    def documents(self) -> dict[str, object]:
        """What went out: each document by its id."""
        stream = f"logs-aws.vpcflow-{self.namespace}"
        self.client.options(ignore_status=404).indices.refresh(index=stream)
        found = self.client.options(ignore_status=404).search(index=stream, size=100)
        return {hit["_id"]: hit["_source"] for hit in found.get("hits", {}).get("hits", [])}


@pytest.fixture
def place(elasticsearch: Cluster, tmp_path: Path) -> Iterator[Place]:
    made = Place(elasticsearch.url, tmp_path)
    result = CliRunner().invoke(app, ["setup", "--config", str(made.config)])
    assert (result.exit_code, result.stderr) == (0, "")
    made.stream.verify()
    with made.client:
        yield made
        # A server without the data stream API (400, 405) is one that is thrown away after the run.
        gone = made.client.options(ignore_status=(400, 404, 405))
        gone.indices.delete_data_stream(name=[made.stream.stream, f"logs-aws.vpcflow-{made.namespace}"])


def test_letters_of_the_stream_are_listed_shown_and_sent_without_a_state_folder(place: Place) -> None:
    assert place.run("list").stdout == "There are no dead letters.\n"
    place.stream.keep(
        [line(7, GOOD), line(9, "rubbish"), document(8, SECOND, **{"@timestamp": "2026-11-03T12:00:00.000Z"})]
    )
    result = place.run("list")
    assert [each.split()[0] for each in result.stdout.splitlines()[1:4]] == sorted(
        [id_of(7), id_of(9), id_of(8, SECOND)]
    )
    assert result.stdout.splitlines()[4:] == ["2 lines and 1 document"]
    assert place.listed("--object", "other/") == [id_of(8, SECOND)]
    shown = place.run("show", id_of(9)).stdout.splitlines()
    assert (shown[0], shown[-2]) == (f"id        {id_of(9)}", "rubbish")

    dry = place.run("replay", "--all", "--dry-run").stdout.splitlines()[-1]
    assert dry == "2 would be sent, 0 there already, 1 would be refused again, 0 cannot be replayed"
    assert place.documents() == {}
    result = place.run("replay", "--all")
    assert result.stdout.splitlines() == [
        f"{id_of(9)} {FIRST} row 9: 1 field where the format has 14",
        "2 sent, 0 there already, 1 refused again, 0 cannot be replayed",
    ]
    assert result.exit_code == 1
    sent = place.documents()
    assert sent.keys() == {id_of(7), id_of(8, SECOND)}
    assert sent[id_of(8, SECOND)] == json.loads(document(8, SECOND, **{"@timestamp": "2026-11-03T12:00:00.000Z"}).text)
    assert place.listed() == [id_of(9)]
    assert sorted(place.listed("--all")) == sorted([id_of(7), id_of(9), id_of(8, SECOND)])
    assert place.run("replay", id_of(7)).stdout == "0 sent, 1 there already, 0 refused again, 0 cannot be replayed\n"
    assert not place.file.path.parent.exists()


def test_a_list_has_the_newest_letters_whatever_their_ids(place: Place) -> None:
    """The stream gives them in the order of their ids, and a time that is hours ago comes last of all."""
    first, second = sorted((FIRST, SECOND), key=lambda each: each.id_prefix)
    for letter in (line(1, "a", second), line(2, "b", first), line(3, "c", second)):
        place.stream.keep([letter])
    ids = [id_of(1, second), id_of(2, first), id_of(3, second)]
    assert place.listed() == ids
    assert place.listed("--limit", "2") == ids[1:]


def test_a_file_beside_the_stream_is_read_and_marked_too(place: Place) -> None:
    place.file.keep([line(1, GOOD), line(2, "rubbish")])
    place.stream.keep([line(3, GOOD), document(2, SECOND)])
    place.stream.supersede(SECOND, datetime.now(UTC) + timedelta(minutes=1))
    assert place.listed() == [id_of(1), id_of(2), id_of(3)]
    assert place.run("show", id_of(2)).stdout.splitlines()[-2] == "rubbish"
    result = place.run("replay", id_of(1), id_of(3), id_of(2, SECOND))
    assert result.stdout.splitlines() == [
        f"{id_of(2, SECOND)} {SECOND} row 2: its object was read again since, whole, and this letter is no longer true",
        "2 sent, 0 there already, 0 refused again, 1 cannot be replayed",
    ]
    assert place.documents().keys() == {id_of(1), id_of(3)}
    assert [(each.row, each.replayed) for each in read_file(place.file.path)] == [(1, True), (2, False)]
    assert place.listed() == [id_of(2)]
    result = place.run("show", id_of(1), "nobody")
    assert str(result.exception).startswith(
        f"no dead letter in {place.stream.stream} or {place.file.path} has the id nobody; `dead-letters list --all`"
    )


@pytest.mark.parametrize("command", [("list",), ("show", id_of(1)), ("replay", id_of(1))])
def test_a_stream_that_may_not_be_read_is_told_and_nothing_is_sent(tmp_path: Path, command: tuple[str, ...]) -> None:
    with serve(Answer(200, "{}"), Answer(403, "{}")) as server:
        result = Place(server.url, tmp_path).run(*command)
        assert result.exit_code == 1
        assert isinstance(result.exception, ExporterError)
        assert "the privilege `read` on the data stream is needed" in str(result.exception)
        assert [path for path in server.paths if "logs-aws.vpcflow" in path and "_bulk" in path] == []


def test_letters_in_a_file_alone_ask_no_cluster(tmp_path: Path) -> None:
    kept: list[DeadLetter] = [line(1, "rubbish"), replace(line(2, GOOD), row=2)]
    with serve(Answer(500)) as server:
        place = Place(server.url, tmp_path, letters="auto")
        place.file.keep(kept)
        assert place.listed() == [id_of(1), id_of(2)]
        assert server.paths == []
