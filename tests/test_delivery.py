"""The signature comparison where it is easy to get wrong: nights written by hand, and what each pipeline has too much."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from scanner.records import Account, Credential, Deployment, Gap, Secret, Test
from tests.test_reach import AS_OF, PROD, analyzed, grant, identity, link, listed, pipeline, trust

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.records import Record

OTHER = "aws:account:2"
PASSES = Test(claim="sub", operator="equals", values=["s"])


def gap(account_id: str, table: str = "grants", kind: str | None = None) -> Gap:
    return Gap(
        id=f"gap-{account_id}-{table}",
        provider="aws",
        account_id=account_id,
        collector="aws",
        target="1",
        table=table,
        kind=kind,
        call="c",
        reason="denied",
        detail="no",
    )


def workload(name: str, **more: Any) -> Record:
    return identity(name, surface="workload", kind="lambda-function", **more)


NIGHT: tuple[Record, ...] = (
    identity("deployer"),
    identity("runtime"),
    workload("api"),
    trust("deployer", PASSES),
    link("deploy", "deploys", "api"),
    link("api", "runs_as", "runtime"),
    grant("runtime", "read-data"),
    grant("deployer", "deploy"),
    listed(),
)
"""A pipeline ``deploy``, to be added, that is equal to what it delivers."""


def compared(folder: Path, *records: Record) -> dict[tuple[str, str], tuple[list[str], bool]]:
    """Return excess and completeness by pipeline and workload."""
    with analyzed(folder, *records) as tables:
        query = "SELECT pipeline_id, workload_id, excess, complete FROM excess"
        return {(one, other): (excess, complete) for one, other, excess, complete in tables.rows(query)}


def test_an_equal_pipeline_is_said_to_be_equal(tmp_path: Path) -> None:
    assert compared(tmp_path, *NIGHT, pipeline("deploy", "s")) == {("deploy", "api"): ([], True)}


def test_each_of_several_workloads_is_compared_with_what_it_has_itself(tmp_path: Path) -> None:
    found = compared(
        tmp_path,
        *NIGHT,
        pipeline("deploy", "s"),
        grant("deployer", "change-data", role="more"),
        workload("worker"),
        identity("worker-role"),
        link("deploy", "deploys", "worker"),
        link("worker", "runs_as", "worker-role"),
        grant("worker-role", "change-data"),
    )
    assert found == {("deploy", "api"): (["change-data"], True), ("deploy", "worker"): ([], True)}


def test_a_workload_whose_role_is_not_in_the_inventory_is_no_clean_comparison(tmp_path: Path) -> None:
    found = compared(
        tmp_path,
        *NIGHT,
        pipeline("deploy", "s"),
        workload("far"),
        link("deploy", "deploys", "far"),
        link("far", "runs_as", "arn:aws:iam::999999999999:role/unseen"),
    )
    assert found[("deploy", "far")] == ([], False)


def test_a_pipeline_that_asks_for_a_role_nobody_listed_is_no_clean_comparison(tmp_path: Path) -> None:
    asking = link("deploy", "uses", "arn:aws:iam::999999999999:role/unseen")
    assert compared(tmp_path, *NIGHT, asking, pipeline("deploy", "s")) == {("deploy", "api"): ([], False)}


def test_a_chain_of_roles_is_followed_to_its_end_and_its_gaps_count(tmp_path: Path) -> None:
    chain = (
        pipeline("deploy", "s"),
        identity("boss", account_id=OTHER, address="arn:aws:iam::2:role/boss"),
        listed(OTHER),
        link("deployer", "can_become", "boss"),
    )
    found = compared(tmp_path, *NIGHT, *chain, grant("boss", "admin"))
    assert found == {("deploy", "api"): (["admin"], True)}
    (tmp_path / "denied").mkdir()
    found = compared(tmp_path / "denied", *NIGHT, *chain, gap(OTHER))
    assert found == {("deploy", "api"): ([], False)}


def test_a_gap_where_nothing_is_passed_through_changes_nothing(tmp_path: Path) -> None:
    elsewhere = (gap(OTHER), identity("outsider", account_id=OTHER))
    assert compared(tmp_path, *NIGHT, *elsewhere, pipeline("deploy", "s")) == {("deploy", "api"): ([], True)}


def test_a_stored_key_counts_and_one_that_nobody_knows_leaves_a_doubt(tmp_path: Path) -> None:
    signing = pipeline(
        "deploy", "s", logins=["aws:static"], secrets=["AWS_SECRET_ACCESS_KEY", "aws_access_key_id"]
    )
    assert compared(tmp_path, *NIGHT, signing) == {("deploy", "api"): ([], False)}
    key = Credential(
        id="key",
        provider="aws",
        account_id=PROD,
        identity_id="user",
        kind="access-key",
        native_id="AKIA",
        name="k",
        lifetime="static",
    )
    stored = Secret(
        id="stored",
        provider="github",
        account_id="github:repo:1",
        store="github-variable",
        name="AWS_ACCESS_KEY_ID",
        credential_id="key",
    )
    (tmp_path / "known").mkdir()
    user = (identity("user", kind="iam-user"), grant("user", "read-secrets"))
    found = compared(tmp_path / "known", *NIGHT, signing, key, stored, *user)
    assert found == {("deploy", "api"): (["read-secrets"], True)}


def test_a_name_is_taken_for_a_workload_of_an_account_that_the_pipeline_reaches(tmp_path: Path) -> None:
    named = msgspec.structs.replace(
        link("deploy", "deploys", "aws:lambda-function-name:mail"),
        target_provider="aws",
        target_kind="lambda-function",
        target_name="mail",
    )
    mail = workload("mail", address="arn:aws:lambda:eu-west-1:1:function:mail")
    found = compared(tmp_path, *NIGHT, named, mail, pipeline("deploy", "s"))
    assert found[("deploy", "mail")] == ([], True)
    (tmp_path / "far").mkdir()
    far = workload("mail", account_id=OTHER, address="arn:aws:lambda:eu-west-1:2:function:mail")
    found = compared(tmp_path / "far", *NIGHT, named, far, pipeline("deploy", "s"))
    assert found[("deploy", "mail")] == ([], False)


def test_what_a_called_workflow_deploys_its_callers_deploy(tmp_path: Path) -> None:
    found = compared(
        tmp_path,
        *(record for record in NIGHT if record.id != "deploy-deploys-api"),
        pipeline("caller", "s"),
        pipeline("called", reusable="only"),
        link("caller", "uses", "called"),
        link("called", "deploys", "api"),
        grant("deployer", "read-secrets", role="more"),
    )
    assert found == {("caller", "api"): (["read-secrets"], True)}


def test_a_called_workflow_without_a_caller_is_no_clean_comparison(tmp_path: Path) -> None:
    found = compared(tmp_path, *NIGHT, pipeline("deploy", reusable="only"))
    assert found == {("deploy", "api"): ([], False)}


def test_what_a_pipeline_may_do_in_its_own_repository_is_not_compared(tmp_path: Path) -> None:
    own = grant("deploy", "change-data", "read-data", role="GITHUB_TOKEN")
    assert compared(tmp_path, *NIGHT, own, pipeline("deploy", "s")) == {("deploy", "api"): ([], True)}
    (tmp_path / "both").mkdir()
    both = (own, grant("deployer", "change-data", role="more"))
    found = compared(tmp_path / "both", *NIGHT, *both, pipeline("deploy", "s"))
    assert found == {("deploy", "api"): (["change-data"], True)}


def test_a_pipeline_of_an_archived_repository_delivers_nothing(tmp_path: Path) -> None:
    assert compared(tmp_path, *NIGHT, pipeline("deploy", "s", enabled=False)) == {}


def held(folder: Path, *records: Record) -> list[str]:
    """Return who holds the key of the user."""
    key = Credential(
        id="key",
        provider="aws",
        account_id=PROD,
        identity_id="user",
        kind="access-key",
        native_id="AKIA",
        name="k",
        lifetime="static",
    )
    with analyzed(folder, key, identity("user", kind="iam-user"), *records) as tables:
        return [
            row[0] for row in tables.rows("SELECT source_id FROM edges WHERE kind = 'holds-key' ORDER BY 1")
        ]


def place(name: str, parent: str | None = None, visibility: str = "private") -> Account:
    return Account(
        id=name,
        provider="github",
        account_id=name,
        kind="github-repository",
        native_id=name,
        name=name,
        parent_id=parent,
        visibility=visibility,
    )


def stored(account_id: str, **more: Any) -> Secret:
    return Secret(
        id="stored",
        provider="github",
        account_id=account_id,
        store="github-variable",
        name="AWS_KEY_ID",
        credential_id="key",
        **more,
    )


def reader(name: str, account_id: str, **more: Any) -> Record:
    return identity(
        name,
        account_id=account_id,
        provider="github",
        kind="github-workflow",
        variables=["aws_key_id"],
        **more,
    )


PLACES = (
    place("top"),
    place("sub", "top"),
    place("deep", "sub"),
    place("open", "top", "public"),
    reader("in-deep", "deep", environments=["production/eu"]),
    reader("in-open", "open"),
    reader("elsewhere", "other"),
)


def test_a_key_of_a_group_reaches_the_pipelines_of_all_its_projects(tmp_path: Path) -> None:
    assert held(tmp_path, *PLACES, stored("top")) == ["in-deep", "in-open"]


def test_a_key_for_some_repositories_reaches_those(tmp_path: Path) -> None:
    chosen = stored("top", visibility="selected", available_to=["deep", "x"])
    assert held(tmp_path, *PLACES, chosen) == ["in-deep"]


def test_a_key_for_private_repositories_does_not_reach_a_public_one(tmp_path: Path) -> None:
    assert held(tmp_path, *PLACES, stored("top", visibility="private")) == ["in-deep"]


def test_a_key_of_an_environment_reaches_the_jobs_that_name_it(tmp_path: Path) -> None:
    assert held(tmp_path, *PLACES, stored("deep", environment="Production/*")) == ["in-deep"]


def test_a_key_of_another_environment_reaches_nobody(tmp_path: Path) -> None:
    assert held(tmp_path, *PLACES, stored("deep", environment="staging")) == []


def test_a_deployment_gives_a_comparison_without_a_link(tmp_path: Path) -> None:
    deployed = Deployment(
        id="d", provider="github", account_id="github:repo:1", pipeline_id="deploy", workload_id="api"
    )
    night = [record for record in NIGHT if record.id != "deploy-deploys-api"]
    assert compared(tmp_path, *night, pipeline("deploy", "s"), deployed) == {("deploy", "api"): ([], True)}


def test_nothing_in_excess_is_said_only_where_nothing_can_be_hidden(tmp_path: Path) -> None:
    """Each doubt alone makes the comparison incomplete, and each look-alike leaves it complete."""
    platform = place("github:repo:1", "github:org:1")
    secret = stored("github:repo:1")
    key = Credential(
        id="key", provider="aws", account_id=PROD, identity_id="user", kind="access-key", native_id="A", name="k",
        lifetime="static",
    )  # fmt: skip
    reading = pipeline("deploy", "s", variables=["AWS_KEY_ID"])
    plain = pipeline("deploy", "s")
    doubts: dict[str, tuple[Record, ...]] = {
        "secrets of the pipeline": (plain, gap("github:repo:1", "secrets")),
        "secrets above the pipeline": (plain, platform, gap("github:org:1", "secrets")),
        "credentials of the workload": (plain, gap(PROD, "credentials", "access-key")),
        "identities of the role": (plain, gap(PROD, "identities", "iam-group")),
        "unknown group": (plain, link("deployer", "member_of", "gone")),
        "unknown role": (plain, link("deployer", "can_become", "gone")),
        "key of nobody known": (reading, secret),
        "key of an unknown user": (reading, secret, key),
        "recognized value": (reading, msgspec.structs.replace(secret, credential_id=None, looks_like="some-token")),
        "pipeline not listed": (),
    }  # fmt: skip
    certain: dict[str, tuple[Record, ...]] = {
        "use is not permission": (
            plain,
            msgspec.structs.replace(gap(PROD, "grants", "last-accessed"), hides_access=False),
        ),
        "controls": (plain, gap(PROD, "controls")),
        "secrets elsewhere": (plain, platform, gap("github:org:2", "secrets")),
        "ended membership": (
            plain,
            msgspec.structs.replace(link("deployer", "member_of", "gone"), expires_at=AS_OF),
        ),
        "dead key of an unknown user": (reading, secret, msgspec.structs.replace(key, enabled=False)),
        "a name that sounds like one": (
            reading,
            msgspec.structs.replace(
                secret, credential_id=None, looks_like="access-key", recognized_by="name"
            ),
        ),
    }
    for expected, cases in ((False, doubts), (True, certain)):
        for case, records in cases.items():
            (tmp_path / case).mkdir()
            assert compared(tmp_path / case, *NIGHT, *records) == {("deploy", "api"): ([], expected)}, case


def test_grants_that_nobody_listed_are_no_clean_comparison(tmp_path: Path) -> None:
    night = [record for record in NIGHT if record != listed()]
    assert compared(tmp_path, *night, pipeline("deploy", "s")) == {("deploy", "api"): ([], False)}


def test_an_ended_grant_is_no_excess(tmp_path: Path) -> None:
    ended = grant("deployer", "admin", role="old", expires_at=AS_OF)
    assert compared(tmp_path, *NIGHT, ended, pipeline("deploy", "s")) == {("deploy", "api"): ([], True)}
