"""A reference model of statuses over nights, written from docs/architecture.md ("Findings over nights") alone.

It reads what a random night looked at and what there was to see (`tests.random_nights`), never anything that the analysis
wrote. Sets and dictionaries only, no attempt at speed: each method is one paragraph of the documentation.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal, TypeAlias

from tests.random_nights import (
    ABSENCE,
    ACCOUNTS_LISTING,
    FAILING,
    NEEDS,
    PARENTS,
    TARGETS,
    DrawnException,
    DrawnListing,
    DrawnNight,
    grant_of,
    target_id,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scanner.records import Severity

ListingResult: TypeAlias = Literal["complete", "failed", "unsupported"]
Key: TypeAlias = tuple[str, str]
"""Rule and subject."""
Condition: TypeAlias = Literal["DEADLINE", "COVERAGE", "FINDINGS"]

RANKS: dict[str, int] = {"critical": 4, "high": 3, "medium": 2, "low": 1, "info": 0}
DUE_DAYS = {"critical": 7, "high": 30, "medium": 60, "low": 90}
CAP_DAYS = {"critical": 7, "high": 30, "medium": 60, "low": 90, "info": 90}
OPEN = ("new", "open", "reopened")
ABOUT_EXCEPTIONS: dict[str, tuple[str, Severity]] = {
    "expired": ("exception-expired", "medium"),
    "expiring": ("exception-expiring", "info"),
    "malformed": ("exception-malformed", "medium"),
    "unmatched": ("exception-unmatched", "low"),
    "void": ("exception-void", "medium"),
}
NOT_READ = "account-not-read"


@dataclass(frozen=True)
class ReferenceFinding:
    """One finding as a night leaves it in the history."""

    status: str
    first_seen: datetime
    open_since: datetime
    changed_at: datetime
    severity: Severity
    facts: str
    account: str
    exception_ids: frozenset[str]
    """The exceptions that cover it; any of them may be named."""
    last_hit: int
    """The number of the night that last found it."""
    previous_status: str | None = None
    counts_as_new: str | None = None
    gone_in: str | None = None
    listed: bool = True
    out_of_scope: bool = False

    @property
    def due_at(self) -> datetime | None:
        """Return when it is due."""
        days = DUE_DAYS.get(self.severity)
        return None if days is None else self.open_since + timedelta(days=days)


@dataclass(frozen=True)
class ReferenceHit:
    """One row of a rule's query."""

    severity: Severity
    facts: str
    account: str


@dataclass
class Sight:
    """What one night could see: the state of each listing that was asked for, doubts included."""

    night: DrawnNight
    states: dict[DrawnListing, ListingResult]
    """What was requested, and what came of it; doubts count as failures."""
    doubted: frozenset[DrawnListing]
    lost: frozenset[DrawnListing]
    """All that the targets which were lost whole ever listed: requested, and failed."""

    def of(self, listing: DrawnListing) -> ListingResult | None:
        """Return what became of a listing; None if it was not requested."""
        return "failed" if listing in self.lost else self.states.get(listing)

    def within(
        self, account: str | None, table: str, kind: str = ""
    ) -> list[tuple[DrawnListing, ListingResult]]:
        """Return the listings of a table in an account, or (None) in any; with a kind, those which could hold it."""
        return [
            (one, state)
            for one, state in (self.states | dict.fromkeys(self.lost, "failed")).items()
            if account in (None, one.account)
            and one.table in (table, "*")
            and (not kind or one.kind in ("", kind))
        ]


@dataclass(frozen=True)
class TargetOutcome:
    """What a night says of one target."""

    state: str
    expected: int
    answered: int


@dataclass(frozen=True)
class ExceptionResult:
    """What a night says of one exception."""

    state: str
    matched: int


@dataclass(frozen=True)
class MemberState:
    """One member of the inventory."""

    first_seen: datetime
    last_hit: int
    account: str
    removed_at: datetime | None


@dataclass(frozen=True)
class ReferenceVerdict:
    """Everything that the model says of one night."""

    findings: dict[Key, ReferenceFinding]
    exceptions: dict[str, ExceptionResult]
    targets: dict[str, TargetOutcome]
    members: dict[tuple[str, str], MemberState]
    doubted: frozenset[DrawnListing]

    def conditions(
        self, night: DrawnNight, fail_on: str | None, *, min_coverage: float, max_unobserved: float
    ) -> set[Condition]:
        """Return the conditions that lead to an exit code, by "Exit codes"."""
        met: set[Condition] = set()
        if "not-reached" in night.targets.values():
            met.add("DEADLINE")
        counting = [
            (key, one)
            for key, one in self.findings.items()
            if one.listed
            and one.status in (*OPEN, "unobserved", "error")
            and not one.exception_ids
            and not one.out_of_scope
        ]
        excepted = {key[1] for key, one in self.findings.items() if key[0] == NOT_READ and one.exception_ids}
        if any(
            one.state == "unread" and target_id(name) not in excepted for name, one in self.targets.items()
        ):
            met.add("COVERAGE")
        asked = [one for one in self.targets.values() if one.state != "not-requested"]
        expected = sum(one.expected for one in asked)
        if (sum(one.answered for one in asked) / expected if expected else 0.0) < min_coverage:
            met.add("COVERAGE")
        if night.failing and FAILING not in night.disabled:
            met.add("COVERAGE")
        lost = sum(one.status in ("unobserved", "error") for _, one in counting)
        if counting and lost / len(counting) > max_unobserved and not night.selected:
            met.add("COVERAGE")
        if fail_on is not None:
            only_new, _, severity = fail_on.rpartition(":")
            for key, one in self.findings.items():
                if one.out_of_scope or RANKS[one.severity] < RANKS[severity]:
                    continue
                if (one.listed and one.counts_as_new) if only_new else (key, one) in counting:
                    met.add("FINDINGS")
        return met

    def figures(self) -> dict[tuple[str, str], float]:
        """Return the figures of findings by name and severity, empty for all."""
        rows = [one for one in self.findings.values() if one.listed]
        found: dict[tuple[str, str], float] = {}
        for severity in ("", *RANKS):
            some = [one for one in rows if severity in ("", one.severity)]
            found["open_findings", severity] = sum(one.status in OPEN for one in some)
            found["new_findings", severity] = sum(one.counts_as_new is not None for one in some)
            for status in ("resolved", "unobserved", "excepted", "error"):
                found[f"{status}_findings", severity] = sum(one.status == status for one in some)
            moves = [(one.previous_status, one.status in OPEN, one.status) for one in some]
            found["open_before", severity] = sum(before in OPEN for before, _, _ in moves)
            found["became_new", severity] = sum(before is None and now for before, now, _ in moves)
            found["became_reopened", severity] = sum(before == "resolved" and now for before, now, _ in moves)
            found["became_unexcepted", severity] = sum(
                before == "excepted" and now for before, now, _ in moves
            )
            found["became_observed", severity] = sum(
                before in ("unobserved", "error") and now for before, now, _ in moves
            )
            for status in ("resolved", "excepted", "unobserved", "error"):
                found[f"became_{status}", severity] = sum(
                    before in OPEN and now == status for before, _, now in moves
                )
        return found


@dataclass
class ReferenceModel:
    """The state that the documentation says is kept from night to night, and what follows for the next night."""

    number: int = 0
    history: dict[Key, ReferenceFinding] = field(default_factory=dict)
    sights: list[Sight] = field(default_factory=list)
    read: dict[DrawnListing, int] = field(default_factory=dict)
    """Rows that each listing gave on the last night that read it."""
    read_on: dict[DrawnListing, int] = field(default_factory=dict)
    """The number of that night."""
    members: dict[tuple[str, str], MemberState] = field(default_factory=dict)
    listed: set[str] = field(default_factory=set)
    """Accounts that a night listed."""
    removed: set[str] = field(default_factory=set)
    """Accounts that are removed."""
    ever: dict[str, set[DrawnListing]] = field(default_factory=dict)
    """Every listing that each target ever had."""
    asked_when_last_read: dict[str, set[DrawnListing]] = field(default_factory=dict)
    """What was requested of each target on the last night that read any of it."""

    def step(self, night: DrawnNight) -> ReferenceVerdict:
        """Return what this night says."""
        self.number += 1
        sight = self._sight(night)
        self.sights.append(sight)
        self._remove_accounts(sight)
        targets = self._targets(sight)
        hits = self._hits(sight)
        for name, one in targets.items():
            if one.state == "unread":
                hits[NOT_READ, target_id(name)] = ReferenceHit("high", "", TARGETS[name])
        exceptions = self._exceptions(sight, hits, targets)
        for id_, result in exceptions.items():
            if result.state in ABOUT_EXCEPTIONS:
                rule, severity = ABOUT_EXCEPTIONS[result.state]
                hits[rule, id_] = ReferenceHit(severity, "", "")
        today = {
            key: self._status(sight, key, hits.get(key), targets) for key in hits.keys() | self.history.keys()
        }
        self.history = today
        self._members(sight)
        self.read.update(night.items)
        self.read_on.update(dict.fromkeys(night.items, self.number))
        return ReferenceVerdict(
            findings={key: one for key, one in today.items() if one.listed},
            exceptions=exceptions,
            targets=targets,
            members=dict(self.members),
            doubted=sight.doubted,
        )

    # A sudden drop proves nothing until a second night confirms it.

    def _sight(self, night: DrawnNight) -> Sight:
        doubted: set[DrawnListing] = set()
        groups: dict[tuple[str, str, str], list[DrawnListing]] = {}
        for one, rows in night.items.items():
            if one not in self.read:
                continue
            groups.setdefault((one.target, one.table, one.kind), []).append(one)
            if _sudden(self.read[one], rows):
                doubted.add(one)
            if rows < self.read[one] and self._named_elsewhere(night, one):
                doubted.add(one)
        for group in groups.values():
            if _sudden(sum(self.read[one] for one in group), sum(night.items[one] for one in group)):
                doubted |= {one for one in group if night.items[one] < self.read[one]}
        states: dict[DrawnListing, ListingResult] = {}
        lost: set[DrawnListing] = set()
        for target, state in night.targets.items():
            if state in ("dark", "not-reached"):
                states[DrawnListing(target, "*")] = "failed"
                lost |= self.ever.get(target, set())
            elif state == "read":
                states[DrawnListing(target, "accounts")] = "complete"
        for one, answer in night.listings.items():
            if answer == "complete":
                states[one] = "failed" if one in doubted else "complete"
            elif answer == "unsupported":
                states[one] = "unsupported"
            elif answer != "not-asked":
                states[one] = "failed"
        for one in states:
            if one.table != "*":
                self.ever.setdefault(one.target, set()).add(one)
        return Sight(night, states, frozenset(doubted), frozenset(lost))

    def _named_elsewhere(self, night: DrawnNight, listing: DrawnListing) -> bool:
        present = {subject.id for subject in night.seen}
        if listing.table == "identities" and listing.kind == "robot":
            return any(
                table == "identities" and one.account == listing.account and one.last_hit >= self.read_on[listing]
                and name not in present and name in night.granted
                for (table, name), one in self.members.items()
            )  # fmt: skip
        return False

    # Removed accounts and targets.

    def _remove_accounts(self, sight: Sight) -> None:
        night = sight.night
        complete = sight.states.get(ACCOUNTS_LISTING) == "complete"
        shown = night.listings.get(ACCOUNTS_LISTING) == "complete"
        for target, account in TARGETS.items():
            how = night.targets[target]
            if how in ("read", "dark", "not-reached") or (shown and how not in ("closed", "inactive")):
                self.removed.discard(account)
            elif (how == "closed" and complete and account in self.listed) or (
                how == "inactive" and shown and target in self.ever
            ):
                self.removed.add(account)
            if how == "read" or (shown and how != "closed"):
                self.listed.add(account)

    def _targets(self, sight: Sight) -> dict[str, TargetOutcome]:
        found: dict[str, TargetOutcome] = {}
        for target, how in sight.night.targets.items():
            before = self.asked_when_last_read.get(target)
            if TARGETS[target] in self.removed:
                continue
            tonight = {one for one in sight.states if one.target == target}
            answered = {one for one in tonight if sight.states[one] == "complete"}
            if how in ("read", "dark", "not-reached"):
                # Where something failed, what was listed when it was last read could not be requested.
                if before and "failed" in {sight.states[one] for one in tonight}:
                    tonight = (tonight | before) - {DrawnListing(target, "*")}
                state = (
                    "complete"
                    if all(sight.states.get(one) in ("complete", "unsupported") for one in tonight)
                    else "partial"
                )
                found[target] = TargetOutcome(state if answered else "unread", len(tonight), len(answered))
                if answered:
                    self.asked_when_last_read[target] = {one for one in sight.states if one.target == target}
            elif before is not None:
                state = "not-requested" if sight.night.selected or how == "retired" else "unread"
                found[target] = TargetOutcome(state, len(before), 0)
        return found

    # Hits.

    def _hits(self, sight: Sight) -> dict[Key, ReferenceHit]:
        night = sight.night
        return {
            (rule, subject.id): ReferenceHit(severity, subject.facts, subject.listing.account)
            for subject in night.seen
            for rule, severity in subject.found_by
            if self._ran(night, rule)
            and (
                rule != ABSENCE
                or (subject.id not in night.granted and self._absent(sight, subject.listing.account))
            )
        }

    def _absent(self, sight: Sight, account: str) -> bool:
        lost_above = any(
            one.table == "*" and one.account in _with_those_above(account) for one in sight.states
        )
        return (
            self._requested(sight, account, NEEDS[ABSENCE])
            and not lost_above
            and not self._failed(sight, account, NEEDS[ABSENCE])
        )

    def _ran(self, night: DrawnNight, rule: str) -> bool:
        return rule not in night.disabled and not (rule == FAILING and night.failing)

    # Statuses.

    def _status(
        self, sight: Sight, key: Key, hit: ReferenceHit | None, targets: dict[str, TargetOutcome]
    ) -> ReferenceFinding:
        night, rule = sight.night, key[0]
        before = self.history.get(key)
        covering = self._covering(night, key, hit, before)
        listed = True
        out_of_scope = False
        gone_in = None
        if hit is not None:
            if covering:
                status = "excepted"
            elif before is None:
                status = "new"
            elif before.status == "resolved":
                status = "reopened"
            else:
                status = "open"
        else:
            assert before is not None
            if before.status == "resolved":
                return replace(before, listed=False, previous_status="resolved", counts_as_new=None)
            if rule in night.disabled or self._retired(night, known=before):
                status = "unobserved"
                out_of_scope = True
                listed = not before.out_of_scope
                covering = covering if listed else frozenset()
            elif rule == FAILING and night.failing:
                status = "error"
            elif not self._observed(sight, key, before, targets):
                status = "unobserved"
            else:
                status, gone_in = "resolved", night.run_id
                covering = before.exception_ids
        previous = before.status if before else None
        same = before is not None and (previous == status or (previous in OPEN and status in OPEN))
        starts_again = before is None or before.status == "resolved"
        severity = hit.severity if hit else before.severity if before else "info"
        return ReferenceFinding(
            status=status,
            first_seen=before.first_seen if before else night.as_of,
            open_since=before.open_since if before and not starts_again else night.as_of,
            changed_at=before.changed_at if before and same else night.as_of,
            severity=severity,
            facts=hit.facts if hit else before.facts if before else "",
            account=hit.account if hit else before.account if before else "",
            exception_ids=covering,
            last_hit=self.number if hit else before.last_hit if before else 0,
            previous_status=previous,
            counts_as_new=_counts_as_new(status, severity, covering, before),
            gone_in=gone_in,
            listed=listed,
            out_of_scope=out_of_scope,
        )

    def _retired(self, night: DrawnNight, known: ReferenceFinding) -> bool:
        return any(
            state == "retired" and TARGETS[target] == known.account for target, state in night.targets.items()
        )

    # What counts as observed.

    def _observed(
        self, sight: Sight, key: Key, known: ReferenceFinding, targets: dict[str, TargetOutcome]
    ) -> bool:
        rule = key[0]
        if rule == NOT_READ:
            state = next((one for name, one in targets.items() if target_id(name) == key[1]), None)
            return state is None or state.state != "not-requested"
        if rule not in NEEDS or known.account in self.removed:
            return True
        return (
            self._requested(sight, known.account, NEEDS[rule])
            and not self._failed(sight, known.account, NEEDS[rule])
            and self._no_less(sight, self.sights[known.last_hit - 1], known.account, NEEDS[rule])
        )

    def _requested(self, sight: Sight, account: str, needs: Iterable[str]) -> bool:
        """Condition 2."""
        for table, kind, where in map(_parts, needs):
            if where != "everywhere":
                places = _with_those_above(account) if where == "above" else [account]
                wanted = kind if sight.within(None, table, kind) else ""
                if not any(sight.within(place, table, wanted) for place in places):
                    return False
        return True

    def _failed(self, sight: Sight, account: str, needs: Iterable[str]) -> bool:
        """Condition 3, the other way round."""
        for table, kind, where in map(_parts, needs):
            if where != "everywhere":
                for place in _with_those_above(account) if where == "above" else [account]:
                    # The target above that is lost whole has gaps in its own account's tables only.
                    own_kind = kind or ("robot" if table == "identities" else "")
                    if any(state != "complete" for _, state in sight.within(place, table, own_kind)):
                        return True
        return False

    def _no_less(self, sight: Sight, then: Sight, account: str, needs: Iterable[str]) -> bool:
        """Condition 4."""
        for table, kind, where in map(_parts, needs):
            places: list[str | None] = list(_with_those_above(account)) if where == "above" else [account]
            for place in [None] if where == "everywhere" else places:
                for one, state in then.within(place, table, kind):
                    if one.table != "*":
                        now = sight.of(one)
                        # The documentation leaves open what failed then and is not supported now: it proves nothing.
                        if (state == "complete" and now != "complete") or (
                            state == "failed" and now in (None, "unsupported")
                        ):
                            return False
        return True

    # Exceptions.

    def _covering(
        self, night: DrawnNight, key: Key, hit: ReferenceHit | None, before: ReferenceFinding | None
    ) -> frozenset[str]:
        severity = hit.severity if hit else before.severity if before else "info"
        facts = hit.facts if hit else before.facts if before else ""
        return frozenset(
            entry.id
            for entry in night.entries
            if _matches(entry, key) and not _expired(entry, night.as_of) and _within_cap(entry, severity)
            and entry.pinned in (None, (severity, facts))
        )  # fmt: skip

    def _exceptions(
        self, sight: Sight, hits: dict[Key, ReferenceHit], targets: dict[str, TargetOutcome]
    ) -> dict[str, ExceptionResult]:
        night = sight.night
        candidates: dict[Key, tuple[Severity, str]] = {
            key: (one.severity, one.facts)
            for key, one in self.history.items()
            if one.status != "resolved"
            and not (
                key not in hits and self._ran(night, key[0]) and self._observed(sight, key, one, targets)
            )
        }
        candidates |= {key: (hit.severity, hit.facts) for key, hit in hits.items()}
        found = {}
        for entry in night.entries:
            matching = {key: one for key, one in candidates.items() if _matches(entry, key)}
            fitting = {key: one for key, one in matching.items() if _within_cap(entry, one[0])}
            if _expired(entry, night.as_of):
                state = "expired"
            elif not matching:
                state = "dormant" if self._asleep(sight, entry.rule) else "unmatched"
            elif not fitting:
                state = "malformed"
            elif any(entry.pinned not in (None, one) for one in matching.values()):
                state = "void"
            elif _ends(entry) - night.as_of <= timedelta(days=14):
                state = "expiring"
            else:
                state = "active"
            found[entry.id] = ExceptionResult(state, len(fitting) if state in ("active", "expiring") else 0)
        return found

    def _asleep(self, sight: Sight, rule: str) -> bool:
        if not self._ran(sight.night, rule):
            return True
        return any(
            state == "failed"
            for table, kind, _ in map(_parts, NEEDS.get(rule, ()))
            for _, state in sight.within(None, table, kind)
        )

    # The inventory.

    def _members(self, sight: Sight) -> None:
        night = sight.night
        present = {("identities", subject.id): subject.listing.account for subject in night.seen}
        present |= {
            ("grants", grant_of(holder)): TARGETS[holder.removeprefix("toy:robot:").split("-")[0]]
            for holder in night.granted
        }
        for key, account in present.items():
            first = self.members[key].first_seen if key in self.members else night.as_of
            self.members[key] = MemberState(first, self.number, account, None)
        for key, one in self.members.items():
            if key not in present and one.removed_at is None and self._gone(sight, key[0], one):
                self.members[key] = replace(one, removed_at=night.as_of)

    def _gone(self, sight: Sight, table: str, one: MemberState) -> bool:
        if one.account in self.removed:
            return True
        needs = ["identities/robot" if table == "identities" else table]
        states = [state for _, state in sight.within(one.account, table, _parts(needs[0])[1])]
        answered = "complete" in states and all(state == "complete" for state in states)
        return answered and self._no_less(sight, self.sights[one.last_hit - 1], one.account, needs)


def _parts(need: str) -> tuple[str, str, str]:
    name, _, where = need.partition(" ")
    table, _, kind = name.partition("/")
    return table, kind, where


def _sudden(before: int, now: int) -> bool:
    return before - now >= 5 and before - now > before / 2


def _with_those_above(account: str) -> list[str]:
    found = [account]
    while (parent := PARENTS[found[-1]]) is not None:
        found.append(parent)
    return found


def _ends(entry: DrawnException) -> datetime:
    return datetime.combine(entry.expires, time(23, 59, 59), UTC)


def _expired(entry: DrawnException, as_of: datetime) -> bool:
    return as_of > _ends(entry)


def _within_cap(entry: DrawnException, severity: Severity) -> bool:
    return (entry.expires - entry.approved).days <= CAP_DAYS[severity]


def _matches(entry: DrawnException, key: Key) -> bool:
    return entry.rule == key[0] and fnmatchcase(key[1], entry.subject)


def _counts_as_new(
    status: str, severity: Severity, covering: frozenset[str], before: ReferenceFinding | None
) -> str | None:
    if status in ("new", "reopened"):
        return status
    if status in ("open", "unobserved", "error") and before and before.exception_ids and not covering:
        return "exception-ended"
    if status == "open" and before and RANKS[severity] > RANKS[before.severity]:
        return "severity-raised"
    return None
