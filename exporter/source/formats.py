"""How files without a header are written: what the configuration says, then what EC2 knows of the flow log.

The client must not retry by itself, see `calls`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from threading import Event, Lock
from time import monotonic
from typing import TYPE_CHECKING

from exporter.config import Source
from exporter.errors import SourceError
from exporter.fields import MOST_NAMES, field_named, names_of_format
from exporter.flow import S3Object
from exporter.metrics import Metrics
from exporter.source.calls import Absent, Calls, Denied, Passing
from exporter.source.keys import flow_log_of

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import DescribeFlowLogsResultTypeDef

log = logging.getLogger(__name__)

Names = tuple[str, ...]

DESCRIBE_NEEDS = "ec2:DescribeFlowLogs"
CONFIGURED, DESCRIBED = "the configuration", "DescribeFlowLogs"
"""Who says so."""

ANSWERS = 10_000
"""How many flow logs' formats are remembered; the oldest is forgotten first."""

PATIENCE = timedelta(minutes=1)
"""For how long no format stays no format: a flow log may be made, a permission given, a network mended."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """A flow log's format, which never changes; or why there is none, until some moment of the clock.

    `passing` says that the object must wait until then.
    """

    names: Names
    why: str
    until: float
    passing: bool = False


class FlowLogFormats:
    """The formats that an object without a header may have, the best first; any thread may ask.

    `client` makes EC2's client for one of `regions`, each at most once; a key's region that is none of these is not
    asked, for a key is what somebody wrote.  `clock` in seconds.
    """

    def __init__(  # noqa: PLR0913 - clients, settings and services are passed in
        self,
        settings: Source,
        client: Callable[[str], EC2Client],
        *,
        regions: frozenset[str],
        metrics: Metrics,
        stop: Event,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._settings = settings
        self._by_flow_log = {each.id: each.format for each in settings.flow_logs}
        self._client = client
        self._regions = regions
        self._calls = Calls(metrics, stop)
        self._clock = clock
        self._lock = Lock()
        self._clients: dict[str, EC2Client] = {}
        self._answers: dict[tuple[str, str], _Answer] = {}
        self._told: set[str] = set()

    def __call__(self, source: S3Object) -> Iterator[tuple[str, Names]]:
        """Each format with who says so; EC2 is asked only where one goes on after the configuration's.

        Where it was asked and tells none, why it does not, without names.  SourceError where EC2 cannot answer for now:
        the object must wait, for the next best format could misread it.  Stopped where the program stops.
        """
        if configured := self._configured(source):
            yield CONFIGURED, configured
        answer = self._described(source)
        if answer and answer.passing:
            raise SourceError(answer.why)
        if answer:
            yield (DESCRIBED, answer.names) if answer.names else (answer.why, ())

    def _configured(self, source: S3Object) -> Names | None:
        """That of the flow log, else that of the longest prefix of its key."""
        if names := self._by_flow_log.get(flow_log_of(source.key) or ""):
            return names
        return self._settings.format_of(source.bucket, source.key)

    def _described(self, source: S3Object) -> _Answer | None:
        """What EC2 says, or said before; None where it is not asked."""
        flow_log, region = flow_log_of(source.key), source.region
        if not self._settings.describe_flow_logs or not flow_log or not region or region not in self._regions:
            return None
        for asked in ((region, flow_log), (region, "")):  # the latter stands for all of a region that may not be asked
            answer = self._answers.get(asked)
            if answer and (answer.names or self._clock() < answer.until):
                return answer
        return self._asked(region, flow_log)

    def _asked(self, region: str, flow_log: str) -> _Answer:
        """What EC2 says now, remembered."""
        what = f"describe the flow log {flow_log} in {region}"
        try:
            answer = self._calls.repeat(lambda: self._describe(region, flow_log), what, DESCRIBE_NEEDS)
        except Denied as error:
            self._tell_once(region, f"{error}; until then EC2 tells no formats of files without a header in {region}")
            return self._remember((region, ""), why=str(error))
        except Absent as error:
            why = f"{error}; give its format in source.flow_logs if it is another account's"
            self._tell_once(flow_log, why)
            return self._remember((region, flow_log), why=why)
        except Passing as error:
            why = f"{error}; source.describe_flow_logs: false does without it"
            self._remember((region, ""), why=why, passing=True)
            raise SourceError(why) from error
        names = next((names_of_format(each.get("LogFormat", "")) for each in answer["FlowLogs"]), ())
        if not 0 < len(names) <= MOST_NAMES or not any(map(field_named, names)):
            why = f"EC2 knows no format of the flow log {flow_log} in {region}"
            self._tell_once(flow_log, why)
            return self._remember((region, flow_log), why=why)
        return self._remember((region, flow_log), names)

    def _describe(self, region: str, flow_log: str) -> DescribeFlowLogsResultTypeDef:
        with self._lock:
            if region not in self._clients:
                self._clients[region] = self._client(region)
            client = self._clients[region]
        return client.describe_flow_logs(FlowLogIds=[flow_log])

    def _remember(self, asked: tuple[str, str], names: Names = (), *, why: str = "", passing: bool = False) -> _Answer:
        """Keeps an answer; with no flow log in `asked`, one for all of a region."""
        answer = _Answer(names, why, self._clock() + PATIENCE.total_seconds(), passing)
        with self._lock:
            self._answers.pop(asked, None)
            while len(self._answers) >= ANSWERS:
                del self._answers[next(iter(self._answers))]
            self._answers[asked] = answer
        return answer

    def _tell_once(self, what: str, text: str) -> None:
        """Logs it the first time; after so many different ones, no more of them."""
        with self._lock:
            if what in self._told or len(self._told) >= ANSWERS:
                return
            self._told.add(what)
        log.warning("%s", text)
