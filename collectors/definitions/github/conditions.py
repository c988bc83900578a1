"""Conditions that protect a job or step of a GitHub workflow from events of untrusted users. A condition is a guard if
it can only be true for a trusted source: a branch of the same repository, an author with write access, a label that a
maintainer sets. Background: https://securitylab.github.com/resources/github-actions-preventing-pwn-requests/ and
https://securitylab.github.com/resources/github-actions-new-patterns-and-mitigations/.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.definitions.github.expressions import condition
from collectors.definitions.github.steps import PRIVILEGED, Guard
from collectors.definitions.yaml_nodes import Scalar, text, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from collectors.definitions.github.steps import RawJob, Workflow, WorkflowStep

_EVENT_IS = re.compile(r"(?i)github\.event_name\s*(?P<sign>[!=]=)\s*'(?P<name>\w+)'")
_HEAD_REPOSITORY = r"github\.event\.(?:pull_request\.head\.repo|workflow_run\.head_repository)"
_SAME_REPOSITORY = re.compile(
    rf"(?i)(?:{_HEAD_REPOSITORY}\.(?:full_name|owner\.login|id|node_id)\s*==\s*(?:github\.|'[\w./-]+')|"
    rf"(?:github\.[\w.]+|'[\w./-]+')\s*==\s*{_HEAD_REPOSITORY}\.(?:full_name|owner\.login|id|node_id)|"
    rf"{_HEAD_REPOSITORY}\.fork\s*(?:==\s*(?:false|'false')|!=\s*(?:true|'true'))|!\s*{_HEAD_REPOSITORY}\.fork\b|"
    r"github\.event\.workflow_run\.event\s*==\s*'(?!pull_request|issue|workflow_run|discussion)\w+'|"
    r"github\.event\.workflow_run\.event\s*!=\s*'pull_request')"
)
_WHO = (
    r"github\.(?:actor|triggering_actor|event\.(?:pull_request|issue|comment|review|discussion|sender)\.(?:user\.)?login|"
    r"event\.workflow_run\.(?:actor|triggering_actor)\.login)"
)
_PERSON = re.compile(
    rf"(?i)(?:[\w.]*author_association\s*==\s*'(?:OWNER|MEMBER|COLLABORATOR)'|"
    r"contains\(\s*(?:fromJSON\(\s*)?'[^']*(?:OWNER|MEMBER|COLLABORATOR)[^']*'\s*\)?\s*,\s*[^,)]*author_association|"
    rf"{_WHO}\s*==\s*(?:'(?![^']*\[bot\]')[^']+'|\"[^\"]+\"|github\.repository_owner)|"
    rf"(?:'(?![^']*\[bot\]')[^']+'|github\.repository_owner)\s*==\s*{_WHO}|"
    r"github\.event\.pull_request\.user\.login\s*==\s*'[^']+'|"
    rf"contains\(\s*(?:fromJSON\([^)]*\)|vars\.\w+)\s*,\s*{_WHO})"
)
_LABEL = re.compile(
    r"(?i)contains\(\s*github\.event\.(?:pull_request|issue)\.labels\.\*\.name\s*,|github\.event\.label\.name\s*=="
)
_ANYWAY = re.compile(r"(?i)\b(?:always|failure|cancelled)\s*\(\s*\)")
_CHECKING_ACTIONS = re.compile(
    r"(?:check-user-permission|check-actor-permissions?|check-actor-permission|repo(?:sitory)?-permission|actions-team-membership|"
    r"get-user-teams-membership|check-membership|is-collaborator|check-collaborator|user-permissions?|permission-check|verify-permissions?)"
    r"|^(?:peter-evans/slash-command-dispatch|xt0rted/slash-command-action|github/command|github/branch-deploy)$"
)
_CHECKING_SCRIPT = re.compile(
    r"getCollaboratorPermissionLevel|checkCollaborator|getMembershipForUserInOrg|checkMembershipForUser|/collaborators/[^\s\"']+(?:/permission)?|/memberships?/"
)
_MUTABLE = re.compile(r"(?i)head\.ref\b|head_ref|head_branch|head\.label|refs/pull/|pull/")


def holds(body: str, passes: Callable[[str], bool]) -> bool:
    """Return whether a condition can be true only if one of the tests passes: each alternative needs one."""
    return _holds(body.strip(), passes, 0)


def _holds(body: str, passes: Callable[[str], bool], depth: int) -> bool:
    if depth > 20:
        return False
    alternatives = list(split_outside(body, "||"))
    if len(alternatives) > 1:
        return all(_holds(part, passes, depth + 1) for part in alternatives)
    terms = list(split_outside(body, "&&"))
    if len(terms) > 1:
        return any(_holds(part, passes, depth + 1) for part in terms)
    inner = _unwrapped(body)
    return passes(body) if inner is None else _holds(inner, passes, depth + 1)


def split_outside(body: str, sign: str) -> Iterator[str]:
    """Split at an operator outside brackets and strings."""
    depth, start, at, quoted = 0, 0, 0, False
    while at < len(body):
        here = body[at]
        if here == "'":
            quoted = not quoted
        elif not quoted and here in "([":
            depth += 1
        elif not quoted and here in ")]":
            depth -= 1
        elif not quoted and depth == 0 and body.startswith(sign, at):
            yield body[start:at].strip()
            at += len(sign)
            start = at
            continue
        at += 1
    yield body[start:].strip()


def _unwrapped(body: str) -> str | None:
    """Return the content of brackets that enclose the whole text; None if there are none."""
    if not (body.startswith("(") and body.endswith(")")):
        return None
    depth, quoted = 0, False
    for at, here in enumerate(body):
        if here == "'":
            quoted = not quoted
        elif not quoted and here == "(":
            depth += 1
        elif not quoted and here == ")":
            depth -= 1
            if depth == 0 and at < len(body) - 1:
                return None
    return body[1:-1].strip()


def guards(workflow: Workflow, job: RawJob, step: WorkflowStep | None, event: str) -> frozenset[Guard]:
    """Return the guards between a privileged event and a step or a whole job."""
    mine: set[Guard] = set(workflow.outer.get(event, ()))
    for needed in needs(workflow, job):
        mine |= _own_gates(workflow, needed, event)
        if needed is not job and _first_check(workflow, needed) is not None:
            mine.add("person")
    if step is not None and step.condition is not None:
        mine |= _gates_of(workflow, condition(step.condition), event)
    check = _first_check(workflow, job)
    if check is not None and (step is None or check < step.at):
        mine.add("person")
    return frozenset(mine)


def _own_gates(workflow: Workflow, job: RawJob, event: str) -> frozenset[Guard]:
    known = workflow.gates.get((job.key, event))
    if known is None:
        own = job.node.get("if")
        known = frozenset()
        if isinstance(own, Scalar) and not _is_text(own):
            known = frozenset(_gates_of(workflow, condition(own), event))
        workflow.gates[job.key, event] = known
    return known


def _gates_of(workflow: Workflow, body: str, event: str) -> set[Guard]:
    """Return the guards of a condition. Alternatives with different guards are one guard of the weakest kind."""
    found: set[Guard] = set()
    if _BROAD.search(body) is None:
        return found
    accepted: list[Callable[[str], bool]] = []
    tests: tuple[tuple[Guard, Callable[[str], bool]], ...] = (
        ("event", lambda term: _is_other_event(term, event)),
        ("repository", lambda term: _SAME_REPOSITORY.match(term) is not None),
        ("person", lambda term: _PERSON.match(term) is not None),
        ("label", lambda term: _LABEL.match(term) is not None and _labels_expire(workflow, event)),
    )
    for guard, test in tests:
        accepted.append(test)
        if holds(body, _one_of(tuple(accepted))):
            found.add(guard)
            if guard != "event":
                break
    return found


def _one_of(tests: tuple[Callable[[str], bool], ...]) -> Callable[[str], bool]:
    return lambda term: any(test(term) for test in tests)


_BROAD = re.compile(r"(?i)event_name|repo|fork|association|actor|login|label|workflow_run\.event")


def _is_other_event(term: str, event: str) -> bool:
    match = _EVENT_IS.fullmatch(term)
    return match is not None and ((match["name"] == event) == (match["sign"] == "!="))


def _labels_expire(workflow: Workflow, event: str) -> bool:
    """Return whether a run starts only when a label is set. Otherwise the label remains while the pull request
    changes.
    """
    return set(workflow.activities.get(event, [])) == {"labeled"}


def _is_text(node: Scalar) -> bool:
    """Return whether a condition is text around expressions, which is always true."""
    shown = node.text.strip()
    return "${{" in shown and not (
        shown.startswith("${{") and shown.endswith("}}") and shown.count("${{") == 1
    )


def needs(workflow: Workflow, job: RawJob) -> list[RawJob]:
    """Return a job and the jobs that must succeed before it runs."""
    known = {other.key: other for other in workflow.jobs}
    found: dict[str, RawJob] = {job.key: job}
    queue = [job]
    while queue:
        current = queue.pop()
        if _ANYWAY.search(text(current.node.get("if")) or ""):
            continue
        for name in texts(current.node.get("needs")):
            if name in known and name not in found:
                found[name] = known[name]
                queue.append(known[name])
    return list(found.values())


def _first_check(workflow: Workflow, job: RawJob) -> int | None:
    """Return the position of the first step that checks the permissions of the user who started the run."""
    if job.key not in workflow.checks:
        workflow.checks[job.key] = next((step.at for step in job.steps if _checks_permissions(step)), None)
    return workflow.checks[job.key]


def _checks_permissions(step: WorkflowStep) -> bool:
    if _CHECKING_ACTIONS.search(step.action):
        return True
    script = step.run or (step.input("script") if step.action == "actions/github-script" else None)
    return script is not None and _CHECKING_SCRIPT.search(script.text[:50_000]) is not None


def reached(workflow: Workflow, job: RawJob, step: WorkflowStep | None = None) -> dict[str, frozenset[Guard]]:
    """Return the privileged events by which untrusted users reach a step, each with the guards in between."""
    events: dict[str, frozenset[Guard]] = {}
    for event in sorted(PRIVILEGED & set(workflow.triggers)):
        found = guards(workflow, job, step, event)
        if not found & {"event", "repository"}:
            events[event] = found
    return events


def is_mutable(ref: str, event: str) -> bool:
    """Return whether the checked-out ref can change after a maintainer's review: a branch, not a commit. A comment
    event has no commit, so the ref is always resolved after the comment was written.
    """
    return event in {"issue_comment", "issues", "discussion", "discussion_comment"} or bool(
        _MUTABLE.search(ref)
    )
