"""What a back-fill asks of a bucket: of which time, and of which accounts, regions and flow logs."""

import re
from dataclasses import dataclass
from datetime import datetime

from exporter.flow import S3Object
from exporter.source.keys import flow_log_of

_ACCOUNT = re.compile(r"(?:aws-account-id=)?(\d{12})/")
_REGION = re.compile(r"(?:aws-region=)?([^/]+)/")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Objects whose time is `first` or later and before `before` (both with a zone).

    An empty set of accounts, regions or flow logs stands for all of them, those included whose key tells none.
    """

    first: datetime
    before: datetime
    accounts: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    flow_logs: frozenset[str] = frozenset()

    def has_account(self, folder: str) -> bool:
        """Whether objects below an account's folder may be wanted, by its name with its slash, in any layout."""
        return _in(_ACCOUNT.fullmatch(folder), self.accounts)

    def has_region(self, folder: str) -> bool:
        """The same of a region's folder."""
        return _in(_REGION.fullmatch(folder), self.regions)

    def takes(self, source: S3Object) -> bool:
        """Whether it is wanted."""
        return (
            self.first <= source.time < self.before
            and (not self.accounts or source.account in self.accounts)
            and (not self.regions or source.region in self.regions)
            and (not self.flow_logs or flow_log_of(source.key) in self.flow_logs)
        )


def _in(found: re.Match[str] | None, wanted: frozenset[str]) -> bool:
    return not wanted or (found is not None and found[1] in wanted)
