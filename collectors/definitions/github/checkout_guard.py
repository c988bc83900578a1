"""The guard of actions/checkout against the code of forks, as data: which releases have it, and since when.

A guarded release refuses, under pull_request_target and under workflow_run for a pull request, the commit, merge commit or
``refs/pull/N`` ref of a pull request from a fork, unless ``allow-unsafe-pr-checkout`` is set. It does not look at other
events, at ``git`` and ``gh`` in scripts, or at a branch name that also exists in the base repository.
https://github.com/actions/checkout/blob/v7/README.md, https://github.com/actions/checkout/releases.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from collectors.definitions.yaml_nodes import text

if TYPE_CHECKING:
    from collectors.definitions.github.steps import WorkflowStep


class _Release(NamedTuple):
    """The first release of a major version with the guard."""

    version: tuple[int, int, int]
    since: str
    """The day from which the floating tag of the major version points to it."""


_GUARDED = {
    2: _Release((2, 8, 0), "2026-07-20"),
    3: _Release((3, 7, 0), "2026-07-20"),
    4: _Release((4, 4, 0), "2026-07-20"),
    5: _Release((5, 1, 0), "2026-07-20"),
    6: _Release((6, 1, 0), "2026-07-20"),
    7: _Release((7, 0, 0), "2026-06-18"),
}
"""By major version, as released on 2026-06-18 (v7) and 2026-07-16."""
EVENTS = frozenset(("pull_request_target", "workflow_run"))
_VERSION = re.compile(r"v?(?P<major>\d{1,4})(?:\.(?P<minor>\d{1,4})(?:\.(?P<patch>\d{1,4}))?)?$")
_COMMENT = re.compile(r"#\s*(?:tag\s*[=:]\s*)?(?P<version>v?\d[\w.]{0,20})")
_COMMIT = re.compile(
    r"(?i)head\.sha|head_sha|merge_commit_sha|head_commit\.id|refs/(?:remotes/)?pull/|pull/[^\s]{0,200}/(?:head|merge)"
)


def is_guarded(step: WorkflowStep, written: str) -> bool:
    """Return whether a checkout refuses the code of a fork. ``written`` is the line that names the action: for a commit,
    the comment behind it says which release it is.
    """
    if (
        step.action != "actions/checkout"
        or (text(step.input("allow-unsafe-pr-checkout")) or "false").lower() != "false"
    ):
        return False
    if not _has_guard(step.ref or "", written):
        return False
    repository = step.input("repository")
    if repository is not None and "head" in repository.text:
        return True
    ref = step.input("ref")
    return ref is not None and _COMMIT.search(ref.text) is not None


def _has_guard(ref: str, written: str) -> bool:
    if re.fullmatch(r"[0-9a-f]{40}", ref):
        comment = _COMMENT.search(written.partition(ref)[2])
        if comment is None or "." not in comment["version"]:
            return False  # nothing says which release the commit is
        ref = comment["version"]
    match = _VERSION.fullmatch(ref)
    if match is None:
        return ref == "main"
    release = _GUARDED.get(int(match["major"]))
    if release is None:
        return int(match["major"]) > max(_GUARDED)
    _, minor, patch = release.version
    if match["minor"] is None:
        return True
    if match["patch"] is None:
        return int(match["minor"]) >= minor
    return (int(match["minor"]), int(match["patch"])) >= (minor, patch)
