"""SARIF 2.1.0 for code scanning: ``findings.sarif`` with all findings, and a file for each repository in ``sarif/``.

The file of a repository holds the findings in its pipeline definitions, and is what GitHub or another code host takes for
that repository. It is written as long as the repository has any such finding, in any status; with no results once all are
resolved, so that the last alert is closed as well.
"""

from __future__ import annotations

import hashlib
import re
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from reports.stream import write_parts
from scanner.config import Section
from scanner.sarif import FINDINGS, by_severity, most_urgent_first, places, sarif_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from scanner.night import Night


class Config(Section):
    """SARIF for code scanning."""

    excepted: bool = True
    """Include accepted findings, as suppressed results. GitHub shows suppressed results as alerts: false leaves them out."""


def write(night: Night, folder: Path, config: Config) -> list[Path]:
    """Write the files. Returns their paths."""

    def reported(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        left_out = ("resolved",) if config.excepted else ("resolved", "excepted")
        return (row for row in rows if row["status"] not in left_out)

    everything = folder / "findings.sarif"
    write_parts(everything, sarif_file(night, reported(by_severity(night)), "findings"))
    written = [everything]
    (folder / "sarif").mkdir(mode=0o700, exist_ok=True)
    for (account, url), found in groupby(_in_files(night), key=itemgetter("account_id", "account_url")):
        name = _file_name(account)
        address = url if url and url.startswith("https://") else None
        path = folder / "sarif" / f"{name}.sarif"
        write_parts(path, sarif_file(night, reported(found), name, address))
        written.append(path)
    return written


def _in_files(night: Night) -> Iterator[dict[str, Any]]:
    """Yield the findings that are about a file, by repository."""
    # Only these can have a place, see `places`.
    query = f"""
        SELECT f.*, a.url AS account_url FROM ({FINDINGS}) AS f LEFT JOIN accounts AS a ON a.id = f.account_id
        WHERE f.location IS NOT NULL OR f.evidence['lines'] IS NOT NULL OR f.subject_kind = 'ci-file'
        ORDER BY f.account_id, {most_urgent_first()}
    """
    return (row for row in night.dicts(query) if places(row))


def _file_name(account: str) -> str:
    """Return the name of a repository's file: its id in letters, digits and dashes, and a few digits of its hash if that
    changed more than the colons.
    """
    name = re.sub(r"[^A-Za-z0-9]", "-", account)[:120]
    plain = re.fullmatch(r"[A-Za-z0-9:]{1,120}", account)
    return name if plain else f"{name}-{hashlib.sha256(account.encode()).hexdigest()[:8]}"
