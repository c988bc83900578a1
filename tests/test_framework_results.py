"""What a night says about the controls of frameworks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from scanner.analyze.framework_results import ControlResult, read_frameworks
from scanner.config import RuleSettings
from scanner.framework_names import CITED_BY_DEFAULT, framework_names
from scanner.night import open_night
from scanner.rule_texts import rules_in_force
from tests.sealed_night import account, analyzed, everything, key, role, run_of

if TYPE_CHECKING:
    from pathlib import Path


def control(tmp_path: Path, framework: str, code: str, *records: Any, **settings: Any) -> ControlResult:
    analyzed(tmp_path, 1, [account(), role("deploy"), *records, *everything()], **settings)
    with open_night(tmp_path, run_of(1)) as night:
        found = read_frameworks(night, rules_in_force(night))
    (chosen,) = (one for one in found if one.label == framework)
    return next(one for one in chosen.controls if one.code == code)


def test_nothing_found_with_all_inputs_is_looked_at(tmp_path: Path) -> None:
    found = control(tmp_path, "CIS AWS 7.0.0", "2.11", key("A", unused_days=1))
    assert (found.result, found.passed, found.failed, found.proves) == ("looked-at", 2, 0, "full")


def test_a_finding_counts_against(tmp_path: Path) -> None:
    found = control(tmp_path, "CIS AWS 7.0.0", "2.11", key("A"))
    assert (found.result, found.failed, found.findings) == ("counts-against", 1, 1)


def test_a_larger_threshold_than_the_control_allows_proves_nothing(tmp_path: Path) -> None:
    params = {"credential-unused": {"days": 101}, "credential-never-used": {"days": 101}}
    found = control(tmp_path, "CIS AWS 7.0.0", "2.11", key("A"), rule_params=params)
    assert (found.result, found.passed, found.counter) == ("no-evidence", 0, 2)


def test_a_control_without_a_rule_has_its_tables(tmp_path: Path) -> None:
    found = control(tmp_path, "SOC 2 2017 (2022)", "CC4.1")
    assert (found.rules, found.tables, found.result) == (0, ["coverage"], "no-evidence")


def test_four_frameworks_are_cited_by_default_and_unknown_names_are_refused() -> None:
    assert RuleSettings().frameworks == list(CITED_BY_DEFAULT)
    assert len(CITED_BY_DEFAULT) == 4
    assert set(CITED_BY_DEFAULT) <= set(framework_names())
    assert RuleSettings(frameworks=["all"]).frameworks == ["all"]
    with pytest.raises(ValueError, match="did you mean `pci-dss`"):
        RuleSettings(frameworks=["pci-ds"])
