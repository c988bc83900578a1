"""`init`: what a machine knows becomes a config.yaml that passes `check-config`, and no secret is in it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from typer.testing import CliRunner

from scanner.command.cli import app

if TYPE_CHECKING:
    from collections.abc import Mapping

TENANT, CLIENT = "11111111-2222-4333-8444-555555555555", "66666666-7777-4888-9999-000000000000"
CANARIES = {
    name: f"canary-{number}-{'x' * 30}"
    for number, name in enumerate(("gh", "glab", "aws", "kube", "env", "git"))
}
HOME: dict[str, str] = {
    ".aws/config": "[default]\nregion = eu-west-1\n\n[profile acme-audit]\nregion = us-east-1\nsso_start_url = https://acme.awsapps.com/start\n[sso-session x]\nsso_region = us-east-1\n",
    ".aws/credentials": f"[legacy]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = {CANARIES['aws']}\n",
    ".config/gh/hosts.yml": f"github.com:\n    user: amara\n    oauth_token: {CANARIES['gh']}\n    git_protocol: ssh\n",
    ".config/glab-cli/config.yml": f"hosts:\n    gitlab.acme.example:\n        token: {CANARIES['glab']}\n        user: amara\n    gitlab.com:\n        api_protocol: https\n",
    ".azure/azureProfile.json": "\ufeff" + json.dumps({"subscriptions": [{"id": "s", "tenantId": TENANT, "isDefault": True, "user": {"name": "amara@acme.example"}}]}),
    ".azure/azuredevops/config": "[defaults]\norganization = https://dev.azure.com/acme/\n",
    ".kube/config": f"contexts: [{{name: prod-eu, context: {{cluster: c}}}}]\nusers: [{{name: u, user: {{token: {CANARIES['kube']}}}}}]\n",
}  # fmt: skip


def machine(folder: Path, files: Mapping[str, str], *, remote: str | None = None) -> tuple[Path, Path]:
    """Make a home and a folder to work in. Returns both."""
    home, work = folder / "home", folder / "work"
    work.mkdir(parents=True)
    for name, text in files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    home.mkdir(exist_ok=True)
    if remote is not None:
        (work / ".git").mkdir()
        (work / ".git/config").write_text(f'[core]\n\tbare = false\n[remote "origin"]\n\turl = {remote}\n')
    return home, work


def init(
    monkeypatch: pytest.MonkeyPatch, home: Path, work: Path, *more: str, code: int = 0, **environment: str
) -> str:
    """Run `init --yes` in this process, with nothing of the real environment but PATH."""
    for name in list(os.environ):
        if name not in {"PATH", "PYTEST_CURRENT_TEST"}:
            monkeypatch.delenv(name)
    for name, value in {"HOME": str(home), **environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(work)
    mask = os.umask(0o022)
    try:
        result = CliRunner().invoke(app, ["init", "--yes", *more])
        assert result.exit_code == code, result.output
        if code == 0:
            checked = CliRunner().invoke(app, ["check-config"])
            assert checked.exit_code == 0, f"{checked.output}\n{(work / 'config.yaml').read_text()}"
    finally:
        os.umask(mask)
    return result.output


def written(work: Path) -> dict[str, Any]:
    text = (work / "config.yaml").read_text()
    assert not [name for name, canary in CANARIES.items() if canary in text]
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def test_a_machine_without_anything_reads_its_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home, work = machine(tmp_path, {})
    out = init(monkeypatch, home, work)
    assert "no credential is ready" in out
    assert written(work)["collectors"] == {"definitions": {"paths": [str(work)]}}
    assert (work / "config.yaml").stat().st_mode & 0o777 == 0o600


def test_the_files_of_other_tools_become_sections_without_their_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home, work = machine(tmp_path, HOME)
    init(monkeypatch, home, work)
    assert written(work)["collectors"] == {
        "aws": {"profile": "default", "regions": ["eu-west-1"]},
        "azure": {"tenant": TENANT, "sign_in": "azure-cli"},
        "azure-devops": {"organizations": ["acme"], "tenant": TENANT, "sign_in": "azure-cli"},
        "entra": {"tenant": TENANT, "sign_in": "azure-cli"},
        "kubernetes": {"kubeconfig": str(home / ".kube/config")},
    }
    text = (work / "config.yaml").read_text()
    # What is known but cannot work yet is a comment that says what to do.
    assert "export GH_TOKEN=$(gh auth token --hostname github.com)" in text
    assert "#   base_url: https://gitlab.acme.example" in text
    assert "Other profiles here: acme-audit, legacy" in text
    assert "no collector reads yet: prod-eu" in text


def test_a_job_of_github_names_its_organization(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home, work = machine(tmp_path, {})
    init(
        monkeypatch, home, work, GITHUB_TOKEN=CANARIES["env"], GITHUB_REPOSITORY_OWNER="acme",
        GITHUB_SERVER_URL="https://github.com", AWS_WEB_IDENTITY_TOKEN_FILE="/token", AWS_ROLE_ARN="arn:x", AWS_REGION="eu-west-1",
    )  # fmt: skip
    assert written(work)["collectors"] == {
        "aws": {"regions": ["eu-west-1"]},
        "github": {"organizations": ["acme"], "token": "${env:GITHUB_TOKEN}"},
    }


def test_a_server_has_its_address_and_its_own_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hosts = {".config/gh/hosts.yml": "github.acme.example:\n    user: amara\n"}
    home, work = machine(tmp_path, hosts, remote="git@github.acme.example:platform/app.git")
    init(monkeypatch, home, work, GH_ENTERPRISE_TOKEN=CANARIES["env"], GITHUB_TOKEN=CANARIES["git"])
    assert written(work)["collectors"]["github"] == {
        "organizations": ["platform"],
        "base_url": "https://github.acme.example/api/v3",
        "token": "${env:GH_ENTERPRISE_TOKEN}",
    }


def test_a_job_of_gitlab_needs_a_token_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home, work = machine(tmp_path, {})
    job: dict[str, Any] = {
        "CI_SERVER_URL": "https://gitlab.acme.example",
        "CI_PROJECT_ROOT_NAMESPACE": "acme",
    }
    init(monkeypatch, home, work, **job, CI_JOB_TOKEN=CANARIES["env"])
    assert "gitlab" not in written(work)["collectors"]
    assert "A job's CI_JOB_TOKEN cannot list groups" in (work / "config.yaml").read_text()
    (work / "config.yaml").unlink()
    init(monkeypatch, home, work, **job, GITLAB_TOKEN=CANARIES["env"])
    expected = {"groups": ["acme"], "base_url": "https://gitlab.acme.example", "token": "${env:GITLAB_TOKEN}"}
    assert written(work)["collectors"]["gitlab"] == expected


def test_a_workload_identity_is_better_than_a_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home, work = machine(tmp_path, {"token": "a federated token"})
    given: dict[str, Any] = {
        "AZURE_TENANT_ID": TENANT,
        "AZURE_CLIENT_ID": CLIENT,
        "AZURE_CLIENT_SECRET": CANARIES["env"],
    }
    init(monkeypatch, home, work, **given, AZURE_FEDERATED_TOKEN_FILE=str(home / "token"))
    assert written(work)["collectors"]["entra"] == {
        "tenant": TENANT,
        "client_id": CLIENT,
        "federated_token": f"${{file:{home / 'token'}}}",
    }
    (work / "config.yaml").unlink()
    monkeypatch.delenv("AZURE_FEDERATED_TOKEN_FILE")
    init(monkeypatch, home, work, **given)
    assert written(work)["collectors"]["azure"]["client_secret"] == "${env:AZURE_CLIENT_SECRET}"


def test_a_checkout_names_its_organization_and_keeps_its_state_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home, work = machine(tmp_path, {}, remote=f"https://u:{CANARIES['git']}@github.com/acme/app.git")
    init(monkeypatch, home, work)
    found = written(work)
    assert found["state"] == "~/.local/state/sprawlscan"
    assert found["collectors"] == {"definitions": {"paths": [str(work)]}}
    assert "#   organizations: [acme]" in (work / "config.yaml").read_text()


@pytest.mark.parametrize(
    "files",
    [
        {".aws/config": "not an ini file", ".config/gh/hosts.yml": "- a list", ".azure/azureProfile.json": "{"},
        {".config/gh/hosts.yml": "github.com: null\n", ".config/glab-cli/config.yml": "hosts: [x]\n"},
        {".azure/azureProfile.json": '{"subscriptions": {"a": 1}}', ".kube/config": "contexts: {a: b}"},
        {".aws/config": "[profile a\nb]\nregion\n", ".config/gh/hosts.yml": "&a [*a]"},
        {".aws/config": '[profile evil"]\nregion = eu: {x\n', ".kube/config": 'contexts: [{name: "a\\nb: c"}]'},
    ],
)  # fmt: skip
def test_files_that_are_not_as_expected_do_no_harm(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: dict[str, str]
) -> None:
    home, work = machine(tmp_path, files)
    init(monkeypatch, home, work)
    assert written(work)["collectors"]


def test_an_existing_file_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home, work = machine(tmp_path, {})
    (work / "config.yaml").write_text("mine")
    assert "config.yaml exists and stays as it is" in init(monkeypatch, home, work, code=2)
    assert (work / "config.yaml").read_text() == "mine"
    link = work / "other.yaml"
    link.symlink_to(work / "nowhere")
    assert "exists" in init(monkeypatch, home, work, "--config", "other.yaml", code=2)
    assert not (work / "nowhere").exists()


def test_nobody_to_answer_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["init"])
    assert result.exit_code == 2
    assert "use --yes" in result.output


def test_on_a_terminal_each_is_asked(tmp_path: Path) -> None:
    home, work = machine(tmp_path, {".aws/config": "[default]\nregion = eu-west-1\n"})
    ours, theirs = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "GH_TOKEN": CANARIES["env"]}
    os.write(ours, b"n\ny\nacme, widgets\n")
    done = subprocess.run(
        [sys.executable, "-m", "sprawlscan", "init"], cwd=work, env={**environment, "PYTHONPATH": str(Path.cwd())},
        stdin=theirs, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "aws: the profile `default` in ~/.aws/config. Use it? [Y/n]" in done.stdout
    assert written(work)["collectors"] == {
        "github": {"organizations": ["acme", "widgets"], "token": "${env:GH_TOKEN}"}
    }
