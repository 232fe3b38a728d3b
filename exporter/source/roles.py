"""Credentials that outlive their first ones: of a file that is written anew, and of roles that are assumed.

botocore renews what tells when it expires.  What it reads once (a profile whose keys rotate) and what is taken back
before its time is loaded anew here, when AWS says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any

from botocore.credentials import (
    CredentialProvider,
    CredentialResolver,
    Credentials,
    DeferredRefreshableCredentials,
    ReadOnlyCredentials,
    RefreshableCredentials,
    create_assume_role_refresher,
)
from botocore.exceptions import BotoCoreError, ClientError, CredentialRetrievalError, NoCredentialsError

from exporter.source.calls import RoleRefused

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.session import Session

log = logging.getLogger(__name__)

SESSION_NAME = "vpcflow-exporter"
"""What CloudTrail shows; always the same, so that a trust policy may ask for it (`sts:RoleSessionName`)."""

EXPIRED = frozenset(
    {
        *("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"),
        *("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId"),  # a key that was rotated away
    }
)
"""Codes of answers after which other credentials may do."""

PATIENCE = 60.0
"""Seconds between two loadings: AWS may say so of every call."""


class Renewed:
    """What a session signs with; `load` gives botocore's credentials, or None where there are none.

    They are loaded at their first use, and anew, at most once a minute, where AWS says that they have expired.
    Any thread may ask.  `clock` in seconds.
    """

    method = "renewed"

    def __init__(
        self, load: Callable[[], Credentials | None], what: str, clock: Callable[[], float] = monotonic
    ) -> None:
        self._load = load
        self._what = what
        self._clock = clock
        self._lock = Lock()
        self._held: Credentials | None = None
        self._renewed: float | None = None
        self._changed = False

    def sign_for(self, session: Session) -> None:
        """Makes a new session sign with these, and repeat a call once where others have come in their place."""
        session.register_component("credential_provider", CredentialResolver([_Holding(self)]))
        session.register("needs-retry", self._repeat)  # type: ignore[arg-type] # the stubs know none that answers

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """The keys as they are now; raises what botocore raises where they cannot be had."""
        with self._lock:
            if self._held is None:
                self._held = self._load()
            held = self._held
        if held is None:
            raise NoCredentialsError
        try:
            return held.get_frozen_credentials()
        except RuntimeError as error:  # new ones that are over already: this machine's clock is wrong
            raise CredentialRetrievalError(provider=self._what, error_msg=f"{error} Is the clock right?") from error

    def get_deferred_property(self, name: str) -> Callable[[], str | None]:
        """What botocore asks of credentials that are not loaded yet."""
        return lambda: getattr(self.get_frozen_credentials(), name, None)

    def _repeat(self, *, response: tuple[Any, dict[str, Any]] | None, attempts: int, **_: object) -> int | None:
        """Answers botocore's event `needs-retry`: after how many seconds the call is signed and sent again."""
        code = response[1].get("Error", {}).get("Code", "") if response else ""
        return 0 if attempts == 1 and code in EXPIRED and self._renew(code) else None

    def _renew(self, code: str) -> bool:
        """Whether there are others than before the last loading, which is now or less than a minute ago."""
        with self._lock:
            if self._renewed is not None and self._clock() - self._renewed < PATIENCE:
                return self._changed
            self._renewed, self._changed = self._clock(), False
            try:
                loaded = self._load()
                self._changed = loaded is not None and _differ(self._held, loaded)
            except (BotoCoreError, ClientError) as error:
                log.warning("%s: AWS says %s, and new ones cannot be had: %s", self._what, code, error)
                return False
            if self._changed:
                self._held = loaded
        log.warning("%s: AWS says %s; %s", self._what, code, "renewed" if self._changed else "there are no new ones")
        return self._changed


class _Holding(CredentialProvider):
    """Gives a session the one object that holds its credentials."""

    METHOD = Renewed.method

    def __init__(self, held: Renewed) -> None:
        super().__init__()
        self._held = held

    def load(self) -> Renewed:
        return self._held


def _differ(before: Credentials | None, now: Credentials) -> bool:
    """What renews itself was made anew, and asks at its first use; of the rest the keys tell."""
    if before is None or isinstance(now, RefreshableCredentials):
        return True
    return before.get_frozen_credentials() != now.get_frozen_credentials()


def assumed(
    sts: BaseClient, role: str, external_id: str | None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Credentials:
    """A role's credentials by STS, asked for at the first use and again 15 minutes before they expire.

    They raise RoleRefused (a ClientError) where STS does not give them.
    """
    asked = {"RoleArn": role, "RoleSessionName": SESSION_NAME} | ({"ExternalId": external_id} if external_id else {})
    ask = create_assume_role_refresher(sts, asked)

    def refresh() -> object:
        try:
            return ask()
        except ClientError as error:
            raise RoleRefused(error, role) from error

    return DeferredRefreshableCredentials(refresh, "assume-role", now)
