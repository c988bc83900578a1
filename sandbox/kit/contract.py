"""Every contract test of a collector in one call. In a module of tests::

    import collectors.github
    import sandbox.github
    from sandbox.kit.contract import standard_collector_tests

    TestContract = standard_collector_tests(collectors.github, sandbox.github)

What it asks of a collector, whatever its provider answers: that a night ends, that whatever is missing has a `Gap`
(and never called a bug of ours), that nothing is called complete which is not, that nothing appears because something
else is missing, that no other host is contacted, that only reading calls are sent, that no text is shown which is not
shown on purpose, that kinds are declared and counted as they came, and that two nights give the same records.

Needs pytest. Routes fail in batches: all that do not rest on one another at once. What takes long (slow and huge
answers, permissions one by one) is drawn with a fixed seed; ``make faults`` tries everything.
"""

from __future__ import annotations

import random
from contextlib import ExitStack
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from sandbox.kit.authority import CertificateAuthority
from sandbox.kit.canaries import CanaryPlanter
from sandbox.kit.elsewhere import Elsewhere
from sandbox.kit.issued import ISSUED
from sandbox.kit.planted_secrets import CONFIGURED, SecretPlanter
from sandbox.kit.trial import (
    FINGERPRINT,
    IMPATIENCE,
    Trial,
    TrialNight,
    appeared,
    bugs,
    contradictions,
    miscounted,
    names_route,
    needless_losses,
    sorted_bytes,
    unexplained_losses,
    wrong_reasons,
)
from scanner.kinds import declared_by
from scanner.parquet import arrow_schema, batch_of
from scanner.secrets.configured import remember
from scanner.secrets.masking import masked

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from sandbox.kit.faults import Trouble
    from sandbox.kit.provider import SandboxPackage
    from scanner.collect.collector import Collector
    from scanner.records import Gap, Record

SEED = 8
LOSSES: tuple[Trouble, ...] = ("too-many-bare", 500, "cut", "malformed", "html", "foreign-redirect")
"""Faults after which a listing cannot be complete: each must leave a Gap that names it. With 403, each route meets each."""
OTHER_LOSSES: tuple[Trouble, ...] = (404, "null", "html-502", "closed")
"""More of them: each route meets one."""
DISTORTIONS: tuple[Trouble, ...] = (
    "short",
    "foreign-next",
    "looping-next",
    "empty-body",
    "empty-object",
    401,
)
"""Faults that not every answer suffers from: what one loses must have a Gap; nothing else is checked."""
LIMITS: tuple[Trouble, ...] = ("too-many", "asks-to-wait")
"""Limits that say when they end: once met, a night waits and is as whole as any."""
PATIENCE: dict[str, Any] = {"longest_wait_seconds": 20, "max_attempts": 4, "retries": 2}
"""The options with which a collector waits for the end of a limit."""
LIES: tuple[Trouble, ...] = ("empty-list", "surrogate")
"""Answers that say something else in a way that nobody can notice: a night must end, and can be kept."""
BURDENS: tuple[Trouble, ...] = ("slow", "huge", "gzip-bomb", "deep")
"""Faults that take time or memory: drawn for a few routes."""
LONGEST = 15.0
"""Seconds within which a night with slow answers must end, on a machine with other things to do."""
DRAWN = 6
"""How many permissions and burdened routes are drawn."""


class ContractCase:
    """One collector against one variant of its sandbox: opened when it is first used, closed by `close`."""

    def __init__(self, collector: Collector, package: SandboxPackage, variant: str) -> None:
        self._stack = ExitStack()
        self.collector = collector
        self._package = package
        self._variant = variant
        self.random = random.Random(SEED)

    def close(self) -> None:
        """Stop the servers."""
        self._stack.close()

    @cached_property
    def elsewhere(self) -> Elsewhere:
        """The host that nobody may contact."""
        return self._stack.enter_context(Elsewhere())

    @cached_property
    def trial(self) -> Trial:
        """Runs the nights."""
        sandbox = self._stack.enter_context(self._package.open_sandbox("small", self._variant))
        sandbox.show(1)
        return Trial(self.collector, sandbox, self.elsewhere)

    @cached_property
    def reported_as(self) -> dict[str, frozenset[tuple[str, str | None, str]]]:
        """Routes that no Gap names, since they are read within another listing: which Gaps stand for each instead.

        Learned by denying each alone. An empty set says that the route has a substitute: without it, the same is known.
        """
        trial = self.trial
        usual = {_listed(gap) for gap in trial.whole.gaps}
        found = {}
        for night in trial.denied:
            for route in sorted(night.struck):
                if not night.refused and not any(names_route(gap, route) for gap in night.gaps):
                    alone = trial.night({route: 403})
                    found[route] = frozenset({_listed(gap) for gap in alone.gaps} - usual)
                    lost = unexplained_losses(trial.whole, alone, trial.parts)
                    _none(lost, f"when {route} alone is denied")
        return found

    @property
    def largest(self) -> list[list[str]]:
        """The two layers with the most routes, the larger one first."""
        return sorted(self.trial.layers, key=len, reverse=True)[:2]

    def unnamed(self, night: TrialNight) -> list[str]:
        """Return the routes that were struck and that no Gap names, or stands for."""
        listed = {_listed(gap) for gap in night.gaps}
        return [
            f"{route} ({kind}): no Gap names it"
            for route, kind in night.struck.items()
            if not any(names_route(gap, route) for gap in night.gaps)
            and not night.refused
            and (
                route not in self.reported_as
                or (self.reported_as[route] and not self.reported_as[route] & listed)
            )
        ]

    def wrong(self, night: TrialNight, may_appear: Collection[str]) -> list[str]:
        """Return what a night may never hold, whatever fault it met."""
        whole, parts = self.trial.whole, self.trial.parts
        new = [
            line
            for line in appeared(whole, night)
            if not {line.split(" ")[0], line.split("/")[0]} & set(may_appear)
            and not any(fnmatchcase(line, f"{name}: not there*") for name in may_appear if " " in name)
        ]
        return [*self.unsound(night), *unexplained_losses(whole, night, parts), *new]

    def unsound(self, night: TrialNight) -> list[str]:
        """Return what a night must never contain, whatever it was answered."""
        for kind in {type(record) for record in night.records}:
            # What cannot be written cannot be kept.
            batch_of(arrow_schema(kind), [record for record in night.records if type(record) is kind])
        contacted = [f"contacted: {request}" for request in self.elsewhere.requests]
        return [*bugs(night), *contradictions(night), *contacted]


def standard_collector_tests(
    collector: Collector,
    package: SandboxPackage,
    *,
    variant: str = "",
    turns: int | None = None,
    may_appear: Mapping[str, str] | None = None,
    steering: Collection[str] = (),
) -> type:
    """Return the class of a collector's contract tests; assign it to a name that begins with ``Test``.

    ``turns`` bounds how many faults each route meets besides being denied, for collectors whose nights take long.
    ``may_appear`` names records (``weaknesses/unresolved-reference``, ``links``, or ``links azure-devops:unknown-use:*`` by
    their ids) that appear when something else is missing, each with the reason. ``steering`` are routes whose words (``COMPLETE``) a collector waits for.
    """
    appearing = frozenset(may_appear or {})

    class StandardCollectorTests:
        """The contract of one collector."""

        @pytest.fixture(scope="class")
        @staticmethod
        def case() -> Iterator[ContractCase]:
            made = ContractCase(collector, package, variant)
            yield made
            made.close()

        def test_a_night_without_faults_is_sound(self, case: ContractCase) -> None:
            whole = case.trial.whole
            assert whole.refused is None
            lost = "; ".join(gap.detail for gap in whole.gaps[:5])
            assert whole.covered, f"no listing was read, so that nothing else here is tested: {lost}"
            assert whole.of_tables(), "no record was read: give each list of the sandbox some items"
            _none(gap.detail for gap in whole.gaps if gap.reason not in {"denied", "unsupported"})
            _none(contradictions(whole))
            keys = [(target, type(row), row.id) for target, rows in whole.by_target.items() for row in rows]
            assert len(keys) == len(set(keys)), "ids are unique in a target"

        def test_only_reading_calls_are_sent(self, case: ContractCase) -> None:
            sandbox = case.trial.sandbox
            _none(name for name in case.trial.whole.asked if not sandbox.only_reads(name))

        def test_kinds_are_declared(self, case: ContractCase) -> None:
            _none(declared_by(collector).undeclared(case.trial.whole.records))

        def test_what_is_counted_is_what_came(self, case: ContractCase) -> None:
            _none(miscounted(case.trial.whole))

        def test_two_nights_give_the_same_records(self, case: ContractCase) -> None:
            assert sorted_bytes(case.trial.night().records) == sorted_bytes(case.trial.whole.records)

        def test_no_secret_value_is_in_a_record(self, case: ContractCase) -> None:
            shown = _text(case.trial.whole)
            _none(value for value in ISSUED if len(value) >= 12 and value in shown)

        def test_no_field_is_shown_that_is_not_shown_on_purpose(self, case: ContractCase) -> None:
            trial, planter = case.trial, CanaryPlanter()
            trial.sandbox.canaries = planter
            try:
                shown = _text(trial.night())
                for formed in (False, True):
                    fields = planter.hidden(shown, formed=formed)
                    assert fields, (
                        "no answer of the sandbox has a "
                        + ("date, URL or number" if formed else "text")
                        + " that the collector leaves out: add one, to show that it is left out"
                    )
                    planter.plant(fields)
                    night = trial.night()
                    assert planter.planted
                    _none(planter.found(_text(night)))
                    _none(bugs(night))
            finally:
                trial.sandbox.canaries = None

        def test_no_secret_planted_in_an_answer_is_written(self, case: ContractCase) -> None:
            trial, planter = case.trial, SecretPlanter()
            remember(CONFIGURED)
            trial.sandbox.canaries = planter
            try:
                trial.night()
                for kind, fields in planter.groups(steering).items():
                    planter.plant(fields)
                    shown = _text_of(masked(trial.night().records, FINGERPRINT))
                    assert planter.planted or not fields
                    _none(planter.found(shown).values(), kind)
            finally:
                trial.sandbox.canaries = None

        def test_each_listing_that_is_denied_is_a_gap(self, case: ContractCase) -> None:
            for night in case.trial.denied:
                _none(case.wrong(night, appearing) + case.unnamed(night))
                _none(needless_losses(case.trial.whole, night, case.reported_as), night.struck)
                spurious = {gap.reason for gap in night.gaps} - {"denied", "unsupported"}
                assert spurious == set()

        def test_each_listing_that_fails_is_a_gap(self, case: ContractCase) -> None:
            for faults, turn in _turns(case, turns):
                for number, layer in enumerate(case.trial.layers):
                    night = case.trial.night(_in_turn(layer, faults, turn + number))
                    _none(case.wrong(night, appearing) + case.unnamed(night), night.struck)
                    _none(wrong_reasons(case.trial.whole, night))

        def test_a_distorted_answer_loses_nothing_without_a_gap(self, case: ContractCase) -> None:
            faults = _possible(case, DISTORTIONS)
            for layer in case.largest:
                for turn in case.random.sample(range(len(faults)), 2):
                    night = case.trial.night(_in_turn(layer, faults, turn))
                    _none(case.wrong(night, appearing), night.struck)
                    _none(wrong_reasons(case.trial.whole, night), night.struck)

        def test_a_limit_that_ends_is_waited_for(self, case: ContractCase) -> None:
            for kind in _possible(case, LIMITS):
                route = case.random.choice(case.largest[0])
                night = case.trial.night({route: kind}, times=1, **PATIENCE)
                assert night.struck == {route: kind}
                _none(bugs(night) + unexplained_losses(case.trial.whole, night), (kind, route))
                assert sorted_bytes(night.records) == sorted_bytes(case.trial.whole.records)

        def test_an_answer_that_nobody_can_doubt_ends_no_night(self, case: ContractCase) -> None:
            for layer in case.largest:
                night = case.trial.night(_in_turn(layer, _possible(case, LIES), 0))
                _none(case.unsound(night), night.struck)

        def test_a_slow_or_huge_answer_is_given_up(self, case: ContractCase) -> None:
            faults = _possible(case, BURDENS)
            for kind in faults:
                troubled = dict.fromkeys(
                    case.random.sample(case.largest[0], min(2, len(case.largest[0]))), kind
                )
                night = case.trial.night(troubled, **(IMPATIENCE if kind == "slow" else {}))
                _none(case.wrong(night, appearing), troubled)
                _none(wrong_reasons(case.trial.whole, night), troubled)
                if kind != "slow":
                    _none(case.unnamed(night), troubled)
                assert night.seconds < LONGEST, troubled

        def test_each_permission_that_is_taken_away_is_reported(self, case: ContractCase) -> None:
            sandbox = case.trial.sandbox
            held = sandbox.permissions()
            for permission in case.random.sample(held, min(DRAWN, len(held))):
                sandbox.revoke(permission)
                try:
                    night = case.trial.night()
                finally:
                    sandbox.restore()
                _none(case.wrong(night, appearing), permission)

        def test_a_token_that_is_refused_is_a_gap_for_everything(self, case: ContractCase) -> None:
            sandbox = case.trial.sandbox
            night = case.trial.night({"*": 401})
            assert night.refused or {gap.table for gap in night.gaps} >= {"*"}
            assert night.covered == []
            _none(case.wrong(night, appearing))
            assert len(sandbox.log) < 10_000

        def test_a_server_that_is_not_there_is_a_gap_for_everything(self, case: ContractCase) -> None:
            night = case.trial.night({"*": "closed"})
            assert night.refused or {gap.reason for gap in night.gaps} == {"unreachable"}
            assert night.covered == []
            _none(case.wrong(night, appearing))

        def test_tls_is_spoken_and_the_authority_checked(self, case: ContractCase) -> None:
            trial = case.trial
            with CertificateAuthority() as authority, trial.sandbox.front(authority) as where:
                trusted = trial.night(**where, ca_bundle=str(authority.bundle))
                assert trusted.asked
                assert {type(row) for row in trusted.of_tables()} == {
                    type(row) for row in trial.whole.of_tables()
                }
                stranger = trial.night(**where)
                assert stranger.asked == {}
                assert stranger.refused or {gap.reason for gap in stranger.gaps} == {"unreachable"}
                assert stranger.covered == []

        def test_a_stopped_run_ends_with_gaps(self, case: ContractCase) -> None:
            night = case.trial.night(stopped=True)
            assert {gap.reason for gap in night.gaps} <= {"deadline"}
            assert night.covered == []
            assert night.of_tables() == []

    StandardCollectorTests.__doc__ = f"The contract of {getattr(collector, '__name__', 'a collector')}."
    return StandardCollectorTests


def _possible(case: ContractCase, kinds: tuple[Trouble, ...]) -> list[Trouble]:
    return [kind for kind in kinds if kind not in case.trial.sandbox.unfit]


def _turns(case: ContractCase, most: int | None) -> list[tuple[list[Trouble], int]]:
    """Return the faults that are spread over the routes, and by how many places they are shifted: one each night."""
    losses, others = _possible(case, LOSSES), _possible(case, OTHER_LOSSES)
    every = [*((losses, turn) for turn in range(len(losses))), (others, 0)]
    if most is None:
        return every
    mixed = [*losses, *others]
    return [(mixed, turn) for turn in case.random.sample(range(len(mixed)), most)]


def _in_turn(layer: list[str], faults: list[Trouble], turn: int) -> dict[str, Trouble]:
    """Spread faults over the routes of a layer: neighbors meet different ones."""
    return {route: faults[(place + turn) % len(faults)] for place, route in enumerate(layer)}


def _listed(gap: Gap) -> tuple[str, str | None, str]:
    return gap.table, gap.kind, gap.call


def _text(night: TrialNight) -> str:
    return _text_of(night.records)


def _text_of(records: Sequence[Record]) -> str:
    return msgspec.json.encode(records).decode()


def _none(problems: Iterable[object], what: object = "") -> None:
    """Raise AssertionError with the first problems, one a line."""
    lines = [str(problem) for problem in problems]
    assert not lines, "\n".join([f"{len(lines)} problems {what}", *lines[:20]])
