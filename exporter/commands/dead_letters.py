"""`vpcflow-exporter dead-letters`: what could not go out, and a second try for it."""

import json
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from exporter.commands.listing import counted, printable, say, show_table
from exporter.commands.local import named_fields
from exporter.commands.options import CONFIG_PATH, ConfigPath, loaded
from exporter.commands.replay import replay_letters, replaying
from exporter.commands.tally import Tally
from exporter.errors import ExporterError
from exporter.sink.dead_letter import NAME, KeptLetter, read

_ID = re.compile(r"-[A-Za-z0-9_-]{15}[0-9a-f]{8}")
"""A letter's id that looks like an option, which one of 64 objects has."""

_TOLD = 50
"""Letters that are told one by one after a replay."""

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
WithReplayed = Annotated[bool, typer.Option("--all", help="Those too that went out since.")]
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
    """Show what could not go out and why, the newest last."""
    chosen = _filter(object_, reason, _time(since))
    newest = deque[KeptLetter](maxlen=limit)
    kinds, replayed = dict.fromkeys(("line", "document"), 0), 0
    for letter in _letters(_path(config)):
        if chosen(letter) and (all_ or not letter.replayed):
            newest.append(letter)
            kinds[letter.kind] += 1
            replayed += letter.replayed
    if as_json:
        for letter in newest:
            typer.echo(json.dumps(_entry(letter)))
        return
    if not newest:
        say("There are no such dead letters." if object_ or reason or since else "There are no dead letters.")
        return
    heads = ("id", "time", "object", "row", "kind", "reason", *(["went out"] if all_ else []))
    show_table(heads, (_row(letter, all_=all_) for letter in newest))
    say(_totals(kinds, replayed, len(newest)))


def _row(letter: KeptLetter, *, all_: bool) -> tuple[object, ...]:
    out = ["yes" if letter.replayed else "no"] if all_ else []
    return letter.id, _shown(letter.time), letter.place, letter.row, letter.kind, letter.reason, *out


def _totals(kinds: dict[str, int], replayed: int, shown: int) -> str:
    total = sum(kinds.values())
    out = f", {replayed:,} of them went out since" if replayed else ""
    more = f"; {total - shown:,} older ones are not shown, see --limit" if total > shown else ""
    return f"{counted(kinds['line'], 'line')} and {counted(kinds['document'], 'document')}{out}{more}"


@dead_letters.command("show", cls=_WithIds)
def show_letters(
    ids: Annotated[list[str], typer.Argument(metavar="ID…", help="Whole ids, as `list` shows them.")],
    *,
    config: ConfigPath = CONFIG_PATH,
) -> None:
    """Show all of a letter, its text whole."""
    path = _path(config)
    _check(ids, path)
    for letter in _letters(path):
        if letter.id in ids:
            say(f"id      {letter.id}")
            say(f"time    {_shown(letter.time)}")
            say(f"object  {letter.place}")
            say(f"etag    {letter.etag}")
            say(f"row     {letter.row}")
            say(f"kind    {letter.kind}")
            say(f"reason  {letter.reason}")
            if letter.kind == "line":
                say(f"format  {' '.join(letter.format) if letter.format else 'not known'}")
            if letter.replayed:
                say("replay  went out since")
            if letter.text_bytes is not None:
                say(f"text    the first {len(letter.text.encode('utf-8', 'replace')):,} of {letter.text_bytes:,} bytes")
            say("")
            typer.echo(_pretty(letter) + "\n")


def _pretty(letter: KeptLetter) -> str:
    """A document with a line for each value, a line as it stands."""
    if letter.kind == "document":
        try:
            return json.dumps(json.loads(letter.text), indent=2, ensure_ascii=False).encode("utf-8", "replace").decode()
        except ValueError:  # it was cut, or is no JSON, which then is why it is here
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

    Each has the id that it would always have had.  A line is read again and enriched from what EC2 says now; a document
    goes out as it stands.  What is refused again stays, and the new reason is told.  A daemon may run meanwhile.  Into
    a folder (`output.files`), they go into files beside those of their objects.  Exit status 1 where one of those
    chosen did not go out.
    """
    if not (ids or object_ or reason or all_):
        raise typer.BadParameter("which ones? name ids, or --object, --reason or --all")
    settings = loaded(config)
    path = settings.state.folder / NAME
    _check(ids or [], path)
    named, chosen = set(ids or ()), _filter(object_, reason, None)
    letters = (each for each in _letters(path) if chosen(each) and (each.id in named or not named))
    wanted = (each for each in letters if named or not each.replayed)
    tally = Tally(dry_run=dry_run, told=_TOLD)
    try:
        with replaying(settings, dry_run=dry_run) as way:
            replay_letters(wanted, way, named_fields(format_), tally)
    finally:
        for line in tally.lines():
            say(line)
    if tally.left:
        raise typer.Exit(1)


def _path(config: Path) -> Path:
    return loaded(config).state.folder / NAME


def _letters(path: Path) -> Iterator[KeptLetter]:
    """The letters of a file; none where there is no file."""
    try:
        yield from read(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ExporterError(f"{path} cannot be read: {error.strerror}; the daemon's own user may read it") from error


def _check(ids: list[str], path: Path) -> None:
    """ExporterError where there is no letter with one of the ids."""
    missing = dict.fromkeys(ids)
    for letter in _letters(path) if ids else ():
        missing.pop(letter.id, None)
    if missing:
        raise ExporterError(
            f"no dead letter in {path} has the id {', '.join(missing)}; `dead-letters list --all` shows the ids"
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
