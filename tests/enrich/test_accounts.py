"""Which accounts are asked, and as whom.

Lists and refusals at the clients' boundary, by botocore's Stubber: moto neither pages ListAccounts nor tells a State.
Roles and policies of several accounts stand in test_clients.py.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
from threading import Event
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ConnectTimeoutError
from botocore.stub import Stubber

from exporter.config import AskedAccount, Ec2Inventory, Organization
from exporter.enrich import calls as calls_module
from exporter.enrich.accounts import Account, Accounts, Known
from exporter.enrich.budget import Budget
from exporter.enrich.calls import Calls
from exporter.metrics import Metrics
from exporter.retry import INVENTORY

OWN, ONE, TWO, GONE = "000000000001", "111111111111", "222222222222", "999999999999"
ROLE = "arn:aws:iam::{}:role/inventory"
SPECIAL = f"arn:aws:iam::{ONE}:role/special"


class Rig:
    """Accounts over two stubbed clients, and the clock."""

    def __init__(self) -> None:
        made: Any = boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing").client
        config = Config(retries={"total_max_attempts": 1})
        self.sts, self.organizations = (made(each, "us-east-1", config=config) for each in ("sts", "organizations"))
        self.at, self.metrics = 1000.0, Metrics()
        self.identity, self.listing = Stubber(self.sts), Stubber(self.organizations)

    def accounts(self, partition: str = "aws", **settings: Any) -> Accounts:  # noqa: ANN401 - options of any type
        return Accounts(
            Ec2Inventory(**settings),
            calls=Calls(budget=Budget(10_000), stop=Event(), metrics=self.metrics),
            sts=lambda: self.sts,
            organizations=lambda: self.organizations,
            partition=partition,
            clock=lambda: self.at,
        )

    def identify(self, account: str = OWN) -> None:
        self.identity.add_response("get_caller_identity", {"Account": account}, {})

    def list(self, *accounts: tuple[str, str]) -> None:
        listed = [{"Id": id_, "Name": name, "State": "ACTIVE"} for id_, name in accounts]
        self.listing.add_response("list_accounts", {"Accounts": listed}, {})


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    with made.identity, made.listing:
        yield made
        made.identity.assert_no_pending_responses()
        made.listing.assert_no_pending_responses()
    made.sts.close()
    made.organizations.close()


def test_where_nothing_is_configured_nobody_is_asked(rig: Rig) -> None:
    assert rig.accounts(role_name="inventory").known() == Known((Account(None, None, None, None),))


def test_a_list_each_with_its_role_and_the_own_account_without(rig: Rig) -> None:
    rig.identify()
    accounts = rig.accounts(
        accounts=(
            AskedAccount(id=TWO, name="two"),
            AskedAccount(id=ONE, role_arn=SPECIAL, external_id="x-1"),
            AskedAccount(id=OWN, name="own"),
            AskedAccount(id=GONE, external_id="x-9"),
        ),
        role_name="inventory",
        external_id="x-0",
    )
    assert accounts.known() == Known(
        (
            Account(OWN, "own", None, None),
            Account(ONE, None, SPECIAL, "x-1"),
            Account(TWO, "two", ROLE.format(TWO), "x-0"),
            Account(GONE, None, ROLE.format(GONE), "x-9"),
        )
    )


def test_a_role_of_its_own_goes_without_the_external_id_of_all(rig: Rig) -> None:
    """STS is not asked: which account is the own one does not matter where each has a role."""
    entry = AskedAccount(id=ONE, role_arn=SPECIAL)
    accounts = rig.accounts(accounts=(entry,), role_name="inventory", external_id="x-0")
    assert accounts.known().accounts == (Account(ONE, None, SPECIAL, None),)


@pytest.mark.parametrize(
    ("partition", "arn"),
    [("aws-cn", f"arn:aws-cn:iam::{ONE}:role/a/b"), ("aws-us-gov", f"arn:aws-us-gov:iam::{ONE}:role/a/b")],
)
def test_roles_are_of_the_partition(partition: str, arn: str, rig: Rig) -> None:
    rig.identify()
    accounts = rig.accounts(partition, accounts=(AskedAccount(id=ONE),), role_name="a/b")
    assert accounts.known().accounts == (Account(ONE, None, arn, None),)


def test_all_pages_of_the_organization_without_what_is_not_active_or_excluded(rig: Rig) -> None:
    """The last answers are in the older shape, by Status, and by neither."""
    pages: list[tuple[dict[str, Any], dict[str, str]]] = [
        ({"Accounts": [{"Id": TWO, "Name": "two", "State": "ACTIVE"}], "NextToken": "a"}, {}),
        ({"Accounts": [], "NextToken": "b"}, {"NextToken": "a"}),
        (
            {
                "Accounts": [
                    {"Id": "333333333333", "Name": "three", "State": "SUSPENDED", "Status": "ACTIVE"},
                    {"Id": "444444444444", "Name": "four", "State": "PENDING_ACTIVATION"},
                    {"Id": GONE, "Name": "left out", "State": "ACTIVE"},
                    {"Id": "555555555555", "Name": "five", "Status": "SUSPENDED"},
                    {"Id": "666666666666", "Name": "six"},
                    {"Name": "no id", "State": "ACTIVE"},
                    {"Id": OWN, "State": "ACTIVE"},
                    {"Id": ONE, "Name": "one", "Status": "ACTIVE"},
                ]
            },
            {"NextToken": "b"},
        ),
    ]
    for page, asked in pages:
        rig.listing.add_response("list_accounts", page, asked)
    rig.identify()
    accounts = rig.accounts(
        organization=Organization(enabled=True, exclude=(GONE,)),
        accounts=(AskedAccount(id=TWO, role_arn=ROLE.format(TWO)), AskedAccount(id=ONE, name="mine")),
        role_name="inventory",
    )
    assert accounts.known() == Known(
        (
            Account(OWN, None, None, None),
            Account(ONE, "mine", ROLE.format(ONE), None),
            Account(TWO, "two", ROLE.format(TWO), None),
        )
    )


def test_the_list_is_asked_for_again_after_ten_minutes(rig: Rig) -> None:
    accounts = rig.accounts(organization=Organization(enabled=True), role_name="inventory")
    rig.identify()
    rig.list((ONE, "one"))
    before = accounts.known()
    rig.at += 599
    assert accounts.known() is before
    rig.at += 1
    rig.list((ONE, "renamed"), (TWO, "two"))
    assert [(each.id, each.name) for each in accounts.known().accounts] == [(ONE, "renamed"), (TWO, "two")]


def test_a_list_that_cannot_be_had_stays_the_last_one(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    accounts = rig.accounts(organization=Organization(enabled=True), role_name="inventory")
    rig.identify()
    rig.listing.add_client_error("list_accounts", "AccessDeniedException", "no", 400)
    refused = (
        "Organizations refused list_accounts: An error occurred (AccessDeniedException) when calling the ListAccounts "
        "operation: no; the inventory needs credentials with the permission organizations:ListAccounts"
    )
    assert accounts.known() == Known((), {"organization": refused})
    assert caplog.messages == [f"which accounts there are was not asked anew, and there is no list yet: {refused}"]
    rig.at += 59
    assert accounts.known() == Known((), {"organization": refused})  # and nobody was asked
    rig.at += 1
    rig.list((ONE, "one"))
    known = Known((Account(ONE, "one", ROLE.format(ONE), None),))
    assert accounts.known() == known
    rig.at += 600
    rig.listing.add_client_error("list_accounts", "AccessDeniedException", "no", 400)
    assert accounts.known() == replace(known, faults={"organization": refused})
    assert caplog.messages[1:] == [
        f"which accounts there are was not asked anew, the last list stays in use: {refused}"
    ]


def test_the_own_account_that_is_refused_is_asked_by_a_role_too(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.identity.add_client_error("get_caller_identity", "AccessDenied", "no", 403)
    accounts = rig.accounts(accounts=(AskedAccount(id=OWN),), role_name="inventory")
    by_role = (Account(OWN, None, ROLE.format(OWN), None),)
    known = accounts.known()
    assert known.accounts == by_role
    assert list(known.faults) == ["own account"]
    assert "so every account is asked by a role: STS refused get_caller_identity: " in caplog.text
    rig.at += 60
    rig.identity.add_client_error("get_caller_identity", "ExpiredToken", "over", 403)
    assert accounts.known().accounts == by_role, "what passes takes nothing back"
    rig.at += 60
    rig.identify()
    assert accounts.known() == Known((Account(OWN, None, None, None),))


@pytest.mark.parametrize(
    ("code", "status"), [("ServiceUnavailable", 503), ("Throttling", 400), ("ExpiredToken", 403), ("", 0)]
)
def test_before_the_own_account_is_told_nobody_is_asked(
    code: str, status: int, rig: Rig, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a role the own account might refuse, and its names would be missing for good.  No code: nobody answers."""
    monkeypatch.setattr(calls_module, "INVENTORY", replace(INVENTORY, give_up_after=0))

    def time_out(**_: object) -> None:
        raise ConnectTimeoutError(endpoint_url="https://sts")

    if not code:
        rig.sts.meta.events.register_first("before-call.sts", time_out)
    else:
        rig.identity.add_client_error("get_caller_identity", code, "wait", status)
    accounts = rig.accounts(accounts=(AskedAccount(id=OWN), AskedAccount(id=ONE)), role_name="inventory")
    known = accounts.known()
    assert (known.accounts, list(known.faults)) == ((), ["own account"])
    (told,) = caplog.messages
    assert told.startswith("which accounts there are was not asked anew, and before that nobody is asked: STS ")
    rig.at += 59
    assert accounts.known() is known
    rig.at += 1
    rig.sts.meta.events.unregister("before-call.sts", time_out)
    rig.identify()
    expected = (Account(OWN, None, None, None), Account(ONE, None, ROLE.format(ONE), None))
    assert accounts.known() == Known(expected)


def test_a_list_that_goes_on_failing_is_told_once_until_it_is_had_again(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "exporter.enrich.accounts")
    accounts = rig.accounts(organization=Organization(enabled=True), role_name="inventory")
    rig.identify()
    levels = []
    for step, answers in enumerate((False, False, False, True, False, False, True, False)):
        if answers:
            rig.list((ONE, "one"))
        else:
            rig.listing.add_client_error("list_accounts", "AccessDeniedException", f"no {step}", 400)
        caplog.clear()
        accounts.known()
        levels.append([each.levelname for each in caplog.records])
        rig.at += 600
    assert levels == [["WARNING"], ["DEBUG"], ["DEBUG"], [], ["WARNING"], ["DEBUG"], [], ["WARNING"]]


@pytest.mark.parametrize(("code", "status"), [("TooManyRequestsException", 400), ("ServiceException", 500)])
def test_what_passes_is_asked_again(code: str, status: int, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_module, "INVENTORY", replace(INVENTORY, first_wait=0.01))
    rig.listing.add_client_error("list_accounts", code, "wait", status)
    rig.list((ONE, "one"))
    rig.identify()
    known = rig.accounts(organization=Organization(enabled=True), role_name="inventory").known()
    assert [each.id for each in known.accounts] == [ONE]
    assert rig.metrics.value("retries_total", policy="inventory") == 1
