"""What a GitHub workflow calls in its own repository: reusable workflows and actions, read as the caller runs them."""

from __future__ import annotations

import pytest

from collectors.definitions import CalledDefinitions, CalledRepository, Definition, DefinitionError, parse
from scanner.secrets.detectors import Fingerprint

FP = Fingerprint(b"test-key")
SHA = "11bd71901bbe5b1630ceea73d27597364c9af683"
PATH = ".github/workflows/main.yml"
CALLED = ".github/workflows/called.yml"
ACTION = ".github/actions/build/action.yml"
ROLE = "arn:aws:iam::111122223333:role/deploy-prod"
LOGIN = f"      - uses: aws-actions/configure-aws-credentials@{SHA}\n        with: {{role-to-assume: '${{{{ inputs.role }}}}'}}\n"
CHECKOUT = f"      - uses: actions/checkout@{SHA}\n        with: {{persist-credentials: false, ref: '${{{{ inputs.ref }}}}'}}\n"


class Files:
    """The files of one repository."""

    def __init__(self, texts: dict[str, str]) -> None:
        self.texts = texts

    def read(self, repository: CalledRepository, path: str) -> str:
        if repository.name or path not in self.texts:
            raise DefinitionError("unsupported", "it does not exist")
        return self.texts[path]


def caller(call: str, *, on: str = "push", top: str = "permissions: {id-token: write}") -> str:
    return f"on: {on}\n{top}\njobs:\n  go:\n    uses: ./{CALLED}\n{call}"


def called(steps: str, *, inputs: str = "{}", head: str = "", top: str = "") -> str:
    return (
        f"on: {{workflow_call: {{inputs: {inputs}}}}}\n{top}jobs:\n  in:\n    runs-on: ubuntu-24.04\n{head}"
        f"    steps:\n{steps}"
    )


def read(main: str, **texts: str) -> Definition:
    files = {CALLED: texts.pop("called", "")} | {
        key.replace("__", "/"): value for key, value in texts.items()
    }
    if "action" in files:
        files[ACTION] = files.pop("action")
    return parse(PATH, main, FP, owner="lanternpay", called=CalledDefinitions(Files(files)))


def brought(definition: Definition) -> list[tuple[str, str, str, list[str]]]:
    """Return the problems in called files: code, severity, where, and who calls."""
    return [
        (problem.code, problem.severity, definition.where(problem.line), definition.callers(problem.line))
        for problem in definition.problems
        if definition.callers(problem.line)
    ]


def test_a_login_of_a_called_workflow_is_the_callers_with_both_places() -> None:
    found = read(
        caller(f"    with: {{role: '{ROLE}'}}\n"),
        called=called(LOGIN, inputs="{role: {type: string}}", head="    environment: production\n"),
    )
    (login,) = found.logins
    assert (login.how, login.targets, login.job, login.environment, login.token_allowed) == (
        "oidc", [ROLE], "go / in", "production", True,
    )  # fmt: skip
    assert (found.where(login.line), found.callers(login.line)) == (f"{CALLED}:7", [f"{PATH}:5"])
    assert [(job.name, job.workflow, job.followed, job.environment) for job in found.jobs] == [
        ("go", None, True, None),
        ("go / in", CALLED, False, "production"),
    ]
    assert found.unresolved == []


@pytest.mark.parametrize(
    ("call", "inputs", "targets"),
    [
        ("    with: {role: '${{ vars.ROLE }}'}\n", "{role: {type: string}}", ["${{ vars.ROLE }}"]),
        ("", f"{{role: {{type: string, default: '{ROLE}'}}}}", [ROLE]),
        (
            "    strategy: {matrix: {role: [arn:a, arn:b]}}\n    with: {role: '${{ matrix.role }}'}\n",
            "{role: {type: string}}",
            ["arn:a", "arn:b"],
        ),
        (
            "    with: {role: '${{ needs.x.outputs.role }}'}\n",
            "{role: {type: string}}",
            ["${{ inputs.role }}"],
        ),
    ],
)
def test_inputs_come_from_the_call_a_default_or_a_matrix(call: str, inputs: str, targets: list[str]) -> None:
    (login,) = read(caller(call), called=called(LOGIN, inputs=inputs)).logins
    assert login.targets == targets


@pytest.mark.parametrize(
    ("call", "names"),
    [
        ("    secrets: {token: '${{ secrets.DEPLOY }}'}\n", {"DEPLOY"}),
        ("    secrets: inherit\n", {"*", "token"}),
        ("", set()),
    ],
)
def test_secrets_are_passed_by_name_all_or_not(call: str, names: set[str]) -> None:
    found = read(caller(call), called=called("      - run: x\n        env: {T: '${{ secrets.token }}'}\n"))
    assert {reference.name for reference in found.secrets} == names


def test_the_environment_of_a_called_job_has_secrets_that_nobody_passes() -> None:
    step = "      - run: x\n        env: {T: '${{ secrets.token }}'}\n"
    found = read(caller(""), called=called(step, head="    environment: production\n"))
    assert [(one.name, one.environment) for one in found.secrets] == [("token", "production")]


def test_permissions_of_the_caller_are_the_most_that_a_called_job_has() -> None:
    inner = called(
        LOGIN,
        inputs=f"{{role: {{default: '{ROLE}'}}}}",
        head="    permissions: {id-token: write, contents: write}\n",
    )
    (_, job) = read(caller("", top="permissions: {id-token: write, contents: read}"), called=inner).jobs
    assert (job.permissions, job.identity_token) == ({"id-token": "write", "contents": "read"}, True)
    (_, without) = read(caller("", top="env: {}"), called=inner).jobs
    assert without.identity_token is False


HEAD = "    with: {ref: '${{ github.event.pull_request.head.sha }}'}\n"
BUILDS = called(CHECKOUT + "      - run: make\n", inputs="{ref: {type: string}}")


def test_a_strangers_commit_handed_to_a_called_workflow_is_found() -> None:
    top = "permissions: {contents: write}"
    found = read(caller(HEAD, on="pull_request_target", top=top), called=BUILDS)
    assert brought(found) == [("untrusted-checkout", "critical", f"{CALLED}:6", [f"{PATH}:5"])]
    assert found.untrusted_checkout


@pytest.mark.parametrize(
    ("call", "on"),
    [
        ("    with: {ref: '${{ github.event.pull_request.base.sha }}'}\n", "pull_request_target"),
        (HEAD, "pull_request"),
        ("    if: github.event.pull_request.head.repo.fork == false\n" + HEAD, "pull_request_target"),
    ],
)
def test_a_trusted_commit_or_event_or_a_condition_of_the_call_is_no_problem(call: str, on: str) -> None:
    assert brought(read(caller(call, on=on), called=BUILDS)) == []


def test_conditions_of_caller_job_and_step_are_judged_together() -> None:
    inner = BUILDS.replace("    steps:\n", "    if: inputs.build == 'yes'\n    steps:\n").replace(
        "inputs: {ref", "inputs: {build: {default: 'no'}, ref"
    )
    assert brought(read(caller(HEAD, on="pull_request_target"), called=inner)) == []
    yes = HEAD.replace("}\n", ", build: 'yes'}\n").replace("}}'", "}}'")
    codes = {code for code, *_ in brought(read(caller(yes, on="pull_request_target"), called=inner))}
    assert codes == {"untrusted-checkout"}


ECHO = "      - run: echo ${{ inputs.title }}\n"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${{ github.event.issue.title }}", ["high"]),
        ("${{ needs.a.outputs.title }}", ["high"]),
        ("release 1", []),
        ("${{ github.sha }}", []),
        ("${{ inputs.free }}", []),  # as bad as what the called file shows by itself
    ],
)
def test_text_of_strangers_is_followed_into_a_called_workflow(value: str, expected: list[str]) -> None:
    main = (
        "on: {issues: {}, workflow_dispatch: {inputs: {free: {}}}}\npermissions: {}\njobs:\n"
        "  a:\n    runs-on: ubuntu-24.04\n    outputs: {title: '${{ steps.t.outputs.t }}'}\n    steps:\n"
        "      - id: t\n        run: echo t=${{ github.event.issue.title }} >> $GITHUB_OUTPUT\n"
        f"  go:\n    needs: a\n    uses: ./{CALLED}\n    with: {{title: '{value}'}}\n"
    )
    found = brought(read(main, called=called(ECHO, inputs="{title: {type: string}}")))
    assert [severity for code, severity, *_ in found if code == "template-injection"] == expected


def test_an_output_of_a_called_workflow_is_followed_back() -> None:
    main = (
        f"on: issues\npermissions: {{}}\njobs:\n  go:\n    uses: ./{CALLED}\n"
        "  after:\n    needs: go\n    runs-on: ubuntu-24.04\n    steps:\n      - run: echo ${{ needs.go.outputs.%s }}\n"
    )
    inner = (
        "on: {workflow_call: {outputs: {title: {value: '${{ jobs.in.outputs.t }}'}, sha: {value: '${{ jobs.in.outputs.s }}'}}}}\n"
        "jobs:\n  in:\n    runs-on: ubuntu-24.04\n"
        "    outputs: {t: '${{ github.event.issue.title }}', s: '${{ github.sha }}'}\n    steps: [{run: 'true'}]\n"
    )
    problems = [p.line for p in read(main % "title", called=inner).problems if p.code == "template-injection"]
    assert problems == [10]
    assert [p.code for p in read(main % "sha", called=inner).problems] == []


def composite(steps: str, inputs: str = "{}", outputs: str = "{}") -> str:
    return f"name: b\ninputs: {inputs}\noutputs: {outputs}\nruns:\n  using: composite\n  steps:\n{steps}"


def with_action(inputs: str, *, on: str = "issues", after: str = "") -> str:
    return (
        f"on: {on}\npermissions: {{}}\njobs:\n  go:\n    runs-on: ubuntu-24.04\n    steps:\n"
        f"      - id: b\n        uses: ./.github/actions/build\n        with: {inputs}\n{after}"
    )


def test_inputs_of_a_local_action_are_followed() -> None:
    action = composite("    - run: echo ${{ inputs.Title }}\n      shell: bash\n", "{title: {default: x}}")
    found = read(with_action("{title: '${{ github.event.issue.title }}'}"), action=action)
    assert brought(found) == [("template-injection", "high", f"{ACTION}:7", [f"{PATH}:7"])]
    assert brought(read(with_action("{title: fixed}"), action=action)) == []
    assert brought(read(with_action("{}"), action=action)) == []


def test_a_secret_handed_through_a_local_action_reaches_the_action_that_gets_it() -> None:
    action = composite("    - uses: a/b@v1\n      with: {t: '${{ inputs.t }}'}\n", "{t: {}}")
    found = read(with_action("{t: '${{ secrets.KEY }}'}"), action=action)
    assert [code for code, *_ in brought(found)] == ["third-party-sees-secrets"]
    assert brought(read(with_action("{t: '${{ github.token }}'}"), action=action)) == []


def test_an_output_of_a_local_action_is_followed_back() -> None:
    action = composite(
        "    - id: t\n      run: echo v=${{ inputs.t }} >> $GITHUB_OUTPUT\n      shell: bash\n",
        "{t: {}}",
        "{v: {value: '${{ steps.t.outputs.v }}'}}",
    )
    after = "      - run: echo ${{ steps.b.outputs.v }}\n"
    tainted = read(with_action("{t: '${{ github.event.issue.title }}'}", after=after), action=action)
    assert 10 in [p.line for p in tainted.problems if p.code == "template-injection"]
    clean = read(with_action("{t: fixed}", after=after), action=action)
    assert 10 not in [p.line for p in clean.problems if p.code == "template-injection"]


def test_steps_of_an_action_keep_the_condition_of_the_step_that_runs_it() -> None:
    action = composite(
        "    - run: echo ${{ inputs.t }}\n      shell: bash\n      if: inputs.on == 'x'\n",
        "{t: {}, on: {default: y}}",
    )
    value = "{t: '${{ github.event.issue.title }}'%s}"
    assert brought(read(with_action(value % ""), action=action)) == []
    assert len(brought(read(with_action(value % ", on: x"), action=action))) == 1


@pytest.mark.parametrize(
    ("main", "texts", "words"),
    [
        (caller(""), {CALLED: caller("", on="workflow_call")}, "itself"),
        (caller(""), {}, "does not exist"),
        (caller(""), {CALLED: "on: workflow_call\n"}, "no jobs"),
        (caller(""), {CALLED: "- 1\n"}, "not a mapping"),
        (caller("").replace("./.github", "other/repo/.github") .replace("called.yml", "called.yml@main"), {}, "does not exist"),
        (with_action("{}"), {}, "does not exist"),
        (with_action("{}").replace("./.github/actions/build", "./../x"), {}, "outside"),
    ],
)  # fmt: skip
def test_what_cannot_be_followed_is_told(main: str, texts: dict[str, str], words: str) -> None:
    definition = parse(PATH, main, FP, called=CalledDefinitions(Files(texts)))
    assert [words in one.what for one in definition.unresolved] == [True]


def test_calls_without_end_are_followed_to_a_limit() -> None:
    texts = {
        f".github/workflows/{n}.yml": f"on: workflow_call\njobs:\n  a: {{uses: ./.github/workflows/{n + 1}.yml}}\n"
        for n in range(30)
    }
    main = "on: push\njobs:\n  a: {uses: ./.github/workflows/0.yml}\n"
    definition = parse(PATH, main, FP, called=CalledDefinitions(Files(texts)))
    assert len(definition.included) == 10
    assert ["more called files" in one.what for one in definition.unresolved] == [True]


def test_steps_of_a_parallel_group_are_read() -> None:
    source = (
        "on: issues\npermissions: {}\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n"
        "      - parallel:\n          - run: echo ${{ github.event.issue.title }}\n          - uses: a/b@v1\n"
    )
    assert {p.code for p in parse(PATH, source, FP).problems} == {"template-injection", "unpinned-uses"}


def test_each_environment_of_a_matrix_has_a_job_of_its_own() -> None:
    call = (
        "    strategy: {matrix: {stage: [staging, production]}}\n    with: {stage: '${{ matrix.stage }}'}\n"
    )
    inner = called(
        "      - run: x\n", inputs="{stage: {type: string}}", head="    environment: ${{ inputs.stage }}\n"
    )
    found = read(caller(call), called=inner)
    assert [job.environment for job in found.jobs] == [None, "staging", "production"]
    assert found.unresolved == []


def test_a_secret_under_another_name_is_the_callers_as_well() -> None:
    keys = f"      - uses: aws-actions/configure-aws-credentials@{SHA}\n        with: {{aws-access-key-id: '${{{{ secrets.id }}}}', aws-secret-access-key: '${{{{ secrets.key }}}}'}}\n"
    found = read(
        caller("    secrets: {id: '${{ secrets.PROD_ID }}', key: '${{ secrets.PROD_KEY }}'}\n"),
        called=called(keys),
    )
    assert [code for code, *_ in brought(found)] == ["static-cloud-login"]
    assert (
        brought(read(caller("    secrets: inherit\n"), called=called(keys))) == []
    )  # reported for the called file


def test_many_calls_of_a_large_file_end() -> None:
    large = called("      - run: echo\n", top=f"notes: [{'0,' * 60_000}0]\n")
    main = "on: push\njobs:\n" + "".join(f"  j{n}: {{uses: ./{CALLED}}}\n" for n in range(100))
    found = read(main, called=large)
    assert any("larger than is read" in one.what for one in found.unresolved)
    assert sum(job.followed for job in found.jobs) < 10
