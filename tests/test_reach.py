"""Edges, shortest paths, and the signature comparison, from records literal enough to check by eye."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from scanner.analyze.reach import compute
from scanner.parquet import write_table
from scanner.records import (
    TABLES,
    Coverage,
    Credential,
    Gap,
    Grant,
    Identity,
    Link,
    Power,
    Record,
    Secret,
    Test,
    Trust,
    level_of,
)
from scanner.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AS_OF = datetime(2026, 11, 23, 2, tzinfo=UTC)
ISSUER = "https://token.actions.githubusercontent.com"
PROD = "aws:account:1"


def identity(name: str, **more: Any) -> Identity:
    given = {"surface": "automation", "kind": "iam-role", "account_id": PROD, "provider": "aws", **more}
    return Identity(id=name, native_id=name, name=name, **given)


def pipeline(name: str, *subjects: str, **more: Any) -> Identity:
    return identity(
        name,
        kind="github-workflow",
        provider="github",
        account_id="github:repo:1",
        is_pipeline=True,
        issuer=ISSUER,
        subjects=list(subjects),
        **more,
    )


def grant(holder: str, *powers: Power, resource: str = "*", role: str = "policy", **more: Any) -> Grant:
    return Grant(
        id=f"{holder}-{role}-{'-'.join(powers)}",
        provider="aws",
        account_id=PROD,
        identity_id=holder,
        role=role,
        resource=resource,
        breadth="account",
        powers=list(powers),
        level=level_of(list(powers)),
        **more,
    )


def listed(account_id: str = PROD) -> Coverage:
    """Return the evidence that the grants of an account were listed."""
    return Coverage(
        id=f"listed-{account_id}",
        provider="aws",
        account_id=account_id,
        collector="aws",
        target="1",
        table="grants",
        call="c",
        items=1,
    )


def trust(target: str, *tests: Test, kind: str = "oidc", issuer: str = ISSUER, **more: Any) -> Trust:
    return Trust(
        id=f"{target}-trust",
        provider="aws",
        account_id=PROD,
        identity_id=target,
        kind=kind,
        issuer=issuer,
        tests=list(tests),
        **more,
    )


def link(source: str, relation: Any, target: str) -> Link:
    return Link(
        id=f"{source}-{relation}-{target}",
        provider="aws",
        account_id=PROD,
        source_id=source,
        relation=relation,
        target_id=target,
    )


@contextmanager
def analyzed(folder: Path, *records: Record) -> Iterator[Tables]:
    tables = Tables([folder])
    try:
        for name, cls in TABLES.items():
            write_table(folder / f"records-{name}.parquet", cls, [r for r in records if type(r) is cls])
            tables.view(name, cls, [folder / f"records-{name}.parquet"])
        compute(tables, folder, AS_OF)
        yield tables
    finally:
        tables.close()


def edges(tables: Tables) -> list[tuple[Any, ...]]:
    return list(tables.rows("SELECT source_id, kind, target_id FROM edges ORDER BY ALL"))


def test_a_token_that_passes_gives_an_edge_and_one_that_does_not_gives_none(tmp_path: Path) -> None:
    pin = Test(claim="sub", operator="equals", values=["repo:acme/app:environment:production"])
    with analyzed(
        tmp_path,
        pipeline("deploy", "repo:acme/app:environment:production"),
        pipeline("other", "repo:acme/other:environment:production"),
        pipeline("branches", "repo:acme/app:ref:refs/heads/*"),
        identity("role"),
        trust("role", pin),
    ) as tables:
        assert edges(tables) == [("deploy", "trust", "role")]


def test_a_wide_trust_admits_every_repository_and_some_branches_are_a_pattern(tmp_path: Path) -> None:
    with analyzed(
        tmp_path,
        pipeline("a", "repo:acme/a:ref:refs/heads/main"),
        pipeline("b", "repo:acme/b:ref:refs/heads/*"),
        pipeline("outsider", "repo:evil/a:ref:refs/heads/main"),
        identity("wide"),
        identity("main-only"),
        trust("wide", Test(claim="sub", operator="glob", values=["repo:acme/*"])),
        trust("main-only", Test(claim="sub", operator="glob", values=["repo:acme/?:ref:refs/heads/main"])),
    ) as tables:
        assert edges(tables) == [
            ("a", "trust", "main-only"),
            ("a", "trust", "wide"),
            ("b", "trust", "wide"),
            ("b", "trust-pattern", "main-only"),
        ]


def test_a_condition_on_an_immutable_claim_refuses_the_renamed_repository(tmp_path: Path) -> None:
    tests = (
        Test(claim="sub", operator="glob", values=["repo:acme/app:*"]),
        Test(claim="repository_id", operator="equals", values=["5001"]),
    )
    with analyzed(
        tmp_path,
        pipeline("right", tokens=[{"sub": "repo:acme/app:ref:refs/heads/main", "repository_id": "5001"}]),
        pipeline("recycled", tokens=[{"sub": "repo:acme/app:ref:refs/heads/main", "repository_id": "6666"}]),
        identity("role"),
        trust("role", *tests),
    ) as tables:
        assert edges(tables) == [("right", "trust", "role")]


@pytest.mark.parametrize(
    ("presented", "trusted", "same"),
    [
        ("https://gitlab.example/Team", "gitlab.example/Team", True),
        ("https://gitlab.example/", "HTTPS://GitLab.Example", True),
        ("https://issuer.example/Team", "https://issuer.example/team", False),
        ("http://issuer.example", "https://issuer.example", False),
        ("https://issuer.example", "https://issuer.example.evil", False),
    ],
)
def test_issuers_are_compared_as_urls(tmp_path: Path, presented: str, trusted: str, same: bool) -> None:
    night = (
        msgspec.structs.replace(pipeline("deploy", "s"), issuer=presented),
        identity("role"),
        trust("role", issuer=trusted),
    )
    with analyzed(tmp_path, *night) as tables:
        assert bool(edges(tables)) is same


@pytest.mark.parametrize(
    ("claims", "kinds"),
    [
        ({"sub": "s", "aud": "sts"}, ["trust"]),
        ({"sub": "s", "aud": "vault"}, []),
        ({"sub": "s", "aud": "*"}, ["trust"]),
        ({"sub": "s"}, ["trust"]),
        # A token of unknown subject can have any.
        ({"aud": "sts"}, ["trust-pattern"]),
    ],
)
def test_the_audience_is_tested_unless_the_caller_chooses_it(
    tmp_path: Path, claims: dict[str, str], kinds: list[str]
) -> None:
    subject = Test(claim="sub", operator="equals", values=["s"])
    night = (
        pipeline("deploy", tokens=[claims]),
        identity("role"),
        trust("role", subject, audience=["sts"]),
    )
    with analyzed(tmp_path, *night) as tables:
        assert [kind for _, kind, _ in edges(tables)] == kinds


ENDED = AS_OF - timedelta(seconds=1)


def test_what_has_ended_leads_nowhere(tmp_path: Path) -> None:
    night = (
        identity("user", surface="human", kind="iam-user"),
        identity("team", kind="iam-group"),
        identity("old-team", kind="iam-group"),
        msgspec.structs.replace(link("user", "member_of", "team"), expires_at=AS_OF + timedelta(seconds=1)),
        msgspec.structs.replace(link("user", "member_of", "old-team"), expires_at=ENDED),
        grant("team", "read-secrets"),
        grant("team", "admin", expires_at=ENDED),
        grant("old-team", "grant-access"),
        grant("user", "become-other", expires_at=AS_OF),
    )
    with analyzed(tmp_path, *night) as tables:
        assert edges(tables) == [("user", "member_of", "team")]
        query = "SELECT power, steps FROM reach WHERE identity_id = 'user' ORDER BY ALL"
        assert list(tables.rows(query)) == [("read-secrets", 1)]


def test_what_an_identity_holds_itself_does_not_hide_a_way_to_more(tmp_path: Path) -> None:
    """A pipeline is the administrator of its sandbox, and reaches the administrator of production."""
    night = (
        identity("deploy"),
        identity("middle"),
        identity("boss"),
        link("deploy", "can_become", "middle"),
        link("middle", "can_become", "deploy"),
        link("middle", "can_become", "boss"),
        grant("deploy", "admin"),
        grant("boss", "admin"),
        grant("nobody-known", "admin"),
    )
    with analyzed(tmp_path, *night) as tables:
        query = "SELECT identity_id, steps, target_id FROM reach WHERE power = 'admin' ORDER BY ALL"
        assert list(tables.rows(query)) == [
            ("boss", 0, "boss"),
            ("deploy", 0, "deploy"),
            ("deploy", 2, "boss"),
            ("middle", 1, "boss"),
        ]


def test_a_long_chain_is_followed_to_its_end(tmp_path: Path) -> None:
    chain = [identity(f"r{n:02}") for n in range(20)]
    links = [link(f"r{n:02}", "can_become", f"r{n + 1:02}") for n in range(19)]
    with analyzed(tmp_path, *chain, *links, grant("r19", "deploy")) as tables:
        assert tables.one("SELECT steps FROM reach WHERE identity_id = 'r00' AND power = 'deploy'") == 19


def test_the_shortest_path_is_kept_and_reads_as_a_sentence(tmp_path: Path) -> None:
    with analyzed(
        tmp_path,
        pipeline("deploy", "s"),
        identity("role"),
        identity("helper"),
        identity("boss"),
        trust("role", Test(claim="sub", operator="equals", values=["s"])),
        link("role", "can_become", "helper"),
        link("helper", "can_become", "boss"),
        link("role", "can_become", "boss"),
        grant("boss", "admin", role="AdministratorAccess"),
    ) as tables:
        (row,) = tables.dicts("SELECT * FROM reach WHERE identity_id = 'deploy' AND power = 'admin'")
        assert (row["steps"], row["target_id"], row["level"]) == (2, "boss", "admin")
        assert row["path"] == [
            "deploy",
            "can sign in as role (iam-role) (its token s passes the trust)",
            "can escalate to boss (iam-role)",
            "has admin on * through AdministratorAccess",
        ]
        assert tables.one("SELECT steps FROM reach WHERE identity_id = 'boss' AND power = 'admin'") == 0


def test_cycles_end(tmp_path: Path) -> None:
    ring = [link(f"r{n}", "can_become", f"r{(n + 1) % 4}") for n in range(4)]
    with analyzed(tmp_path, *(identity(f"r{n}") for n in range(4)), *ring, grant("r0", "admin")) as tables:
        assert tables.rows("SELECT 1") is not None
        assert tables.one("SELECT count(*) FROM reach WHERE power = 'admin'") == 4


def test_a_held_key_leads_to_its_user(tmp_path: Path) -> None:
    key = Credential(
        id="key",
        provider="aws",
        account_id=PROD,
        identity_id="user",
        kind="access-key",
        native_id="AKIA",
        name="k",
        lifetime="static",
        enabled=True,
    )
    stored = Secret(
        id="var",
        provider="github",
        account_id="github:repo:1",
        store="github-variable",
        name="AWS_ACCESS_KEY_ID",
        credential_id="key",
    )
    records = (
        pipeline("deploy", secrets=["AWS_ACCESS_KEY_ID"]),
        pipeline("lint", secrets=["NPM_TOKEN"]),
        pipeline("everything", secrets=["*"]),
        identity("user", kind="iam-user"),
        key,
        stored,
    )
    with analyzed(tmp_path, *records) as tables:
        assert edges(tables) == [("deploy", "holds-key", "user"), ("everything", "holds-key", "user")]


def test_an_account_trust_needs_a_grant_on_the_other_side(tmp_path: Path) -> None:
    role = identity("role", address="arn:aws:iam::1:role/role")
    with analyzed(
        tmp_path,
        role,
        identity("allowed", account_id="aws:account:222222222222"),
        identity("elsewhere", account_id="aws:account:222222222222"),
        identity("powerless", account_id="aws:account:222222222222"),
        trust(
            "role",
            kind="account",
            issuer="arn:aws:iam::222222222222:root",
            trusted_account="aws:account:222222222222",
        ),
        grant("allowed", "become-other", resource="arn:aws:iam::1:role/*"),
        grant("elsewhere", "become-other", resource="arn:aws:iam::999:role/*"),
        grant("powerless", "change-data"),
    ) as tables:
        assert edges(tables) == [("allowed", "trust", "role")]


def excess(tables: Tables) -> dict[str, Any]:
    (row,) = tables.dicts("SELECT * FROM excess")
    return row


def delivery(
    *more: Record, pipeline_powers: tuple[Power, ...], workload_powers: tuple[Power, ...]
) -> tuple[Record, ...]:
    return (
        pipeline("deploy", "s"),
        identity("deployer"),
        identity("runtime"),
        identity("api", surface="workload", kind="lambda-function"),
        trust("deployer", Test(claim="sub", operator="equals", values=["s"])),
        link("deploy", "deploys", "api"),
        link("api", "runs_as", "runtime"),
        grant("deployer", *pipeline_powers, role="DeployerPolicy"),
        grant("runtime", *workload_powers),
        listed(),
        *more,
    )


def test_the_excess_is_what_delivering_does_not_need_and_the_workload_does_not_have(tmp_path: Path) -> None:
    given = delivery(
        pipeline_powers=("read-secrets", "change-delivery", "deploy", "change-data", "read"),
        workload_powers=("change-data", "read"),
    )
    with analyzed(tmp_path, *given) as tables:
        row = excess(tables)
        assert row["excess"] == ["read-secrets"]
        assert row["complete"]
        assert row["path"][-1] == {
            "what": "has read-secrets on * through DeployerPolicy",
            "because": None,
            "kind": "grant",
            "identity_id": None,
            "name": "*",
            "identity_kind": None,
            "via": "DeployerPolicy",
            "power": "read-secrets",
        }
        assert all(step["what"] and step["because"] != "" for step in row["path"])
        assert row["why"].startswith(
            "deploy deploys api and can reach permissions it does not have: read-secrets."
        )


def test_equal_signatures_have_no_excess(tmp_path: Path) -> None:
    with analyzed(tmp_path, *delivery(pipeline_powers=("deploy",), workload_powers=("read-data",))) as tables:
        assert (excess(tables)["excess"], excess(tables)["complete"]) == ([], True)


def test_a_workload_that_is_administrator_leaves_no_excess(tmp_path: Path) -> None:
    with analyzed(tmp_path, *delivery(pipeline_powers=("admin",), workload_powers=("admin",))) as tables:
        assert excess(tables)["excess"] == []


def escape(source: str, target: str, fix: str | None) -> tuple[Record, ...]:
    """Return a link by which an identity makes itself another, and a grant that is evaluated otherwise."""
    return (
        msgspec.structs.replace(link(source, "can_become", target), fix=fix),
        grant(source, "become-other", role=f"passes-{target}", fix="Something else."),
    )


@pytest.mark.parametrize(
    ("more", "fix"),
    [
        ((), "deployer (iam-role): Replace DeployerPolicy with only what deploying api requires."),
        (
            (grant("deployer", "admin", role="A", fix="Replace A."),),
            "deployer (iam-role): Replace A.",
        ),
        (
            (grant("deployer", "admin", role="A", fix="Replace A."), grant("deployer", "admin", role="B")),
            "deployer (iam-role): Replace A.",
        ),
        (
            (identity("boss"), grant("boss", "admin", fix="Replace it."), *escape("deployer", "boss", "Name the roles.")),
            "deployer (iam-role): Name the roles.",
        ),
        (
            (identity("boss"), grant("boss", "admin", fix="Replace it."), *escape("deployer", "boss", None)),
            "deployer (iam-role): Remove the permission that lets it become boss (iam-role).",
        ),
        (
            (identity("boss"), grant("boss", "admin", fix="Replace it."), link("deployer", "runs_as", "boss")),
            "boss (iam-role): Replace it.",
        ),
    ],
    ids=["no advice known", "a grant", "two grants", "an escape", "an escape without advice", "another identity"],
)  # fmt: skip
def test_the_way_to_the_excess_is_cut_with_the_smallest_change(
    tmp_path: Path, more: tuple[Record, ...], fix: str
) -> None:
    powers: tuple[Power, ...] = ("deploy",) if more else ("read-secrets",)
    given = delivery(*more, pipeline_powers=powers, workload_powers=("read-data",))
    with analyzed(tmp_path, *given) as tables:
        assert excess(tables)["fix"] == fix


def test_changes_are_listed_until_nothing_is_left_and_a_cut_by_trust_ends_the_trust_too(
    tmp_path: Path,
) -> None:
    """An escalation that works by the target's trust ends with it; a second grant and a second way need their own."""
    into_boss = msgspec.structs.replace(link("deployer", "can_become", "boss"), fix="Leave the trust.")
    boss = (
        identity("boss", account_id="aws:account:222222222222"),
        trust("boss", kind="account", issuer="deployer"),
        grant("deployer", "become-other", resource="*", role="Assumes"),
        grant("boss", "admin"),
    )
    given = delivery(*boss, pipeline_powers=("deploy",), workload_powers=("become-other",))
    with analyzed(tmp_path / "a", *given, msgspec.structs.replace(into_boss, by_trust=True)) as tables:
        row = excess(tables)
        assert (row["cut"], row["fix"]) == (1, "deployer (iam-role): Leave the trust.")
        assert (row["excess_after_fix"], row["more_fixes"]) == ([], [])
    with analyzed(tmp_path / "b", *given, into_boss) as tables:
        row = excess(tables)
        assert row["excess_after_fix"] == ["admin"]
        assert row["more_fixes"] == ["boss (iam-role): Replace policy with only what deploying api requires."]
        assert row["excess_after_fixes"] == []


def test_without_an_excess_there_is_nothing_to_cut(tmp_path: Path) -> None:
    with analyzed(tmp_path, *delivery(pipeline_powers=("deploy",), workload_powers=("read-data",))) as tables:
        assert excess(tables)["fix"] is None


def test_a_gap_makes_the_comparison_incomplete(tmp_path: Path) -> None:
    gap = Gap(
        id="g",
        provider="aws",
        account_id=PROD,
        collector="aws",
        target="1",
        table="grants",
        call="c",
        reason="denied",
        detail="no",
    )
    given = delivery(gap, pipeline_powers=("deploy",), workload_powers=("read-data",))
    with analyzed(tmp_path, *given) as tables:
        row = excess(tables)
        assert not row["complete"]
        assert row["why"].startswith("No excess of deploy over api was found")


def test_a_policy_that_could_not_be_evaluated_makes_the_comparison_incomplete(tmp_path: Path) -> None:
    given = delivery(
        grant("deployer", role="broken"), pipeline_powers=("deploy",), workload_powers=("read-data",)
    )
    with analyzed(tmp_path, *given) as tables:
        assert not excess(tables)["complete"]


def test_a_workload_that_the_scan_does_not_know_is_said(tmp_path: Path) -> None:
    with analyzed(
        tmp_path, pipeline("deploy", "s"), link("deploy", "deploys", "arn:aws:lambda:x:1:function:f")
    ) as tables:
        row = excess(tables)
        assert (row["excess"], row["complete"]) == ([], False)
        assert "not in the inventory" in row["why"]


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    given = delivery(pipeline_powers=("admin",), workload_powers=("read",))
    files: list[dict[str, bytes]] = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        with analyzed(tmp_path / name, *given):
            files.append(
                {
                    f: (tmp_path / name / f).read_bytes()
                    for f in ("edges.parquet", "reach.parquet", "excess.parquet")
                }
            )
    assert files[0] == files[1]
