"""The rows on who owned what, read and added to beside whoever has the ledger."""

from pathlib import Path

import pytest

from exporter.errors import LedgerError
from exporter.ledger import BACKFILL, NAME, Ledger
from exporter.ledger_file import in_use
from exporter.ledger_ownership import Ownership, alone, last_answers

Row = tuple[object, ...]


def scope(number: int, taken: int = 1_772_359_200) -> Row:
    return number, f"region-{number}", taken, taken, "[]", "[]"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger with two scopes that nobody has open."""
    path = tmp_path / NAME
    with Ledger(path) as ledger:
        ledger.remember({"scope": [scope(1), scope(2)]}, {})
    return path


def test_all_tables_are_read_at_one_moment(path: Path) -> None:
    with Ledger(path) as daemon, Ownership(path) as looking:
        assert list(looking.rows("scope")) == [scope(1), scope(2)]
        daemon.remember({"scope": [scope(3)], "interface": [(1, "eni-1", "vpc-a", None, None)]}, {"scope": [1]})
        assert list(looking.rows("interface")) == []
        assert list(looking.rows("scope")) == [scope(1), scope(2)]
    assert list(looking.rows("scope")) == [scope(2), scope(3)], "afterwards each reading stands alone"


def test_who_has_the_ledger_alone_may_add(path: Path) -> None:
    with alone(path) as rows:
        assert in_use(path)
        rows.remember({"scope": [scope(3)]}, {"scope": [1]})
        assert list(rows.rows("scope")) == [scope(2), scope(3)]
        with pytest.raises(LedgerError, match="in use by process"), Ledger(path):
            pass
    assert not in_use(path)
    with Ledger(path) as daemon:
        assert list(daemon.rows("scope")) == [scope(2), scope(3)]


def test_what_fails_leaves_all_as_it_was(path: Path) -> None:
    with pytest.raises(LedgerError), alone(path) as rows:
        rows.remember({"scope": [scope(3), (4, None, 0, 0, "[]", "[]")]}, {"scope": [1]})
    assert list(Ownership(path).rows("scope")) == [scope(1), scope(2)]


def test_not_beside_a_daemon(path: Path) -> None:
    with Ledger(path), pytest.raises(LedgerError, match="a daemon would not see what is added: stop it"), alone(path):
        pass
    with Ledger(path.with_name(BACKFILL)), alone(path):
        pass


def test_without_a_ledger(tmp_path: Path) -> None:
    path = tmp_path / NAME
    for look in (lambda: alone(path).__enter__(), lambda: Ownership(path).__enter__(), lambda: last_answers(path)):
        with pytest.raises(LedgerError, match="there is no ledger"):
            look()
    assert list(Ownership(path).rows("scope")) == []
    assert list(tmp_path.iterdir()) == [], "and none is made"


def test_when_each_was_last_asked(path: Path) -> None:
    assert [(name, f"{at:%Y-%m-%d %H:%M}") for name, at in last_answers(path)] == [
        ("region-1", "2026-03-01 10:00"),
        ("region-2", "2026-03-01 10:00"),
    ]
