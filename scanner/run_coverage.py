"""How much of a run's targets was seen: one definition of the figures that every output shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from scanner.snapshot import Manifest
    from scanner.tables import Tables


class RunCoverage(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a run's targets was seen: the figures that every output shows."""

    ratio: float
    """Listings that were answered, of those expected, 0 to 1; 0 where nothing was expected."""
    whole: int
    """Targets of which everything was read that their provider shows."""
    part: int
    """Targets of which something was read."""
    dark: int
    """Targets of which nothing was read."""
    not_asked: int
    """Targets that the run was told to leave out."""
    listings_expected: int
    listings_answered: int
    listings_never_shown: int
    items: int
    items_expected: int
    dark_targets: list[str]
    """What people call the dark ones, at most the first hundred."""


def read_run_coverage(tables: Tables) -> RunCoverage:
    """Return the run's figures, from the view ``target_coverage``."""
    states = dict(tables.rows("SELECT state, count(*) FROM target_coverage GROUP BY 1"))
    figures = next(
        tables.rows(
            """
            SELECT coalesce(sum(listings_expected), 0)::BIGINT, coalesce(sum(listings_answered), 0)::BIGINT,
                   coalesce(sum(listings_never_shown), 0)::BIGINT, coalesce(sum(items), 0)::BIGINT,
                   coalesce(sum(items_expected), 0)::BIGINT
            FROM target_coverage WHERE state <> 'not-asked'
            """
        )
    )
    expected, answered, never_shown, items, items_expected = figures
    dark = tables.rows(
        """
        SELECT DISTINCT coalesce(name || ' (' || collector || ' ' || target || ')', collector || ' ' || target) AS what
        FROM target_coverage WHERE state = 'dark' ORDER BY 1 LIMIT 100
        """
    )
    return RunCoverage(
        ratio=round(answered / expected, 6) if expected else 0.0,
        whole=states.get("whole", 0),
        part=states.get("part", 0),
        dark=states.get("dark", 0),
        not_asked=states.get("not-asked", 0),
        listings_expected=expected,
        listings_answered=answered,
        listings_never_shown=never_shown,
        items=items,
        items_expected=items_expected,
        dark_targets=[row[0] for row in dark],
    )


def seen_tonight(manifest: Manifest) -> RunCoverage:
    """Return the figures of a snapshot that was not analysed: without a comparison with earlier nights."""
    answered, gaps = manifest.rows["coverage"], manifest.rows["gaps"]
    dark = [target for target in manifest.targets if target.gaps and target.records == target.gaps]
    whole = sum(1 for target in manifest.targets if target.complete)
    return RunCoverage(
        ratio=manifest.coverage,
        whole=whole,
        part=len(manifest.targets) - whole - len(dark),
        dark=len(dark),
        not_asked=0,
        listings_expected=answered + gaps,
        listings_answered=answered,
        listings_never_shown=0,
        items=0,
        items_expected=0,
        dark_targets=sorted(f"{target.collector} {target.target}" for target in dark)[:100],
    )


def coverage_sentence(coverage: RunCoverage) -> str:
    """Return the figures in one sentence, the same in every output."""
    seen = [f"{coverage.whole} whole", f"{coverage.part} in part", f"{coverage.dark} dark"]
    if coverage.not_asked:
        seen.append(f"{coverage.not_asked} not asked")
    return (
        f"Coverage {coverage.ratio:.1%}: {coverage.listings_answered:,} of {coverage.listings_expected:,} listings "
        f"answered; accounts: {', '.join(seen)}."
    )
