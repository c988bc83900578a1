"""Random sequences of nights, for the reference model of statuses: what there was to see, and what was looked at.

A made-up provider has three targets, each one account; the first lists the accounts of the other two. Identities are listed
in two regions, everything else once an account. Rules of our own find identities by their tags, so that what each rule must
find is known without running it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import yaml

from scanner.ledger import Ledger
from scanner.records import Account, Coverage, Gap, Grant, Identity, Record
from scanner.secrets.detectors import Fingerprint
from scanner.snapshot import RunInfo, begin, run_id_of, seal
from scanner.target_writer import TargetWriter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scanner.records import Severity
    from scanner.snapshot import Manifest

ListingState: TypeAlias = Literal["complete", "denied", "truncated", "unsupported", "not-asked"]
TargetState: TypeAlias = Literal[
    "read", "dark", "not-reached", "not-requested", "left-out", "retired", "closed", "inactive"
]
"""read; dark: its first call was refused; not-reached: the deadline came first; not-requested: the run was limited to other
targets; left-out: the configuration no longer names it; retired: it says that it is out of scope; closed: the account is
gone; inactive: it is listed as such, and no longer read."""
GONE = ("closed", "inactive", "retired")

FIRST = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
ORGANIZATION, ONE, TWO = "toy:account:org", "toy:account:one", "toy:account:two"
PARENTS: dict[str, str | None] = {ORGANIZATION: None, ONE: ORGANIZATION, TWO: ORGANIZATION}
TARGETS = {"org": ORGANIZATION, "one": ONE, "two": TWO}

NEEDS: dict[str, tuple[str, ...]] = {
    "toy-alone": ("identities",),
    "toy-joined": ("identities", "grants"),
    "toy-everywhere": ("identities/robot", "trusts everywhere"),
    "toy-above": ("identities", "controls above"),
    "toy-absent": ("identities", "grants"),
}
"""The needs of each rule. Each is about identities, and finds those whose tags hold its own id."""
ABSENCE = "toy-absent"
"""The rule of absence: it finds such identities only if no grant names them."""
FAILING = "toy-joined"
"""The rule that fails on the nights that say so."""
OWN_SEVERITY: dict[str, Severity] = {
    "toy-alone": "medium",
    "toy-joined": "high",
    "toy-everywhere": "low",
    "toy-above": "critical",
    "toy-absent": "medium",
}


@dataclass(frozen=True, order=True)
class DrawnListing:
    """One listing: a call for one kind of record of one table, in one region of one account."""

    target: str
    table: str
    region: str = "global"
    kind: str = ""

    @property
    def account(self) -> str:
        """Return the account of its target."""
        return TARGETS[self.target]


ACCOUNTS_LISTING = DrawnListing("org", "accounts", kind="toy-account")
LISTINGS = (
    ACCOUNTS_LISTING,
    DrawnListing("org", "identities", "north", "robot"),
    DrawnListing("org", "grants"),
    DrawnListing("org", "trusts"),
    DrawnListing("org", "controls"),
    *(
        listing
        for target in ("one", "two")
        for listing in (
            DrawnListing(target, "identities", "north", "robot"),
            DrawnListing(target, "identities", "south", "robot"),
            DrawnListing(target, "identities", "global", "person"),
            DrawnListing(target, "grants"),
            DrawnListing(target, "trusts"),
            DrawnListing(target, "controls"),
        )
    ),
)


@dataclass(frozen=True)
class DrawnSubject:
    """One identity as a night sees it. ``found_by`` are the rules that find it, with the severity of each finding."""

    name: str
    listing: DrawnListing
    found_by: tuple[tuple[str, Severity], ...]
    facts: str

    @property
    def id(self) -> str:
        """Return its identity's id."""
        return f"toy:robot:{self.name}"


@dataclass(frozen=True)
class DrawnException:
    """One entry of exceptions.yaml. ``pinned`` are the severity and the facts that it accepts, None for any."""

    id: str
    rule: str
    subject: str
    approved: date
    expires: date
    pinned: tuple[Severity, str] | None = None


@dataclass(frozen=True)
class DrawnNight:
    """What one night looks at and what there is to see."""

    as_of: datetime
    targets: dict[str, TargetState]
    listings: dict[DrawnListing, ListingState]
    """Of the targets that are read."""
    seen: tuple[DrawnSubject, ...]
    """The identities whose rows are in the snapshot, whatever became of their listing."""
    granted: frozenset[str]
    """The ids of the identities that a grant in the snapshot names."""
    items: dict[DrawnListing, int]
    """How many rows each complete listing gave."""
    disabled: frozenset[str] = frozenset()
    failing: bool = False
    entries: tuple[DrawnException, ...] = ()

    @property
    def run_id(self) -> str:
        """Return its run id."""
        return run_id_of(self.as_of)

    @property
    def retired(self) -> list[str]:
        """Return the names of the targets that are out of scope for good."""
        return [f"toy/{target}" for target, state in self.targets.items() if state == "retired"]

    @property
    def selected(self) -> bool:
        """Return whether the run was limited to some of the targets."""
        return "not-requested" in self.targets.values()


@dataclass
class _Thing:
    """One identity in the world, seen or not."""

    name: str
    listing: DrawnListing
    exists: bool
    found_by: dict[str, Severity]
    facts: str = "a"
    granted: bool = False
    leftover: bool = False
    """Whether its grant stays when it goes."""


@dataclass
class Drawing:
    """Draws one sequence of nights. Set a switch to False to leave a dimension out."""

    seed: int
    nights: int | None = None
    drops: bool = True
    strays: bool = True
    disables: bool = True
    fails: bool = True
    partial: bool = True
    closes: bool = True
    leaves_out: bool = True
    retires: bool = False
    absences: bool = True
    gone: TargetState | None = None
    """What became of the second account, if anything."""
    dice: random.Random = field(init=False)
    things: list[_Thing] = field(init=False)
    entries: list[DrawnException] = field(default_factory=list)
    hit: set[tuple[str, str, tuple[Severity, str]]] = field(default_factory=set)
    made: int = 0

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        pools = {
            ("one", "north"): 12,
            ("one", "south"): 4,
            ("two", "north"): 3,
            ("two", "south"): 2,
            ("org", "north"): 1,
        }
        self.things = [
            self._thing(f"{target}-{region}-{number}", DrawnListing(target, "identities", region, "robot"))
            for (target, region), size in pools.items()
            for number in range(size)
        ]

    def _thing(self, name: str, listing: DrawnListing) -> _Thing:
        found = {rule: self._severity(rule) for rule in self._rules if self.dice.random() < 0.35}
        exists, granted, leftover = (self.dice.random() < share for share in (0.75, 0.6, 0.3))
        return _Thing(name, listing, exists, found, "a", granted, leftover)

    @property
    def _rules(self) -> list[str]:
        return [rule for rule in NEEDS if rule != ABSENCE or self.absences]

    def _severity(self, rule: str) -> Severity:
        if self.dice.random() < 0.7:
            return OWN_SEVERITY[rule]
        return self.dice.choice(("critical", "high", "medium", "low", "info"))

    def draw(self) -> Iterator[DrawnNight]:
        """Yield the nights, in order."""
        as_of = FIRST
        for _ in range(self.nights or self.dice.randint(6, 12)):
            self._change()
            yield self._night(as_of)
            as_of += timedelta(days=self.dice.choice((1, 1, 1, 1, 1, 2, 6, 25)))

    def _change(self) -> None:
        dice = self.dice
        for thing in self.things:
            if dice.random() < 0.12:
                thing.exists = not thing.exists
            for rule in self._rules:
                if dice.random() < 0.06:
                    if rule in thing.found_by:
                        del thing.found_by[rule]
                    else:
                        thing.found_by[rule] = self._severity(rule)
                elif rule in thing.found_by and dice.random() < 0.06:
                    thing.found_by[rule] = self._severity(rule)
            if dice.random() < 0.08:
                thing.facts = dice.choice("abc")
        if self.drops and dice.random() < 0.15:
            kept = dice.randint(0, 3)
            for thing in self.things[kept:12]:
                thing.exists = False
        elif dice.random() < 0.15:
            for thing in self.things:
                thing.exists = thing.exists or dice.random() < 0.8

    def _night(self, as_of: datetime) -> DrawnNight:
        dice = self.dice
        targets = self._targets()
        listings: dict[DrawnListing, ListingState] = {}
        for listing in LISTINGS:
            if targets[listing.target] == "read":
                listings[listing] = dice.choices(
                    ("complete", "denied", "truncated", "unsupported", "not-asked"), (84, 5, 5, 2, 4)
                )[0]
        items = {listing: 0 for listing, state in listings.items() if state == "complete"}
        seen: list[DrawnSubject] = []
        granted: set[str] = set()
        for thing in self.things:
            found = tuple(sorted(thing.found_by.items()))
            subject = DrawnSubject(thing.name, thing.listing, found, thing.facts)
            stray = self.strays and dice.random() < 0.03 and targets[thing.listing.target] not in GONE
            if thing.exists and (self._shown(listings, thing.listing, items) or stray):
                seen.append(subject)
            holds = thing.granted and (thing.exists or thing.leftover)
            if holds and self._shown(listings, DrawnListing(thing.listing.target, "grants"), items):
                granted.add(subject.id)
        for listing in items:
            if listing.table in ("trusts", "controls"):
                items[listing] = 3
        if ACCOUNTS_LISTING in items:
            items[ACCOUNTS_LISTING] = sum(
                state != "closed" for name, state in targets.items() if name != "org"
            )
        disabled = frozenset(rule for rule in NEEDS if self.disables and dice.random() < 0.05)
        failing = self.fails and dice.random() < 0.08
        silent = disabled | {ABSENCE} | ({FAILING} if failing else set())
        hits = [(one, rule) for one in seen for rule, _ in one.found_by if rule not in silent]
        return DrawnNight(
            as_of=as_of,
            targets=targets,
            listings=listings,
            seen=tuple(seen),
            granted=frozenset(granted),
            items=items,
            disabled=disabled,
            failing=failing,
            entries=self._entries(as_of, hits, [name for name, state in targets.items() if state == "dark"]),
        )

    def _targets(self) -> dict[str, TargetState]:
        dice = self.dice
        targets: dict[str, TargetState] = dict.fromkeys(TARGETS, "read")
        limited = dice.random() < 0.12
        if dice.random() < 0.1:
            ways: list[TargetState] = ["closed", "inactive"] if self.closes else []
            ways += ["retired"]
            self.gone = None if self.gone else dice.choice(ways)
            # Not drawn yet: model and product disagree on which name under `retired` stands for the target.
            self.gone = "closed" if self.gone == "retired" and not self.retires else self.gone
        for target in TARGETS:
            roll = dice.random()
            if target == "two" and self.gone:
                targets[target] = self.gone
            elif limited and roll < 0.5:
                targets[target] = "not-requested"
            elif roll < 0.06:
                targets[target] = "dark"
            elif roll < 0.09 and self.partial:
                targets[target] = "not-reached"
            elif roll < 0.12 and target != "org" and self.leaves_out:
                targets[target] = "left-out"
        if all(state != "read" for state in targets.values()):
            targets["one"] = "read"
        return targets

    def _shown(
        self,
        listings: dict[DrawnListing, ListingState],
        listing: DrawnListing,
        items: dict[DrawnListing, int],
    ) -> bool:
        state = listings.get(listing, "not-asked")
        if state == "complete":
            items[listing] += 1
        return state == "complete" or (state == "truncated" and self.dice.random() < 0.6)

    def _entries(
        self, as_of: datetime, found: list[tuple[DrawnSubject, str]], dark: list[str]
    ) -> tuple[DrawnException, ...]:
        dice = self.dice
        self.entries = [entry for entry in self.entries if dice.random() > 0.08]
        if found and dice.random() < 0.5:
            self.made += 1
            subject, rule = dice.choice(found)
            glob = dice.random() < 0.25
            end = as_of + timedelta(days=dice.choice((0, 1, 3, 6, 7, 20, 45, 80)))
            facts = (dict(subject.found_by)[rule], subject.facts)
            # A state hash can be copied only from an earlier night's report.
            pinned = (
                facts if not glob and (rule, subject.id, facts) in self.hit and dice.random() < 0.6 else None
            )
            self.entries.append(
                DrawnException(
                    id=f"RISK-{self.made}",
                    rule=rule,
                    subject=f"toy:robot:{subject.name.rpartition('-')[0]}*" if glob else subject.id,
                    approved=as_of.date(),
                    expires=end.date(),
                    pinned=pinned,
                )
            )
        self.hit |= {(rule, one.id, (dict(one.found_by)[rule], one.facts)) for one, rule in found}
        if dark and dice.random() < 0.4:
            self.made += 1
            until = (as_of + timedelta(days=dice.choice((1, 7, 25)))).date()
            self.entries.append(
                DrawnException(
                    f"RISK-{self.made}", "account-not-read", target_id(dice.choice(dark)), as_of.date(), until
                )
            )
        return tuple(self.entries)


def write_rules(folder: Path) -> Path:
    """Write the rules as custom rules and return their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    broken = (
        " AND (SELECT count(*) FROM accounts WHERE CASE WHEN tags['broken'] = 'yes' THEN error('broken on purpose') "
        "ELSE true END) >= 0"
    )
    absent = " AND NOT EXISTS (SELECT 1 FROM grants g WHERE g.identity_id = a.id)"
    for rule, needs in NEEDS.items():
        document: dict[str, object] = {
            "title": f"Toy rule {rule}",
            "severity": OWN_SEVERITY[rule],
            "category": "stale",
            "why": "It is a rule of a test. It finds what its tag names.",
            "fix": "Remove the tag. Then run the test again.",
            "needs": list(needs),
            "subject": "identities",
            "query": f"SELECT a.id AS subject, a.name || ' is tagged' AS detail, a.tags['{rule}'] AS severity, "
            f"a.tags['facts'] AS facts FROM identities a WHERE a.tags['{rule}'] IS NOT NULL"
            + (broken if rule == FAILING else "")
            + (absent if rule == ABSENCE else ""),
            "examples": [
                {
                    "name": "one tagged, one not",
                    "given": {
                        "identities": [
                            {"id": "x", "name": "x", "tags": {rule: "high"}},
                            {"id": "y", "name": "y"},
                        ]
                    },
                    "finds": ["x"],
                }
            ],
        }
        if rule == ABSENCE:
            document["absence"] = True
        (folder / f"{rule}.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    return folder


def seal_drawn_night(state: Path, night: DrawnNight) -> Manifest:
    """Write and seal the snapshot of a night."""
    folder = state / "snapshots" / night.run_id
    info = RunInfo(
        run_id=night.run_id, as_of=night.as_of, tool_version="test", config_digest="", selected=night.selected
    )
    begin(folder, info)
    for target, account in TARGETS.items():
        if night.targets[target] in ("read", "dark", "not-reached"):
            writer = TargetWriter(folder, "toy", target, account, fingerprint=Fingerprint(b"k" * 32))
            for record in _records(night, target):
                writer.write(record)
            writer.finish(0.0)
    missed = [f"toy/{target}" for target, state in night.targets.items() if state == "not-reached"]
    return seal(folder, info, missed, partial=bool(missed), record=Ledger(state).sealing(info))


def _records(night: DrawnNight, target: str) -> Iterator[Record]:
    if night.targets[target] != "read":
        yield _gap(
            DrawnListing(target, "*"), "deadline" if night.targets[target] == "not-reached" else "denied"
        )
        return
    yield _account(target, night)
    yield _coverage(DrawnListing(target, "accounts"), 1)
    for listing, state in night.listings.items():
        if listing.target == target:
            if state == "complete":
                yield _coverage(listing, night.items[listing])
            elif state != "not-asked":
                yield _gap(listing, state)
    if target == "org" and night.listings.get(ACCOUNTS_LISTING) == "complete":
        for other, seen in night.targets.items():
            if other != "org" and seen not in ("closed", "read"):
                yield _account(other, night)
    reading = [name for name, seen in night.targets.items() if seen == "read"]
    for subject in night.seen:
        by = subject.listing.target if subject.listing.target in reading else reading[0]
        if by == target:
            yield Identity(
                id=subject.id, provider="toy", account_id=subject.listing.account, surface="automation", kind="robot",
                native_id=subject.name, name=subject.name, owner="platform", owner_source="tag:owner",
                tags={**dict(subject.found_by), "facts": subject.facts},
            )  # fmt: skip
    for holder in sorted(night.granted):
        if holder.startswith(f"toy:robot:{target}-"):
            yield Grant(
                id=grant_of(holder), provider="toy", account_id=TARGETS[target], identity_id=holder, role="reader",
                resource="*", breadth="account", powers=["read"], level="read",
            )  # fmt: skip


def target_id(target: str) -> str:
    """Return the id of a target's coverage: its collector and the id of its account."""
    return f"toy/{TARGETS[target]}"


def grant_of(holder: str) -> str:
    """Return the id of the one grant of an identity."""
    return f"toy:grant:{holder.removeprefix('toy:robot:')}"


def _account(target: str, night: DrawnNight) -> Account:
    inactive = night.targets[target] == "inactive"
    return Account(
        id=TARGETS[target], provider="toy", account_id=TARGETS[target], kind="toy-account", native_id=target,
        name=target, parent_id=PARENTS[TARGETS[target]], active=not inactive, tags={"broken": "yes"} if night.failing else {},
    )  # fmt: skip


def _told(listing: DrawnListing, what: str) -> dict[str, Any]:
    name = f"{listing.target}/{listing.table}/{listing.kind}/{listing.region}"
    return {
        "id": f"toy:{what}:{name}", "provider": "toy", "account_id": listing.account, "collector": "toy",
        "target": listing.target, "table": listing.table, "kind": listing.kind or None,
        "call": f"List {listing.table} {listing.kind}".strip(), "region": listing.region,
    }  # fmt: skip


def _coverage(listing: DrawnListing, items: int) -> Coverage:
    return Coverage(**_told(listing, "coverage"), items=items)


def _gap(listing: DrawnListing, reason: Literal["denied", "truncated", "unsupported", "deadline"]) -> Gap:
    return Gap(**_told(listing, "gap"), reason=reason, detail="refused")


def write_exceptions(
    path: Path, entries: tuple[DrawnException, ...], hashes: dict[tuple[str, str, Severity, str], str]
) -> Path:
    """Write exceptions.yaml. ``hashes`` gives a finding's state hash by rule, subject, severity and facts."""
    listed = []
    for entry in entries:
        document: dict[str, object] = {
            "id": entry.id,
            "rule": entry.rule,
            "subject": entry.subject,
            "owner": "payments",
            "approver": "ciso@example.com",
            "reason": "accepted-risk",
            "explanation": "A test accepts it.",
            "approved": entry.approved,
            "expires": entry.expires,
        }
        if entry.pinned is not None:
            document["state_hash"] = hashes[entry.rule, entry.subject, *entry.pinned]
        listed.append(document)
    path.write_text(yaml.safe_dump({"exceptions": listed}, sort_keys=False))
    return path
