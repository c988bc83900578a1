"""Which pipelines can become which roles: definition files and trust policies in, edges out.

What is expected is what AWS and GitHub document, worked out by hand:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-logic-multiple-context-keys-or-values.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html,
https://docs.github.com/en/actions/reference/security/oidc, https://docs.gitlab.com/ci/secrets/id_token_authentication/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest

from collectors.definitions import (
    CalledDefinitions,
    CalledRepository,
    Context,
    DefinitionError,
    definition_records,
    parse,
)
from scanner.records import Identity
from scanner.secrets.detectors import Fingerprint
from tests import definition_contexts
from tests.aws_iam import ACCOUNT, allow, document, facts, role, trusts
from tests.test_reach import analyzed, edges, identity

if TYPE_CHECKING:
    from scanner.records import Record, Trust

FP = Fingerprint(b"k")
G = "token.actions.githubusercontent.com"
GITHUB = msgspec.structs.replace(definition_contexts.GITHUB, repository="acme/app", owner_id="7001")
GITLAB = msgspec.structs.replace(
    definition_contexts.GITLAB, repository="acme/platform/app", default_branch="main"
)
WEB = "sts:AssumeRoleWithWebIdentity"
AUD = {f"{G}:aud": "sts.amazonaws.com"}


def workflow(on: str, *jobs: str) -> str:
    """Return a workflow whose jobs may all ask for a token; each is the inside of a flow mapping."""
    written = "".join(f"  j{number}: {{{job}}}\n" for number, job in enumerate(jobs))
    return f"name: Deploy\non: {on}\npermissions: {{id-token: write}}\njobs:\n{written}"


RUN = "runs-on: ubuntu-24.04, steps: [{run: x}]"
MAIN = workflow("{push: {branches: [main]}}", RUN)
SIGN_IN = "uses: aws-actions/configure-aws-credentials@v6, with: {role-to-assume: 'arn:aws:iam::1:role/x'}"
LOGIN = workflow("{push: {branches: [main]}}", f"runs-on: ubuntu-24.04, steps: [{{{SIGN_IN}}}]")
ANY = workflow("push", RUN)
TAGS = workflow("{push: {tags: ['v*']}}", RUN)
PULL = workflow("pull_request", RUN)
PROD = workflow("{push: {branches: [main]}}", f"environment: production, {RUN}")
BOTH = workflow("{push: {branches: [main]}}", RUN, f"environment: production, {RUN}")


def pipeline(
    source: str,
    context: Context = GITHUB,
    path: str = ".github/workflows/deploy.yml",
    called: CalledDefinitions | None = None,
) -> Identity:
    found = definition_records(parse(path, source, FP, called=called), context=context)
    return next(record for record in found if isinstance(record, Identity))


def provider(name: str = G) -> dict[str, str]:
    return {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{name}"}


def statement(condition: dict[str, Any] | None, name: str = G, **more: Any) -> dict[str, Any]:
    given = {"Effect": "Allow", "Principal": provider(name), "Action": WEB, **more}
    return given | ({"Condition": condition} if condition else {})


def trusts_of(*statements: dict[str, Any], version: str = "2012-10-17") -> list[Trust]:
    trust = document(*statements) | {"Version": version}
    return trusts(facts(roles=[role("deploy", allow("s3:PutObject"), trust=trust)]))


class Case(NamedTuple):
    """A pipeline, the trust policy of a role, and by which kind of edge the one becomes the other."""

    pipeline: Identity
    statements: list[dict[str, Any]]
    expected: str | None


def like(value: Any, **more: Any) -> dict[str, Any]:
    return {"StringEquals": AUD, "StringLike": {f"{G}:sub": value, **more}}


def equal(value: Any, **more: Any) -> dict[str, Any]:
    return {"StringEquals": AUD | {f"{G}:sub": value} | {f"{G}:{key}": text for key, text in more.items()}}


SURE, SOME, NOT = "trust", "trust-pattern", None
HEAD = "repo:acme/app:ref:refs/heads/main"

CONDITIONS: list[tuple[str, dict[str, Any] | None, str | None]] = [
    # What a run on the one branch main presents: exactly one subject.
    (MAIN, None, SURE),
    (MAIN, {"StringEquals": AUD}, SURE),
    (MAIN, equal(HEAD), SURE),
    (MAIN, equal(["repo:acme/x:ref:refs/heads/main", HEAD]), SURE),
    (MAIN, equal("repo:acme/app:ref:refs/heads/Main"), NOT),
    (MAIN, equal("repo:Acme/app:ref:refs/heads/main"), NOT),
    (MAIN, {"StringEqualsIgnoreCase": {f"{G}:sub": HEAD.upper()}}, SURE),
    (MAIN, equal("repo:acme/app:*"), NOT),
    (MAIN, like("repo:acme/app:*"), SURE),
    (MAIN, like("repo:acme/*"), SURE),
    (MAIN, like("repo:acme/ap?:ref:refs/heads/main"), SURE),
    (MAIN, like("repo:acme/app?:*"), NOT),
    (MAIN, like("repo:acme/app-*:*"), NOT),
    (MAIN, like("repo:*"), SURE),
    (MAIN, like("*"), SURE),
    (MAIN, like("repo:evil/*"), NOT),
    (MAIN, like("repo:acme*"), SURE),
    (MAIN, like(["repo:evil/*", "repo:acme/app:environment:*"]), NOT),
    (MAIN, like("repo:ACME/app:*"), NOT),
    (MAIN, {"stringlike": {f"{G.upper()}:SUB": "repo:acme/app:*"}}, SURE),
    (MAIN, {"ForAnyValue:StringLike": {f"{G}:sub": "repo:acme/app:*"}}, SURE),
    (MAIN, {"ForAllValues:StringLike": {f"{G}:sub": "repo:acme/app:*"}}, SURE),
    (MAIN, {"ForAllValues:StringLike": {f"{G}:sub": "repo:evil/app:*"}}, NOT),
    (MAIN, {"StringLikeIfExists": {f"{G}:sub": "repo:evil/app:*"}}, NOT),
    (MAIN, {"StringEqualsIfExists": {f"{G}:environment": "production"}}, SURE),
    (MAIN, {"StringEquals": {f"{G}:environment": "production"}}, NOT),
    (MAIN, {"StringNotEquals": {f"{G}:environment": "production"}}, SURE),
    (MAIN, {"Null": {f"{G}:environment": "true"}}, SURE),
    (MAIN, {"Null": {f"{G}:environment": "false"}}, NOT),
    (MAIN, {"Null": {f"{G}:sub": "true"}}, NOT),
    (MAIN, {"StringNotLike": {f"{G}:sub": "repo:acme/app:*"}}, NOT),
    (MAIN, {"StringNotLike": {f"{G}:sub": ["repo:evil/*", "repo:acme/app:pull_request"]}}, SURE),
    (MAIN, {"StringNotEquals": {f"{G}:sub": [HEAD, "x"]}}, NOT),
    # Several keys must all hold; several values of a key are alternatives.
    (MAIN, equal(HEAD, repository_id="5001"), SURE),
    (MAIN, equal(HEAD, repository_id="6666"), NOT),
    (MAIN, equal(HEAD, repository_owner_id=["1", "7001"]), SURE),
    (MAIN, equal(HEAD, ref="refs/heads/dev"), NOT),
    (MAIN, equal(HEAD, job_workflow_ref="acme/app/.github/workflows/deploy.yml@refs/heads/main"), SURE),
    (MAIN, equal(HEAD, job_workflow_ref="acme/ci/.github/workflows/deploy.yml@refs/heads/main"), NOT),
    (MAIN, equal(HEAD, actor_id="77"), SOME),
    (MAIN, equal(HEAD) | {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}, SOME),
    (MAIN, equal(HEAD) | {"StringLike": {"sts:RoleSessionName": "gh-*"}}, SURE),
    (MAIN, equal(HEAD) | {"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, NOT),
    (MAIN, equal(HEAD) | {"StringEquals": {f"{G}:sub": "repo:acme/${aws:PrincipalTag/app}:x"}}, SOME),
    # Audiences: the caller chooses, unless a login names the requested one.
    (MAIN, {"StringEquals": {f"{G}:aud": ["x", "y"], f"{G}:sub": HEAD}}, SURE),
    (LOGIN, {"StringEquals": {f"{G}:aud": ["x", "y"], f"{G}:sub": HEAD}}, NOT),
    (LOGIN, {"StringEquals": {f"{G}:aud": ["x", "sts.amazonaws.com"], f"{G}:sub": HEAD}}, SURE),
    # Every branch and tag.
    (ANY, equal(HEAD), SOME),
    (ANY, like("repo:acme/app:ref:*"), SURE),
    (ANY, like("repo:acme/app:ref:refs/tags/v1"), SOME),
    (ANY, equal("repo:acme/app:environment:production"), NOT),
    (ANY, equal("repo:acme/app:pull_request"), NOT),
    (ANY, {"StringNotEquals": {f"{G}:sub": HEAD}}, SURE),
    (TAGS, equal(HEAD), NOT),
    (TAGS, like("repo:acme/app:ref:refs/tags/v1.*"), SOME),
    (TAGS, like("repo:acme/app:ref:refs/tags/v*"), SURE),
    # Pull requests.
    (PULL, equal(HEAD), NOT),
    (PULL, equal("repo:acme/app:pull_request"), SURE),
    (PULL, like("repo:acme/app:*"), SURE),
    (PULL, like("repo:acme/app:ref:*"), NOT),
    (PULL, {"StringLike": {f"{G}:repository": "acme/*", f"{G}:ref": "refs/heads/main"}}, NOT),
    (PULL, {"StringLike": {f"{G}:repository": "acme/*", f"{G}:ref": "refs/pull/*"}}, SURE),
    # The subject of a job with an environment names only the environment.
    (PROD, equal(HEAD), NOT),
    (PROD, equal("repo:acme/app:environment:production"), SURE),
    (PROD, equal("repo:acme/app:environment:staging"), NOT),
    (PROD, equal("repo:acme/app:environment:production", ref="refs/heads/main"), SURE),
    (PROD, equal("repo:acme/app:environment:production", ref="refs/heads/dev"), NOT),
    (workflow("pull_request", f"environment: production, {RUN}"), equal("repo:acme/app:pull_request"), NOT),
    (workflow("push", f"environment: 'a:b', {RUN}"), equal("repo:acme/app:environment:a%3Ab"), SURE),
    (workflow("push", f"environment: 'a:b', {RUN}"), equal("repo:acme/app:environment:a:b"), NOT),
    # The claims of one token belong together.
    (BOTH, equal(HEAD, environment="production"), NOT),
    (BOTH, equal("repo:acme/app:environment:production", environment="production"), SURE),
    (BOTH, {"Null": {f"{G}:environment": "true"}, "StringEquals": {f"{G}:sub": HEAD}}, SURE),
    (
        workflow("{push: {branches: [main]}}", RUN, "uses: acme/ci/.github/workflows/d.yml@v1"),
        like("repo:acme/*", **{f"{G}:job_workflow_ref": "acme/ci/.github/workflows/other.yml@*"}),
        NOT,
    ),
]  # fmt: skip


CALLER = workflow("{push: {branches: [main]}}", "uses: acme/ci/.github/workflows/deploy.yml@main")
LOCAL = workflow("{push: {branches: [main]}}", "uses: ./.github/workflows/called.yml")
CI = "acme/ci/.github/workflows/deploy.yml"


REUSED: list[tuple[str, dict[str, Any] | None, str | None]] = [
        # The subject is the caller's; the called workflow's jobs may name an environment of the caller.
        (CALLER, equal(HEAD), SURE),
        (CALLER, equal("repo:acme/app:environment:production"), SOME),
        (CALLER, like("repo:acme/ci:*"), NOT),
        (CALLER, like("repo:acme/*", **{f"{G}:job_workflow_ref": f"{CI}@refs/heads/main"}), SOME),
        (CALLER, like("repo:acme/*", **{f"{G}:job_workflow_ref": f"{CI}@*"}), SURE),
        (CALLER, like("repo:acme/*", **{f"{G}:job_workflow_ref": f"{CI}@refs/heads/dev"}), NOT),
        (CALLER.replace("@main", "@refs/heads/main"), equal(HEAD, job_workflow_ref=f"{CI}@refs/heads/main"), SURE),
        (CALLER, {"StringLike": {f"{G}:workflow_ref": "acme/ci/*"}}, NOT),
        # A called workflow that nobody was seen to call presents nothing.
        (workflow("workflow_call", RUN), None, NOT),
]  # fmt: skip
CALLED: list[tuple[list[str], str, str | None]] = [
    ([f"environment: production, {RUN}"], "repo:acme/app:environment:production", SURE),
    ([f"environment: production, {RUN}"], "repo:acme/app:environment:staging", NOT),
    ([f"environment: production, {RUN}"], HEAD, NOT),
    ([RUN], HEAD, SURE),
    ([RUN], "repo:acme/app:environment:production", NOT),
    ([f"environment: '${{{{ inputs.e }}}}', {RUN}"], "repo:acme/app:environment:production", SOME),
    ([f"permissions: {{}}, {RUN}"], HEAD, NOT),
    (["uses: acme/ci/.github/workflows/x.yml@v1"], "repo:acme/app:environment:production", SOME),
    # One that calls itself, which GitHub refuses, ends.
    (["uses: ./.github/workflows/called.yml"], HEAD, SURE),
]


def calling(jobs: list[str]) -> Identity:
    """Return a workflow that calls another of its repository, which has these jobs."""
    return pipeline(LOCAL, called=CalledDefinitions(OneFile(workflow("workflow_call", *jobs))))


class OneFile:
    """The called file, whichever is asked for in the same repository."""

    def __init__(self, text: str) -> None:
        self._text = text

    def read(self, repository: CalledRepository, path: str) -> str:
        if repository.name:
            raise DefinitionError("unsupported", f"{path} is in another repository")
        return self._text


IMMUTABLE = "repo:acme@7001/app@5001:ref:refs/heads/main"


FORMS: list[tuple[dict[str, Any], str, str, str | None]] = [
        ({"immutable_subject": True}, MAIN, IMMUTABLE, SURE),
        ({"immutable_subject": True}, MAIN, HEAD, NOT),
        ({"immutable_subject": True}, MAIN, "repo:acme@7001/app@6666:ref:refs/heads/main", NOT),
        ({"immutable_subject": True}, MAIN, "repo:acme@*/app@*:ref:refs/heads/main", SURE),
        ({"immutable_subject": True}, MAIN, "repo:acme/*", NOT),
        ({"immutable_subject": None}, MAIN, IMMUTABLE, SURE),
        ({"immutable_subject": None}, MAIN, HEAD, SURE),
        ({}, MAIN, IMMUTABLE, NOT),
        ({"claim_keys": ["repo"]}, MAIN, "repo:acme/app", SURE),
        ({"claim_keys": ["repo"]}, MAIN, HEAD, NOT),
        ({"claim_keys": ["repository_owner_id", "repository_id"]}, MAIN, "repository_owner_id:7001:repository_id:5001", SURE),
        ({"claim_keys": ["repo", "context", "job_workflow_ref"]}, MAIN, HEAD, NOT),
        ({"claim_keys": ["repo", "context", "job_workflow_ref"]}, MAIN, f"{HEAD}:job_workflow_ref:acme/app/*", SURE),
        ({"claim_keys": ["repo"], "immutable_subject": True}, MAIN, "repo:acme@7001/app@5001", SURE),
        ({"claim_keys": ["environment", "repository_owner"]}, PROD, "environment:production:repository_owner:acme", SURE),
        ({"claim_keys": ["environment", "repository_owner"]}, MAIN, "environment:*", NOT),
        ({"claim_keys": ["actor"]}, MAIN, "actor:alice", SOME),
        ({"archived": True}, MAIN, HEAD, NOT),
]  # fmt: skip
GITLAB_JOB = "deploy:\n  id_tokens: {T: {aud: sts.amazonaws.com}}\n  script: [x]\n"
L = "gitlab.com"
PATH = "project_path:acme/platform/app"


PROJECTS: list[tuple[str, str, str | None]] = [
    ("  rules: [{if: $CI_COMMIT_BRANCH == 'main'}]\n", f"{PATH}:ref_type:branch:ref:main", SURE),
    ("  rules: [{if: $CI_COMMIT_BRANCH == 'main'}]\n", f"{PATH}:ref_type:branch:ref:dev", NOT),
    ("  rules: [{if: $CI_COMMIT_BRANCH == 'main'}]\n", f"{PATH}:ref_type:tag:ref:*", NOT),
    ("  only: [tags]\n", f"{PATH}:ref_type:branch:ref:main", NOT),
    ("  only: [tags]\n", f"{PATH}:ref_type:tag:ref:v1", SOME),
    ("", f"{PATH}:*", SURE),
    ("", "project_path:acme/*", SURE),
    ("", "project_path:acme/platform/*:ref_type:branch:ref:main", SOME),
    ("", "project_path:acme/other/*", NOT),
    ("", "project_path:acme/app:*", NOT),
    ("", "project_path:*", SURE),
]


def on_gitlab(subject: str) -> dict[str, Any]:
    condition = {"StringEquals": {f"{L}:aud": "sts.amazonaws.com"}, "StringLike": {f"{L}:sub": subject}}
    return statement(condition, L)


ISSUERS: list[tuple[str | None, str, str | None]] = [
    ("https://ghes.acme.example/_services/token", "ghes.acme.example/_services/token", SURE),
    ("https://ghes.acme.example/_services/token", G, NOT),
    (f"https://{G}/acme", f"{G}/acme", SURE),
    (f"https://{G}/acme", G, NOT),
    # Whether an enterprise has an issuer of its own is not shown to its organizations.
    (None, f"{G}/acme", SOME),
    (None, "gitlab.com", NOT),
    ("https://token.actions.acme.ghe.com", "token.actions.acme.ghe.com", SURE),
]


ANYONE_WEB = {"Effect": "Deny", "Principal": "*", "Action": WEB}


TOGETHER: list[tuple[list[dict[str, Any]], str | None]] = [
        # One allowing statement is sufficient; one deny overrides all.
        ([statement(like("repo:evil/*")), statement(like("repo:acme/*"))], SURE),
        ([statement(like("repo:acme/*")), ANYONE_WEB], NOT),
        ([statement(like("repo:acme/*")), ANYONE_WEB | {"Action": "sts:*"}], NOT),
        ([statement(like("repo:acme/*")), ANYONE_WEB | {"Action": "sts:TagSession"}], SURE),
        ([statement(like("repo:acme/*")), ANYONE_WEB | {"Principal": provider("gitlab.com")}], SURE),
        ([statement(like("repo:acme/*")), ANYONE_WEB | {"Principal": provider()}], NOT),
        ([statement(like("repo:acme/*")), ANYONE_WEB | {"Condition": {"StringLike": {f"{G}:sub": HEAD}}}], NOT),
        ([statement(like("repo:acme/*")), ANYONE_WEB | {"Condition": {"StringNotEquals": {f"{G}:sub": HEAD}}}], SURE),
        ([statement(like("repo:acme/*")), ANYONE_WEB | {"Condition": {"StringNotLike": {f"{G}:sub": "repo:acme/ci:*"}}}], NOT),
        ([statement(like("repo:acme/*")), ANYONE_WEB | {"Action": "sts:AssumeRole", "Condition": {"StringNotLike": {f"{G}:sub": "repo:acme/ci:*"}}}], SURE),
        ([statement(like("repo:acme/*")), ANYONE_WEB | {"Condition": {"StringNotEquals": {f"{G}:environment": "production"}}}], NOT),
        ([statement(like("repo:acme/*")), ANYONE_WEB | {"Condition": {"StringEquals": {f"{G}:environment": "production"}}}], SURE),
        ([statement(like("repo:acme/*"), Action="sts:AssumeRole")], NOT),
        ([statement(like("repo:acme/*"), Action=["sts:AssumeRole", "sts:assumerolewith*"])], SURE),
        # Two providers in one statement: the other's key is absent from our token, and fails.
        ([statement({"StringLike": {f"{L}:sub": "project_path:acme/*"}}, Principal={"Federated": [*provider().values(), *provider(L).values()]})], NOT),
        ([statement({"StringLike": {f"{G}:sub": "repo:acme/*"}}, Principal={"Federated": [*provider().values(), *provider(L).values()]})], SURE),
        ([statement({"StringLikeIfExists": {f"{L}:sub": "project_path:acme/*"}})], SURE),
]  # fmt: skip


CASES = [
    *(
        Case(pipeline(source), [statement(condition)], kind)
        for source, condition, kind in CONDITIONS + REUSED
    ),
    *(Case(calling(jobs), [statement(equal(subject))], kind) for jobs, subject, kind in CALLED),
    *(
        Case(pipeline(source, msgspec.structs.replace(GITHUB, **changes)), [statement(like(subject))], kind)
        for changes, source, subject, kind in FORMS
    ),
    *(
        Case(pipeline(GITLAB_JOB + more, GITLAB, ".gitlab-ci.yml"), [on_gitlab(subject)], kind)
        for more, subject, kind in PROJECTS
    ),
    *(
        Case(
            pipeline(MAIN, msgspec.structs.replace(GITHUB, issuer=issuer)),
            [statement({"StringEquals": {f"{name}:sub": HEAD}}, name)],
            kind,
        )
        for issuer, name, kind in ISSUERS
    ),
    *(Case(pipeline(MAIN), statements, kind) for statements, kind in TOGETHER),
]


@pytest.fixture(scope="module")
def become(tmp_path_factory: pytest.TempPathFactory) -> list[str | None]:
    """By which kind of edge each case's pipeline becomes its role: one night with all of them."""
    roles = [
        role(f"r{number}", allow("s3:PutObject"), trust=document(*case.statements))
        for number, case in enumerate(CASES)
    ]
    known = facts(roles=roles, oidc_providers=[])
    sources = [msgspec.structs.replace(case.pipeline, id=f"p{number}") for number, case in enumerate(CASES)]
    records: list[Record] = [*sources, *trusts(known)]
    records += [identity(f"aws:iam-role:AROAR{number}") for number in range(len(CASES))]
    found: dict[tuple[str, str], str] = {}
    # Issuers that nobody presents are a matter of the whole night: each kind of issuer has a night of its own.
    for number, part in enumerate(_nights(sources)):
        folder = tmp_path_factory.mktemp(f"night{number}")
        kept = [
            one for one in records if not isinstance(one, Identity) or one in part or one.kind == "iam-role"
        ]
        with analyzed(folder, *kept) as tables:
            found |= {(source, target): kind for source, kind, target in edges(tables)}
    return [found.get((f"p{number}", f"aws:iam-role:AROAR{number}")) for number in range(len(CASES))]


def _nights(sources: list[Identity]) -> list[list[Identity]]:
    by_issuer: dict[str | None, list[Identity]] = {}
    for source in sources:
        by_issuer.setdefault(source.issuer, []).append(source)
    return list(by_issuer.values())


@pytest.mark.parametrize("number", range(len(CASES)))
def test_a_pipeline_and_a_trust(become: list[str | None], number: int) -> None:
    case = CASES[number]
    assert become[number] == case.expected, (case.pipeline.tokens, case.statements)


def test_a_policy_of_2008_knows_no_variables() -> None:
    (trust,) = trusts_of(statement(equal("repo:acme/${x}:ref:refs/heads/main")), version="2008-10-17")
    assert [(test.claim, test.operator) for test in trust.tests] == [("aud", "equals"), ("sub", "equals")]


@pytest.mark.parametrize(
    ("condition", "exposure", "problem"),
    [
        (like("repo:acme/app"), "repository", "OIDC-5"),
        (like("environment:production"), "anyone", "OIDC-1"),
        (like("ref:refs/heads/main"), "anyone", "OIDC-1"),
        (like("pull_request"), "anyone", "OIDC-1"),
        (like("environment:*"), "anyone", "OIDC-2"),
        (like("repository:acme/*"), "organization", "OIDC-4"),
        (like("repository:acme*"), "another-tenant", "OIDC-3"),
        (like("repository_owner:acme"), "organization", "OIDC-4"),
        (like("repository_owner:acme:*"), "organization", "OIDC-4"),
        (like("repository_owner:acme*"), "another-tenant", "OIDC-3"),
        (like("job_workflow_ref:acme/ci/.github/workflows/d.yml@*"), "organization", "OIDC-4"),
        (like("environment:production:repository_owner:acme"), "organization", "OIDC-4"),
        (like("workflow_ref:acme/app/.github/workflows/d.yml@refs/heads/main"), "exact", "OIDC-9"),
        ({"StringLike": {f"{L}:sub": "project_path:acme/*"}}, "nobody", None),
        (equal("repo:acme/${aws:PrincipalTag/x}:ref:refs/heads/main"), "anyone", "OIDC-6"),
    ],
)
def test_how_wide_a_trust_is(condition: dict[str, Any], exposure: str, problem: str | None) -> None:
    (trust,) = trusts_of(statement(condition))
    assert (trust.exposure, trust.problem) == (exposure, problem)
