"""What the collector makes of Lantern's GitLab, and that no secret value leaves it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

import collectors.gitlab
from collectors.gitlab import powers
from sandbox.aws.keys import key_id
from sandbox.estate import DEV, PROJECTS
from sandbox.gitlab import GitLabSandbox, build
from sandbox.gitlab import entities as give
from sandbox.gitlab.entities import (
    access,
    access_token,
    approval_rule,
    approvals,
    bound_token,
    granular,
    group,
    project,
    protected_branch,
    runner,
    share,
    user,
    variable,
)
from sandbox.gitlab.views import basic_group
from sandbox.kit.issued import ISSUED, secret_value
from scanner.records import (
    Account,
    Control,
    Coverage,
    Credential,
    Deployment,
    Grant,
    Identity,
    Link,
    Secret,
    level_of,
)
from tests.github_night import gaps, of
from tests.gitlab_night import collected, config
from tests.nights import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox.gitlab.instance import Instance
    from scanner.records import Record


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Record]]:
    with pytest.MonkeyPatch.context() as patch, GitLabSandbox() as sandbox:
        yield collected(config(sandbox, patch), run(tmp_path_factory.mktemp("night")))


def read(
    instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **options: object
) -> list[Record]:
    with GitLabSandbox(instance=instance) as sandbox:
        return collected(config(sandbox, monkeypatch, **options), run(tmp_path))


def read_as_member(instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Record]:
    """Read without an instance target, which lists the users."""
    with GitLabSandbox(instance=instance) as sandbox:
        return collected(config(sandbox, monkeypatch, instance=False), run(tmp_path))


def secret(records: list[Record], name: str) -> Secret:
    return next(row for row in of(records, Secret) if row.name == name)


def credential(records: list[Record], identifier: str) -> Credential:
    return next(row for row in of(records, Credential) if row.id == identifier)


def identity(records: list[Record], identifier: str) -> Identity:
    return next(row for row in of(records, Identity) if row.id == identifier)


def control(records: list[Record], identifier: str) -> Control:
    return next(row for row in of(records, Control) if row.id == identifier)


def grants(records: list[Record], holder: str) -> list[Grant]:
    return [row for row in of(records, Grant) if row.identity_id == holder]


@pytest.mark.parametrize("which", ["token", "owner_token", "member_token"])
@pytest.mark.parametrize("without", [frozenset[str](), frozenset({"lastUsed", "runUntagged"})])
def test_no_secret_value_leaves_the_collector(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, which: str, without: frozenset[str]
) -> None:
    with GitLabSandbox(without=without) as sandbox:
        records = collected(config(sandbox, monkeypatch, token=getattr(sandbox, which)), run(tmp_path))
        # Older GitLabs and other tokens must not open other doors: values are in what the server sent.
        values = {value for value in ISSUED if len(value) >= 16}
    written = msgspec.json.encode(records).decode()
    assert values
    assert [value[:4] for value in values if value in written] == []


def test_the_projects_are_those_of_the_company(night: list[Record]) -> None:
    found = {row.id: row for row in of(night, Account) if row.kind == "gitlab-project"}
    for one in PROJECTS:
        row = found[f"gitlab:project:{one.id}"]
        assert (row.address, row.parent_id) == (f"lantern/{one.name}", "gitlab:group:8001")
    assert {row.id for row in of(night, Account) if row.kind == "gitlab-group"} == {
        "gitlab:group:8001",
        "gitlab:group:8002",
    }


def test_a_readable_variable_leaves_detector_length_and_key_id(night: list[Record]) -> None:
    seen = secret(night, "AWS_ACCESS_KEY_ID")
    assert seen.credential_id == f"aws:access-key:{key_id(DEV, 'ci-fraud')}"
    assert (seen.masked, seen.protected, seen.readable, seen.length) == (False, False, True, 20)
    assert seen.holder_id == "gitlab:pipeline:9002"
    assert secret(night, "AWS_SECRET_ACCESS_KEY").looks_like == "aws-secret-key"
    assert secret(night, "RISK_DB_PASSWORD").environment == "production"
    assert not any(row.name in {"NPM_REGISTRY", "DEPLOY_ROLE_ARN"} for row in of(night, Secret))


def test_a_hidden_variable_is_there_without_a_value(night: list[Record]) -> None:
    hidden = secret(night, "SENTRY_AUTH_TOKEN")
    assert (hidden.readable, hidden.fingerprint, hidden.length) == (False, None, None)


def test_equal_values_have_equal_fingerprints(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    instance = build()
    copy = dict(instance.lists["/projects/9002/variables"][1])
    instance.lists["/projects/9003/variables"] = [copy]
    records = read(instance, tmp_path, monkeypatch)
    prints = {
        row.account_id: row.fingerprint
        for row in of(records, Secret)
        if row.name == "AWS_SECRET_ACCESS_KEY" and row.store == "gitlab-variable"
    }
    assert set(prints) == {"gitlab:project:9002", "gitlab:project:9003"}
    assert len(set(prints.values())) == 1


def test_the_same_name_in_two_environments_is_two_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    instance = build()
    given = instance.lists["/projects/9002/variables"]
    given.append({**given[3], "environment_scope": "development"})
    records = read(instance, tmp_path, monkeypatch)
    found = [row for row in of(records, Secret) if row.name == "MODEL_REGISTRY_TOKEN"]
    assert {row.environment for row in found} == {"production", "development"}
    assert len({row.id for row in found}) == 2


def test_a_pipeline_signs_in_by_its_own_token(night: list[Record]) -> None:
    pipeline = identity(night, "gitlab:pipeline:9001")
    assert pipeline.kind == "gitlab-pipeline"
    assert pipeline.issuer == "https://gitlab.com"
    assert pipeline.subjects == ["project_path:lantern/risk-engine:ref_type:branch:ref:main"]
    assert {token["aud"] for token in pipeline.tokens} == {"https://gitlab.com"}
    links = {(row.relation, row.target_id) for row in of(night, Link) if row.source_id == pipeline.id}
    assert links == {
        ("uses", "arn:aws:iam::200000000002:role/deploy-risk"),
        ("uses", "publish-risk@lantern-build.iam.gserviceaccount.com"),
        ("deploys", "aws:ecs-service-name:core/risk-engine"),
    }


@pytest.mark.parametrize(
    ("components", "subject"),
    [
        (["project_path"], "project_path:lantern/risk-engine"),
        (["project_path", "ref_type"], "project_path:lantern/risk-engine:ref_type:branch"),
        (["project_id", "ref"], "project_id:9001:ref:main"),
        (["something_new"], "something_new:*"),
    ],
)
def test_a_project_may_compose_its_own_subject(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, components: list[str], subject: str
) -> None:
    instance = build()
    instance.projects[9001]["ci_id_token_sub_claim_components"] = components
    records = read(instance, tmp_path, monkeypatch)
    assert identity(records, "gitlab:pipeline:9001").subjects == [subject]


def test_a_role_that_a_variable_names_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    instance = build()
    path = "9001/.gitlab-ci.yml"
    instance.files[path] = instance.files[path].replace(
        "arn:aws:iam::200000000002:role/deploy-risk", "$DEPLOY_ROLE_ARN"
    )
    records = read(instance, tmp_path, monkeypatch)
    used = {row.target_id for row in of(records, Link) if row.source_id == "gitlab:pipeline:9001"}
    assert "arn:aws:iam::200000000002:role/deploy-risk" in used


def test_a_pipeline_gets_every_variable(night: list[Record]) -> None:
    assert identity(night, "gitlab:pipeline:9002").secrets[0] == "*"
    assert identity(night, "gitlab:pipeline:9002").logins == ["aws:oidc", "aws:static"]


def test_a_definition_that_cannot_be_parsed_is_a_gap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    instance = build()
    instance.files["9003/.gitlab-ci.yml"] = "jobs: [unclosed"
    records = read(instance, tmp_path, monkeypatch)
    assert ("gitlab:project:9003", "gitlab-pipeline", "malformed") in {
        (row.account_id, row.kind, row.reason) for row in gaps(records)
    }


def test_a_project_without_the_file_has_no_pipeline_and_that_is_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    instance = build()
    del instance.files["9003/.gitlab-ci.yml"]
    records = read(instance, tmp_path, monkeypatch)
    assert not any(row.id == "gitlab:pipeline:9003" for row in of(records, Identity))
    assert ("gitlab:project:9003", "gitlab-pipeline") in {
        (row.account_id, row.kind) for row in of(records, Coverage)
    }
    assert not any(row.account_id == "gitlab:project:9003" for row in gaps(records))


def test_tokens_have_their_dates(night: list[Record]) -> None:
    unused = credential(night, "gitlab:project-access-token:612")
    assert (unused.never_used, unused.never_expires, unused.lifetime) == (True, False, "expiring")
    assert unused.expires_at is not None
    endless = credential(night, "gitlab:deploy-token:501")
    assert (endless.never_expires, endless.created_at, endless.last_used_at) == (True, None, None)
    assert endless.never_used is None
    assert endless.read_only
    mighty = credential(night, "gitlab:personal-access-token:701")
    assert (mighty.identity_id, mighty.never_expires) == ("gitlab:user:201", True)
    key = credential(night, "gitlab:deploy-key:9002/522")
    assert (key.read_only, key.never_used) == (False, False)
    assert key.last_used_at is not None
    agent = credential(night, "gitlab:agent-token:582")
    assert agent.last_used_at is not None


def test_an_older_gitlab_does_not_tell_when_a_deploy_key_was_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    instance = build()
    del instance.lists["/projects/9002/deploy_keys"][0]["last_used_at"]
    instance.lists["/projects/9001/deploy_keys"][0]["last_used_at"] = None
    records = read(instance, tmp_path, monkeypatch)
    unknown, never = (credential(records, f"gitlab:deploy-key:{key}") for key in ("9002/522", "9001/521"))
    assert (unknown.never_used, unknown.last_used_at) == (None, None)
    assert (never.never_used, never.last_used_at) == (True, None)


def test_a_fine_grained_token_has_permissions_for_scopes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    instance = build()
    tokens = instance.lists["/personal_access_tokens"]
    plain = access_token(714, "unsaid", 102, created=3, used=None, ends=20)
    tokens += [
        granular(access_token(713, "ci", 102, created=3, used=None, ends=20), "read_job", project_id=9001),
        {**plain, "scopes": ["granular"], "granular": True},
    ]
    bound = bound_token(
        granular(access_token(614, "robot", 301, created=3, used=1, ends=9)), 40, "project", 9002
    )
    bound["granular_scopes"][0]["permissions"] = ["read_job", "create_pipeline"]
    instance.lists["/projects/9002/access_tokens"].append(bound)
    records = read(instance, tmp_path, monkeypatch)
    told, unsaid = (credential(records, f"gitlab:personal-access-token:{number}") for number in (713, 714))
    assert (told.scopes, told.read_only) == (["granular", "read_job"], True)
    assert (unsaid.scopes, unsaid.read_only) == (["granular"], None)
    given = next(row for row in of(records, Grant) if row.id.endswith("project-access-token/614"))
    assert given.powers == ["change-delivery", "change-data", "read-data"]


def test_users_are_distinguished(night: list[Record]) -> None:
    kinds = {row.name: row.kind for row in of(night, Identity) if row.id.startswith("gitlab:user:")}
    assert kinds["maya.ops"] == "gitlab-user"
    assert kinds["project_9002_bot_1f0c"] == "gitlab-bot"
    assert kinds["service_account_group_8001_deploy"] == "gitlab-service-account"
    left = identity(night, "gitlab:user:103")
    assert (left.enabled, left.surface) == (False, "human")
    assert identity(night, "gitlab:user:105").mfa is False
    bot = identity(night, "gitlab:user:303")
    assert (bot.owner, bot.owner_source) == ("maya.ops", "creator")
    assert identity(night, "gitlab:user:102").owner is None


def test_tokens_of_a_service_account_of_any_name_are_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    instance = build()
    instance.users[202] = user(202, "release-train", "Release train", bot=True)
    tokens = instance.lists["/personal_access_tokens"]
    tokens += [
        access_token(715, "train", 202, "api", created=30, used=1, ends=9),
        access_token(614, "bot's own", 301, "api", created=30, used=1, ends=9),
    ]
    records = read(instance, tmp_path, monkeypatch)
    found = {row.id for row in of(records, Credential) if row.kind == "personal-access-token"}
    assert "gitlab:personal-access-token:715" in found
    assert "gitlab:personal-access-token:614" not in found
    assert identity(records, "gitlab:user:202").surface == "automation"


def test_an_auditor_reads_everything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    instance = build()
    instance.users[104]["is_auditor"] = True
    records = read(instance, tmp_path, monkeypatch)
    (given,) = (row for row in grants(records, "gitlab:user:104") if row.role == "Auditor")
    assert (given.resource, given.powers) == ("*", ["read-data"])


@pytest.mark.parametrize(
    ("permissions", "can", "confidence"),
    [
        ({}, ["change-delivery", "change-data", "read-data"], "low"),
        ({"admin_vulnerability": True}, ["change-delivery", "change-data", "read-data"], "high"),
        (
            {"admin_cicd_variables": True, "admin_runners": False},
            ["read-secrets", "change-delivery", "change-data", "read-data"],
            "high",
        ),
        (
            {"manage_group_access_tokens": True},
            ["grant-access", "become-other", "change-delivery", "change-data", "read-data"],
            "high",
        ),
    ],
)
def test_a_custom_role_can_what_its_permissions_add(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    permissions: dict[str, bool],
    can: list[str],
    confidence: str,
) -> None:
    instance = build()
    role = {"id": 9, "name": "Release manager", "base_access_level": 30, **permissions}
    instance.lists["/groups/8001/members"][1]["member_role"] = role
    records = read(instance, tmp_path, monkeypatch)
    given = next(row for row in of(records, Grant) if row.id.endswith("member/group/8001/102"))
    assert (given.role, given.powers, given.confidence) == ("Release manager", can, confidence)


def test_a_bot_may_do_what_its_token_may(night: list[Record]) -> None:
    (reader,) = grants(night, "gitlab:user:302")
    assert (reader.role, reader.level, reader.powers) == ("Reporter", "read", ["read-data"])
    (owner,) = grants(night, "gitlab:user:303")
    assert (owner.level, owner.breadth, owner.resource) == ("admin", "organization", "lantern/*")


@pytest.mark.parametrize(
    ("role", "level"),
    [(50, "admin"), (40, "escalation"), (30, "write"), (20, "read"), (10, "read"), (0, "unknown")],
)
def test_roles_are_levels(role: int, level: str) -> None:
    assert level_of(powers.of_role(role)) == level


@pytest.mark.parametrize(
    ("scopes", "role", "can"),
    [
        (["read_api"], 20, ["read-data"]),
        (["read_api"], 40, ["read-secrets", "read-data"]),
        (["write_repository"], None, ["change-delivery", "read-data"]),
        (["sudo"], 60, ["become-other"]),
        (["a_scope_of_tomorrow"], None, ["read"]),
        ([], 50, []),
        (["granular"], 20, ["read-data"]),
        (["granular", "read_job"], 40, ["read-data"]),
        (["granular", "read_variable"], 40, ["read-secrets", "read-data"]),
        (["granular", "read_variable"], 20, ["read-data"]),
        (["granular", "create_pipeline"], 30, ["change-delivery", "change-data"]),
        (["granular", "create_pipeline"], 20, ["read"]),
        (["granular", "create_project_access_token"], 40, ["grant-access"]),
        (["granular", "create_deployment"], 40, ["deploy"]),
    ],
)
def test_scopes_are_powers(scopes: list[str], role: int | None, can: list[str]) -> None:
    assert powers.of_scopes(scopes, role) == can


@pytest.mark.parametrize(
    ("scopes", "only"),
    [
        (["read_api", "read_user", "openid"], True),
        (["api"], False),
        (["read_api", "create_runner"], False),
        (["k8s_proxy"], False),
        (["write_registry"], False),
        (["a_scope_of_tomorrow"], None),
        (["granular"], None),
        (["granular", "read_job"], True),
        (["granular", "read_job", "delete_job"], False),
    ],
)
def test_what_only_reads_is_identified(scopes: list[str], only: bool | None) -> None:
    assert powers.read_only(scopes) is only


def test_a_token_that_ended_can_do_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    instance = build()
    base = access_token(613, "ended", 301, "api", created=400, used=300, ends=-30)
    instance.lists["/projects/9002/access_tokens"].append(bound_token(base, 40, "project", 9002))
    records = read(instance, tmp_path, monkeypatch)
    assert credential(records, "gitlab:project-access-token:613").enabled is False
    ended = next(row for row in of(records, Grant) if row.id.endswith("project-access-token/613"))
    assert ended.powers == []


@pytest.mark.parametrize(
    ("level", "role", "confidence"), [(20, "Reporter", "high"), (None, "unknown role", "low")]
)
def test_a_token_whose_role_is_not_shown_has_what_its_scopes_allow(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, level: int | None, role: str, confidence: str
) -> None:
    instance = build()
    base = access_token(614, "unsaid", 301, "read_repository", created=4, used=3, ends=30)
    instance.lists["/projects/9002/access_tokens"].append(
        {**bound_token(base, 20, "project", 9002), "access_level": level}
    )
    records = read(instance, tmp_path, monkeypatch)
    held = next(row for row in of(records, Grant) if row.id.endswith("project-access-token/614"))
    assert (held.role, held.confidence, held.powers) == (role, confidence, ["read-data"])


def test_guards_are_controls(night: list[Record]) -> None:
    enforced = {
        "gitlab:branch-protection:9001/901",
        "gitlab:environment-approval:9001/541",
        "gitlab:environment-protection:9001/541",
        "gitlab:job-token-scope:9001",
        "gitlab:merge-approval:9001",
        "gitlab:webhook-tls:project/811",
        "gitlab:runner-exposure:402",
        "gitlab:runner-exposure:403",
        "gitlab:two-factor-requirement:8001",
    }
    absent = {
        "gitlab:environment-approval:9002/543",
        "gitlab:environment-protection:9002/543",
        "gitlab:job-token-scope:9002",
        "gitlab:merge-approval:9002",
        "gitlab:webhook-tls:project/812",
        "gitlab:runner-exposure:401",
    }
    found = {row.id: row.enforcement for row in of(night, Control)}
    assert {key for key in enforced if found[key] == "enforced"} == enforced
    assert {key for key in absent if found[key] == "absent"} == absent
    assert control(night, "gitlab:environment-approval:9001/541").approvers == ["user 101"]


@pytest.mark.parametrize(
    ("name", "push", "kind", "enforcement"),
    [
        ("main", 40, "branch-protection", "enforced"),
        ("m*", 0, "branch-protection", "enforced"),
        ("main", 30, "branch-protection", "absent"),
        ("release/*", 40, "protected-branch", "enforced"),
    ],
)
def test_only_a_rule_on_the_default_branch_that_stops_developers_protects_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, push: int, kind: str, enforcement: str
) -> None:
    instance = build()
    instance.lists["/projects/9002/protected_branches"] = [protected_branch(7, name, push=push)]
    records = read(instance, tmp_path, monkeypatch)
    assert control(records, f"gitlab:{kind}:9002/7").enforcement == enforcement


def test_who_pushes_past_a_protected_branch_is_identified(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    instance = build()
    guard = protected_branch(7, "main", push=40)
    guard["push_access_levels"] += [
        access(None, group_id=8002),
        access(None, member_role_id=9, member_role_name="Release manager"),
        access(40, deploy_key_id=522),
    ]
    instance.lists["/projects/9002/protected_branches"] = [guard]
    records = read(instance, tmp_path, monkeypatch)
    assert control(records, "gitlab:branch-protection:9002/7").bypass == [
        "group 8002",
        "custom role Release manager",
        "deploy key 522",
    ]


@pytest.mark.parametrize(
    ("rule", "enforcement"),
    [
        ({}, "enforced"),
        ({"protected_branches": [{"name": "release/*"}]}, "absent"),
        ({"protected_branches": [{"name": "ma*"}]}, "enforced"),
        ({"protected_branches": [{"name": "x"}], "applies_to_all_protected_branches": True}, "enforced"),
        ({"rule_type": "report_approver", "report_type": "scan_finding"}, "absent"),
        ({"rule_type": "report_approver", "report_type": "any_merge_request"}, "enforced"),
        ({"approvals_required": 0}, "absent"),
    ],
)
def test_only_a_rule_for_the_default_branch_is_an_approval(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rule: dict[str, Any], enforcement: str
) -> None:
    instance = build()
    named = [one["name"] for one in rule.get("protected_branches", [])]
    instance.lists["/projects/9002/protected_branches"] = [
        protected_branch(8, name, push=40) for name in named
    ]
    instance.lists["/projects/9002/approval_rules"] = [approval_rule(3, "Security", 1, **rule)]
    records = read(instance, tmp_path, monkeypatch)
    assert control(records, "gitlab:merge-approval:9002").enforcement == enforcement


def test_an_older_gitlab_does_not_tell_whether_webhooks_have_a_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, night: list[Record]
) -> None:
    found = {row.id: row.enforcement for row in of(night, Control) if row.kind == "webhook-signature"}
    assert found["gitlab:webhook-signature:project/812"] == "absent"
    assert found["gitlab:webhook-signature:project/811"] == "enforced"
    instance = build()
    for given in instance.lists["/projects/9002/hooks"]:
        del given["token_present"], given["signing_token_present"]
    records = read(instance, tmp_path, monkeypatch)
    assert [row.account_id for row in gaps(records) if row.kind == "webhook-signature"] == [
        "gitlab:project:9002"
    ]


def test_a_group_that_is_invited_holds_a_grant(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    instance = build()
    instance.projects[9001]["shared_with_groups"] = [share(8900, "Contractors", "contractors", 40)]
    records = read(instance, tmp_path, monkeypatch)
    (given,) = grants(records, "gitlab:group-members:8900")
    assert (given.role, given.level, given.resource) == ("Maintainer", "escalation", "lantern/risk-engine")
    assert identity(records, "gitlab:group-members:8900").name == "contractors"


def test_a_group_that_is_invited_to_a_subgroup_holds_a_grant(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    instance = build()
    instance.groups[8002]["shared_with_groups"] = [
        {**share(8900, "Contractors", "contractors", 40, ends=30), "member_role_id": 9}
    ]
    records = read(instance, tmp_path, monkeypatch)
    (given,) = grants(records, "gitlab:group-members:8900")
    assert (given.resource, given.level, given.confidence) == ("lantern/research/*", "escalation", "low")
    assert given.expires_at is not None
    with GitLabSandbox(instance=instance) as sandbox:
        sandbox.fail("/groups/8002", 403)
        records = collected(config(sandbox, monkeypatch), run(tmp_path))
    assert not grants(records, "gitlab:group-members:8900")
    assert ("gitlab:group:8002", "grants", "invited-group", "denied") in {
        (row.account_id, row.table, row.kind, row.reason) for row in gaps(records)
    }


def test_a_group_that_is_being_deleted_is_no_longer_active(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    instance = build()
    instance.groups[8002]["marked_for_deletion_on"] = "2026-11-20"
    records = read(instance, tmp_path, monkeypatch)
    active = {row.id: row.active for row in of(records, Account) if row.kind == "gitlab-group"}
    assert active == {"gitlab:group:8001": True, "gitlab:group:8002": False}


def test_a_group_on_the_allowlist_is_named_by_its_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    instance = build()
    allowed = basic_group(instance.groups[8002])
    instance.lists["/projects/9001/job_token_scope/groups_allowlist"] = [allowed]
    records = read(instance, tmp_path, monkeypatch)
    assert control(records, "gitlab:job-token-group:9001/8002").name == "lantern/research"


def test_a_project_on_the_allowlist_holds_a_grant(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    instance = build()
    instance.lists["/projects/9001/job_token_scope/allowlist"].append(instance.projects[9002])
    records = read(instance, tmp_path, monkeypatch)
    across = [row for row in grants(records, "gitlab:pipeline:9002") if row.resource == "lantern/risk-engine"]
    assert [(row.role, row.conditional) for row in across] == [("CI_JOB_TOKEN", True)]


def test_a_schedule_runs_as_its_owner(night: list[Record]) -> None:
    orphan = identity(night, "gitlab:schedule:562")
    assert (orphan.owner, orphan.tags["owner_state"]) == ("lena.left", "blocked")
    links = {(row.source_id, row.relation) for row in of(night, Link) if row.target_id == orphan.id}
    assert links == {("gitlab:user:103", "owns")}
    assert secret(night, "EXPORT_TOKEN").store == "gitlab-schedule-variable"


def test_a_secret_among_the_inputs_of_a_schedule_is_identified(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    instance = build()
    token = secret_value("gitlab/test/input", 40, "xoxb-")
    instance.objects["/projects/9002/pipeline_schedules/562"]["inputs"] = [
        {"name": "depth", "value": 3},
        {"name": "EXPORT_TOKEN", "value": token},
    ]
    records = read(instance, tmp_path, monkeypatch)
    found = [row for row in of(records, Secret) if row.name == "EXPORT_TOKEN"]
    assert {row.location for row in found} == {
        "lantern/fraud-model schedule 562",
        "lantern/fraud-model schedule 562 inputs",
    }
    assert token not in msgspec.json.encode(records).decode()


def test_deployments_are_reported(night: list[Record]) -> None:
    found = {(row.pipeline_id, row.environment, row.deployed_by) for row in of(night, Deployment)}
    assert found == {
        ("gitlab:pipeline:9001", "production", "maya.ops"),
        ("gitlab:pipeline:9002", "development", "finn.data"),
    }


def test_an_older_gitlab_is_read_by_rest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, night: list[Record]
) -> None:
    with GitLabSandbox(without=frozenset({"lastUsed", "runUntagged"})) as sandbox:
        records = collected(config(sandbox, monkeypatch), run(tmp_path))
        assert sandbox.calls["GET /projects/:id/triggers"] == len(PROJECTS)
        assert sandbox.calls["GET /runners/:id"] == len(sandbox.instance.runners)
    for kind in (Identity, Control):
        runners = [row for row in of(night, kind) if "runner" in row.id]
        assert runners
        assert runners == [row for row in of(records, kind) if "runner" in row.id]
    assert identity(records, "gitlab:runner:402").owner == "maya.ops"
    new, old = (credential(rows, "gitlab:trigger-token:532") for rows in (night, records))
    assert (new.last_used_at, new.never_expires, new.owner) == (
        old.last_used_at,
        old.never_expires,
        old.owner,
    )
    # A night on which GraphQL fails must not find a token old that no other night does.
    assert new.created_at is None
    assert old.created_at is None


def test_runners_and_triggers_of_many_pages_are_read_to_the_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    instance = build()
    instance.runners = [runner(number, f"r{number}", "GROUP_TYPE") for number in range(1, 231)]
    records = read(instance, tmp_path, monkeypatch)
    assert len([row for row in of(records, Identity) if row.kind == "gitlab-runner"]) == 230


def test_which_projects_are_read_is_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chosen = {"include": ["lantern/*"], "exclude": ["lantern/hand*", "*/fraud-model"]}
    records = read(build(), tmp_path, monkeypatch, projects=chosen)
    assert {row.name for row in of(records, Account) if row.kind == "gitlab-project"} == {
        "risk-engine",
        "ci-templates",
    }


def test_projects_of_subgroups_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    instance = build()
    instance.projects[9050] = project(9050, "papers", instance.groups[8002])
    instance.objects["/projects/9050/job_token_scope"] = {"inbound_enabled": True, "outbound_enabled": False}
    records = read(instance, tmp_path, monkeypatch)
    row = next(row for row in of(records, Account) if row.id == "gitlab:project:9050")
    assert (row.address, row.parent_id) == ("lantern/research/papers", "gitlab:group:8002")


def test_a_variable_of_a_group_above_names_the_role_below(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    instance = build()
    inner = group(8003, "ai", "Ai", parent=instance.groups[8002])
    # Sorted by name, the inner group comes first.
    instance.groups = {8001: instance.groups[8001], 8003: inner, 8002: instance.groups[8002]}
    instance.projects[9051] = project(9051, "train", inner)
    instance.lists["/groups/8002/variables"].append(
        variable("TRAIN_ROLE", "arn:aws:iam::300000000003:role/train")
    )
    instance.files["9051/.gitlab-ci.yml"] = instance.files["9001/.gitlab-ci.yml"].replace(
        "arn:aws:iam::200000000002:role/deploy-risk", "$TRAIN_ROLE"
    )
    records = read(instance, tmp_path, monkeypatch)
    used = {row.target_id for row in of(records, Link) if row.source_id == "gitlab:pipeline:9051"}
    assert "arn:aws:iam::300000000003:role/train" in used


def test_an_archived_project_still_shows_what_opens_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    instance = build()
    instance.projects[9002]["archived"] = True
    records = read(instance, tmp_path, monkeypatch)
    mine = [row for row in records if row.account_id == "gitlab:project:9002"]
    assert {row.kind for row in of(mine, Credential)} == {
        "deploy-key",
        "deploy-token",
        "project-access-token",
    }
    assert [(row.table, row.reason) for row in gaps(mine)] == [("secrets", "unsupported")]
    assert not of(mine, Secret)


def test_projects_in_peoples_own_namespaces_are_read_with_the_instance(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    instance = build()
    own = project(9070, "playground", group(70, "maya.ops", "Maya Ops"))
    own["namespace"]["kind"] = "user"
    instance.projects[9070] = own
    instance.objects["/projects/9070/job_token_scope"] = {"inbound_enabled": False, "outbound_enabled": False}
    records = read(instance, tmp_path, monkeypatch)
    row = next(row for row in of(records, Account) if row.id == "gitlab:project:9070")
    assert row.parent_id is None
    assert control(records, "gitlab:job-token-scope:9070").enforcement == "absent"


def test_permissions_are_read_only() -> None:
    text = collectors.gitlab.permissions()
    assert "read_api" in text
    assert "write" not in text.replace("It writes nothing", "")


def test_a_certificate_authority_for_ssh_is_a_credential_of_all_members(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    instance = build()
    instance.lists["/groups/8001/ssh_certificates"] = [give.ssh_certificate(3, "offices", created=300)]
    records = read(instance, tmp_path, monkeypatch)
    authority = credential(records, "gitlab:ssh-certificate:3")
    assert (authority.kind, authority.identity_id) == ("ssh-certificate", "gitlab:group-members:8001")
    assert (authority.lifetime, authority.name, authority.location) == ("static", "offices", "lantern")


@pytest.mark.parametrize(
    ("rules", "settings", "expected"),
    [
        # Nobody pushes; two approve, none of them the author.
        ([("main", 0, 40)], {}, ("enforced", 2, True, True)),
        ([("main", 0, 30)], {}, ("enforced", 2, True, False)),
        # The author may be one of the two.
        ([("main", 0, 40)], {"author": True}, ("enforced", 1, True, True)),
        ([("main", 0, 40)], {"reset": False}, ("enforced", 2, False, True)),
        # Maintainers push without any merge request.
        ([("main", 40, 40)], {}, ("enforced", 0, None, True)),
        # Of two rules that match, the more permissive decides.
        ([("main", 0, 40), ("*", 30, 40)], {}, ("absent", 0, None, False)),
        ([("main", 0, 40), ("ma*", 40, 40)], {}, ("enforced", 0, None, True)),
        ([("main", 0, 40), ("release/*", 30, 40)], {}, ("enforced", 2, True, True)),
    ],
)
def test_what_protects_the_default_branch_by_all_rules_that_match_it(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    rules: list[tuple[str, int, int]],
    settings: dict[str, bool],
    expected: tuple[str, int, bool | None, bool],
) -> None:
    """https://docs.gitlab.com/user/project/repository/branches/protected/"""
    instance = build()
    instance.lists["/projects/9002/protected_branches"] = [
        protected_branch(20 + number, name, push=push, merge=merge)
        for number, (name, push, merge) in enumerate(rules)
    ]
    instance.lists["/projects/9002/approval_rules"] = [approval_rule(3, "All", 2, rule_type="any_approver")]
    instance.objects["/projects/9002/approvals"] = approvals(**settings)
    found = control(read(instance, tmp_path, monkeypatch), "gitlab:branch-protection:9002/20")
    assert (found.enforcement, found.approvals, found.approvals_end, found.restricted) == expected


def test_a_service_account_with_a_chosen_name_is_no_person(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its list says what it is; a list of members does not: https://docs.gitlab.com/api/service_accounts/"""
    instance = build()
    (account,) = instance.lists["/groups/8001/service_accounts"]
    account["username"] = "release-train"
    (row,) = [one for one in instance.lists["/groups/8001/members"] if one["id"] == account["id"]]
    row["username"] = "release-train"
    records = read_as_member(instance, tmp_path, monkeypatch)
    (found,) = [row for row in of(records, Identity) if row.native_id == str(account["id"])]
    assert (found.kind, found.surface, found.name) == (
        "gitlab-service-account",
        "automation",
        "release-train",
    )
    assert [row for row in of(records, Grant) if row.identity_id == found.id]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("gitlab_security_policy_project_17_bot_9f3a", "gitlab-bot"),
        ("automation-bot", "gitlab-bot"),
        ("GitLab-Security-Bot", "gitlab-bot"),
        ("gitea_2dfba_placeholder_user_1", "gitlab-bot"),
        ("jo-security-bot", "gitlab-user"),
        ("security-botany", "gitlab-user"),
    ],
)
def test_the_bots_of_gitlab_itself_keep_their_grants(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, kind: str
) -> None:
    instance = build()
    rows = instance.lists["/groups/8001/members"]
    someone = next(one for one in rows if one["username"] == "finn.data")
    someone["username"] = name
    records = read_as_member(instance, tmp_path, monkeypatch)
    (found,) = [row for row in of(records, Identity) if row.native_id == str(someone["id"])]
    assert found.kind == kind
    assert [row for row in of(records, Grant) if row.identity_id == found.id]


def test_a_rule_of_another_branch_is_judged_for_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    instance = build()
    instance.lists["/projects/9002/protected_branches"] = [
        protected_branch(20, "main", push=0),
        protected_branch(21, "release/*", push=30),
        protected_branch(22, "hotfix", push=40),
    ]
    records = read(instance, tmp_path, monkeypatch)
    found = {number: control(records, f"gitlab:protected-branch:9002/{number}") for number in (21, 22)}
    assert {number: (row.enforcement, row.detail) for number, row in found.items()} == {
        21: ("absent", "push: Developer, merge: Maintainer"),
        22: ("enforced", "push: Maintainer, merge: Maintainer"),
    }
    assert control(records, "gitlab:branch-protection:9002/20").enforcement == "enforced"
