"""How a record gets the same `_id` each time it is read."""

import base64
import hashlib


def id_prefix(bucket: str, key: str, etag: str) -> str:
    """16 characters that stand for one version of one object.

    base64url of the first 12 bytes of sha256(bucket, key, etag, a NUL between).  A document's `_id` is this and its
    row as 8 hex digits: rising ids with a common prefix index smaller and faster than hashes.
    """
    digest = hashlib.sha256(f"{bucket}\0{key}\0{etag}".encode("utf-8", "surrogatepass")).digest()
    return base64.urlsafe_b64encode(digest[:12]).decode("ascii")
