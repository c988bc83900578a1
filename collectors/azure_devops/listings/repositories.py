"""Repositories and the policies of their branches.

https://learn.microsoft.com/rest/api/azure/devops/git/repositories/list,
https://learn.microsoft.com/rest/api/azure/devops/policy/configurations/list
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.azure_devops.calls import VERSION, WHOLE
from collectors.azure_devops.facts import CHECK_KINDS
from collectors.azure_devops.scope import PROVIDER, repository
from scanner.collect.failures import SourceError
from scanner.collect.listings import with_coverage
from scanner.records import Account, Control, record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from collectors.azure_devops.scope import DevOpsProjectFacts, DevOpsScope
    from scanner.records import Enforcement, Record

CALL = "/{project}/_apis/git/repositories"
POLICIES = "/{project}/_apis/policy/configurations"
NEEDS = "Read of the repositories"
REVIEWERS = "fa4e907d-c16b-4a4c-9dfa-4906e5d171dd"
"""The policy "Minimum number of reviewers"."""
VALIDATION = "0609b952-1397-4640-95ec-e00a01b2c241"
"""The policy "Build"."""
_ENDING = (
    "resetOnSourcePush",
    "blockLastPusherVote",
    "requireVoteOnLastIteration",
    "requireVoteOnEachIteration",
)
"""Settings of a review policy after which an approval does not count for what is pushed later."""


def repositories(
    scope: DevOpsScope, project: DevOpsProjectFacts
) -> Generator[Record, None, dict[str, dict[str, Any]]]:
    """Yield the project's repositories, and return them by ID."""
    found: dict[str, dict[str, Any]] = {}

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        number = str(item["id"]).lower()
        found[number] = {"branch": item.get("defaultBranch"), "name": str(item["name"])}
        yield Account(
            id=repository(number),
            provider=PROVIDER,
            account_id=repository(number),
            kind="ado-repository",
            native_id=number,
            name=str(item["name"]),
            address=f"{scope.organization}/{project.name}/{item['name']}",
            parent_id=project.account_id,
            active=not item.get("isDisabled") and bool(item.get("defaultBranch")),
            visibility="public" if project.public else "private",
            url=item.get("webUrl"),
        )

    yield from scope.listing(
        CALL,
        convert,
        table="accounts",
        kind="ado-repository",
        needs=NEEDS,
        parameters=VERSION,
        paginator=WHOLE,
        loses=("controls/branch-protection", *(f"controls/{kind}" for kind in CHECK_KINDS)),
    )
    return found


def branch_policies(
    scope: DevOpsScope,
    known: dict[str, dict[str, Any]],
    bypassing: Callable[[str, str], list[str] | None],
) -> Iterator[Record]:
    """Yield what the policies demand of changes to each repository's default branch.

    A policy that is not blocking is only audited. ``creatorVoteCounts`` lets the author approve; without ``resetOnSourcePush``
    and ``blockLastPusherVote``, what is pushed after the approval goes along. ``bypassing`` returns who may pass by the policies of
    a repository's branch, None if it is unknown.
    https://learn.microsoft.com/azure/devops/repos/git/branch-policies
    """
    if not known:
        return
    try:
        policies: list[dict[str, Any]] | SourceError = [
            item
            for item in scope.client.items(scope.path(POLICIES), VERSION)
            if item["isEnabled"] and not item.get("isDeleted")
        ]
    except SourceError as exc:
        policies = exc
    for number, facts in sorted(known.items()):
        branch = facts["branch"]
        if branch is None:
            continue

        def read(number: str = number, facts: dict[str, Any] = facts) -> Iterator[Record]:
            if isinstance(policies, SourceError):
                raise policies
            of = [one for one in policies if _covers(one, number, str(facts["branch"]))]
            around = bypassing(number, str(facts["branch"])) or []
            yield _protection(number, facts, of, around)
            yield _build_validation(number, facts, of)

        here = scope.within(repository(number))
        request = here.request("controls", f"GET {POLICIES}", kind="branch-protection", needs=NEEDS)
        yield from with_coverage(read(), request, fills=("controls/build-validation",))
        if bypassing(number, str(branch)) is None:
            yield here.unseen(
                "controls",
                "policy-bypass",
                f"GET {POLICIES} (bypass)",
                "Who may bypass the policies is unknown without the access control lists of repositories.",
                needs="Reader of the project",
            )


def _covers(policy: dict[str, Any], number: str, branch: str) -> bool:
    for scope in (policy.get("settings") or {}).get("scope") or []:
        wanted = scope.get("repositoryId")
        if wanted is not None and str(wanted).lower() != number:
            continue
        match scope.get("matchKind"):
            case "DefaultBranch":
                return True
            case "Prefix" if branch.startswith(str(scope.get("refName") or "")):
                return True
            case "Exact" if scope.get("refName") == branch:
                return True
            case _:
                pass
    return False


def _build_validation(number: str, facts: dict[str, Any], policies: list[dict[str, Any]]) -> Control:
    builds = [one for one in policies if str((one.get("type") or {}).get("id", "")).lower() == VALIDATION]
    blocking = any(one.get("isBlocking") for one in builds)
    return Control(
        id=record_id(PROVIDER, "build-validation", number),
        provider=PROVIDER,
        account_id=repository(number),
        stage="source",
        kind="build-validation",
        name=str(facts["branch"]).removeprefix("refs/heads/"),
        enforcement="enforced" if blocking else ("audited" if builds else "absent"),
        target="branch",
        detail=f"{len(builds)} builds" if builds else "No build must pass",
    )


def _protection(
    number: str, facts: dict[str, Any], policies: list[dict[str, Any]], bypassing: list[str]
) -> Control:
    reviews = [one for one in policies if str((one.get("type") or {}).get("id", "")).lower() == REVIEWERS]
    blocking = [one for one in reviews if one.get("isBlocking")]
    enforcement: Enforcement = "enforced" if blocking else ("audited" if reviews else "absent")
    settings = [one["settings"] or {} for one in blocking]
    oneself = any(one.get("creatorVoteCounts") for one in settings)
    least = max((int(one.get("minimumApproverCount") or 0) for one in settings), default=0)
    # Where the author's vote counts, it is one of the votes that are required.
    others = max(
        (int(one.get("minimumApproverCount") or 0) - bool(one.get("creatorVoteCounts")) for one in settings),
        default=0,
    )
    ends = any(one.get(name) for one in settings for name in _ENDING)
    return Control(
        id=record_id(PROVIDER, "branch-protection", number),
        provider=PROVIDER,
        account_id=repository(number),
        stage="source",
        kind="branch-protection",
        name=str(facts["branch"]).removeprefix("refs/heads/"),
        enforcement=enforcement,
        target="branch",
        approvals=max(others, 0) if blocking else None,
        approvals_end=ends if others > 0 else None,
        bypass=[*(["the author"] if oneself else []), *bypassing],
        detail=f"{least} reviewers" + ("; the author's vote counts" if oneself else "")
        if blocking
        else "No blocking review policy",
    )
