"""A GitLab pipeline of several files: what it includes from its own checkout, and what becomes of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from collectors.definitions import Config, collect, parse, targets
from collectors.definitions.definition import Unresolved
from collectors.definitions.gitlab.include import matches, without_secrets
from scanner.records import Coverage, Gap, Identity, Link, Secret, Weakness
from scanner.secrets.detectors import Fingerprint
from tests.nights import run

if TYPE_CHECKING:
    from pathlib import Path

    from collectors.definitions import Definition
    from scanner.records import Record

FP = Fingerprint(b"test-key")
ROLE = "arn:aws:iam::111111111111:role/"
SIGN_IN = "aws sts assume-role-with-web-identity --role-arn $ROLE --web-identity-token $T"


def scan(folder: Path, files: dict[str, str], **options: object) -> list[Record]:
    """Scan a checkout of these files."""
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    config, night = Config.model_validate({"paths": [folder], **options}), run(folder / ".cache")
    return [record for target in targets(config, night) for record in collect(target, config, night)]


def pipelines(records: list[Record]) -> list[str]:
    return [str(row.location) for row in records if isinstance(row, Identity)]


def links(records: list[Record]) -> set[tuple[str, str | None]]:
    return {(row.target_id, row.evidence) for row in records if isinstance(row, Link)}


def secrets(records: list[Record]) -> list[tuple[str, str | None]]:
    return [(row.name, row.location) for row in records if isinstance(row, Secret)]


def unresolved(records: list[Record]) -> set[tuple[str, str]]:
    return {
        (f"{row.path}:{row.line}", row.what)
        for row in records
        if isinstance(row, Weakness) and row.code == "unresolved-reference"
    }


def gaps(records: list[Record]) -> set[tuple[str, str]]:
    return {(row.call, row.reason) for row in records if isinstance(row, Gap)}


def test_local_includes_are_one_pipeline_with_their_own_lines(tmp_path: Path) -> None:
    found = scan(
        tmp_path,
        {
            ".gitlab-ci.yml": f"include: /ci/*.yml\ndeploy:\n  extends: .deploy\n  variables: {{ROLE: {ROLE}shop}}\n",
            "ci/deploy.yml": "include: [local: ci/deep/sign-in.yml]\n.deploy:\n  script: [!reference [.in, script]]\n"
            "  environment: production\n  id_tokens:\n    T: {aud: sts.amazonaws.com}\n",
            "ci/deep/sign-in.yml": f".in:\n  script:\n    - {SIGN_IN}\n  variables:\n    DB_PASSWORD: Hx27Qz-zebra\n",
        },
    )
    assert pipelines(found) == [".gitlab-ci.yml:1"]
    assert links(found) == {(f"{ROLE}shop", "ci/deploy.yml:6")}
    assert secrets(found) == [("DB_PASSWORD", "ci/deep/sign-in.yml:5")]
    assert not unresolved(found)
    assert not gaps(found)
    (pipeline,) = [row for row in found if isinstance(row, Identity)]
    assert (pipeline.environments, pipeline.logins) == (["production"], ["aws:oidc"])


def test_what_nobody_includes_stays_a_pipeline_of_its_own(tmp_path: Path) -> None:
    found = scan(
        tmp_path,
        {
            ".gitlab-ci.yml": "include: .gitlab/ci/a.yml\n",
            ".gitlab/ci/a.yml": "a: {script: [x]}\n",
            ".gitlab/ci/b.yml": "b: {script: [x]}\n",
            "service/.gitlab-ci.yml": "c: {script: [x]}\n",
        },
    )
    assert pipelines(found) == [".gitlab-ci.yml:1", "service/.gitlab-ci.yml:1", ".gitlab/ci/b.yml:1"]
    walked = [row for row in found if isinstance(row, Coverage) and row.call == "walk"]
    assert {row.table: row.items for row in walked}["identities"] == 3


def test_the_pipelines_of_a_services_folder_belong_to_the_repository_above(tmp_path: Path) -> None:
    found = scan(
        tmp_path,
        {
            ".gitlab-ci.yml": "include: /service/.gitlab-ci.yml\n",
            "service/.gitlab-ci.yml": "include: ci/x.yml\n",
            "ci/x.yml": "x: {environment: test, script: [x]}\n",
        },
    )
    assert pipelines(found) == [".gitlab-ci.yml:1"]
    assert not unresolved(found)


def test_in_a_folder_of_checkouts_each_includes_its_own(tmp_path: Path) -> None:
    files = {
        f"{name}/{path}": text.replace("NAME", name)
        for name in ("a", "b")
        for path, text in {
            ".gitlab-ci.yml": "include: ci/x.yml\n",
            "ci/x.yml": "x:\n  script: [x]\n  variables: {DB_PASSWORD: Hx27Qz-NAME}\n",
        }.items()
    }
    (tmp_path / "b/.git").mkdir(parents=True)
    found = scan(tmp_path, files)
    assert pipelines(found) == ["a/.gitlab-ci.yml:1", "b/.gitlab-ci.yml:1"]
    assert secrets(found) == [("DB_PASSWORD", "a/ci/x.yml:3"), ("DB_PASSWORD", "b/ci/x.yml:3")]


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        (
            "{project: lantern/pipes, file: [/a.yml, b.yml]}",
            "a.yml@lantern/pipes: it is in another project",
        ),
        (
            "{project: lantern/pipes, file: [/a.yml, b.yml]}",
            "b.yml@lantern/pipes: it is in another project",
        ),
        (
            "{component: $CI_SERVER_FQDN/lantern/c/x@1}",
            "$CI_SERVER_FQDN/lantern/c/x: it is in another project",
        ),
        ("{remote: 'https://example.org/x.yml'}", "https://example.org/x.yml: it is stored elsewhere"),
        ("https://example.org/x.yml", "https://example.org/x.yml: it is stored elsewhere"),
        ("{template: Auto-DevOps.gitlab-ci.yml}", "Auto-DevOps.gitlab-ci.yml: it is a GitLab template"),
        ("ci/none.yml", "ci/none.yml: it does not exist"),
        ("ci/$NAME.yml", "ci/$NAME.yml: its path is computed"),
        ("ci/secret.txt", "ci/secret.txt: it is not a YAML file"),
    ],
)
def test_what_stands_elsewhere_stays_unresolved(tmp_path: Path, statement: str, what: str) -> None:
    found = scan(tmp_path, {".gitlab-ci.yml": f"include:\n  - {statement}\na: {{script: [x]}}\n"})
    assert any(place == ".gitlab-ci.yml:2" and detail.endswith(what) for place, detail in unresolved(found))
    assert not gaps(found)


def test_a_control_character_in_a_path_is_no_crash(tmp_path: Path) -> None:
    found = scan(tmp_path, {".gitlab-ci.yml": 'include: "ci/\\0.yml"\na: {script: [x]}\n'})
    ((_, detail),) = unresolved(found)
    assert detail.startswith("includes ci/\0.yml: it")


def test_nothing_outside_the_checkout_is_read(tmp_path: Path) -> None:
    outside = tmp_path / "outside.yml"
    outside.write_text("leak:\n  variables: {DB_PASSWORD: Hx27Qz-outside}\n", encoding="utf-8")
    folder = tmp_path / "shop"
    (folder / "ci").mkdir(parents=True)
    (folder / "ci/link.yml").symlink_to(outside)
    (folder / "linked").symlink_to(tmp_path)
    (folder / "ci/inside.yml").symlink_to("real.yml")
    found = scan(
        folder,
        {
            ".gitlab-ci.yml": "include: [ci/link.yml, linked/outside.yml, ../outside.yml, /../../etc/x.yml, ci/inside.yml]\n",
            "ci/real.yml": "a:\n  variables: {DB_PASSWORD: Hx27Qz-inside}\n",
        },
    )
    assert secrets(found) == [("DB_PASSWORD", "ci/inside.yml:2")]
    told = {detail.removeprefix("includes ") for _, detail in unresolved(found)}
    leaves = "it points outside the folder, so it was not followed"
    assert told == {
        f"ci/link.yml: {leaves}",
        f"linked/outside.yml: {leaves}",
        f"../outside.yml: {leaves}",
        "../../etc/x.yml: it does not exist",
    }
    assert ("read ci/link.yml", "unsupported") in gaps(found)


def test_includes_that_cannot_be_read_are_gaps(tmp_path: Path) -> None:
    (tmp_path / "ci").mkdir()
    os.mkfifo(tmp_path / "ci/pipe.yml")
    found = scan(
        tmp_path,
        {
            ".gitlab-ci.yml": "include: [ci/bad.yml, ci/list.yml, ci/large.yml, ci/pipe.yml, ci/out.yml]\na: {script: [x]}\n",
            "ci/bad.yml": "a: [\n",
            "ci/list.yml": "- a\n",
            "ci/large.yml": "b: {script: [x]}\n" + "#" * 3000,
            "ci/out.yml": "c: {script: [x]}\n",
        },
        max_bytes=2000,
        exclude=["ci/out.yml"],
    )
    assert gaps(found) == {
        ("read ci/bad.yml", "malformed"),
        ("read ci/list.yml", "malformed"),
        ("read ci/large.yml", "truncated"),
        ("read ci/pipe.yml", "unsupported"),
    }
    told = {detail for _, detail in unresolved(found)}
    assert "includes ci/bad.yml: line 2: not valid YAML: did not find expected node content" in told
    assert "includes ci/out.yml: it is excluded by the configuration" in told
    assert len({row.id for row in found}) == len(found)


def test_a_file_that_fails_in_two_pipelines_is_reported_once(tmp_path: Path) -> None:
    found = scan(
        tmp_path,
        {
            "a.gitlab-ci.yml": "include: ci/bad.yml\n",
            "b.gitlab-ci.yml": "include: ci/bad.yml\n",
            "ci/bad.yml": "a: [\n",
        },
    )
    assert len({row.id for row in found}) == len(found)
    assert gaps(found) == {("read ci/bad.yml", "malformed")}


def test_circles_and_crowds_end(tmp_path: Path) -> None:
    files = {
        ".gitlab-ci.yml": "include: [ci/a.yml, 'many/*.yml', .gitlab-ci.yml]\n",
        "ci/a.yml": "include: ci/b.yml\n",
        "ci/b.yml": "include: ci/a.yml\nb: {environment: b, script: [x]}\n",
    }
    files |= {f"many/{number:03}.yml": f"j{number}: {{script: [x]}}\n" for number in range(200)}
    found = scan(tmp_path, files)
    told = {detail for _, detail in unresolved(found)}
    assert "includes ci/a.yml: it includes itself" in told
    assert "includes .gitlab-ci.yml: it includes itself" in told
    assert any("the pipeline has more than 150 files" in detail for detail in told)
    assert ("read many/149.yml", "truncated") in gaps(found)
    (pipeline,) = [row for row in found if isinstance(row, Identity)]
    assert pipeline.environments == ["b"]


def test_doubling_includes_end(tmp_path: Path) -> None:
    files = {f"ci/{n}.yml": f"include: [ci/{n + 1}.yml, ci/{n + 1}.yml]\n" for n in range(40)}
    files |= {".gitlab-ci.yml": "include: ci/0.yml\n", "ci/40.yml": "a: {script: [x]}\n"}
    assert any("more than 150 files" in detail for _, detail in unresolved(scan(tmp_path, files)))


def test_files_that_expand_beyond_measure_are_gaps(tmp_path: Path) -> None:
    long = "a: &a [" + "x," * 100 + "]\nb: &b [" + "*a," * 100 + "]\nc: [" + "*b," * 15 + "]\n"
    found = scan(
        tmp_path,
        {".gitlab-ci.yml": "include: [ci/a.yml, ci/b.yml]\n", "ci/a.yml": long, "ci/b.yml": long},
    )
    assert gaps(found) == {("read ci/b.yml", "truncated")}


def test_every_condition_is_looked_at(tmp_path: Path) -> None:
    rules = '    rules: [{if: $CI_COMMIT_BRANCH == "NAME"}]\n'
    top = "include:\n" + "".join(
        f"  - local: ci/{name}.yml\n{rules.replace('NAME', name)}" for name in ("dev", "prod")
    )
    found = scan(
        tmp_path,
        {
            ".gitlab-ci.yml": f"{top}  - local: ci/never.yml\n    rules: [{{when: never}}]\n"
            "deploy: {extends: .base, script: [x]}\n",
            "ci/dev.yml": ".base: {environment: dev}\n",
            "ci/prod.yml": "include: {local: ci/more.yml, rules: [{if: $X}]}\n.base: {environment: prod}\n",
            "ci/more.yml": ".base: {variables: {DB_PASSWORD: Hx27Qz-more}}\n",
            "ci/never.yml": ".base: {environment: never}\n",
        },
    )
    (pipeline,) = [row for row in found if isinstance(row, Identity)]
    assert pipeline.environments == ["dev", "prod"]
    assert secrets(found) == [("DB_PASSWORD", "ci/more.yml:1")]
    assert not unresolved(found)


def test_more_conditions_than_are_looked_at_one_by_one(tmp_path: Path) -> None:
    files = {f"ci/{n}.yml": f"j{n}: {{environment: e{n}, script: [x]}}\n" for n in range(30)}
    top = "".join(f'  - local: ci/{n}.yml\n    rules: [{{if: $N == "{n}"}}]\n' for n in range(30))
    found = scan(tmp_path, files | {".gitlab-ci.yml": f"include:\n{top}"})
    (pipeline,) = [row for row in found if isinstance(row, Identity)]
    assert len(pipeline.environments) == 30


def test_a_child_pipeline_gets_the_variables_of_the_job_that_starts_it(tmp_path: Path) -> None:
    jobs = "".join(
        f"{name}:\n  variables: {{ROLE: {ROLE}{name}}}\n  trigger:\n    include: ci/child.yml\n"
        for name in ("blue", "green")
    )
    found = scan(
        tmp_path,
        {
            ".gitlab-ci.yml": f"{jobs}dynamic:\n  trigger: {{include: [{{artifact: x.yml, job: gen}}]}}\n",
            "ci/child.yml": f"variables: {{ROLE: none}}\nup:\n  id_tokens: {{T: {{aud: a}}}}\n  script: ['{SIGN_IN}']\n",
        },
    )
    assert links(found) == {(f"{ROLE}blue", "ci/child.yml:3"), (f"{ROLE}green", "ci/child.yml:3")}
    assert unresolved(found) == {(".gitlab-ci.yml:9", "`dynamic` triggers a child pipeline")}
    assert pipelines(found) == [".gitlab-ci.yml:1"]


def test_pipelines_that_start_themselves_end(tmp_path: Path) -> None:
    found = scan(tmp_path, {".gitlab-ci.yml": "again: {trigger: {include: .gitlab-ci.yml}}\n"})
    assert pipelines(found) == [".gitlab-ci.yml:1"]


def test_inputs_are_filled_in_and_a_secret_stands_where_it_is_given(tmp_path: Path) -> None:
    found = scan(
        tmp_path,
        {
            ".gitlab-ci.yml": "include:\n"
            f"  - {{local: t.yml, inputs: {{name: a, role: '{ROLE}a', key: Hx27Qz-zebra}}}}\n"
            "  - {local: t.yml, inputs: {name: b}}\n",
            "t.yml": "spec:\n  inputs:\n    name:\n    key: {default: none}\n"
            f"    role:\n      default: {ROLE}default\n---\n"
            "deploy-$[[ inputs.name ]]:\n  environment: $[[ inputs.name | expand_vars ]]\n"
            "  variables: {DB_PASSWORD: '$[[ inputs.key ]]'}\n  id_tokens: {T: {aud: a}}\n"
            f"  script: ['{SIGN_IN.replace('$ROLE', '$[[ inputs.role ]]')}']\n",
        },
    )
    assert links(found) == {(f"{ROLE}a", "t.yml:11"), (f"{ROLE}default", "t.yml:11")}
    assert secrets(found) == [("DB_PASSWORD", ".gitlab-ci.yml:2")]
    (pipeline,) = [row for row in found if isinstance(row, Identity)]
    assert pipeline.environments == ["a", "b"]


def read(source: str) -> Definition:
    return parse(".gitlab-ci.yml", source, FP, owner="lantern")


def test_references_are_resolved_after_extends() -> None:
    found = read(
        f".one:\n  script: ['{SIGN_IN}']\n  variables: {{ROLE: {ROLE}one}}\n"
        ".two:\n  extends: .one\n"
        "job:\n  variables: !reference [.two, variables]\n  rules: [!reference [.rules, rules]]\n"
        "  environment: !reference [.rules, environment]\n  id_tokens: {T: {aud: a}}\n"
        "  script: [!reference [.two, script], [x]]\n"
        '.rules: {rules: [{if: $CI_COMMIT_BRANCH == "main"}], environment: {name: live}}\n'
    )
    assert [login.targets for login in found.logins] == [[f"{ROLE}one"]]
    assert [(job.environment, job.refs) for job in found.jobs] == [("live", ["refs/heads/main"])]


@pytest.mark.parametrize(
    "source",
    [
        ".a: {script: !reference [.a, script]}\nj: {script: !reference [.a, script]}\n",
        ".a: {script: [!reference [.b, script]]}\n.b: {script: [!reference [.a, script]]}\nj: {extends: .b}\n",
        ".a: {extends: .b}\n.b: {extends: .a, script: [x]}\nj: {extends: .a}\n",
        "j: {script: [!reference [none, script], !reference [], !reference [j]]}\n",
    ],
)
def test_what_refers_to_itself_ends(source: str) -> None:
    assert [job.name for job in read(source).jobs] == ["j"]


def test_what_refers_deeply_is_read() -> None:
    chain = "".join(f".r{n}: {{script: [[[!reference [.r{n + 1}, script]]]]}}\n" for n in range(300))
    nested = "a: " + "{b: " * 180 + "1" + "}" * 180
    found = read(f"{chain}.r300: {{script: [x]}}\nj:\n  script: [!reference [.r0, script]]\n  {nested}\n")
    assert [job.name for job in found.jobs] == ["j"]


def test_references_that_double_are_looked_at_once() -> None:
    doubling = "".join(
        f".r{n}: {{x: [!reference [.r{n + 1}, x], !reference [.r{n + 1}, x]]}}\n" for n in range(60)
    )
    jobs = "".join(f"j{n}: {{script: [x], cache: !reference [.r0, x]}}\n" for n in range(50))
    assert len(read(f"{doubling}.r60: {{x: [a]}}\n{jobs}").jobs) == 50


def test_a_job_takes_defaults_unless_it_says_otherwise() -> None:
    found = read(
        "default:\n  id_tokens: {T: {aud: a}}\n"
        f"  before_script: ['{SIGN_IN}']\n  hooks: {{pre_get_sources_script: ['x $HOOK_TOKEN']}}\n"
        f"variables: {{ROLE: {ROLE}all}}\n"
        "takes: {script: [x]}\n"
        "own: {script: [x], before_script: [], id_tokens: {}}\n"
        "none: {script: [x], inherit: {default: false}}\n"
        "some: {script: [x], inherit: {default: [id_tokens], variables: false}}\n"
    )
    assert [job.name for job in found.jobs if job.identity_token] == ["takes", "some"]
    assert [(login.job, login.line, login.targets) for login in found.logins if login.targets] == [
        ("takes", 2, [f"{ROLE}all"])
    ]
    assert {(ref.name, ref.job) for ref in found.secrets if ref.name == "HOOK_TOKEN"} == {
        ("HOOK_TOKEN", "takes"),
        ("HOOK_TOKEN", "own"),
    }


def test_each_way_to_run_is_looked_at() -> None:
    found = read(
        "workflow:\n  rules:\n    - if: $CI_COMMIT_TAG\n"
        f"      variables: {{ROLE: {ROLE}tag}}\n    - when: always\n"
        "deploy:\n  id_tokens: {T: {aud: $AUDIENCE}}\n  environment: $PLACE/$REGION\n"
        f"  script: ['{SIGN_IN}']\n  variables: {{AUDIENCE: sts.amazonaws.com}}\n"
        '  rules:\n    - if: $CI_COMMIT_BRANCH == "main"\n'
        f"      variables: {{PLACE: live, ROLE: {ROLE}live, API_SECRET: S3cr3tV4lueQ9xZ}}\n"
        "    - if: $X\n      when: never\n      variables: {PLACE: never}\n"
        "    - if: $CI_COMMIT_TAG\n      variables: {PLACE: test}\n"
        "  parallel:\n    matrix:\n      - REGION: [eu, us]\n"
    )
    assert sorted(str(job.environment) for job in found.jobs) == [
        "live/eu",
        "live/us",
        "test/eu",
        "test/us",
    ]
    assert {role for login in found.logins for role in login.targets} == {
        f"{ROLE}tag",
        f"{ROLE}live",
        "$ROLE",
    }
    assert {login.audience for login in found.logins} == {"sts.amazonaws.com"}
    assert [(one.name, one.line) for one in found.hard_coded] == [("API_SECRET", 13)]


def test_a_secret_is_no_name_of_anything() -> None:
    found = read(
        "deploy:\n  variables: {DB_PASSWORD: Hx27Qz-zebra, PLACE: live}\n  environment: $DB_PASSWORD\n"
        "  id_tokens: {T: {aud: $DB_PASSWORD}}\n"
        "  script: [aws ecs update-service --cluster core --service $DB_PASSWORD]\n"
    )
    assert "zebra" not in repr(found)
    assert [job.environment for job in found.jobs] == ["*"]
    assert [one.name for one in found.hard_coded] == ["DB_PASSWORD"]


def test_no_file_takes_for_ever() -> None:
    matrix = "[{A: [" + ",".join(map(str, range(100))) + "]}]"
    jobs = "".join(
        f"j{n}: {{parallel: {{matrix: {matrix}}}, environment: $A, script: [x]}}\n" for n in range(200)
    )
    found = read(jobs)
    assert {job.name for job in found.jobs} == {f"j{n}" for n in range(200)}
    assert len(found.jobs) < 2_500
    assert {job.name for job in found.jobs if job.environment == "*"} == {f"j{n}" for n in range(200)}
    assert len(found.unresolved) == 200


def test_an_address_shows_no_secret_and_the_secret_is_reported() -> None:
    address = "https://ci:Zx81-unguessable@example.org/ci.yml?private_token=glpat-AbCdEfGhIjKlMnOpQrSt"
    found = read(f"include:\n  - remote: {address}\na: {{script: [x]}}\n")
    assert [(one.name, one.line) for one in found.hard_coded] == [("include", 2)]
    assert found.unresolved == [
        Unresolved(line=2, what="includes https://example.org/ci.yml?private_token=...")
    ]
    assert [use.name for use in found.uses] == ["https://example.org/ci.yml?private_token=..."]
    for part in ("Zx81", "AbCdEfGh"):
        assert part not in repr(found)
    assert without_secrets("https://example.org/a.yml") == "https://example.org/a.yml"


@pytest.mark.parametrize(
    ("written", "text", "same"),
    [
        ("ci/*.yml", "ci/a.yml", True),
        ("ci/*.yml", "ci/a/b.yml", False),
        ("ci/**.yml", "ci/a/b.yml", True),
        ("ci/**.yml", "ci/a.yml", True),
        ("ci/**/*.yml", "ci/a/b.yml", True),
        ("ci/**/*.yml", "ci/a.yml", False),
        ("ci/a.yml", "ci/axyml", False),
        ("*" * 60 + "b", "a" * 200, False),
        ("ci/$X.yml", "ci/a.yml", False),
        ("ci/$X.yml", "ci/$X.yml", True),
    ],
)
def test_wildcards_are_those_of_gitlab(written: str, text: str, same: bool) -> None:
    assert matches(written, text) is same


def test_a_variable_can_be_anything_where_that_is_asked() -> None:
    assert matches("${HOST}/lantern/$NAME@1", "gitlab.com/lantern/x/y@1", computed=True)
    assert not matches("$HOST/lantern/x@1", "gitlab.com/lantern/x@2", computed=True)
