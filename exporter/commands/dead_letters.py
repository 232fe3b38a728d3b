"""`vpcflow-exporter dead-letters`: what could not go out, and a second try for it."""

import heapq
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from exporter.commands.letter_store import Letters, letters_of
from exporter.commands.listing import counted, printable, say, show_table
from exporter.commands.local import named_fields
from exporter.commands.options import CONFIG_PATH, ConfigPath, loaded
from exporter.commands.replay import replay_letters, replaying
from exporter.commands.tally import Tally
from exporter.errors import ExporterError
from exporter.logs import CONTROL
from exporter.sink.kept_letters import KeptLetter

_ID = re.compile(r"-[A-Za-z0-9_-]{15}[0-9a-f]{8}")
"""A letter's id that looks like an option, which one of 64 objects has."""

_TOLD = 50
"""Letters that are told one by one after a replay."""

_IN_JSON = {code: json.dumps(chr(code))[1:-1] for code in CONTROL if code >= 127}  # noqa: PLR2004 - see below
"""What CONTROL names and JSON leaves as it stands (ASCII's last, and all beyond), in JSON's own escapes."""

dead_letters = typer.Typer(
    name="dead-letters",
    help="Show the lines and documents that could not go out, and send them again.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
)


class _WithIds(TyperCommand):
    """A command whose arguments are ids, of which some begin with a hyphen."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - Typer's classes vary with its release
        """Moves such ids behind the options."""
        ids = [] if "--" in args else [each for each in args if _ID.fullmatch(each)]
        return super().parse_args(ctx, [each for each in args if each not in ids] + (["--", *ids] if ids else []))


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        given = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no time: expected one as 2026-01-31T12:00:00Z") from error
    return given if given.tzinfo else given.replace(tzinfo=UTC)


InObject = Annotated[
    str | None, typer.Option("--object", metavar="TEXT", help="Only of objects whose s3://BUCKET/KEY has this in it.")
]
ForReason = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Only those whose reason has this in it.")
]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Only those kept since then: 2026-01-31T12:00:00Z, or a day."),
]
Limit = Annotated[int, typer.Option("--limit", min=1, help="How many, the newest.")]
WithReplayed = Annotated[bool, typer.Option("--all", help="Those too that went out since, or are superseded.")]
AsJson = Annotated[bool, typer.Option("--json", help="Each as JSON on a line of its own, with its text; no totals.")]


@dead_letters.command("list")
def list_letters(  # noqa: PLR0913 - the options of the command line
    *,
    config: ConfigPath = CONFIG_PATH,
    object_: InObject = None,
    reason: ForReason = None,
    since: Since = None,
    limit: Limit = 50,
    all_: WithReplayed = False,
    as_json: AsJson = False,
) -> None:
    """Show what could not go out and why, the newest last.

    superseded: the object was read again since, whole, and the letter from before is no longer true.
    """
    chosen = _filter(object_, reason, _time(since))
    counts = Counter[str]()
    with letters_of(loaded(config)) as letters:
        wanted = (each for each in letters.read() if chosen(each) and (all_ or each.waits))
        newest = _newest(_counting(wanted, counts), limit)
    if as_json:
        for letter in newest:
            typer.echo(json.dumps(_entry(letter)))
        return
    if not newest:
        say("There are no such dead letters." if object_ or reason or since else "There are no dead letters.")
        return
    heads = ("id", "time", "object", "row", "kind", "reason", *(["since"] if all_ else []))
    show_table(heads, (_row(letter, all_=all_) for letter in newest))
    say(_totals(counts, len(newest)))


def _counting(letters: Iterable[KeptLetter], counts: Counter[str]) -> Iterator[KeptLetter]:
    for letter in letters:
        counts.update((letter.kind, _since(letter)))
        yield letter


def _newest(letters: Iterable[KeptLetter], limit: int) -> list[KeptLetter]:
    """The newest, in the order in which they were kept; of the same time, as they come."""
    newest = heapq.nlargest(limit, enumerate(letters), key=lambda each: (each[1].time, each[0]))
    return [letter for _, letter in reversed(newest)]


def _row(letter: KeptLetter, *, all_: bool) -> tuple[object, ...]:
    since = [_since(letter)] if all_ else []
    return letter.id, _shown(letter.time), letter.place, letter.row, letter.kind, letter.reason, *since


def _since(letter: KeptLetter) -> str:
    """What became of it, if anything did."""
    return "superseded" if letter.superseded else "went out" if letter.replayed else ""


def _totals(counts: Counter[str], shown: int) -> str:
    total = counts["line"] + counts["document"]
    out = f", {counts['went out']:,} of them went out since" if counts["went out"] else ""
    untrue = f", {counts['superseded']:,} of them superseded" if counts["superseded"] else ""
    more = f"; {total - shown:,} older ones are not shown, see --limit" if total > shown else ""
    return f"{counted(counts['line'], 'line')} and {counted(counts['document'], 'document')}{out}{untrue}{more}"


@dead_letters.command("show", cls=_WithIds)
def show_letters(
    ids: Annotated[list[str], typer.Argument(metavar="ID…", help="Whole ids, as `list` shows them.")],
    *,
    config: ConfigPath = CONFIG_PATH,
) -> None:
    """Show all of a letter, its text whole."""
    with letters_of(loaded(config)) as letters:
        _check(ids, letters)
        for letter in letters.read(ids):
            if letter.id in ids:
                for label, text in _told(letter):
                    say(f"{label:<9} {text}")
                typer.echo(f"\n{_pretty(letter)}\n")


def _told(letter: KeptLetter) -> Iterator[tuple[str, object]]:
    """All of a letter but its text, line by line."""
    yield "id", letter.id
    yield "time", _shown(letter.time)
    yield "object", letter.place
    yield "etag", letter.etag
    yield "row", letter.row
    yield "kind", letter.kind
    yield "reason", letter.reason
    if letter.kind == "line":
        yield "container", letter.container or "not known"
        yield "format", " ".join(letter.format) if letter.format else "not known"
    if since := _since(letter):
        yield "since", since
    if not letter.exact:
        yield "text", "not the line as it was written: bytes of it are missing or are no text"
    if letter.text_bytes is not None:
        there = len(letter.text.encode("utf-8", "replace"))
        yield "text", f"the first {there:,} of {letter.text_bytes:,} bytes"


def _pretty(letter: KeptLetter) -> str:
    """A document with a line for each value, still JSON; a line as it stands."""
    if letter.kind == "document":
        try:
            text = json.dumps(json.loads(letter.text), indent=2, ensure_ascii=False)
            return text.translate(_IN_JSON).encode("utf-8", "backslashreplace").decode()
        except (ValueError, RecursionError):  # it was cut, or is no JSON, which then is why it is here
            pass
    return printable(letter.text)


@dead_letters.command("replay", cls=_WithIds)
def replay(  # noqa: PLR0913 - the options of the command line
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID…", help="Whole ids, as `list` shows them; or say which below.")
    ] = None,
    *,
    config: ConfigPath = CONFIG_PATH,
    object_: InObject = None,
    reason: ForReason = None,
    all_: Annotated[bool, typer.Option("--all", help="All that did not go out yet.")] = False,
    format_: Annotated[
        str | None,
        typer.Option("--format", help="The fields of the lines, in place of those that were known then."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would become of them.")] = False,
) -> None:
    """Send dead letters again, none of them twice.

    Each has the id that it would always have had.  A line is read again just as it was read, and enriched from what EC2
    says now; a document goes out as it stands.  What is refused again stays, and the new reason is told.  A daemon may
    run meanwhile, but no other replay.  Exit status 1 where one of those chosen did not go out.

    Into a folder (`output.files`), they go into files beside those of their objects.  There no id keeps a document from
    standing twice: if the machine dies in the moment between such a file and the note that its letters went out, the
    next replay writes them once more.  Elasticsearch knows their ids, and takes none of them twice.
    """
    if not (ids or object_ or reason or all_):
        raise typer.BadParameter("which ones? name ids, or --object, --reason or --all")
    settings = loaded(config)
    names, named, chosen = named_fields(format_), set(ids or ()), _filter(object_, reason, None)
    tally = Tally(dry_run=dry_run, told=_TOLD)
    with letters_of(settings) as letters:
        _check(ids or [], letters)
        found = (each for each in letters.read(named) if chosen(each) and (each.id in named or not named))
        wanted = (each for each in found if named or each.waits)
        try:
            with replaying(settings, letters, dry_run=dry_run) as way:
                replay_letters(wanted, way, names, tally)
        finally:
            for line in tally.lines():
                say(line)
    if not tally.chosen:
        say("None was chosen: no dead letter that has yet to go out is like that.")
    if tally.left:
        raise typer.Exit(1)


def _check(ids: list[str], letters: Letters) -> None:
    """ExporterError where there is no letter with one of the ids."""
    missing = dict.fromkeys(ids)
    for letter in letters.read(ids) if ids else ():
        missing.pop(letter.id, None)
    if missing:
        raise ExporterError(
            f"no dead letter in {letters.where} has the id {', '.join(missing)}; "
            "`dead-letters list --all` shows the ids"
        )


def _filter(object_: str | None, reason: str | None, since: datetime | None) -> Callable[[KeptLetter], bool]:
    def chosen(letter: KeptLetter) -> bool:
        return (
            (object_ is None or object_ in letter.place)
            and (reason is None or reason in letter.reason)
            and (since is None or letter.time >= since)
        )

    return chosen


def _entry(letter: KeptLetter) -> dict[str, object]:
    """A letter as `--json` shows it; what it does not have is left out."""
    entry = {**asdict(letter), "time": letter.time.isoformat(), "kind": letter.kind}
    return {name: value for name, value in entry.items() if value is not None}


def _shown(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
