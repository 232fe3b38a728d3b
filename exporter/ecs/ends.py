"""What the documents say of the inventory's interfaces: JSON text made once a snapshot, gathered by row number."""

import json
from collections.abc import Mapping
from threading import Lock

import numpy as np
import polars as pl

from exporter.ecs.compiler import escaped

Template = Mapping[str, "str | Template"]

_CLOUD: Template = {
    "account": {"id": "account_id", "name": "account_name"},
    "region": "region",
    "availability_zone": "availability_zone",
    "instance": {"id": "instance_id", "name": "instance_name"},
    "machine": {"type": "machine_type"},
    "service": {"name": "service_name"},
}
_VPCFLOW: Template = {
    name: name
    for name in (
        "interface_id",
        "interface_type",
        "subnet_id",
        "subnet_name",
        "vpc_id",
        "vpc_name",
        "security_group_ids",
        "security_group_names",
        "resource_type",
        "resource_name",
        "cluster_name",
    )
}
_OWN_CLOUD: Template = {name: _CLOUD[name] for name in ("instance", "machine")}
_OWN_VPCFLOW: Template = {
    name: name for name in ("instance_id", "interface_type", "vpc_name", "subnet_name", "security_group_ids")
}
REPORTER = (
    "region",
    "availability_zone",
    "instance_id",
    "instance_name",
    "machine_type",
    "interface_type",
    "vpc_id",
    "vpc_name",
    "subnet_id",
    "subnet_name",
)
"""The owners' columns that stand in for what a record does not say of its own interface."""

ROWS = ("reporter", "source_owner", "destination_owner")
"""The records' columns that are rows of owners."""

ACCOUNT = ("account_id", "account_name")
"""The columns that give a name to the record's own account; there are none where no account has a name."""


class EndTexts:
    """The texts of owners, each made when the first record needs it: of all that is remembered few are at work.

    Any thread may ask.
    """

    def __init__(self, owners: pl.DataFrame) -> None:
        self.owners = owners
        self._named = (owners["account_name"] != "").any()
        self._place = np.full(owners.height, -1, dtype=np.int64)
        self._texts = end_texts(owners.clear(), named=self._named)
        self._lock = Lock()

    def of(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The records with rows of the texts in the place of rows of the owners, and the texts."""
        names = [name for name in ROWS if name in frame.columns]
        with self._lock:
            used = pl.concat([frame[name] for name in names]).drop_nulls().unique().to_numpy()
            fresh = used[self._place[used] < 0]
            if len(fresh):
                self._place[fresh] = np.arange(self._texts.height, self._texts.height + len(fresh))
                made = end_texts(self.owners[fresh], named=self._named)
                self._texts = pl.concat([self._texts, made])
            places, texts = pl.Series(self._place[used], dtype=pl.UInt32), self._texts
        table = pl.Series([None], dtype=pl.UInt32).new_from_index(0, self.owners.height).scatter(used, places)
        return frame.with_columns(table.gather(frame[name]).alias(name) for name in names), texts


def end_texts(owners: pl.DataFrame, *, named: bool) -> pl.DataFrame:
    """One row an owner, JSON text for what a document says of it; the columns of ACCOUNT only where they are `named`.

    `cloud` and `vpcflow` are objects (null when empty), `security_group_ids` an array, and the columns of REPORTER and
    of ACCOUNT text that is escaped and has no quotes yet.  `own_cloud` and `own_vpcflow` are members, each behind a
    comma, of the objects of the same names: what a record of the owner's own says that has nothing of this itself.
    """
    rows = owners.rows(named=True)
    single = (*REPORTER, *(ACCOUNT if named else ()))
    columns = {name: [_escaped(row[name]) for row in rows] for name in single}
    columns["security_group_ids"] = [_json(row["security_group_ids"]) for row in rows]
    columns["cloud"] = [_json(_filled(_CLOUD, row)) for row in rows]
    columns["vpcflow"] = [_json(_filled(_VPCFLOW, row) | _tags(row["tags"])) for row in rows]
    columns["own_cloud"] = [_members(_filled(_OWN_CLOUD, row)) for row in rows]
    columns["own_vpcflow"] = [_members(_filled(_OWN_VPCFLOW, row)) for row in rows]
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def _filled(template: Template, row: Mapping[str, object]) -> dict[str, object]:
    """The template with each column's value in the place of its name; what has none is left out."""
    values = {
        name: row[column] if isinstance(column, str) else _filled(column, row) for name, column in template.items()
    }
    return {name: value for name, value in values.items() if value}


def _tags(text: object) -> dict[str, object]:
    tags = json.loads(text) if isinstance(text, str) else {}
    return {"tags": tags} if tags else {}


def _json(value: object) -> str | None:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) if value else None


def _members(document: dict[str, object]) -> str | None:
    text = _json(document)
    return f",{text[1:-1]}" if text else None


def _escaped(value: object) -> str | None:
    return escaped(value) if isinstance(value, str) and value else None
