"""Which accounts are asked, and as whom: a list, all of the organization, or just that of the program's credentials."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic

from exporter.config import Ec2Inventory
from exporter.enrich.calls import Calls, Item, NotAllowed, Question, Whom
from exporter.errors import InventoryError

log = logging.getLogger(__name__)

LIST_ACCOUNTS = Question("list_accounts", "organizations:ListAccounts", "Accounts")
IDENTITY = Question("get_caller_identity", "sts:GetCallerIdentity (which nobody has to give)", "")

EVERY, AGAIN = 600.0, 60.0
"""Seconds after which the list is asked for again, at the soonest: where it was had, and where it was not."""

ORGANIZATION, OWN = "organization", "own account"
"""By which the two things that are asked are told of."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account: its id (None: that of the program's credentials, and nobody asked), its name, the role to assume."""

    id: str | None = None
    name: str | None = None
    role_arn: str | None = None
    external_id: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """The accounts to ask, each once, in the order of their ids; `faults` say why the list may be an old one."""

    accounts: tuple[Account, ...]
    faults: Mapping[str, str] = field(default_factory=dict)


class Accounts:
    """The accounts as configured; the list of the organization is asked for again every ten minutes.

    `sts` and `organizations` make clients, of the program's own credentials and of those that may list; `partition` is
    that of the roles (aws, aws-cn, aws-us-gov); `clock` in seconds.  Any thread may ask.
    """

    def __init__(  # noqa: PLR0913  clients, settings and services are passed in
        self,
        settings: Ec2Inventory,
        *,
        calls: Calls,
        sts: Callable[[], object],
        organizations: Callable[[], object],
        partition: str = "aws",
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._settings = settings
        self._calls = calls
        self._sts = sts
        self._organizations = organizations
        self._partition = partition
        self._clock = clock
        self._lock = Lock()
        self._own: str | None = None
        self._refused = False
        self._members: Mapping[str, str | None] | None = None
        self._known = Known(())
        self._told: dict[str, str] = {}
        self._next = float("-inf")

    def known(self) -> Known:
        """The accounts, asked for again where it is time to.

        Where the organization's list cannot be had, the last one stays in use; before there was one, no account is
        known: names of a part of the accounts would be missing for good in what goes out.  So it is before STS told
        the own account, unless it refuses to: then that one is asked by a role, as all others.  Stopped passes.
        """
        if not self._settings.accounts and not self._settings.organization.enabled:
            return Known((Account(),))
        with self._lock:
            if self._clock() >= self._next:
                self._known = self._look()
                self._next = self._clock() + (AGAIN if self._known.faults else EVERY)
            return self._known

    def _look(self) -> Known:
        faults: dict[str, str] = {}
        for what, look in ((ORGANIZATION, self._list), (OWN, self._identify)):
            try:
                look()
            except InventoryError as error:
                faults[what] = str(error)
                self._tell(what, error)
            else:
                self._told.pop(what, None)
        return Known(self._accounts(), faults)

    def _tell(self, what: str, error: InventoryError) -> None:
        """A warning once, until it is had again or something else follows from it; `faults` tell it anyway."""
        follows = self._in_use(what)
        level = logging.DEBUG if self._told.get(what) == follows else logging.WARNING
        self._told[what] = follows
        log.log(level, "which accounts there are was not asked anew, %s: %s", follows, error)

    def _in_use(self, what: str) -> str:
        if what == OWN:
            return "so every account is asked by a role" if self._refused else "and before that nobody is asked"
        return "and there is no list yet" if self._members is None else "the last list stays in use"

    def _list(self) -> None:
        """The active accounts of the organization with their names."""
        organization = self._settings.organization
        if not organization.enabled:
            self._members = {}
            return
        client, whom = self._organizations(), Whom(ORGANIZATION, "Organizations", organization.role_arn)
        listed = self._calls.items(client, LIST_ACCOUNTS, whom)
        active = {each["Id"]: each.get("Name") for each in listed if each.get("Id") and _is_active(each)}
        self._members = {id_: name for id_, name in sorted(active.items()) if id_ not in organization.exclude}

    def _identify(self) -> None:
        """The account of the program's own credentials, once: they do not move."""
        if self._own is not None or not self._asks_own:
            return
        try:
            self._own = self._calls.answer(self._sts(), IDENTITY, Whom("sts", "STS")).get("Account")
        except NotAllowed:
            self._refused = True
            raise

    @property
    def _asks_own(self) -> bool:
        """Whether it matters which account is the own one: not where each has a role of its own."""
        return self._settings.organization.enabled or any(each.role_arn is None for each in self._settings.accounts)

    def _accounts(self) -> tuple[Account, ...]:
        """Those of the organization and of the list; what the list says of one counts."""
        own_is_open = self._asks_own and self._own is None and not self._refused
        if self._members is None or own_is_open:
            return ()
        made = {id_: self._account(id_, name) for id_, name in self._members.items()}
        for each in self._settings.accounts:
            name = each.name or self._members.get(each.id)
            made[each.id] = self._account(each.id, name, each.role_arn, each.external_id)
        return tuple(made[id_] for id_ in sorted(made))

    def _account(
        self, id_: str, name: str | None, role_arn: str | None = None, external_id: str | None = None
    ) -> Account:
        """One with its role: its own, none for the program's own account, else the one that all have."""
        if role_arn is None and id_ == self._own:
            return Account(id_, name)
        shared = f"arn:{self._partition}:iam::{id_}:role/{self._settings.role_name}"
        asked_for = external_id or (None if role_arn else self._settings.external_id)
        return Account(id_, name, role_arn or shared, asked_for)


def _is_active(account: Item) -> bool:
    """By State, which took the place of Status in September 2025; Status is no longer told after September 2026."""
    return (account.get("State") or account.get("Status")) == "ACTIVE"
