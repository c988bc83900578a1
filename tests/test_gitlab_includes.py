"""What the collector makes of pipelines that include: GitLab's own merging, and the files that it was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from sandbox.gitlab import GitLabSandbox, build
from sandbox.gitlab.entities import group, project
from sandbox.gitlab.lint import commit
from sandbox.kit.issued import ISSUED
from scanner.records import Coverage, Identity, Link, Secret, Weakness
from tests.github_night import gaps, of
from tests.gitlab_night import collected, config
from tests.nights import run

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.gitlab.instance import Instance
    from sandbox.kit.faults import Trouble
    from scanner.records import Gap, Record

LINT = "GET /projects/:id/ci/lint"
FILES = "GET /projects/:id/repository/files/:file_path/raw"
INCLUDED = f"{FILES} (included)"
SHOP, PIPES, KIT = 9100, 9101, 9102
ROLE = "arn:aws:iam::111111111111:role/"
SIGN_IN = "aws sts assume-role-with-web-identity --role-arn $ROLE --web-identity-token $T"
TABLES = {
    ("identities", "gitlab-pipeline"),
    ("grants", "gitlab-pipeline"),
    ("links", "gitlab-pipeline"),
    ("secrets", "ci-file"),
    ("weaknesses", None),
}
TEMPLATE = f".in:\n  id_tokens: {{T: {{aud: sts.amazonaws.com}}}}\n  script: ['{SIGN_IN}']\n"


def shop(top: str, own: dict[str, str] | None = None, **others: dict[str, str]) -> Instance:
    """Return an instance whose projects are shop, of lantern, and pipes and kit, of others."""
    instance = build()
    instance.projects.clear()
    instance.groups[8100] = group(8100, "partner", "Partner")
    for number, name, home in ((SHOP, "shop", 8001), (PIPES, "pipes", 8100), (KIT, "kit", 8100)):
        instance.projects[number] = project(number, name, instance.groups[home])
        instance.objects[f"/projects/{number}/job_token_scope"] = {
            "inbound_enabled": True,
            "outbound_enabled": False,
        }
    texts = {
        SHOP: {".gitlab-ci.yml": top} | (own or {}),
        PIPES: others.get("pipes", {}),
        KIT: others.get("kit", {}),
    }
    for number, held in texts.items():
        instance.files.update({f"{number}/{path}": text for path, text in held.items()})
    return instance


def where(row: Weakness) -> str | None:
    return row.path if row.line is None else f"{row.path}:{row.line}"


class Night:
    """The records of shop's pipeline in one night, and the requests sent."""

    def __init__(self, records: list[Record], log: list[str]) -> None:
        self.records = [row for row in records if row.account_id == f"gitlab:project:{SHOP}"]
        self.log = [line.removeprefix("GET /api/v4/projects/") for line in log]
        self.identities = [row for row in of(self.records, Identity) if row.kind == "gitlab-pipeline"]
        self.links = {(row.target_id, row.evidence) for row in of(self.records, Link)}
        self.secrets = [(row.name, row.location) for row in of(self.records, Secret)]
        own = [row for row in of(self.records, Weakness) if row.subject_id == f"gitlab:pipeline:{SHOP}"]
        self.problems = {(row.code, where(row)) for row in own if row.code != "unresolved-reference"}
        self.unresolved = {(where(row), row.what) for row in own if row.code == "unresolved-reference"}

    def gaps(self, call: str) -> list[Gap]:
        return [row for row in gaps(self.records) if row.call == call]

    def covered(self, call: str) -> set[tuple[str, str | None]]:
        return {(row.table, row.kind) for row in of(self.records, Coverage) if row.call == call}

    def asked(self, *words: str) -> list[str]:
        return sorted(line for line in self.log if any(word in line for word in words))


@pytest.fixture
def night(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> _Collects:
    return _Collects(monkeypatch, tmp_path)


class _Collects:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._patch = monkeypatch
        self._folder = folder

    def __call__(
        self,
        instance: Instance,
        *,
        trouble: tuple[str, Trouble] | None = None,
        member: bool = False,
        without: frozenset[str] = frozenset(),
        timeout: int = 5,
    ) -> Night:
        with GitLabSandbox(instance=instance, without=without) as sandbox:
            if trouble:
                sandbox.fail(*trouble)
            token = sandbox.member_token if member else sandbox.token
            options = config(sandbox, self._patch, instance=False, token=token, timeout_seconds=timeout)
            records = collected(options, run(self._folder))
            written = msgspec.json.encode(records).decode()
            assert [value[:4] for value in ISSUED if len(value) >= 16 and value in written] == []
            return Night(records, [call.line for call in sandbox.log])


def test_an_included_template_is_part_of_the_pipeline(night: _Collects) -> None:
    found = night(
        shop(
            "include:\n  - {project: partner/pipes, ref: main, file: /t/in.yml}\n  - ci/*.yml\n"
            f"deploy:\n  extends: .in\n  environment: $PLACE\n  variables: {{ROLE: {ROLE}shop}}\n",
            {"ci/values.yml": "variables:\n  PLACE: production\n  DB_PASSWORD: Hx27Qz-zebra\n"},
            pipes={"t/in.yml": TEMPLATE},
        )
    )
    assert found.links == {(f"{ROLE}shop", "t/in.yml@partner/pipes:2")}
    assert found.secrets == [("DB_PASSWORD", "ci/values.yml:3")]
    assert [(row.environments, row.logins, row.location) for row in found.identities] == [
        (["production"], ["aws:oidc"], ".gitlab-ci.yml:1")
    ]
    assert found.problems == {("unpinned-include", ".gitlab-ci.yml:2")}
    assert not found.unresolved
    assert not found.gaps(INCLUDED)
    assert found.covered(LINT) == TABLES


def test_one_call_for_who_includes_and_none_for_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitLabSandbox() as sandbox:
        records = collected(config(sandbox, monkeypatch), run(tmp_path))
        asked = [
            line.removeprefix("GET /api/v4/projects/")
            for line in (call.line for call in sandbox.log)
            if "/ci/lint" in line
        ]
    assert sorted(asked) == ["9002/ci/lint", "9003/ci/lint"]
    assert {row.account_id for row in of(records, Coverage) if row.call == LINT} == {
        "gitlab:project:9002",
        "gitlab:project:9003",
    }


def test_a_template_that_many_include_is_read_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    top = (
        "include:\n  - {project: partner/pipes, file: in.yml}\n  - {project: partner/pipes, file: in.yml}\n"
        "  - {project: partner/pipes, file: gone.yml, rules: [{if: $CI_COMMIT_TAG}]}\na: {extends: .in}\n"
    )
    instance = shop(top, pipes={"in.yml": TEMPLATE})
    for number in range(9200, 9212):
        instance.projects[number] = project(number, f"copy-{number}", instance.groups[8001])
        instance.files[f"{number}/.gitlab-ci.yml"] = top
    with GitLabSandbox(instance=instance) as sandbox:
        records = collected(config(sandbox, monkeypatch, instance=False, workers=8), run(tmp_path))
        reads = [line for line in (call.line for call in sandbox.log) if "partner%2Fpipes" in line]
    # What is refused is asked for once, too.
    assert sorted(line.rpartition("/files/")[2].partition("/")[0] for line in reads) == ["gone.yml", "in.yml"]
    assert len([row for row in of(records, Identity) if row.logins == ["aws:oidc"]]) == 13


TROUBLES: list[tuple[Trouble, str]] = [
    (403, "denied"),
    (404, "denied"),
    ("too-many-bare", "throttled"),
    (500, "unreachable"),
    ("cut", "unreachable"),
    ("malformed", "malformed"),
]


@pytest.mark.parametrize(("trouble", "reason"), TROUBLES)
def test_where_gitlab_does_not_answer_the_files_stay(night: _Collects, trouble: Trouble, reason: str) -> None:
    instance = shop(
        "include:\n  - {project: partner/pipes, file: in.yml}\n  - ci/a.yml\n  - ci/*.yml\n"
        "  - {remote: 'https://example.org/x.yml'}\n  - {template: Y.gitlab-ci.yml}\n"
        f"deploy:\n  extends: .in\n  environment: live\n  variables: {{ROLE: {ROLE}shop}}\n",
        {"ci/a.yml": "a:\n  variables: {DB_PASSWORD: Hx27Qz-zebra}\n"},
        pipes={"in.yml": TEMPLATE},
    )
    found = night(instance, trouble=(LINT, trouble))
    assert {(row.table, row.kind, row.reason) for row in found.gaps(LINT)} == {
        (*one, reason) for one in TABLES
    }
    assert not found.covered(LINT)
    assert found.links == {(f"{ROLE}shop", "in.yml@partner/pipes:2")}
    assert found.secrets == [("DB_PASSWORD", "ci/a.yml:2")]
    assert [row.environments for row in found.identities] == [["live"]]
    assert {place for place, _ in found.unresolved} == {f".gitlab-ci.yml:{line}" for line in (4, 5, 6)}
    assert {(row.table, row.kind, row.reason) for row in found.gaps(INCLUDED)} == {
        (*one, "unsupported") for one in TABLES
    }
    assert "ci/*.yml" in found.gaps(INCLUDED)[0].detail


@pytest.mark.parametrize(("trouble", "reason"), TROUBLES)
def test_an_included_file_that_cannot_be_read_is_a_gap(
    night: _Collects, trouble: Trouble, reason: str
) -> None:
    instance = shop(
        "include: [{project: partner/pipes, file: in.yml}]\n"
        f"deploy:\n  extends: .in\n  variables: {{ROLE: {ROLE}shop}}\n",
        pipes={"in.yml": TEMPLATE},
    )
    found = night(instance, trouble=("/projects/partner%2Fpipes/*", trouble))
    # The facts are in what GitLab merged; only where they stand is not known, and what it leaves out.
    assert found.links == {(f"{ROLE}shop", "in.yml@partner/pipes")}
    assert {(row.table, row.kind, row.reason) for row in found.gaps(INCLUDED)} == {
        (*one, reason) for one in TABLES
    }
    assert any("whose conditional includes are not known" in detail for _, detail in found.unresolved)
    assert found.covered(LINT) == TABLES


@pytest.mark.parametrize(
    ("statement", "reason", "words"),
    [
        (
            "{project: partner/gone, file: x.yml}",
            "denied",
            "Project `partner/gone` not found or access denied!",
        ),
        (
            "{project: partner/pipes, file: x.yml}",
            "unsupported",
            "Project `partner/pipes` file `x.yml` does not exist!",
        ),
        ("ci/gone.yml", "unsupported", "Local file `ci/gone.yml` does not exist!"),
        ("{component: gitlab.com/partner/pipes/x@1}", "unsupported", "content not found"),
    ],
)
def test_what_gitlab_cannot_merge_is_a_gap_and_the_rest_stays(
    night: _Collects, statement: str, reason: str, words: str
) -> None:
    found = night(
        shop(
            f"include: [ci/a.yml, {statement}]\nown: {{environment: live, script: [x]}}\n",
            {"ci/a.yml": "variables: {DB_PASSWORD: Hx27Qz-zebra}\n"},
        )
    )
    assert {(row.table, row.kind, row.reason) for row in found.gaps(LINT)} == {
        (*one, reason) for one in TABLES
    }
    assert words in found.gaps(LINT)[0].detail
    assert [row.environments for row in found.identities] == [["live"]]
    assert found.secrets == [("DB_PASSWORD", "ci/a.yml:1")]
    assert len(found.unresolved) == 1
    assert found.gaps(INCLUDED)


def test_no_error_of_gitlab_carries_a_secret(night: _Collects) -> None:
    address = "https://ci:Zx81-unguessable@example.org/x.yml?job_token=Qy72-unguessable"
    found = night(shop(f"include: [{{remote: '{address}'}}]\nown: {{script: [x]}}\n"))
    written = msgspec.json.encode(found.records).decode()
    assert "unguessable" not in written
    assert found.secrets == [("include", ".gitlab-ci.yml:1")]
    (row, *_) = found.gaps(LINT)
    assert "could not be fetched" in row.detail
    assert "https://example.org/x.yml?job_token=[redacted:value]" in row.detail


def test_errors_that_do_not_speak_of_files_are_not_repeated(night: _Collects) -> None:
    instance = shop(
        "include: [{local: ci/a.yml, rules: [{if: '\"Zx81-unguessable\" =~ /x/'}]}]\nown: {script: [x]}\n",
        {"ci/a.yml": "a: {environment: live, script: [x]}\n"},
    )
    found = night(instance)
    assert "unguessable" not in msgspec.json.encode(found.records).decode()
    assert "names no file as the reason" in found.gaps(LINT)[0].detail
    assert [row.environments for row in found.identities] == [["live"]]


def test_an_invalid_definition_is_read_and_reported(night: _Collects) -> None:
    found = night(
        shop("include: [ci/a.yml]\n", {"ci/a.yml": ".a: {variables: {DB_PASSWORD: Hx27Qz-zebra}}\n"})
    )
    assert found.secrets == [("DB_PASSWORD", "ci/a.yml:1")]
    assert {detail for _, detail in found.unresolved} == {
        "GitLab reports the merged definition as invalid, so it may not run"
    }


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"valid": True, "merged_yaml": 7, "errors": []},
        {"valid": True, "merged_yaml": "a: [", "errors": [], "includes": []},
        {"valid": True, "merged_yaml": "a: {}", "errors": [], "includes": ["x"]},
        {"valid": False, "merged_yaml": None, "errors": "Zx81-unguessable", "includes": None},
        {"valid": False, "merged_yaml": None, "errors": [{"Zx81-unguessable": 1}], "includes": None},
    ],
)
def test_an_answer_of_another_shape_is_a_gap(night: _Collects, answer: dict[str, object]) -> None:
    instance = shop("include: [ci/a.yml]\n", {"ci/a.yml": "a: {environment: live, script: [x]}\n"})
    instance.objects[f"/projects/{SHOP}/ci/lint"] = answer
    found = night(instance)
    assert {(row.table, row.kind) for row in found.gaps(LINT)} == TABLES
    assert {row.reason for row in found.gaps(LINT)} <= {"malformed", "unsupported"}
    assert [row.environments for row in found.identities] == [["live"]]
    assert "unguessable" not in msgspec.json.encode(found.records).decode()


def test_odd_entries_in_gitlabs_list_name_nothing(night: _Collects) -> None:
    instance = shop("include: [ci/a.yml]\n", {"ci/a.yml": "a: {environment: live, script: [x]}\n"})
    rows: list[dict[str, object]] = [
        {},
        {"type": "file", "location": None, "extra": "x", "blob": 7, "context_project": None},
        {"type": "component", "location": "x@1", "blob": "https://x/-/blob/main/x.yml", "extra": None},
    ]
    merged = "a: {environment: merged, script: [x]}"
    answer = {"valid": True, "merged_yaml": merged, "errors": [], "includes": rows}
    instance.objects[f"/projects/{SHOP}/ci/lint"] = answer
    found = night(instance)
    assert [row.environments for row in found.identities] == [["live", "merged"]]


def test_what_gitlab_merged_beyond_measure_is_a_gap(night: _Collects) -> None:
    big = "x: [" + "1," * 126_000 + "]\n"
    instance = shop("include: [ci/a.yml, ci/b.yml]\n", {"ci/a.yml": big, "ci/b.yml": big.replace("x", "y")})
    found = night(instance, timeout=60)
    assert {row.reason for row in found.gaps(LINT)} == {"malformed"}
    assert {row.reason for row in found.gaps(INCLUDED)} == {"truncated"}


def test_each_rule_stands_on_its_own_line(night: _Collects) -> None:
    rules = "".join(
        f'    - if: $N == "{n}"\n      variables: {{DB_PASSWORD: Hx27Qz-{n}zebra}}\n' for n in range(40)
    )
    found = night(shop("include: [ci/a.yml]\n", {"ci/a.yml": f"a:\n  script: [x]\n  rules:\n{rules}"}))
    assert {place for _, place in found.secrets} == {f"ci/a.yml:{5 + 2 * n}" for n in range(40)}


REMOTE = "https://example.org/x.yml"


def test_addresses_and_templates_are_known_by_what_gitlab_merged_and_never_fetched(night: _Collects) -> None:
    instance = shop(f"include:\n  - remote: {REMOTE}\n    integrity: sha256-x\nown: {{script: [x]}}\n")
    instance.remotes[REMOTE] = (
        "include: [{project: partner/kit, file: k.yml}]\n"
        "r:\n  image: a:1\n  variables: {DB_PASSWORD: Hx27Qz-zebra}\n  script: [x]\n"
    )
    instance.files[f"{KIT}/k.yml"] = "k: {environment: kit, script: [x]}\n"
    found = night(instance)
    assert found.secrets == [("DB_PASSWORD", REMOTE)]
    assert [row.environments for row in found.identities] == [["kit"]]
    # The file that includes kit was not read.
    assert found.problems == {("unpinned-images", REMOTE), ("unpinned-include", REMOTE)}
    assert {place for place, _ in found.unresolved} == {".gitlab-ci.yml:2"}
    assert not found.gaps(INCLUDED)
    assert found.asked("kit", "example") == []


def test_of_several_files_that_were_not_read_the_statement_is_identified(night: _Collects) -> None:
    instance = shop(
        "stages: [test]\ninclude:\n  - template: A.gitlab-ci.yml\n  - template: B.gitlab-ci.yml\n"
    )
    instance.templates |= {
        "A.gitlab-ci.yml": "a: {script: [x], image: 'a:1'}\n",
        "B.gitlab-ci.yml": "b: {script: [x]}\n",
    }
    found = night(instance)
    assert found.problems == {("unpinned-images", ".gitlab-ci.yml:2")}
    assert not found.unresolved
    assert not found.gaps(INCLUDED)


@pytest.mark.parametrize("member", [False, True])
def test_what_conditions_leave_out_is_read_from_its_file(night: _Collects, member: bool) -> None:
    """A token that may not push is answered for no branch; either way every condition is looked at."""
    found = night(
        shop(
            "include:\n"
            "  - {local: ci/tag.yml, rules: [{if: $CI_COMMIT_TAG}]}\n"
            '  - {local: ci/main.yml, rules: [{if: $CI_COMMIT_BRANCH == "main"}]}\n'
            "  - {local: ci/never.yml, rules: [{when: never}]}\n"
            f"variables: {{ROLE: {ROLE}top}}\n"
            "deploy: {environment: dev, script: [x]}\n",
            {
                "ci/tag.yml": "include: inner.yml\n"
                f"variables: {{ROLE: {ROLE}tag}}\ndeploy:\n  extends: .in\n  environment: live\n",
                "inner.yml": TEMPLATE,
                "ci/main.yml": "after: {environment: main, secrets: {A: {vault: prod/db@kv}}, script: [x]}\n",
                "ci/never.yml": "never: {environment: never, script: [x]}\n",
            },
        ),
        member=member,
    )
    # The file's own words win over those of what it includes: script, environment and role.
    assert [row.environments for row in found.identities] == [["dev", "main"]]
    assert "prod/db@kv" in found.identities[0].secrets
    assert found.links == {(f"{ROLE}top", "inner.yml:2")}
    assert not found.unresolved
    assert not found.gaps(INCLUDED)
    assert not found.asked("never.yml")


def test_a_statement_that_gitlab_left_out_and_that_cannot_be_found_is_a_gap(night: _Collects) -> None:
    rules = "rules: [{if: $CI_COMMIT_TAG}]"
    found = night(
        shop(
            f"include:\n  - {{local: 'ci/*.yml', {rules}}}\n  - {{remote: '{REMOTE}', {rules}}}\n"
            f"  - {{project: partner/pipes, file: gone.yml, {rules}}}\n"
            f"  - {{component: $CI_SERVER_FQDN/partner/pipes/run@~latest, {rules}}}\n"
            f"  - {{component: $CI_SERVER_FQDN/partner/pipes/run@1.0, {rules}}}\n"
            "own: {script: [x]}\n",
            pipes={"templates/run/template.yml": "run: {environment: run, script: [x]}\n"},
        )
    )
    assert {place for place, _ in found.unresolved} == {f".gitlab-ci.yml:{line}" for line in (2, 3, 4, 5)}
    assert [row.environments for row in found.identities] == [["run"]]
    assert {row.reason for row in found.gaps(INCLUDED)} == {"denied"}
    assert found.covered(LINT) == TABLES


def test_the_same_file_under_two_conditions_is_looked_at_for_both(night: _Collects) -> None:
    statement = "  - {local: t.yml, inputs: {place: PLACE}, rules: [{if: RULE}]}\n"
    found = night(
        shop(
            "include:\n"
            + statement.replace("PLACE", "live").replace("RULE", "$CI_COMMIT_TAG")
            + statement.replace("PLACE", "test").replace("RULE", "$CI_COMMIT_BRANCH"),
            {
                "t.yml": "spec: {inputs: {place: {}}}\n---\ndeploy:\n  environment: $[[ inputs.place ]]\n  script: [x]\n"
            },
        )
    )
    assert [row.environments for row in found.identities] == [["live", "test"]]


def test_a_path_that_matches_nothing_is_nothing_to_see(night: _Collects) -> None:
    found = night(shop("include: ['ci/**/*.yml']\nown: {script: [x]}\n"))
    assert not found.unresolved
    assert not found.gaps(INCLUDED)


def test_a_path_that_gitlab_did_not_look_for_is_something_to_see(night: _Collects) -> None:
    found = night(
        shop(
            "include:\n  - {local: ci/tag.yml, rules: [{if: $CI_COMMIT_TAG}]}\n"
            "up:\n  trigger: {include: ['child/*.yml']}\n",
            {"ci/tag.yml": "include: ['more/*.yml']\n", "more/a.yml": "a: {script: [x]}\n"},
        )
    )
    assert {place for place, _ in found.unresolved} == {
        "ci/tag.yml:1",
        ".gitlab-ci.yml:4",
        ".gitlab-ci.yml:3",
    }
    (row, *_) = found.gaps(INCLUDED)
    assert "more/*.yml" in row.detail
    assert "child/*.yml" in row.detail


def test_an_older_gitlab_does_not_list_what_it_merged(night: _Collects) -> None:
    instance = shop(
        "include: [{project: partner/pipes, file: in.yml}]\n"
        f"deploy:\n  extends: .in\n  variables: {{ROLE: {ROLE}shop}}\n",
        pipes={"in.yml": TEMPLATE},
    )
    found = night(instance, without=frozenset({"includes"}))
    assert found.links == {(f"{ROLE}shop", "in.yml@partner/pipes:2")}
    assert found.covered(LINT) == TABLES


def test_variables_of_includes_are_those_of_gitlab(night: _Collects) -> None:
    instance = shop(
        "include:\n  - project: $KIT_PROJECT\n    file: k.yml\n  - local: ci/$CI_COMMIT_BRANCH.yml\n"
        "  - {project: $CI_PROJECT_PATH, file: ci/own.yml}\n",
        {
            "ci/main.yml": "m:\n  environment: main\n  script: [x]\n",
            "ci/own.yml": "o:\n  script: ['$OWN_TOKEN']\n",
        },
        kit={"k.yml": "k:\n  image: a\n  script: [x]\n"},
    )
    instance.lists[f"/projects/{SHOP}/variables"] = [
        {
            "key": "KIT_PROJECT",
            "value": "partner/kit",
            "protected": False,
            "environment_scope": "*",
            "masked": False,
            "hidden": False,
            "raw": False,
            "variable_type": "env_var",
            "description": None,
        }
    ]
    found = night(instance)
    assert found.problems == {
        ("unpinned-include", ".gitlab-ci.yml:2"),
        ("unpinned-include", ".gitlab-ci.yml:5"),
        ("unpinned-images", "k.yml@partner/kit:2"),
    }
    assert [row.environments for row in found.identities] == [["main"]]
    assert not found.unresolved


def test_a_definition_in_another_project_is_read_from_there(night: _Collects) -> None:
    instance = shop(
        "unused: {environment: unused, script: [x]}\n",
        pipes={
            "ci/shop.yml": f"include: [in.yml]\ndeploy:\n  extends: .in\n  variables: {{ROLE: {ROLE}shop}}\n",
            "in.yml": TEMPLATE,
        },
    )
    instance.projects[SHOP]["ci_config_path"] = "ci/shop.yml@partner/pipes"
    found = night(instance)
    assert found.links == {(f"{ROLE}shop", "in.yml@partner/pipes:2")}
    (pipeline,) = found.identities
    assert (pipeline.location, pipeline.name, pipeline.environments) == (
        "ci/shop.yml@partner/pipes:1",
        "shop.yml",
        [],
    )
    assert pipeline.url == "https://gitlab.com/partner/pipes/-/blob/HEAD/ci/shop.yml"
    assert pipeline.subjects == [
        "project_path:lantern/shop:ref_type:branch:ref:*",
        "project_path:lantern/shop:ref_type:tag:ref:*",
    ]
    # Anyone who may push there can change this pipeline.
    assert found.problems == {("unpinned-include", "ci/shop.yml@partner/pipes:1")}
    assert not gaps(found.records)
    assert not found.asked("ci/lint")


@pytest.mark.parametrize(("ref", "pinned"), [("main", False), ("v1.2", False), (commit(PIPES), True)])
def test_a_definition_in_another_project_is_as_fixed_as_its_ref(
    night: _Collects, ref: str, pinned: bool
) -> None:
    instance = shop("", pipes={"ci.yml": "a: {script: [x]}\n"})
    instance.projects[SHOP]["ci_config_path"] = f"ci.yml@partner/pipes:{ref}"
    found = night(instance)
    assert bool(found.problems) is not pinned
    assert found.asked("ci.yml") == [f"partner%2Fpipes/repository/files/ci.yml/raw?ref={ref}"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("ci.yml@partner/gone", "denied"),
        ("gone.yml@partner/pipes", "denied"),
        ("https://example.org/ci.yml?token=Zx81-unguessable", "unsupported"),
    ],
)
def test_a_definition_elsewhere_that_cannot_be_read_is_a_gap(
    night: _Collects, path: str, reason: str
) -> None:
    instance = shop("a: {script: [x]}\n")
    instance.projects[SHOP]["ci_config_path"] = path
    found = night(instance)
    assert {(row.table, row.kind, row.reason) for row in found.gaps(FILES)} == {
        (*one, reason) for one in TABLES
    }
    assert not found.identities
    assert "unguessable" not in msgspec.json.encode(found.records).decode()


def test_child_pipelines_are_read_without_asking_gitlab(night: _Collects) -> None:
    found = night(
        shop(
            f"up:\n  variables: {{ROLE: {ROLE}child}}\n  trigger:\n    include:\n      - local: ci/child.yml\n"
            "      - {project: partner/pipes, file: in.yml}\n",
            {"ci/child.yml": "go: {extends: .in}\n"},
            pipes={"in.yml": TEMPLATE},
        )
    )
    assert found.links == {(f"{ROLE}child", "in.yml@partner/pipes:2")}
    assert found.problems == {("unpinned-include", ".gitlab-ci.yml:6")}
    assert not found.unresolved
    assert not found.asked("ci/lint")


def test_inputs_pasted_into_the_files_own_scripts_are_reported_although_gitlab_filled_them_in(
    night: _Collects,
) -> None:
    found = night(
        shop(
            "spec:\n  inputs:\n    who: {default: world}\n---\ninclude: [ci/a.yml]\n"
            'own:\n  script:\n    - echo "hello $[[ inputs.who ]]"\n',
            {"ci/a.yml": "a: {script: [x]}\n"},
        )
    )
    assert found.problems == {("template-injection", ".gitlab-ci.yml:8")}
