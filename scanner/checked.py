"""What the check of a checkout comes to: the records that its formats write."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  msgspec reads the annotations at run time

import msgspec

from scanner.findings import SEVERITIES
from scanner.records import Severity  # noqa: TC001  msgspec reads the annotations at run time
from scanner.safe_text import NAME, plain


class Occurrence(msgspec.Struct, frozen=True, kw_only=True):
    """A finding at one place."""

    finding_id: str
    rule: str
    title: str
    severity: Severity
    confidence: str
    path: str | None
    """The file, relative to the root of the checkout; None if the finding is not about a line."""
    line: int | None
    """The line, from 1."""
    what: str
    """What is wrong there."""
    why: str
    """Why that matters."""
    fix: str
    """The smallest change."""
    subject: str
    """The name of the pipeline, secret or other thing that it is about."""
    about: str
    """What makes it the same in two revisions: its rule, its subject, and what is wrong, but not its line."""
    alike: str
    """What it shares with the same finding in a file of another name: its rule and what is wrong."""

    @property
    def rank(self) -> int:
        """0 for critical, and so on."""
        return SEVERITIES.index(self.severity)


class Unread(msgspec.Struct, frozen=True, kw_only=True):
    """A file, or a reference of a file, that was not read."""

    what: str
    reason: str
    """A reason of a `Gap`, or ``unresolved``."""


class ReachChange(msgspec.Struct, frozen=True, kw_only=True):
    """A power that a pipeline of the checkout reaches, and did not reach before."""

    pipeline: str
    path: str | None
    """The pipeline's file, relative to the folder that was checked."""
    line: int | None
    power: str
    account: str
    """The name of the account in which it is reached."""
    becomes: str | None
    """The name of the identity that holds the power; None if the pipeline holds it itself."""
    steps: int
    """The number of steps to it."""
    way: list[str]
    """The whole way, with the last grant."""
    outsiders: list[str]
    """The triggers through which outsiders start the pipeline; none if they cannot."""

    def sentence(self) -> str:
        """Return the change in one sentence."""
        who = plain(self.pipeline, NAME)
        if self.outsiders:
            who = f"everyone who can start {who} from outside ({', '.join(self.outsiders)})"
        power = {"admin": "administrator"}.get(self.power, f"able to {self.power}")
        place = plain(self.account, NAME)
        if self.becomes is None:
            return f"with this change {who} is {power} in {place}"
        through = f" in {self.steps} steps" if self.steps > 1 else ""
        return f"with this change {who} can become {plain(self.becomes, NAME)}{through}, which is {power} in {place}"


class Ignored(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that is accepted."""

    what: str
    by: str
    """The comment's place, last day and reason, or the id of the exception."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a check."""

    as_of: datetime
    base: str | None
    """The commit that was compared with."""
    against: str | None
    """The run whose trusts and grants were used."""
    found: list[Occurrence]
    """Most severe first. With a base, only what the change brings."""
    reach: list[ReachChange]
    """What the change does to reach; empty without ``against``."""
    ignored: list[Ignored]
    problems: list[str]
    """Comments that accept nothing, each with its place."""
    unread: list[Unread]
    excerpts: dict[str, str]
    """The redacted line of each ``path:line`` of ``found``."""

    @property
    def blind(self) -> bool:
        """Whether a definition could not be read although it is of a known system."""
        return any(one.reason not in ("unread", "unsupported", "unresolved") for one in self.unread)
