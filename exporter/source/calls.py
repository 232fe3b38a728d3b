"""Calls to S3, EC2 and SQS: one place for everything that they and the way to them may answer, and what is tried again.

The client must not retry by itself (`Config(retries={"total_max_attempts": 1})`): retry stands in one layer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Event
from typing import TypeVar

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from exporter import retry
from exporter.errors import ObjectGone, SourceError, Stopped
from exporter.metrics import Metrics

log = logging.getLogger(__name__)
T = TypeVar("T")


class Passing(SourceError):
    """What may be over in a moment: throttled, a server's fault, no connection, a body that broke off."""


class Denied(SourceError):
    """What an operator has to allow first."""


class Absent(SourceError):
    """What these credentials' account does not have in this region."""


class RoleRefused(boto.ClientError):
    """What STS answered instead of a role's credentials; `role` is its ARN."""

    def __init__(self, error: boto.ClientError, role: str) -> None:
        super().__init__(error.response, error.operation_name)
        self.role = role


ROLE_NEEDS = (
    "sts:AssumeRole on the role to these credentials, and their account or role in the role's trust policy, "
    "with the external id that it asks for"
)


POLICY = replace(retry.SOURCE, on=(Passing,))
"""Only what may pass is repeated at once; the rest is for a later pass, or for an operator."""

_GONE = {
    "NoSuchKey": "it was deleted after it was listed",
    "NoSuchVersion": "it was deleted after it was listed",
    "PreconditionFailed": "it was overwritten after it was listed; the next pass takes its new version",
}
_ADVICE = {
    "NoSuchBucket": "check the bucket's name in the configuration",
    "InvalidObjectState": "it was moved to an archive storage class; restore it first",
    "PermanentRedirect": "the bucket is in another region; set the source's region",
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException", "RequestExpired"),
        "the credentials have expired; give new ones: a profile or a file is read anew, the environment is not",
    ),
    **dict.fromkeys(
        ("InvalidClientTokenId", "UnrecognizedClientException"),
        "AWS does not know the access key; check the credentials",
    ),
    "RegionDisabledException": "activate STS in the role's account for this region",
    "InvalidAccessKeyId": "AWS does not know the access key; check the credentials",
    "SignatureDoesNotMatch": "the secret does not belong to the access key; check the credentials",
    "RequestTimeTooSkewed": "this machine's clock is wrong; set it",
    "AWS.SimpleQueueService.NonExistentQueue": "check the queue's URL, and that its region is the one asked",
    "QueueDoesNotExist": "check the queue's URL, and that its region is the one asked",
}
_PASSING_CODES = frozenset(
    {
        *("RequestTimeout", "SlowDown", "InternalError", "Throttling", "ThrottlingException"),
        *("RequestLimitExceeded", "EC2ThrottledException"),  # EC2's
        *("RequestThrottled", "KmsThrottled", "KMS.ThrottlingException"),  # SQS's
    }
)
_DENIED_CODES = frozenset(
    {
        *("AccessDenied", "AccessDeniedException", "AllAccessDisabled", "403"),
        *("KmsAccessDenied", "KMS.AccessDeniedException"),  # SQS's
        *(
            "UnauthorizedOperation",
            "AuthFailure",
            "OptInRequired",
        ),  # EC2's; the last two for a region that is not enabled
    }
)
_ABSENT_ENDINGS = (
    *(".NotFound", ".Malformed"),  # EC2's, behind what was asked for
    *(".NonExistentQueue", "QueueDoesNotExist"),  # SQS's, older and newer
)
_CONNECTION = (
    boto.HTTPClientError,
    boto.ConnectionError,
    boto.IncompleteReadError,
    ResponseParserError,  # an answer that broke off
    HTTPError,  # urllib3's own, where botocore lets one through: TLS that breaks off inside a body
)
_TOO_MANY_REQUESTS, _SERVER_FAULT = 429, 500


class Calls:
    """Calls with their errors translated, repeated by policy, counted and logged."""

    def __init__(self, metrics: Metrics, stop: Event) -> None:
        self._metrics = metrics
        self._stop = stop

    def repeat(self, call: Callable[[], T], what: str, needs: str) -> T:
        """What `call` returns at last; `what` it does and which permissions it `needs` go into an error's text."""

        def attempt() -> T:
            if self._stop.is_set():
                raise Stopped(f"stopped before it could {what}")
            with _translated(what, needs):
                return call()

        return retry.retrying(POLICY, self._stop, self._note)(attempt)

    def once(self, call: Callable[[], T], what: str, needs: str) -> T:
        """What `call` returns, tried one time only, even where the program stops."""
        with _translated(what, needs):
            return call()

    def _note(self, state: retry.Attempt) -> None:
        self._metrics.add("retries_total", policy=POLICY.name)
        log.info(
            "%s; trying again (attempt %d failed)", state.outcome and state.outcome.exception(), state.attempt_number
        )


@contextmanager
def _translated(what: str, needs: str) -> Iterator[None]:
    """Turns whatever boto3 raises into a SourceError of the right kind."""
    try:
        yield
    except boto.ClientError as error:
        raise _from_answer(error, f"could not {what}", needs) from error
    except _CONNECTION as error:
        raise Passing(f"could not {what}: {error}") from error
    except boto.BotoCoreError as error:  # credentials that are not there, a checksum that differs, a bad name
        raise SourceError(f"could not {what}: {error}") from error


def _from_answer(error: boto.ClientError, failed: str, needs: str) -> SourceError:
    """The error for an answer of AWS itself, by its code, else by its status."""
    answer = error.response.get("Error", {})
    code, message = answer.get("Code", ""), answer.get("Message", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if isinstance(error, RoleRefused):
        failed, needs = f"{failed}: the role {error.role} is not given", ROLE_NEEDS
    text = f"{failed}: {code}: {message}".rstrip(": ")
    if code in _GONE:
        return ObjectGone(f"{failed}: {_GONE[code]} ({code})")
    if code in _DENIED_CODES:
        return Denied(f"{text}; allow {needs}")
    if code in _PASSING_CODES or status == _TOO_MANY_REQUESTS or status >= _SERVER_FAULT:
        return Passing(text)
    advised = f"{text}; {_ADVICE[code]}" if code in _ADVICE else text
    return Absent(advised) if code.endswith(_ABSENT_ENDINGS) else SourceError(advised)
