"""The files that documents go into."""

from dataclasses import replace
from pathlib import Path

import pytest

from exporter.errors import Unavailable
from exporter.flow import Body, Delivered, S3Object, Sink
from exporter.metrics import Metrics
from exporter.sink.files import FilesSink, documents_of, path_of
from tests.sink.bodies import SOURCE, body

NAME = "123456789012_vpcflowlogs_eu-west-1_fl-0123456789abcdef0_20261121T1000Z_0a1b2c3d"
FILE = Path("123456789012/eu-west-1/2026/11/21") / f"{NAME}_{SOURCE.id_prefix}.ndjson"


def files_in(folder: Path) -> dict[Path, str]:
    """Every file below a folder with its text."""
    return {path.relative_to(folder): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_an_objects_documents_become_one_file_when_it_is_finished(tmp_path: Path) -> None:
    metrics = Metrics()
    sink: Sink = FilesSink(tmp_path, metrics)
    first, second = body('{"a":1}', '{"a":2}'), body('{"a":"ü"}', first_row=3)
    delivery = sink.open(SOURCE)
    delivery.send(first)
    delivery.send(second)
    assert FILE not in files_in(tmp_path)
    assert delivery.finish() == Delivered(created=3, bytes=len(first.data) + len(second.data))
    assert files_in(tmp_path) == {FILE: '{"a":1}\n{"a":2}\n{"a":"ü"}\n'}
    assert metrics.value("documents_total", outcome="created") == 3
    assert metrics.value("document_bytes_total") == len(first.data) + len(second.data)
    sink.close()
    assert list(files_in(tmp_path)) == [FILE]


def test_a_replay_writes_the_same_file_again(tmp_path: Path) -> None:
    sink = FilesSink(tmp_path, Metrics())
    for document in ('{"a":1}', '{"a":2}'):
        delivery = sink.open(SOURCE)
        delivery.send(body(document))
        delivery.finish()
    assert files_in(tmp_path) == {FILE: '{"a":2}\n'}


def test_an_object_without_documents_has_no_file(tmp_path: Path) -> None:
    metrics = Metrics()
    assert FilesSink(tmp_path, metrics).open(SOURCE).finish() == Delivered()
    assert files_in(tmp_path) == {}


def test_what_is_not_finished_leaves_nothing(tmp_path: Path) -> None:
    metrics = Metrics()
    sink = FilesSink(tmp_path, metrics)
    sink.open(SOURCE).send(body('{"a":1}'))
    again = sink.open(SOURCE)
    again.send(body('{"a":2}'))
    sink.close()
    assert files_in(tmp_path) == {}
    assert metrics.value("documents_total", outcome="created") == 0


def test_a_part_that_a_crash_left_is_written_anew(tmp_path: Path) -> None:
    left = tmp_path / FILE.with_name(f".{FILE.name}.part")
    left.parent.mkdir(parents=True)
    left.write_text('{"a":"half of a l')
    delivery = FilesSink(tmp_path, Metrics()).open(SOURCE)
    delivery.send(body('{"a":1}'))
    delivery.finish()
    assert files_in(tmp_path) == {FILE: '{"a":1}\n'}


def test_a_folder_that_takes_no_files_is_an_output_that_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "123456789012").write_text("a file where the account's folder should be")
    delivery = FilesSink(tmp_path, Metrics()).open(SOURCE)
    with pytest.raises(Unavailable, match=f"{tmp_path}.*cannot be written"):
        delivery.send(body('{"a":1}'))
    with pytest.raises(Unavailable):
        delivery.finish()


def test_a_full_disk_leaves_no_file(tmp_path: Path) -> None:
    part = tmp_path / FILE.with_name(f".{FILE.name}.part")
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    delivery = FilesSink(tmp_path, Metrics()).open(SOURCE)
    with pytest.raises(Unavailable, match="No space left"):
        delivery.send(body(f'{{"a":"{"x" * 100_000}"}}'))
    with pytest.raises(Unavailable, match="No space left"):
        delivery.finish()
    assert files_in(tmp_path) == {}
    assert not part.is_symlink()


BODIES = {
    "two": (b'{"create":{"_id":"a"}}\n{"x":1}\n{"create":{"_id":"b"}}\n{"x":2}\n', b'{"x":1}\n{"x":2}\n'),
    "no last line end": (b'{"create":{"_id":"a"}}\n{"x":1}', b'{"x":1}\n'),
    "none": (b"", b""),
    "a document that looks like an action": (b'{"create":{}}\n{"create":{}}\n', b'{"create":{}}\n'),
}


@pytest.mark.parametrize(("data", "documents"), BODIES.values(), ids=BODIES)
def test_documents_of(data: bytes, documents: bytes) -> None:
    assert documents_of(Body(SOURCE, data, data.count(b'"_id"'))) == documents


DAY = "2026/11/21"
PATHS = {
    "plain": (SOURCE, f"123456789012/eu-west-1/{DAY}/{NAME}_ID.ndjson"),
    "parquet": (replace(SOURCE, key="a/b.log.parquet"), f"123456789012/eu-west-1/{DAY}/b_ID.ndjson"),
    "no owner": (replace(SOURCE, account=None, region=None, key="x.txt"), f"no-account/no-region/{DAY}/x_ID.ndjson"),
    "dots": (replace(SOURCE, account="..", region=".", key="a/.."), f"_/_/{DAY}/__ID.ndjson"),
    "a way out": (replace(SOURCE, account="../../etc", key="..\\..\\pass"), f"_etc/eu-west-1/{DAY}/_pass_ID.ndjson"),
    "a NUL and a line end": (replace(SOURCE, key="a\0b\nc"), f"123456789012/eu-west-1/{DAY}/a_b_c_ID.ndjson"),
    "a folder's key": (replace(SOURCE, key="a/"), f"123456789012/eu-west-1/{DAY}/__ID.ndjson"),
    "long": (replace(SOURCE, key="k" * 1024), f"123456789012/eu-west-1/{DAY}/{'k' * 120}_ID.ndjson"),
}


@pytest.mark.parametrize(("source", "path"), PATHS.values(), ids=PATHS)
def test_path_of(source: S3Object, path: str) -> None:
    assert path_of(source) == Path(path.replace("_ID.", f"_{source.id_prefix}."))
