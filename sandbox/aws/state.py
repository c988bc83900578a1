"""The sandbox's state outside moto: dates, sessions, and resources of services that moto lacks."""

from __future__ import annotations

import threading
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from sandbox.aws.keys import key_id
from sandbox.kit.issued import secret_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.aws.wire import AwsCall
    from sandbox.kit.http import Reply

READING = ("List", "Describe", "Get", "BatchGet", "Generate")
"""Prefixes of read-only operations."""
STAMP = timedelta(days=300)
"""Default age, so that nothing has the day on which the sandbox was started."""


class Recent(msgspec.Struct, frozen=True):
    """A time shortly before the scanned night; it moves with the nights."""

    hours: float = 3


def settled(value: Any, as_of: datetime) -> Any:
    """Return a value with every `Recent` in it made a time."""
    if isinstance(value, Recent):
        return as_of - timedelta(hours=value.hours)
    if isinstance(value, dict):
        return {name: settled(item, as_of) for name, item in value.items()}
    if isinstance(value, list):
        return [settled(item, as_of) for item in value]
    return value


class AwsSession(msgspec.Struct, frozen=True, kw_only=True):
    """The session of an access key id."""

    account: str
    arn: str
    user_id: str
    builder: bool = False
    """The sandbox's own client: it may write, and gets moto's answers unchanged."""


class State:
    """All state that is not in moto. Dates are aware UTC."""

    def __init__(self, as_of: datetime) -> None:
        self.as_of = as_of
        self.first_night = as_of
        self.started = datetime.now(UTC) - timedelta(minutes=1)
        self.sessions: dict[str, AwsSession] = {}
        self.members: dict[tuple[str, str], dict[str, dict[str, dict[str, Any]]]] = {}
        self.shelves: defaultdict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
        self.known: dict[tuple[str, str, str], Any] = {}
        self.refusing: set[str] = set()
        self.regions: list[str] = []
        self.version = 0
        self._kept: dict[tuple[Any, ...], tuple[int, Any]] = {}
        self._lock = threading.RLock()

    def about(self, account: str, service: str, member: str, value: str, **facts: Any) -> None:
        """Set members of every structure in the service's answers whose ``member`` is ``value``. Facts are members by
        name (``CreateDate=...``); a structure gets those that its shape has.
        """
        found = self.members.setdefault((account, service), {}).setdefault(member, {})
        found[value] = {**found.get(value, {}), **facts}
        self.version += 1

    def facts(self, account: str, service: str, member: str, value: str) -> dict[str, Any]:
        """Return the facts set by `about`."""
        found = self.members.get((account, service), {}).get(member, {}).get(value, {})
        return {name: settled(fact, self.as_of) for name, fact in found.items()}

    def put(self, account: str, region: str, shelf: str, item: dict[str, Any]) -> None:
        """Add a resource of a service that moto lacks; ``shelf`` names the listing in `sandbox.aws.answers`."""
        self.shelves[account, region, shelf].append(item)
        self.version += 1

    def shelf(self, call: AwsCall, name: str) -> list[dict[str, Any]]:
        """Return the resources of a shelf in the account and region of a call."""
        region = "global" if call.service == "iam" else call.region
        return [settled(item, self.as_of) for item in self.shelves[call.account, region, name]]

    def kept(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """Return the result of ``make``, cached until something changes."""
        with self._lock:
            found = self._kept.get(key)
            if found is None or found[0] != self.version:
                found = self._kept[key] = (self.version, make())
            return found[1]

    def sign_in(self, account: str, role: str, user_id: str, name: str) -> dict[str, str]:
        """Open a session of a role; returns key id, secret and session token."""
        with self._lock:
            key = "ASIA" + key_id(account, f"session/{role}/{name}/{len(self.sessions)}")[4:]
            arn = f"arn:aws:sts::{account}:assumed-role/{role}/{name}"
            self.sessions[key] = AwsSession(account=account, arn=arn, user_id=f"{user_id}:{name}")
        return {
            "AccessKeyId": key,
            "SecretAccessKey": secret_value(f"session/{key}", 40),
            "SessionToken": secret_value(f"session-token/{key}", 300),
        }


def overlaid(state: State, call: AwsCall, shape: Any, value: Any) -> Any:
    """Return moto's parsed answer with the state's facts, and without the day of the sandbox's start."""
    known = state.members.get((call.account, call.service), {})
    stamp = state.first_night - STAMP

    def walk(shape: Any, value: Any) -> Any:
        if isinstance(value, datetime):
            return stamp if value.replace(tzinfo=value.tzinfo or UTC) >= state.started else value
        if shape.type_name == "list":
            return [walk(shape.member, item) for item in value]
        if shape.type_name == "map":
            return {name: walk(shape.value, item) for name, item in value.items()}
        if shape.type_name != "structure":
            return value
        made = {
            name: walk(shape.members[name], item) for name, item in value.items() if name in shape.members
        }
        for member, facts in known.items():
            found = facts.get(made[member]) if isinstance(made.get(member), str) else None
            if found:
                made.update(
                    {
                        name: settled(fact, state.as_of)
                        for name, fact in found.items()
                        if name in shape.members
                    }
                )
        return {name: item for name, item in made.items() if item is not None}

    return walk(shape, value)


def changes(call: AwsCall) -> bool:
    """Return whether a call may change state."""
    return not call.operation.startswith(READING)


def is_answer(answer: Reply) -> bool:
    """Return whether a status is not an error."""
    return answer.status < 300
