"""What no option can tell alone: options that exclude or need each other, and files that must be there.

All of it is looked for in the tree as it was read, whether or not the options in it are right each for itself, so that
one run tells all faults.
"""

import ipaddress
from collections.abc import Iterator
from pathlib import Path

from exporter.config_file import Loc, dotted
from exporter.option_types import FLAGS, SECRET_FILES, URL, keys_root, secret_file

_CLUSTER = ("output", "elasticsearch")
_INVENTORY = ("enrich", "ec2")
_ALTERNATIVES: tuple[tuple[Loc, bool, tuple[str, ...]], ...] = (
    (("output",), True, ("elasticsearch", "files")),
    (_CLUSTER, True, ("hosts", "cloud_id")),
    (_CLUSTER, False, ("api_key", "api_key_file", "username")),
    (_CLUSTER, False, ("password", "password_file")),
)
"""Sections, whether one of the options is needed, and options of which at most one may be given."""


def _given(tree: object, loc: Loc) -> dict[str, object] | None:
    """The options that have a value in a section; None where there is no such section."""
    for name in loc:
        tree = tree.get(name) if isinstance(tree, dict) else None
    return (
        {key: value for key, value in tree.items() if value not in (None, [], "")} if isinstance(tree, dict) else None
    )


def conflicts(tree: object) -> Iterator[tuple[Loc, str]]:
    """Where options of one file contradict or need each other, and what is wrong there; `tree` as it was read."""
    for loc, needed, names in _ALTERNATIVES:
        section = _given(tree, loc)
        both = [name for name in names if section and name in section]
        if len(both) > 1:
            yield loc, f"expected only one of {' and '.join(both)}"
        elif section is not None and needed and not both:
            yield loc, f"expected one of {' and '.join(names)}; neither is given"
    source = _given(tree, ("source",)) or {}
    yield from _nowhere(tree, source)
    yield from _repeated_queues(source.get("sqs"))
    yield from _streamed_letters(_given(tree, ("output",)) or {})
    for kind in ("s3", "sqs"):
        yield from _half_entries(kind, source.get(kind))
    yield from _differing_roles(source.get("s3"))
    yield from _repeated_buckets(source.get("s3"))
    yield from _overlapping_buckets(source.get("s3"))
    yield from _repeated(tree)
    inventory = _given(tree, _INVENTORY) or {}
    for looked in (_accounts_without_roles, _others_roles, _half_inventory):
        yield from ((_INVENTORY + loc, problem) for loc, problem in looked(inventory))
    yield from _half_feeds(tree)
    cluster = _given(tree, _CLUSTER) or {}
    for check in (_half_credentials, _unreadable_files, _unprotected_hosts):
        yield from ((_CLUSTER + loc, problem) for loc, problem in check(cluster))


_DISTINCT: dict[Loc, tuple[str, ...]] = {
    ("source", "flow_logs"): ("id",),
    ("enrich", "ec2", "accounts"): ("id",),
    ("enrich", "threats", "feeds"): ("name",),
    ("enrich", "cost", "prices"): ("region", "date"),
    ("filter", "rules"): ("name",),
}
"""Lists, and the options in all of which no two of their entries may be the same."""


def _repeated(tree: object) -> Iterator[tuple[Loc, str]]:
    for loc, names in _DISTINCT.items():
        first: dict[tuple[str, ...], int] = {}
        for index, entry in _entries((_given(tree, loc[:-1]) or {}).get(str(loc[-1]))):
            values = tuple(value for name in names if isinstance(value := entry.get(name), str))
            if len(values) == len(names) and (same := first.setdefault(values, index)) != index:
                yield (*loc, index), f"the same {' and '.join(names)} as {dotted(loc)}[{same}]: leave one out"


RESERVED_FEEDS = frozenset({"AWS ranges", "places", "own traffic"})
"""Names under which other things are kept fresh, beside threat feeds."""


def _half_feeds(tree: object) -> Iterator[tuple[Loc, str]]:
    feeds = ("enrich", "threats", "feeds")
    for index, entry in _entries((_given(tree, feeds[:-1]) or {}).get("feeds")):
        if str(entry.get("name")) in RESERVED_FEEDS:
            yield (*feeds, index, "name"), "the name of something else that is kept fresh: give it another one"
        if "column" in entry and entry.get("format") in ("plain", "stix"):
            yield (*feeds, index, "column"), "only csv has columns: leave it out, or set format: csv"
        if "expire_after" in entry and entry.get("format") == "plain":
            yield (*feeds, index, "expire_after"), "a plain list tells no times: leave it out"
        if "authorization" in entry and not str(entry.get("location")).startswith(("https://", "http://")):
            yield (*feeds, index, "authorization"), "only an address is asked with an authorization: leave it out"


def _streamed_letters(output: dict[str, object]) -> Iterator[tuple[Loc, str]]:
    if output.get("dead_letters") == "stream" and "files" in output:
        yield ("output", "dead_letters"), "a stream needs output.elasticsearch: with output.files they go to a file"


def _nowhere(tree: object, source: dict[str, object]) -> Iterator[tuple[Loc, str]]:
    if isinstance(tree, dict) and isinstance(tree.get("source"), dict) and not source.keys() & {"s3", "sqs"}:
        yield ("source",), "expected s3 or sqs or both; neither is given"


def _entries(entries: object) -> Iterator[tuple[int, dict[str, object]]]:
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            yield index, _given(entry, ()) or {}


def _repeated_queues(queues: object) -> Iterator[tuple[Loc, str]]:
    first: dict[str, int] = {}
    for index, entry in _entries(queues):
        if isinstance(url := entry.get("queue_url"), str):
            same = first.setdefault(url.rstrip("/"), index)
            if same != index:
                yield ("source", "sqs", index), f"the same queue as source.sqs[{same}]: leave one out"


def _half_entries(kind: str, entries: object) -> Iterator[tuple[Loc, str]]:
    for index, entry in _entries(entries):
        if "external_id" in entry and "role_arn" not in entry:
            yield ("source", kind, index, "external_id"), "an external id is told with a role: give role_arn too"
        if kind == "sqs" and "format" in entry and "buckets" not in entry:
            yield ("source", kind, index, "format"), "a format needs the buckets that it holds for: give buckets too"


def _differing_roles(buckets: object) -> Iterator[tuple[Loc, str]]:
    """A bucket is read by one client, whichever of its entries found the object."""
    first: dict[str, tuple[int, object, object]] = {}
    for index, entry in _entries(buckets):
        if isinstance(bucket := entry.get("bucket"), str):
            roles = (entry.get("role_arn"), entry.get("external_id"))
            same, *others = first.setdefault(bucket, (index, *roles))
            if roles != tuple(others):
                yield (
                    ("source", "s3", index),
                    f"not the role_arn and external_id that source.s3[{same}] has for the same bucket: give both alike",
                )


def _repeated_buckets(buckets: object) -> Iterator[tuple[Loc, str]]:
    first: dict[tuple[object, ...], int] = {}
    for index, entry in enumerate(buckets if isinstance(buckets, list) else ()):
        if isinstance(entry, dict) and isinstance(entry.get("bucket"), str):
            aws = (entry.get("layout") or "aws") == "aws"
            same = first.setdefault((entry["bucket"], aws, str(entry.get("prefix") or "")), index)
            if same != index:
                yield ("source", "s3", index), f"the same bucket and prefix as source.s3[{same}]: leave one out"


def _overlapping_buckets(buckets: object) -> Iterator[tuple[Loc, str]]:
    """An object has one time: by its key in AWS's layout, else LastModified; so it must not be listed in both."""
    before: dict[str, list[tuple[int, bool, str]]] = {}
    for index, entry in enumerate(buckets if isinstance(buckets, list) else ()):
        if not isinstance(entry, dict) or not isinstance(bucket := entry.get("bucket"), str):
            continue
        layout = str(entry.get("layout") or "aws")
        aws, root = layout == "aws", keys_root(str(entry.get("prefix") or ""), layout)
        others = before.setdefault(bucket, [])
        for other, other_aws, other_root in others:
            if aws != other_aws and (root.startswith(other_root) or other_root.startswith(root)):
                problem = f"lists keys that source.s3[{other}] lists too, in another layout: give them prefixes apart"
                yield ("source", "s3", index), problem
                break
        others.append((index, aws, root))


def _accounts_without_roles(inventory: dict[str, object]) -> Iterator[tuple[Loc, str]]:
    if "role_name" in inventory:
        return
    if _is_on(_given(inventory, ("organization",))):
        yield ("organization",), "its accounts are asked by a role of each: give enrich.ec2.role_name too"
    for index, entry in _entries(inventory.get("accounts")):
        if "role_arn" not in entry:
            yield ("accounts", index), "an account is asked by a role: give role_arn, or enrich.ec2.role_name for all"


def _is_on(section: dict[str, object] | None) -> bool:
    return section is not None and FLAGS.get(str(section.get("enabled")).lower(), False)


def _others_roles(inventory: dict[str, object]) -> Iterator[tuple[Loc, str]]:
    for index, entry in _entries(inventory.get("accounts")):
        account, role = entry.get("id"), entry.get("role_arn")
        owner = role.split(":")[4:5] if isinstance(role, str) else []
        if isinstance(account, str) and owner and owner != [account]:
            yield ("accounts", index, "role_arn"), "a role of another account than this entry's id: give one of its own"


def _half_inventory(inventory: dict[str, object]) -> Iterator[tuple[Loc, str]]:
    if "external_id" in inventory and "role_name" not in inventory:
        yield ("external_id",), "an external id is told with a role: give role_name too"
    organization = _given(inventory, ("organization",)) or {}
    if "external_id" in organization and "role_arn" not in organization:
        yield ("organization", "external_id"), "an external id is told with a role: give role_arn too"


def _half_credentials(cluster: dict[str, object]) -> Iterator[tuple[Loc, str]]:
    password = cluster.keys() & {"password", "password_file"}
    if "username" in cluster and not password:
        yield ("username",), "a user needs a password: give password or password_file too"
    if password and "username" not in cluster:
        yield (min(password),), "a password needs a user: give username too"


def _unreadable_files(cluster: dict[str, object]) -> Iterator[tuple[Loc, str]]:
    for name, check in SECRET_FILES.items():
        if isinstance(path := cluster.get(name), str):
            try:
                secret_file(Path(path), check)
            except ValueError as error:
                yield (name,), str(error)
    if isinstance(path := cluster.get("ca_certs"), str) and not Path(path).is_file():
        yield ("ca_certs",), "expected a file with PEM certificates; there is no such file"


def _unprotected_hosts(cluster: dict[str, object]) -> Iterator[tuple[Loc, str]]:
    hosts = cluster.get("hosts")
    listed = [host.strip() for host in hosts.split(",")] if isinstance(hosts, str) else hosts
    for index, host in enumerate(listed if isinstance(listed, list) else ()):
        match = URL.fullmatch(host) if isinstance(host, str) else None
        if match is None or match[1] == "https":
            continue
        for name in sorted(cluster.keys() & {"ca_certs", "certificate_fingerprint"}):
            yield ("hosts", index), f"{name} needs https: it says nothing about a host without TLS"
        allowed = FLAGS.get(str(cluster.get("allow_plaintext")).lower(), False)
        if cluster.keys() & {"api_key", "api_key_file", "username"} and not allowed and not _is_loopback(match[2]):
            yield ("hosts", index), "sends credentials unencrypted: use https, or accept it by allow_plaintext: true"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
