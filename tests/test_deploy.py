"""The files in deploy/: valid by published schemas, and the program run as the image runs it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from typer.testing import CliRunner

from scanner.command.cli import app

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
KUBERNETES = json.loads((ROOT / "tests/data/schemas/kubernetes.json").read_text())
OBJECTS = [
    path
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    if path.stem not in {"config", "kustomization"}
]


def module(name: str) -> ModuleType:
    """Load a script of the image."""
    spec = importlib.util.spec_from_file_location(name, DEPLOY / "container" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def problems(given: Any) -> list[str]:
    """Return what the schema of its kind says against an object."""
    schema = {"$ref": f"#/$defs/{KUBERNETES['kinds'][given['kind']]}", "$defs": KUBERNETES["$defs"]}
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(given)]


@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: path.stem)
def test_the_objects_are_valid(path: Path) -> None:
    given = yaml.safe_load(path.read_text())
    assert problems(given) == []
    assert problems({**given, "specs": {}}) != []  # the schema is strict


def test_the_kustomization_names_every_file() -> None:
    given = yaml.safe_load((DEPLOY / "kubernetes/kustomization.yaml").read_text())
    assert sorted(given["resources"]) == [path.name for path in OBJECTS]
    if shutil.which("kubectl"):
        built = subprocess.run(
            ["kubectl", "kustomize", str(DEPLOY / "kubernetes")], capture_output=True, text=True, check=True, timeout=60
        )  # fmt: skip
        objects = list(yaml.safe_load_all(built.stdout))
        assert [problem for one in objects for problem in problems(one)] == []
        (job,) = [one for one in objects if one["kind"] == "CronJob"]
        pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        # The generated name of the configuration is the one that the pod mounts.
        names = {one["metadata"]["name"] for one in objects if one["kind"] == "ConfigMap"}
        assert {volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume} == names


def test_the_pod_meets_the_restricted_standard() -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    job = yaml.safe_load((DEPLOY / "kubernetes/cronjob.yaml").read_text())["spec"]
    pod = job["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert (job["concurrencyPolicy"], job["jobTemplate"]["spec"]["backoffLimit"]) == ("Forbid", 0)
    config = yaml.safe_load((DEPLOY / "kubernetes/config.yaml").read_text())
    assert job["jobTemplate"]["spec"]["activeDeadlineSeconds"] > config["limits"]["deadline_minutes"] * 60


def test_the_configuration_of_the_example_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    result = CliRunner().invoke(app, ["check-config", "--config", str(DEPLOY / "kubernetes/config.yaml")])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("schema", "name"), [("github-workflows", "github/sprawlscan.yml"), ("gitlab-ci", "gitlab/sprawlscan.gitlab-ci.yml")]
)  # fmt: skip
def test_the_schedules_are_valid(schema: str, name: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    done = subprocess.run(
        [*command, str(DEPLOY / name)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout


def test_our_own_rules_find_nothing_urgent_in_the_schedules(tmp_path: Path) -> None:
    """What we recommend to others must hold for what we ship."""
    workflows = tmp_path / "app/.github/workflows"
    workflows.mkdir(parents=True)
    shutil.copy(DEPLOY / "github/sprawlscan.yml", workflows)
    shutil.copy(DEPLOY / "gitlab/sprawlscan.gitlab-ci.yml", tmp_path / "app/.gitlab-ci.yml")
    state = tmp_path / "state"
    CliRunner().invoke(app, ["run", "--path", str(tmp_path / "app"), "--state", str(state)])
    asked = CliRunner().invoke(
        app, ["findings", "--state", str(state), "--severity", "high+", "--format", "json"]
    )
    urgent = {row["rule"]: row["detail"] for row in json.loads(asked.stdout)}
    assert urgent == {}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_the_units_are_valid_and_confined(tmp_path: Path) -> None:
    for path in (DEPLOY / "systemd").iterdir():
        text = path.read_text().replace("/usr/local/bin/sprawlscan", "/bin/true")
        (tmp_path / path.name).write_text(text)
    units = [str(tmp_path / "sprawlscan.service"), str(tmp_path / "sprawlscan.timer")]
    done = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False, timeout=60
    )
    ours = [line for line in done.stderr.splitlines() if "sprawlscan" in line]
    assert (done.returncode, ours) == (0, [])
    shown = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", units[0]],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    level = re.search(r"Overall exposure level for .*: ([0-9.]+)", shown.stdout)
    assert level is not None, shown.stderr
    assert float(level[1]) < 2.0


def test_the_image_installs_what_a_scan_needs_and_no_more() -> None:
    lock = module("runtime_lock")
    packages = lock.entries((ROOT / "requirements.lock").read_text())
    direct = lock.direct_packages((ROOT / "pyproject.toml").read_text())
    assert direct <= set(packages)
    chosen = lock.needed(packages, direct)
    assert {"boto3", "botocore", "duckdb", "azure-identity", "msal", "python-gitlab", "pygithub"} <= chosen
    assert not chosen & {"pytest", "mypy", "ruff", "playwright", "moto", "hypothesis"}
    # Whatever a chosen package requires on Linux is chosen as well.
    from importlib.metadata import PackageNotFoundError, requires

    from packaging.requirements import Requirement

    lacking = set()
    for name in chosen:
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            continue  # for another platform
        for line in lines:
            needs = Requirement(line)
            if needs.marker is None or needs.marker.evaluate({"extra": ""}):
                lacking |= {needs.name.lower().replace("_", "-")} - chosen
    assert lacking == set()


def test_the_image_needs_no_root_and_no_writable_root() -> None:
    text = (DEPLOY / "container/Containerfile").read_text()
    final = text[text.rindex("\nFROM ") :]
    assert "USER 65532:65532" in final
    assert "HEALTHCHECK" in final
    copied = re.findall(r"(?m)^COPY (?!--from)(.+) \S+$", text)
    named = {name for line in copied for name in line.split()}
    assert [name for name in named if not (ROOT / name).exists()] == []
    allowed = (ROOT / ".containerignore").read_text()
    assert [
        name
        for name in named
        if not any(f"!{part}" in allowed.split() for part in (name, *map(str, Path(name).parents)))
    ] == []


def test_the_health_check_asks_for_a_young_sealed_run(tmp_path: Path) -> None:
    health = module("health")
    assert health.main(str(tmp_path), "48") == 1
    sealed = tmp_path / "snapshots/20261123T020000Z/manifest.json"
    sealed.parent.mkdir(parents=True)
    assert health.main(str(tmp_path), "48") == 1  # begun, not sealed
    sealed.write_text("{}")
    assert health.main(str(tmp_path), "48") == 0
    old = time.time() - 49 * 3600
    os.utime(sealed, (old, old))
    assert health.main(str(tmp_path), "48") == 1


CONFINED = """
set -e
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/python /mnt/state /mnt/packages /mnt/project
mount --bind "$PYTHON_BASE" /mnt/python
mount --bind "$PACKAGES" /mnt/packages
mount --bind "$PROJECT" /mnt/project
mount -t tmpfs -o mode=700,uid=65532,gid=65532 tmpfs /mnt/state
mount -t tmpfs -o mode=1777 tmpfs /tmp
mkdir /tmp/checkout
cp -r /mnt/project/deploy/github /tmp/checkout/
chmod -R a+rX /tmp/checkout
mount -o remount,bind,ro /mnt
mount -o remount,bind,ro /
cd /mnt/state
exec setpriv --reuid=65532 --regid=65532 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all \\
  env -i PATH=/usr/bin:/bin HOME=/tmp PYTHONHOME=/mnt/python LD_LIBRARY_PATH=/mnt/python/lib PYTHONPATH=/mnt/project:/mnt/packages PYTHONDONTWRITEBYTECODE=1 \\
  sh -c 'touch /escaped 2>/dev/null && exit 99; id -u; "$0" -m sprawlscan run --path /tmp/checkout --state /mnt/state; echo "exit $?"; "$0" /mnt/project/deploy/container/health.py /mnt/state 1; find /mnt/state ! -perm -u=rw -o -perm /077 | head -3' \\
  "/mnt/python/bin/$PYTHON_NAME"
"""
"""The entry point as the image has it: another uid, no capabilities, a read-only root, two places to write to."""


def _may_mount() -> bool:
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("setpriv") is None:
        return False
    return subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "t", "/mnt"], capture_output=True, check=False).returncode == 0  # fmt: skip


@pytest.mark.skipif(not _may_mount(), reason="needs root and mount namespaces")
def test_another_user_scans_on_a_read_only_root() -> None:
    given = {
        "PYTHON_BASE": sys.base_prefix,
        "PYTHON_NAME": Path(sys.executable).resolve().name,
        "PACKAGES": str(Path(jsonschema.__file__).parents[1]),
        "PROJECT": str(ROOT),
    }
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", CONFINED],
        env={**os.environ, **given}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert lines[:1] == ["65532"], done.stderr
    assert "exit 0" in lines, done.stdout + done.stderr
    assert lines[-1].startswith("the newest run was sealed 0 hours ago"), lines[-3:]
