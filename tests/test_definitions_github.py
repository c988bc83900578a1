"""GitHub workflows: what they say, and which problems they show; each problem with a look-alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.definitions import Definition, DefinitionError, format_of, parse
from collectors.definitions.definition import Unresolved
from collectors.definitions.github.expressions import expressions, paths, taint
from scanner.secrets.detectors import Fingerprint

FP = Fingerprint(b"test-key")
SHA = "11bd71901bbe5b1630ceea73d27597364c9af683"
PATH = ".github/workflows/deploy.yml"


def workflow(source: str) -> Definition:
    return parse(PATH, source, FP, owner="lanternpay")


def job(
    steps: str,
    *,
    on: str = "push",
    head: str = "",
    above: str = "permissions: {}",
    runs_on: str = "ubuntu-24.04",
) -> str:
    """Return a workflow of one job around some steps, which start on line 8 when ``head`` is empty."""
    return f"name: x\non: {on}\n{above}\njobs:\n  build:\n    runs-on: {runs_on}\n{head}    steps:\n{steps}"


def codes(source: str) -> set[str]:
    return {problem.code for problem in workflow(source).problems}


FULL = f"""\
name: Deploy
on:
  push:
    branches: [main, 'release/**']
  pull_request:
env:
  ROLE: arn:aws:iam::200000000002:role/deploy-payments
  REGION: ${{{{ vars.REGION }}}}
permissions:
  contents: read
jobs:
  deploy:
    runs-on: [self-hosted, linux]
    environment: production
    permissions:
      contents: read
      id-token: write
    steps:
      - uses: actions/checkout@{SHA}
      - uses: aws-actions/configure-aws-credentials@v4
        with:
          role-to-assume: ${{{{ env.ROLE }}}}
          aws-region: eu-west-1
      - run: |
          set -e
          aws lambda update-function-code \\
            --function-name payments-api --zip-file fileb://x.zip
          aws ecs update-service --cluster web --service web-frontend
        env:
          API: ${{{{ secrets.API_KEY }}}}
      - uses: someone/notify@v2
        with:
          token: ${{{{ secrets['SLACK'] }}}}
      - if: secrets.GATE == 'x'
        run: 'true'
  call:
    uses: lanternpay/shared-actions/.github/workflows/deploy.yml@main
    secrets: inherit
"""


def test_a_workflow_is_read_whole() -> None:
    found = workflow(FULL)
    assert (found.name, found.format, found.confidence) == ("Deploy", "github-workflow", "high")
    assert found.triggers == {"push": ["refs/heads/main", "refs/heads/release/*"], "pull_request": []}
    assert found.permissions == {"contents": "read"}
    deploy, call = found.jobs
    assert (deploy.environment, deploy.identity_token) == ("production", True)
    assert deploy.runner is not None
    assert (deploy.runner.kind, deploy.runner.labels) == ("self-hosted", ["self-hosted", "linux"])
    assert (call.calls, call.identity_token) == (
        "lanternpay/shared-actions/.github/workflows/deploy.yml@main",
        False,
    )
    assert [(ref.name, ref.line, ref.scope, ref.job, ref.environment, ref.via) for ref in found.secrets] == [
        ("API_KEY", 30, "step", "deploy", "production", "name"),
        ("SLACK", 33, "step", "deploy", "production", "name"),
        ("GATE", 34, "step", "deploy", "production", "name"),
        ("*", 38, "job", "call", None, "inherit"),
    ]
    assert [(ref.name, ref.line, ref.column, ref.scope) for ref in found.variables] == [
        ("REGION", 8, 15, "workflow")
    ]
    assert [
        (login.service, login.how, login.targets, login.line, login.token_allowed) for login in found.logins
    ] == [("aws", "oidc", ["arn:aws:iam::200000000002:role/deploy-payments"], 20, True)]
    assert [(deploy.target, deploy.line) for deploy in found.deploys] == [
        ("aws:lambda-function-name:payments-api", 26),
        ("aws:ecs-service-name:web/web-frontend", 28),
    ]
    assert [(use.name, use.ref, use.pin, use.third_party, use.secrets) for use in found.uses] == [
        ("actions/checkout", SHA, "sha", False, []),
        ("aws-actions/configure-aws-credentials", "v4", "tag", True, []),
        ("someone/notify", "v2", "tag", True, ["SLACK"]),
        ("lanternpay/shared-actions/.github/workflows/deploy.yml", "main", "branch", False, ["*"]),
    ]
    called = "lanternpay/shared-actions/.github/workflows/deploy.yml@main"
    assert found.unresolved == [Unresolved(line=36, what=f"job `call` is the reusable workflow {called}")]


RUN = "      - run: echo hi\n"
CHECKOUT = f"      - uses: actions/checkout@{SHA}\n        with: {{persist-credentials: false"

PROBLEMS = [
    # code, a workflow that shows it, one that looks like it and does not
    ("unpinned-uses", job("      - uses: a/b@v1\n"), job(f"      - uses: a/b@{SHA}\n")),
    ("unpinned-uses", job("      - uses: a/b@main\n"), job("      - uses: ./local\n")),
    ("unpinned-uses", job("      - uses: actions/cache@v4\n"), job(f"      - uses: docker://alpine@sha256:{'a' * 64}\n")),
    ("unpinned-images", job("      - uses: docker://alpine:3\n"), job(f"      - uses: docker://alpine@sha256:{'a' * 64}\n")),
    ("unpinned-images", job(RUN, head="    container: node:22\n"), job(RUN, head=f"    container: node@sha256:{'b' * 64}\n")),
    ("unpinned-images", job(RUN, head="    services: {db: {image: postgres}}\n"), job(RUN, head="    container: ${{ matrix.image }}\n")),
    ("third-party-sees-secrets", job("      - uses: a/b@v1\n        with: {t: '${{ secrets.X }}'}\n"), job("      - uses: a/b@v1\n        with: {t: '${{ secrets.GITHUB_TOKEN }}'}\n")),
    ("third-party-sees-secrets", job("      - uses: a/b@v1\n        env: {T: '${{ secrets.X }}'}\n"), job(f"      - uses: a/b@{SHA}\n        env: {{T: '${{{{ secrets.X }}}}'}}\n")),
    ("excessive-permissions", job(RUN, above="permissions: write-all"), job(RUN)),
    ("excessive-permissions", job(RUN, above="env: {}"), job(RUN, above="env: {}", head="    permissions: {}\n")),
    ("excessive-permissions", job(RUN, above="permissions: {contents: write}"), job(RUN, above="permissions: {contents: read}")),
    ("excessive-permissions", job(RUN, head="    permissions: read-all\n"), job(RUN, head="    permissions: {contents: write}\n")),
    ("excessive-permissions", job(RUN, above="env: {}"), job(RUN, above="env: {}", on="workflow_call")),
    ("dangerous-triggers", job(RUN, on="pull_request_target"), job(RUN, on="pull_request")),
    ("dangerous-triggers", job(RUN, on="[push, workflow_run]"), job(f"      - uses: actions/labeler@{SHA}\n", on="pull_request_target")),
    ("untrusted-checkout", job(CHECKOUT + ", ref: '${{ github.event.pull_request.head.sha }}'}\n" + RUN, on="pull_request_target"), job(CHECKOUT + "}\n" + RUN, on="pull_request_target")),
    ("untrusted-checkout", job(CHECKOUT + ", ref: 'refs/pull/${{ github.event.number }}/merge'}\n", on="issue_comment"), job(CHECKOUT + ", ref: '${{ github.event.pull_request.head.sha }}'}\n", on="pull_request")),
    ("untrusted-checkout", job(CHECKOUT + ", ref: '${{ github.event.workflow_run.head_sha }}'}\n", on="workflow_run"), job(CHECKOUT + ", ref: main}\n", on="workflow_run")),
    ("untrusted-checkout", job("      - run: gh pr checkout $N\n", on="issue_comment"), job("      - run: gh pr view $N\n", on="issue_comment")),
    ("untrusted-checkout", job("      - run: git fetch origin $REF && git checkout $REF\n        env: {REF: '${{ github.head_ref }}'}\n", on="pull_request_target"), job("      - run: git fetch origin $REF\n        env: {REF: main}\n", on="pull_request_target")),
    ("untrusted-checkout", job(CHECKOUT + ", ref: '${{ env.SHA }}'}\n", on="pull_request_target", head="    env: {SHA: '${{ github.event.pull_request.head.sha }}'}\n"), job(CHECKOUT + ", ref: '${{ github.event.pull_request.base.sha }}'}\n", on="pull_request_target")),
    ("template-injection", job("      - run: echo ${{ github.event.issue.title }}\n"), job("      - run: echo $T\n        env: {T: '${{ github.event.issue.title }}'}\n")),
    ("template-injection", job("      - run: echo ${{ github.head_ref }}\n"), job("      - run: echo ${{ github.sha }} ${{ github.run_id }}\n")),
    ("template-injection", job("      - run: echo ${{ github.event.pull_request['title'] }}\n"), job("      - run: echo ${{ github.event.pull_request.number }}\n")),
    ("template-injection", job("      - run: echo ${{ github.event.commits[0].message }}\n"), job("      - run: echo ${{ github.event.pull_request.head.sha }}\n")),
    ("template-injection", job("      - run: echo '${{ toJSON(github.event) }}'\n"), job("      - run: echo ${{ github.event.issue.title == 'x' }}\n")),
    ("template-injection", job(f"      - uses: actions/github-script@{SHA}\n        with: {{script: 'f(\"${{{{ github.event.comment.body }}}}\")'}}\n"), job(f"      - uses: actions/github-script@{SHA}\n        with: {{script: 'f(context)'}}\n")),
    ("template-injection", job("      - run: echo ${{ env.T }}\n        env: {T: '${{ github.event.comment.body }}'}\n"), job("      - run: echo ${{ env.T }}\n        env: {T: fixed}\n")),
    ("template-injection", job("      - run: echo ${{ github.ref_name }}\n"), job("      - run: echo ${{ github.ref_name == 'main' && 'prod' || 'dev' }}\n")),
    ("template-injection", job("      - run: echo ${{ inputs.name }}\n", on="{workflow_dispatch: {inputs: {name: {type: string}}}}"), job("      - run: echo ${{ inputs.name }}\n", on="{workflow_dispatch: {inputs: {name: {type: choice, options: [a]}}}}")),
    ("template-injection", job("      - run: echo ${{ matrix.v }}\n", head="    strategy: {matrix: {v: '${{ fromJSON(needs.a.outputs.v) }}'}}\n"), job("      - run: echo ${{ matrix.v }}\n", head="    strategy: {matrix: {v: [1, 2]}}\n")),
    ("template-injection", job("      - id: a\n        run: echo b=${{ github.head_ref }} >> $GITHUB_OUTPUT\n      - run: echo ${{ steps.a.outputs.b }}\n"), job("      - id: a\n        run: echo b=1 >> $GITHUB_OUTPUT\n      - run: echo ${{ steps.a.outputs.b }}\n")),
    ("secrets-inherit", "on: push\npermissions: {}\njobs:\n  a:\n    uses: ./.github/workflows/x.yml\n    secrets: inherit\n", "on: push\npermissions: {}\njobs:\n  a:\n    uses: ./.github/workflows/x.yml\n    secrets: {A: '${{ secrets.A }}'}\n"),
    ("overprovisioned-secrets", job("      - run: x\n        env: {ALL: '${{ toJSON(secrets) }}'}\n"), job("      - run: x\n        env: {ALL: '${{ toJSON(vars) }}'}\n")),
    ("overprovisioned-secrets", job("      - run: x\n        env: {ONE: '${{ secrets[matrix.name] }}'}\n"), job("      - run: x\n        env: {ONE: \"${{ secrets['NAME'] }}\"}\n")),
    ("secrets-outside-env", job("      - run: x\n        env: {A: '${{ secrets.A }}'}\n"), job("      - run: x\n        env: {A: '${{ secrets.A }}'}\n", head="    environment: production\n")),
    ("secrets-outside-env", job("      - run: x\n        env: {A: '${{ secrets.A }}'}\n"), job("      - run: x\n        env: {A: '${{ secrets.GITHUB_TOKEN }}'}\n")),
    ("secrets-in-output", job("      - run: echo ${{ secrets.A }}\n"), job("      - run: echo ${{ secrets.A }} | docker login --password-stdin\n")),
    ("secrets-in-output", job("      - run: echo $A\n        env: {A: '${{ secrets.A }}'}\n"), job("      - run: echo $B\n        env: {A: '${{ secrets.A }}'}\n")),
    ("unredacted-secrets", job("      - run: f ${{ fromJSON(secrets.A).b }}\n"), job("      - run: f ${{ fromJSON(vars.A).b }}\n")),
    ("hardcoded-container-credentials", job(RUN, head="    container: {image: x, credentials: {username: u, password: hunter2}}\n"), job(RUN, head="    container: {image: x, credentials: {username: u, password: '${{ secrets.P }}'}}\n")),
    ("hardcoded-container-credentials", job(RUN, head="    services: {db: {image: x, credentials: {username: u, password: hunter2}}}\n"), job(RUN, head="    services: {db: {image: x, env: {PASSWORD: hunter2}}}\n")),
    ("self-hosted-runner", job(RUN, runs_on="self-hosted"), job(RUN, runs_on="ubuntu-latest")),
    ("self-hosted-runner", job(RUN, runs_on="[self-hosted, gpu]"), job(RUN, runs_on="windows-2025")),
    ("self-hosted-runner", job(RUN, runs_on="{group: builders}"), job(RUN, runs_on="macos-15-xlarge")),
    ("self-hosted-runner", job(RUN, runs_on="'${{ matrix.os }}'", head="    strategy: {matrix: {os: [self-hosted]}}\n"), job(RUN, runs_on="'${{ matrix.os }}'", head="    strategy: {matrix: {os: [ubuntu-24.04]}}\n")),
    ("artipacked", job(f"      - uses: actions/checkout@{SHA}\n"), job(CHECKOUT + "}\n")),
    ("artifact-poisoning", job(f"      - uses: dawidd6/action-download-artifact@{SHA}\n", on="workflow_run"), job(f"      - uses: dawidd6/action-download-artifact@{SHA}\n")),
    ("cache-poisoning", job(f"      - uses: actions/cache@{SHA}\n", on="release"), job(f"      - uses: actions/cache@{SHA}\n")),
    ("cache-poisoning", job(f"      - uses: actions/setup-go@{SHA}\n", on="{push: {tags: ['v*']}}"), job(f"      - uses: actions/setup-go@{SHA}\n        with: {{cache: false}}\n", on="{push: {tags: ['v*']}}")),
    ("use-trusted-publishing", job(f"      - uses: pypa/gh-action-pypi-publish@{SHA}\n        with: {{password: '${{{{ secrets.PYPI }}}}'}}\n"), job(f"      - uses: pypa/gh-action-pypi-publish@{SHA}\n")),
    ("use-trusted-publishing", job("      - run: npm publish\n        env: {NODE_AUTH_TOKEN: '${{ secrets.NPM }}'}\n"), job("      - run: npm ci\n        env: {NODE_AUTH_TOKEN: '${{ secrets.NPM }}'}\n")),
    ("use-trusted-publishing", job("      - run: twine upload dist/*\n        env: {TWINE_PASSWORD: '${{ secrets.P }}'}\n"), job("      - run: twine check dist/*\n        env: {TWINE_PASSWORD: '${{ secrets.P }}'}\n")),
    ("static-cloud-login", job(f"      - uses: aws-actions/configure-aws-credentials@{SHA}\n        with: {{aws-access-key-id: '${{{{ secrets.ID }}}}', aws-secret-access-key: '${{{{ secrets.KEY }}}}'}}\n"), job(f"      - uses: aws-actions/configure-aws-credentials@{SHA}\n        with: {{role-to-assume: 'arn:aws:iam::1:role/x'}}\n")),
    ("static-cloud-login", job(f"      - uses: google-github-actions/auth@{SHA}\n        with: {{credentials_json: '${{{{ secrets.G }}}}'}}\n"), job(f"      - uses: google-github-actions/auth@{SHA}\n        with: {{workload_identity_provider: p}}\n")),
    ("static-cloud-login", job(f"      - uses: azure/login@{SHA}\n        with: {{creds: '${{{{ secrets.A }}}}'}}\n"), job(f"      - uses: azure/login@{SHA}\n        with: {{client-id: a, tenant-id: b}}\n")),
    ("static-cloud-login", job("      - run: aws s3 ls\n        env: {AWS_SECRET_ACCESS_KEY: '${{ secrets.K }}'}\n"), job("      - run: aws s3 ls\n        env: {AWS_REGION: '${{ vars.R }}'}\n")),
    ("oidc-without-permission", job(f"      - uses: aws-actions/configure-aws-credentials@{SHA}\n        with: {{role-to-assume: x}}\n"), job(f"      - uses: aws-actions/configure-aws-credentials@{SHA}\n        with: {{role-to-assume: x}}\n", head="    permissions: {id-token: write}\n")),
    ("bot-conditions", job("      - if: github.actor == 'dependabot[bot]'\n        run: x\n"), job("      - if: github.event.pull_request.user.login == 'dependabot[bot]'\n        run: x\n")),
    ("bot-conditions", job(RUN, head="    if: ${{ github.actor == 'renovate[bot]' }}\n"), job(RUN, head="    if: ${{ github.actor == 'alice' }}\n")),
    ("confused-deputy-auto-merge", job("      - run: gh pr merge --auto\n", head="    if: github.actor == 'dependabot[bot]'\n", on="pull_request_target"), job("      - run: gh pr merge --auto\n", on="pull_request_target")),
    ("unsound-condition", job(RUN, head="    if: |\n      ${{ github.ref == 'refs/heads/main' }}\n"), job(RUN, head="    if: ${{ github.ref == 'refs/heads/main' }}\n")),
    ("unsound-condition", job(RUN, head="    if: ${{ github.ref == 'a' }} && ${{ github.actor == 'b' }}\n"), job(RUN, head="    if: |-\n      ${{ github.ref == 'refs/heads/main' }}\n")),
    ("unsound-contains", job(RUN, head="    if: contains('refs/heads/main refs/heads/dev', github.ref)\n"), job(RUN, head="    if: contains(fromJSON('[\"refs/heads/main\"]'), github.ref)\n")),
    ("insecure-commands", job(RUN, head="    env: {ACTIONS_ALLOW_UNSECURE_COMMANDS: true}\n"), job(RUN, head="    env: {ACTIONS_ALLOW_UNSECURE_COMMANDS: false}\n")),
    ("github-env", job("      - run: echo A=$B >> $GITHUB_ENV\n", on="pull_request_target"), job("      - run: echo A=$B >> $GITHUB_OUTPUT\n", on="pull_request_target")),
    ("github-env", job('      - run: echo A=$B >> "$GITHUB_PATH"\n', on="workflow_run"), job("      - run: echo A=$B >> $GITHUB_ENV\n", on="push")),
    ("github-app", job(f"      - uses: actions/create-github-app-token@{SHA}\n        with: {{app-id: 1, private-key: '${{{{ secrets.K }}}}'}}\n"), job(f"      - uses: actions/create-github-app-token@{SHA}\n        with: {{app-id: 1, private-key: '${{{{ secrets.K }}}}', permission-contents: read}}\n")),
    ("unverified-script", job("      - run: curl -fsSL https://x.example/i.sh | bash\n"), job("      - run: curl -fsSL https://x.example/i.sh -o i.sh\n")),
    ("debug-enabled", job(RUN, head="    env: {ACTIONS_STEP_DEBUG: true}\n"), job(RUN, head="    env: {DEBUG: true}\n")),
    ("archived-uses", job(f"      - uses: actions/create-release@{SHA}\n"), job(f"      - uses: softprops/action-gh-release@{SHA}\n")),
    ("duplicate-key", job(RUN, above="permissions: {}\npermissions: {}"), job(RUN)),
]  # fmt: skip


@pytest.mark.parametrize(("code", "weak", "sound"), PROBLEMS)
def test_problem_and_look_alike(code: str, weak: str, sound: str) -> None:
    assert code in codes(weak)
    assert code not in codes(sound)


def test_a_sound_workflow_shows_nothing() -> None:
    assert workflow(job(CHECKOUT + "}\n" + RUN)).problems == []


def test_problems_carry_lines_and_jobs() -> None:
    source = job("      - run: |\n          set -e\n          echo ${{ github.event.issue.title }}\n")
    (problem,) = workflow(source).problems
    assert (problem.code, problem.line, problem.job, problem.severity) == (
        "template-injection",
        10,
        "build",
        "high",
    )


def test_folded_scripts_keep_their_lines() -> None:
    source = job(
        "      - run: >-\n          gh release\n          create '${{ github.head_ref }}'\n          --notes x\n"
    )
    (problem,) = workflow(source).problems
    assert problem.line == 10


@pytest.mark.parametrize(
    ("steps", "severity"),
    [
        ("      - run: make\n", "critical"),
        (RUN, "high"),
        ("      - run: grep x README && cat ./file\n", "high"),
        ("      - run: some-tool\n", "high"),
        (f"      - uses: docker/build-push-action@{SHA}\n", "critical"),
        ("      - uses: ./local\n", "critical"),
        ("", "high"),
    ],
)
def test_running_what_was_checked_out_is_worse(steps: str, severity: str) -> None:
    head = CHECKOUT + ", ref: '${{ github.head_ref }}'}\n"
    found = workflow(job(head + steps, on="pull_request_target", above="permissions: write-all"))
    assert [p.severity for p in found.problems if p.code == "untrusted-checkout"] == [severity]
    assert found.untrusted_checkout
    assert found.dangerous_triggers == ["pull_request_target"]


@pytest.mark.parametrize(
    ("on", "condition", "severity"),
    [
        ("issues", "github.actor == 'ada'", "low"),
        ("issues", "github.actor != 'ada'", "high"),
        ("issues", "github.event.issue.pull_request", "high"),
        ("[issues, pull_request]", "github.actor == 'ada'", "high"),
        ("[issues, push]", "github.event_name == 'push'", "low"),
    ],
)
def test_text_that_only_trusted_people_bring_is_milder(on: str, condition: str, severity: str) -> None:
    source = job(
        "      - run: echo ${{ github.event.issue.title }}\n", on=on, head=f'    if: "{condition}"\n'
    )
    found = workflow(source).problems
    assert [p.severity for p in found if p.code == "template-injection"] == [severity]


def test_a_gated_branch_says_what_is_wrong_with_the_gate() -> None:
    source = job(
        CHECKOUT + ", ref: '${{ github.head_ref }}'}\n" + RUN,
        on="{pull_request_target: {types: [labeled]}}",
        head="    if: github.event.label.name == 'checked'\n",
    )
    (problem,) = [p for p in workflow(source).problems if p.code == "untrusted-checkout"]
    assert problem.severity == "high"
    assert "the branch can change in between" in problem.detail
    assert problem.fix == "Check out the approved commit by its SHA."


def test_logins_say_whom_they_ask_for() -> None:
    found = workflow(
        job(
            "      - uses: aws-actions/configure-aws-credentials@v4\n"
            "        with: {role-to-assume: '${{ matrix.role }}', audience: sts.amazonaws.com.cn}\n"
            "      - uses: google-github-actions/auth@v2\n"
            "        with: {workload_identity_provider: projects/1/p, service_account: ci@lantern.iam.gserviceaccount.com}\n"
            "      - uses: azure/login@v2\n"
            "        with: {client-id: '${{ secrets.CLIENT }}', tenant-id: t}\n"
            "      - uses: hashicorp/vault-action@v3\n"
            "        with: {method: jwt, role: deploy}\n"
            "      - uses: docker/login-action@v3\n"
            "        with: {username: u, password: '${{ secrets.GITHUB_TOKEN }}'}\n"
            "      - uses: docker/login-action@v3\n"
            "        with: {username: u, password: '${{ secrets.HUB }}'}\n",
            above="permissions: {id-token: write}",
            head="    strategy: {matrix: {role: ['arn:aws:iam::1:role/a', 'arn:aws:iam::2:role/b']}}\n",
        )
    )
    assert [
        (login.service, login.how, login.targets, login.audience, login.secrets) for login in found.logins
    ] == [
        ("aws", "oidc", ["arn:aws:iam::1:role/a", "arn:aws:iam::2:role/b"], "sts.amazonaws.com.cn", []),
        (
            "gcp",
            "oidc",
            ["projects/1/p", "ci@lantern.iam.gserviceaccount.com"],
            "https://iam.googleapis.com/projects/1/p",
            [],
        ),
        ("azure", "oidc", ["${{ secrets.CLIENT }}"], "api://AzureADTokenExchange", []),
        ("vault", "oidc", ["deploy"], None, []),
        ("registry", "static", [], None, ["HUB"]),
    ]


def test_hard_coded_values_are_reported_by_line_and_never_kept() -> None:
    key = "AKIA" + "QWERTYUIOPASDFGH"
    found = workflow(
        job(
            f"      - run: |\n          export AWS_ACCESS_KEY_ID={key}\n          mysql --password=hunter2\n"
            "      - run: x\n        env: {DB_PASSWORD: hunter3, LEVEL: info, TOKEN: '${{ secrets.T }}'}\n"
        )
    )
    assert [(hard.name, hard.line, hard.seen.looks_like, hard.seen.key_id) for hard in found.hard_coded] == [
        ("AWS_ACCESS_KEY_ID", 9, "aws-access-key-id", key),
        ("password", 10, "password", None),
        ("DB_PASSWORD", 12, "password", None),
    ]
    assert "hunter" not in repr(found)


def test_deployments_are_seen_where_they_stand_in_full() -> None:
    found = workflow(
        job(
            "      - uses: aws-actions/amazon-ecs-deploy-task-definition@v2\n"
            "        with: {service: ledger, cluster: core}\n"
            "      - run: |\n"
            "          aws eks update-kubeconfig --name prod\n"
            "          kubectl -n shop set image deployment/web web=x\n"
            "          helm upgrade --install api ./chart --namespace shop\n"
            "          aws lambda update-function-code --function-name $FN --zip-file x\n"
            "          aws lambda update-function-code --function-name $UNKNOWN --zip-file x\n"
            "          gcloud run deploy shop --image x\n"
            "          az webapp deploy --name shop-web\n"
            "          # aws lambda update-function-code --function-name commented-out\n"
            "          echo aws lambda list-functions\n"
            "        env: {FN: nightly-export}\n"
        )
    )
    assert [deploy.target for deploy in found.deploys] == [
        "aws:ecs-service-name:core/ledger",
        "kubernetes:workload:prod/shop/web",
        "kubernetes:helm-release:prod/shop/api",
        "aws:lambda-function-name:nightly-export",
        "gcp:cloud-run-service-name:shop",
        "azure:webapp-name:shop-web",
    ]


ACTION = """\
name: Deploy
inputs:
  target: {required: true}
runs:
  using: composite
  steps:
    - uses: a/b@v1
    - run: deploy ${{ inputs.target }}
      shell: bash
"""


def test_composite_actions_are_read() -> None:
    found = parse("deploy/action.yml", ACTION, FP)
    assert found.format == "github-action"
    assert {(problem.code, problem.line) for problem in found.problems} == {
        ("unpinned-uses", 7),
        ("template-injection", 8),
    }


@pytest.mark.parametrize("source", ["", "[]", "on: push", "on: push\njobs: []\n", "x", "jobs: {a: [\n"])
def test_what_is_no_workflow_is_refused(source: str) -> None:
    with pytest.raises(DefinitionError):
        workflow(source)


@pytest.mark.parametrize(
    "source",
    [
        "on: [push, {a: b}]\njobs: {a: x, b: {steps: [1, [2], {uses: [1]}, {run: {a: b}}]}}\n",
        "on: {push: {branches: 1}}\npermissions: 7\njobs: {a: {permissions: [1], runs-on: {x: y}, steps: {a: b}}}\n",
        "on:\njobs: {a: {uses: '', with: 1, secrets: [1], strategy: 1, container: [1], services: [2]}}\n",
        "on: push\njobs: {a: {environment: [1], env: 3, if: [], steps: [{uses: '@', with: 3, env: [1]}]}}\n",
    ],
)
def test_odd_shapes_do_not_stop_the_reader(source: str) -> None:
    assert workflow(source).jobs


@given(st.text(max_size=200))
def test_any_text_in_a_script_is_survived(text: str) -> None:
    quoted = "'" + text.replace("'", "''").replace("\n", " ") + "'"
    try:
        found = workflow(job(f"      - run: {quoted}\n      - if: {quoted}\n        uses: {quoted}\n"))
    except DefinitionError:
        return
    assert len(found.jobs) == 1


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("github.event.issue.title", ["github.event.issue.title"]),
        ("GitHub.Event['issue'].Title", ["github.event.issue.title"]),
        ("secrets.A || secrets['b-c']", ["secrets.A", "secrets.b-c"]),
        ("'secrets.A' == env.B", ["env.B"]),
        ("toJSON(secrets)", ["secrets"]),
        ("secrets[format('X_{0}', matrix.a)]", ["secrets.[]"]),
        ("github.event.commits[0].message", ["github.event.commits.0.message"]),
        ("github.event.commits.*.message", ["github.event.commits.*.message"]),
        ("contains('a''b', github.actor)", ["github.actor"]),
        ("1 + true", []),
    ],
)
def test_paths_of_expressions(body: str, found: list[str]) -> None:
    assert [path for path, _ in paths(body)] == found


@pytest.mark.parametrize(
    ("path", "who"),
    [
        ("github.event.issue.title", "outsider"),
        ("github.event.pull_request.head.ref", "outsider"),
        ("github.event.pull_request.head.repo.default_branch", "outsider"),
        ("github.event.commits.0.author.name", "outsider"),
        ("github.event.comment.body", "outsider"),
        ("github.event.workflow_run.head_branch", "outsider"),
        ("github.event", "outsider"),
        ("github", "outsider"),
        ("github.ref_name", "collaborator"),
        ("github.event.inputs.name", "collaborator"),
        ("inputs.name", "collaborator"),
        ("github.event.client_payload.x", "collaborator"),
        ("github.event.pull_request.head.sha", "none"),
        ("github.event.pull_request.number", "none"),
        ("github.event.pull_request.user.login", "none"),
        ("github.sha", "none"),
        ("github.repository", "none"),
        ("secrets.A", "none"),
        ("steps.a.outputs.b", "unknown"),
    ],
)
def test_who_can_write_a_value(path: str, who: str) -> None:
    assert taint(path) == who


def test_expressions_are_found_with_their_offset() -> None:
    text = "a ${{ x }} ${{ '}}' }} ${{ broken"
    assert [(found.body, found.start) for found in expressions(text)] == [(" x ", 2), (" '}}' ", 11)]
    assert list(expressions("${{ " * 20_000)) == []


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (".github/workflows/a.yml", "github-workflow"),
        ("sub/.github/workflows/a.yaml", "github-workflow"),
        (".github/workflows/sub/a.yml", None),
        ("action.yml", "github-action"),
        (".github/actions/x/action.yaml", "github-action"),
        (".gitlab-ci.yml", "gitlab-ci"),
        ("azure-pipelines.yml", "azure-pipelines"),
        ("build/azure-pipelines-release.yml", "azure-pipelines"),
        ("bitbucket-pipelines.yml", "bitbucket-pipelines"),
        ("cloudbuild.yaml", "cloudbuild"),
        ("buildspec.yml", "buildspec"),
        ("Jenkinsfile", "jenkinsfile"),
        ("ci/Jenkinsfile.release", "jenkinsfile"),
        ("docker-compose.yml", None),
        ("transaction.yml", None),
    ],
)
def test_files_are_known_by_name(path: str, kind: str | None) -> None:
    assert format_of(path) == kind
