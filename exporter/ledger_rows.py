"""How the ledger's rows spell where an object lies, and from which account and region it is."""

import json
from datetime import UTC, datetime

from exporter.flow import S3Object
from exporter.ledger_file import Connection, Row

LONGEST_REGION = 64
"""Characters of a region that are kept: it is a folder's name, and may be anything."""


def numbers_of(database: Connection, source: S3Object) -> tuple[int, int]:
    """By which the ledger's rows name an object's bucket, and its account and region; both are made known."""
    texts = (source.account or "", (source.region or "")[:LONGEST_REGION])
    origin = [text.encode("utf-8", "backslashreplace").decode() for text in texts]
    database.execute("INSERT INTO bucket (name) VALUES (?) ON CONFLICT DO NOTHING", (source.bucket,))
    database.execute("INSERT INTO origin (account, region) VALUES (?, ?) ON CONFLICT DO NOTHING", origin)
    ((bucket, number),) = database.execute(
        "SELECT bucket.number, origin.number FROM bucket, origin WHERE name = ? AND account = ? AND region = ?",
        (source.bucket, *origin),
    ).fetchall()
    return bucket, number


def place_of(source: S3Object) -> str:
    """Where an object lies and which version of it, as the ledger's text."""
    return json.dumps([source.key, source.etag, source.size, source.account, source.region])


def object_of(row: Row) -> S3Object:
    """The object of a row that starts with the bucket's name, `place_of` it, and its time."""
    key, etag, size, account, region = json.loads(row[1])
    return S3Object(row[0], key, etag, size, datetime.fromtimestamp(row[2], UTC), account, region)
