"""Analyzes a sealed night with the settings of the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.framework_names import EVERY_FRAMEWORK
from scanner.pipeline.state_folder import ledger_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scanner.analyze.rule import Rule
    from scanner.analyze.steps import AnalysisSummary, AnalyzeSettings
    from scanner.config import Settings
    from scanner.ledger import Ledger
    from scanner.stop import Stop


def analyze_settings(settings: Settings) -> AnalyzeSettings:
    """Return the part of the configuration used by the analysis."""
    from scanner.analyze.steps import AnalyzeSettings

    return AnalyzeSettings(
        rule_params=settings.rules.params,
        disabled=settings.rules.disabled,
        custom_rules=settings.rules.custom,
        exceptions=settings.exceptions,
        owners=settings.owners,
        frameworks=None if EVERY_FRAMEWORK in settings.rules.frameworks else settings.rules.frameworks,
        due_days=dict(settings.rules.due_days),
        drop_share=settings.sudden_drop.share,
        drop_rows=settings.sudden_drop.rows,
        retired=settings.retired,
        memory=settings.limits.memory,
        rule_minutes=settings.limits.rule_minutes,
        threads=settings.limits.threads,
    )


def analyze_run(
    settings: Settings,
    run_id: str,
    rules: Sequence[Rule] | None = None,
    *,
    ledger: Ledger | None = None,
    stop: Stop | None = None,
) -> AnalysisSummary:
    """Analyze a sealed snapshot with the given ``rules``, or load them."""
    from scanner.analyze.steps import analyze

    return analyze(
        settings.state,
        run_id,
        settings=analyze_settings(settings),
        rules=rules,
        ledger=ledger or ledger_of(settings),
        stop=stop,
    )
