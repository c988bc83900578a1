"""Finds what GitHub expressions (``${{ }}``) read, without evaluating them.

Grammar: https://docs.github.com/en/actions/reference/workflows-and-actions/expressions. Parts of an event that
untrusted users control:
https://docs.github.com/en/actions/reference/security/secure-use#understanding-the-risk-of-script-injections and
https://securitylab.github.com/resources/github-actions-untrusted-input/.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.definitions.yaml_nodes import Scalar

Taint: TypeAlias = Literal["outsider", "collaborator", "unknown", "none"]
"""Who can control a value: anyone who opens an issue or pull request; users who may push or dispatch; unknown;
nobody."""

_BODY = re.compile(r"(?:'[^']*+'|[^'}]|\}(?!\}))*+\}\}")
_UNCLOSED = 20
"""Number of unclosed expressions after which a text is given up: GitHub rejects the first, and each takes a scan to the
end of the text."""
_TOKEN = re.compile(
    r"'[^']*+'|(?P<name>[A-Za-z_][\w-]*+)(?P<path>(?:\s*+\.\s*+(?:[A-Za-z_][\w-]*+|\*)|\s*+\[(?:'[^']*+'|[^\[\]'])*+\])*+)(?P<call>\s*+\()?"
)
_PART = re.compile(
    r"\.\s*(?P<name>[A-Za-z_][\w-]*|\*)|\[\s{0,20}(?:'(?P<quoted>[^']{0,300})'|(?P<index>\d+|\*)|[^\]]{0,300})\s{0,20}\]"
)
_INDEXED = re.compile(r"\s{0,20}\[\s{0,20}'([A-Za-z_][\w-]*)'\s{0,20}\]")
_CONTEXTS = frozenset(
    (
        "github",
        "env",
        "vars",
        "job",
        "jobs",
        "steps",
        "runner",
        "secrets",
        "strategy",
        "matrix",
        "needs",
        "inputs",
    )
)

_STRANGER = re.compile(
    r"""(?x)
    github\.head_ref
    | github\.event(?:
        \.(?:issue|pull_request|discussion|milestone)\.(?:title|body)
        | \.pull_request\.head\.(?:ref|label)
        | \.pull_request\.head\.repo\.(?:default_branch|description|homepage)
        | \.(?:comment|review|review_comment)\.body
        | \.pages(?:\.\*|\.\d+)?(?:\.page_name|\.title|\.summary)?
        | \.(?:commits(?:\.\*|\.\d+)?|head_commit)(?:\.(?:message|author\.(?:email|name)|committer\.(?:email|name)))?
        | \.workflow_run\.(?:head_branch|display_title|head_commit\.(?:message|author\.(?:email|name))|head_repository\.description
            |pull_requests(?:\.\*|\.\d+)?(?:\.head\.ref)?)
        | \.workflow_run
        | \.merge_group\.(?:head_ref|head_commit(?:\..+)?)
        | \.commits\.[\w-]+\.(?:message|(?:author|committer)\.(?:email|name))
        | \.check_(?:suite|run)\.head_branch | \.check_run\.check_suite\.head_branch
        | \.(?:issue|pull_request|comment|review|discussion|pull_request\.head|pull_request\.head\.repo)
        | \.changes(?:\.\w+)*\.from
        | \.answer\.body | \.forkee\.\w+
    )?
    | github
    """
)
_COLLABORATOR = re.compile(
    r"""(?x)
    github\.(?:ref_name|ref|base_ref|workflow_ref|workflow)
    | github\.event\.(?:inputs|client_payload)(?:\..+)?
    | github\.event\.(?:release|label|ref|base_ref|deployment|milestone|pull_request\.(?:base\.ref|labels.*|milestone\..+)|issue\.(?:labels.*|milestone\..+)|repository\.(?:description|homepage)|workflow_run\.name)(?:\..+)?
    | inputs(?:\..+)?
    """
)
_SAFE_LEAF = re.compile(
    r"(?:^|[._])(?:id|ids|number|sha|node_id|created_at|updated_at|draft|merged|login|type|state|action|html_url|url|git_url|"
    r"clone_url|diff_url|patch_url|full_name|merge_commit_sha|before|after|fork|private|tag_name_id|run_id|run_number|run_attempt|"
    r"conclusion|status|event|count|additions|deletions|changed_files|commits_url|default_branch_id|author_association|size|locked|prerelease)$"
)
_SAFE_ROOT = frozenset(("runner", "job", "strategy", "vars", "secrets"))


class Expression:
    """One expression in a text."""

    __slots__ = ("body", "start")

    def __init__(self, body: str, start: int) -> None:
        self.body = body
        self.start = start


def expressions(text: str) -> Iterator[Expression]:
    """Yield the expressions of a text with their offset."""
    at = text.find("${{")
    unclosed = 0
    while at >= 0:
        match = _BODY.match(text, at + 3)
        if match is None:
            unclosed += 1
            later = text.find("}}", at) >= 0 and unclosed < _UNCLOSED
            at = text.find("${{", at + 3) if later else -1
            continue
        yield Expression(match.group()[:-2], at)
        at = text.find("${{", match.end())


def condition(scalar: Scalar) -> str:
    """Return the body of an ``if:``, which may omit ``${{ }}``, with dotted names."""
    found = list(expressions(scalar.text))
    return dotted(" ".join(part.body for part in found) if found else scalar.text)


def dotted(body: str) -> str:
    """Return an expression with ``github['actor']`` replaced by the equivalent ``github.actor``."""
    return _INDEXED.sub(r".\1", body)


def paths(body: str) -> Iterator[tuple[str, int]]:
    """Yield what an expression reads as dotted lower-case paths with their offset: ``github.event.issue.title``.

    The name after ``secrets.``, ``vars.`` and ``env.`` keeps its case. A computed index is ``[]``.
    """
    for match in _TOKEN.finditer(body):
        name = match["name"]
        if name is None or (match["call"] and not match["path"]):
            continue
        root = name.lower()
        if root not in _CONTEXTS:
            continue
        keep = root in {"secrets", "vars", "env", "inputs", "matrix", "steps", "needs"}
        parts = [root]
        for part in _PART.finditer(match["path"] or ""):
            piece = part["name"] or part["quoted"] or part["index"] or "[]"
            parts.append(piece if keep else piece.lower())
        yield ".".join(parts), match.start()


def is_safe_field(field: str) -> bool:
    """Return whether a field of an API response, such as ``.head.sha``, cannot be chosen freely by users."""
    return bool(_SAFE_LEAF.search(field.lower())) or field.lower().endswith(
        (".mergeable", ".mergeable_state")
    )


def taint(path: str) -> Taint:
    """Return who can control the value of a path."""
    root = path.split(".", 1)[0]
    if root in _SAFE_ROOT:
        return "none"
    if _STRANGER.fullmatch(path):
        return "outsider"
    if root == "github":
        if path.endswith(".*") or path in {"github.event", "github.*"}:
            return "outsider"
        if _SAFE_LEAF.search(path) and not path.startswith("github.event.inputs"):
            return "none"
        if _COLLABORATOR.fullmatch(path):
            return "collaborator"
        return "unknown" if path.startswith("github.event.") else "none"
    if root == "inputs":
        return "collaborator"
    return "unknown"


def position(scalar: Scalar, offset: int) -> tuple[int, int]:
    """Return line and column of an offset into a scalar's text; in folded scalars only the line is reliable."""
    lines, start = scalar.line_breaks(offset)
    if scalar.style in {"|", ">"}:
        return scalar.line + 1 + lines, offset - start + 1
    if lines:
        return scalar.line + lines, 1
    return scalar.line, scalar.column + offset + (0 if scalar.plain else 1)
