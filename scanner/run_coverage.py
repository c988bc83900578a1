"""The coverage of a run: one definition of the figures used in every output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from scanner.snapshot import Manifest
    from scanner.tables import Tables


class RunCoverage(msgspec.Struct, frozen=True, kw_only=True):
    """The coverage of a run, as used in every output."""

    ratio: float
    """Share of complete listings among those expected, 0 to 1; 0 if none was expected."""
    complete: int
    """Targets of which everything was read that their provider shows."""
    partial: int
    """Targets of which only a part was read."""
    unread: int
    """Targets of which nothing was read."""
    not_requested: int | None
    """Targets that the run or the configuration left out. Like the figures below, None where the snapshot alone does not say."""
    listings_expected: int
    listings_answered: int
    listings_never_shown: int | None
    """Listings that the provider does not offer, or not to this kind of credential."""
    items: int | None
    """Records of the complete listings."""
    items_expected: int | None
    """The same, and the records of the last run for listings that could not be requested."""
    unread_targets: list[str]
    """The names of unread targets, at most the first hundred."""


def read_run_coverage(tables: Tables) -> RunCoverage:
    """Return the coverage of a run, from the view ``target_coverage``."""
    states = dict(tables.rows("SELECT state, count(*) FROM target_coverage GROUP BY 1"))
    figures = next(
        tables.rows(
            """
            SELECT coalesce(sum(listings_expected), 0)::BIGINT, coalesce(sum(listings_answered), 0)::BIGINT,
                   coalesce(sum(listings_never_shown), 0)::BIGINT, coalesce(sum(items), 0)::BIGINT,
                   coalesce(sum(items_expected), 0)::BIGINT
            FROM target_coverage WHERE state <> 'not-requested'
            """
        )
    )
    expected, answered, never_shown, items, items_expected = figures
    unread = tables.rows(
        """
        SELECT DISTINCT coalesce(name || ' (' || collector || ' ' || target || ')', collector || ' ' || target) AS what
        FROM target_coverage WHERE state = 'unread' ORDER BY 1 LIMIT 100
        """
    )
    return RunCoverage(
        ratio=round(answered / expected, 6) if expected else 0.0,
        complete=states.get("complete", 0),
        partial=states.get("partial", 0),
        unread=states.get("unread", 0),
        not_requested=states.get("not-requested", 0),
        listings_expected=expected,
        listings_answered=answered,
        listings_never_shown=never_shown,
        items=items,
        items_expected=items_expected,
        unread_targets=[row[0] for row in unread],
    )


def seen_tonight(manifest: Manifest) -> RunCoverage:
    """Return the figures of a snapshot that was not analyzed, without a comparison with earlier runs.

    What the manifest does not tell is None.
    """
    answered, gaps = manifest.rows["coverage"], manifest.rows["gaps"]
    unread = [target for target in manifest.targets if target.gaps and target.records == target.gaps]
    complete = sum(1 for target in manifest.targets if target.complete)
    return RunCoverage(
        ratio=manifest.coverage,
        complete=complete,
        partial=len(manifest.targets) - complete - len(unread),
        unread=len(unread),
        not_requested=None,
        listings_expected=answered + gaps,
        listings_answered=answered,
        listings_never_shown=None,
        items=None,
        items_expected=None,
        unread_targets=sorted(f"{target.collector} {target.target}" for target in unread)[:100],
    )


def coverage_sentence(coverage: RunCoverage) -> str:
    """Return the coverage as one sentence."""
    seen = [f"{coverage.complete} complete", f"{coverage.partial} partial", f"{coverage.unread} unread"]
    if coverage.not_requested:
        seen.append(f"{coverage.not_requested} not requested")
    return (
        f"Coverage {coverage.ratio:.1%}: {coverage.listings_answered:,} of {coverage.listings_expected:,} listings "
        f"complete; accounts: {', '.join(seen)}."
    )
