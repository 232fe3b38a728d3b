"""Where dead letters are by the configuration: a file in the state folder, or a data stream, or both.

Where there is a data stream, there may be a file all the same: from before, or with what the stream refused.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event

from exporter import wiring
from exporter.config import Config
from exporter.errors import ExporterError
from exporter.metrics import Metrics
from exporter.sink import kept_letters, streamed_letters
from exporter.sink.dead_letter import NAME, DeadLetterFile
from exporter.sink.kept_letters import KeptLetter
from exporter.sink.letter_stream import LetterStream, stream_of

Mark = Callable[[Sequence[str]], None]
"""Notes that the letters with these ids went out."""


@dataclass(frozen=True, slots=True)
class Letters:
    """The letters of a configuration: `stream` reads those of the data stream, if there is one."""

    file: Path
    stream: Callable[[Iterable[str]], Iterator[KeptLetter]] | None
    where: str
    marking: Callable[[Metrics, Event], Mark]
    """What marks letters; with the event set, its waits end with Stopped."""

    def read(self, ids: Iterable[str] = ()) -> Iterator[KeptLetter]:
        """The letters, those of the file first; where `ids` are given, maybe only these.

        One that is in the file and in the stream comes twice, which does no harm: it is sent by the same id.  Raises
        ExporterError where they cannot be read.
        """
        try:
            yield from kept_letters.read(self.file)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise ExporterError(
                f"{self.file} cannot be read: {error.strerror}; the daemon's own user may read it"
            ) from error
        if self.stream is not None:
            yield from self.stream(ids)


@contextmanager
def letters_of(config: Config) -> Iterator[Letters]:
    """The letters by the configuration.

    Raises ExporterError where there is not even the folder for the file, and no data stream; ConfigError where the
    secrets for the cluster cannot be read.
    """
    folder, cluster = config.state.folder, config.output.elasticsearch
    file = folder / NAME
    if not config.streams_letters or cluster is None:
        if not folder.is_dir():
            raise ExporterError(f"there is no state folder {folder} yet: is it the daemon's? `run` and `once` make one")
        yield Letters(file, None, str(file), lambda metrics, _: DeadLetterFile(folder, metrics).mark_replayed)
        return
    with wiring.cluster(cluster) as client:
        name = stream_of(config.output.namespace)

        def marking(metrics: Metrics, stop: Event) -> Mark:
            fallback = DeadLetterFile(folder, metrics)
            stream = LetterStream(
                client, namespace=config.output.namespace, fallback=fallback, metrics=metrics, stop=stop
            )

            def mark(ids: Sequence[str]) -> None:
                stream.mark_replayed(ids)
                if file.exists():
                    fallback.mark_replayed(ids)

            return mark

        where = f"{name} or {file}" if file.exists() else name
        yield Letters(file, partial(streamed_letters.read, client, name), where, marking)
