"""The section that compares pipelines with the workloads they deploy, and the answer to why they have more access."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from reports.html.chain import Chain, pipeline_chain, workload_chain
from reports.html.labels import POWER_NAMES, kind_label
from reports.html.path_picture import draw_path
from reports.html.queries import Cut, cut, plural
from scanner.analyze.delivery import DELIVERING
from scanner.safe_text import NAME, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from scanner.night import Night

PICTURES = 12
"""Paths drawn; the others are rows of the table and of excess.csv."""
LISTED = 60


class Pair(NamedTuple):
    """One pipeline and one workload it deploys."""

    row: dict[str, Any]
    """The row of ``excess`` with the names of both sides and the finding about it."""
    state: str
    """excess, unknown or equal."""
    cells: list[tuple[str, str]]
    """For each power, its display name and who has it: excess, both, needed, pipeline, workload or none."""
    chain: Chain
    own: Chain
    picture: Markup | None
    changes: list[str]
    """What ends the excess, in order."""
    ended: list[str]
    """The powers that the first change ends."""
    title: str
    """The pipeline: its repository or project, and its file or name."""
    why_unknown: str
    """Why it could not be compared."""


class DeliveryComparison(NamedTuple):
    """The comparison of pipelines with their workloads."""

    pairs: list[Pair]
    total: int
    pipelines: int
    pipelines_in_excess: int
    pairs_in_excess: int
    unknown: int
    """Pairs without known excess that could not be compared completely."""
    equal: int
    changes: int
    """Distinct changes that end the excess."""
    incomplete: bool
    """Whether some excess may be larger than shown, or some would stay after all changes."""
    answer: str
    """Why, in one or two sentences."""


_STATE = "CASE WHEN len(e.excess) > 0 THEN 'excess' WHEN e.complete THEN 'equal' ELSE 'unknown' END"

_ROWS = f"""
    SELECT e.*, {_STATE} AS state,
           i.owner, i.kind AS pipeline_kind, i.location AS pipeline_location, i.name AS pipeline_short,
           i.account_id AS pipeline_account, coalesce(a.address, a.name) AS account_address, a.name AS account_name, a.kind AS account_kind,
           w.kind AS workload_kind, wa.name AS workload_account_name, ha.name AS holder_account,
           f.id AS finding, f.severity, f.due_at
    FROM excess AS e
         LEFT JOIN identities AS i ON i.id = e.pipeline_id LEFT JOIN accounts AS a ON a.id = i.account_id
         LEFT JOIN identities AS w ON w.id = e.workload_id LEFT JOIN accounts AS wa ON wa.id = w.account_id
         LEFT JOIN identities AS h ON h.id = coalesce(e.path[-2].identity_id, e.pipeline_id)
         LEFT JOIN accounts AS ha ON ha.id = h.account_id
         LEFT JOIN findings AS f ON f.rule = 'pipeline-excess-access' AND f.subject = e.pipeline_id AND f.status <> 'resolved'
    ORDER BY list_position(['excess', 'unknown', 'equal'], state),
             list_position(['admin', 'escalation', 'write', 'read', 'unknown'], e.pipeline_level),
             len(e.excess) DESC, e.pipeline_name, e.workload_name, e.pipeline_id, e.workload_id
"""


def read_delivery(night: Night) -> DeliveryComparison:
    """Return the pipelines with more access than the workload they deploy, strongest first."""
    rows = cut(night, _ROWS, LISTED)
    places = dict(night.rows("SELECT native_id, any_value(name) FROM accounts GROUP BY 1"))
    pairs = [_pair(row, places, drawn=number < PICTURES) for number, row in enumerate(rows.rows)]
    counts: dict[str, int] = dict(
        night.rows(f"SELECT {_STATE} AS state, count(*) FROM excess AS e GROUP BY 1")
    )
    changes = int(
        night.one(
            "SELECT count(DISTINCT fix) FROM (SELECT unnest(list_prepend(fix, more_fixes)) AS fix FROM excess)"
        )
    )
    open_end = bool(
        night.one(
            "SELECT bool_or(len(excess) > 0 AND (NOT complete OR len(excess_after_fixes) > 0)) FROM excess"
        )
    )
    exceeding = night.figures.count("pipelines_exceeding_their_workload")
    return DeliveryComparison(
        pairs=pairs,
        total=rows.total,
        pipelines=night.figures.count("pipelines_compared"),
        pipelines_in_excess=exceeding,
        pairs_in_excess=counts.get("excess", 0),
        unknown=counts.get("unknown", 0),
        equal=counts.get("equal", 0),
        changes=changes,
        incomplete=open_end,
        answer=_answer(night, counts, changes, open_end=open_end),
    )


def _pair(row: dict[str, Any], places: dict[str, str], *, drawn: bool) -> Pair:
    chain = pipeline_chain(row, places)
    own = workload_chain(row, places)
    changes = [*([row["fix"]] if row["fix"] else []), *row["more_fixes"]]
    ended = [power for power in row["excess"] if power not in row["excess_after_fix"]]
    return Pair(
        row=row,
        state=row["state"],
        cells=[(name, _cell(power, row)) for power, name in POWER_NAMES.items()],
        chain=chain,
        own=own,
        picture=draw_path(chain, own, changes, _ends(row, ended), _title(row, chain))
        if drawn and row["state"] == "excess"
        else None,
        changes=changes,
        ended=[POWER_NAMES[power] for power in ended],
        title=_pipeline_title(row, chain),
        why_unknown="some inputs were not readable"
        if row["workload_kind"]
        else "the workload is not in the inventory",
    )


def _pipeline_title(row: dict[str, Any], chain: Chain) -> str:
    place, name = row["account_address"], chain.nodes[1].name
    if not row["pipeline_location"] or not place or "://" in place:
        return plain(row["pipeline_name"], NAME)
    return plain(f"{place} › {name}", NAME)


def _ends(row: dict[str, Any], ended: Sequence[str]) -> str:
    """Say what the first change ends."""
    excess = len(row["excess"])
    if len(ended) == excess:
        return "Cut here: this one change ends the excess"
    return f"Cut here: change 1 of {1 + len(row['more_fixes'])}, which ends {len(ended)} of {excess} excess powers"


def _title(row: dict[str, Any], chain: Chain) -> str:
    last = chain.nodes[-1]
    return (
        f"{_pipeline_title(row, chain)}: path to {last.power.lower() or 'access'} on {last.name}; "
        f"below it {plain(row['workload_name'], NAME)} and its own access."
    )


def _cell(power: str, row: dict[str, Any]) -> str:
    left, right = power in row["pipeline_powers"], power in row["workload_powers"]
    if power in row["excess"]:
        return "excess"
    if left and right:
        return "both"
    if left:
        return "needed" if power in DELIVERING and row["state"] != "unknown" else "pipeline"
    return "workload" if right else "none"


WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def word(count: int) -> str:
    """Return a small number as a word."""
    return WORDS[count] if count < len(WORDS) else f"{count:,}"


def _named(names: list[str]) -> str:
    """Return the first names in brackets, and the number of the others."""
    few = ", ".join(plain(name, 60) for name in names[:2])
    more = len(names) - 2
    return f" ({few}{f' and {more:,} more' if more > 0 else ''})" if few else ""


def _answer(night: Night, counts: dict[str, int], changes: int, *, open_end: bool) -> str:
    """Return why pipelines have more access than their workloads, composed from where their paths are cut."""
    if not counts:
        return "No pipeline that deploys a workload was found, so there was nothing to compare."
    unknown = counts.get("unknown", 0)
    if not counts.get("excess"):
        if unknown:
            return (
                f"No excess was found, but {plural(unknown, 'comparison')} of {sum(counts.values()):,} "
                f"{'is' if unknown == 1 else 'are'} incomplete, so this proves nothing about them."
            )
        return (
            "Every pipeline that was compared has only what deploying needs and what its workload has itself."
        )
    causes: dict[str, Counter[str]] = {}
    query = "SELECT path[cut + 1].kind, coalesce(path[cut + 1].via, path[cut + 1].name, '') FROM excess WHERE cut IS NOT NULL"
    for kind, via in night.rows(query):
        cause = "trust" if kind.startswith("trust") else kind
        causes.setdefault(cause, Counter())[via] += 1
    said = []
    for cause, one, many in (
        ("grant", "holds a broad policy", "hold broad policies"),
        ("escalation", "can escalate into a stronger identity", "can escalate into a stronger identity"),
        (
            "trust",
            "can sign in as an identity that trusts too many",
            "can sign in as identities that trust too many",
        ),
    ):
        if names := causes.get(cause):
            total = names.total()
            what = _named([name for name, _ in names.most_common() if name]) if cause != "trust" else ""
            said.append(f"{word(total)} {one if total == 1 else many}{what}")
    some = (
        " and ".join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said)
        or "they reach more than their workloads"
    )
    least = "At least " if open_end else ""
    count = f"{word(changes)} {'change ends' if changes == 1 else 'changes end'} it."
    return (
        f"Because {some}: access that was granted once and never cut back to what deploying needs. "
        f"{least}{count if least else count[:1].upper() + count[1:]}"
    )


def pair_label(pair: Pair) -> str:
    """Return what a pipeline deploys: ``deploy.yml deploys ECS service ledger``."""
    kind = pair.row["workload_kind"]
    what = kind_label(kind) if kind else "workload"
    return f"{pair.chain.nodes[1].name} deploys {what[:1].lower() + what[1:] if not what[:2].isupper() else what} {plain(pair.row['workload_name'], NAME)}"


__all__ = ["Cut", "DeliveryComparison", "Pair", "pair_label", "read_delivery", "word"]
