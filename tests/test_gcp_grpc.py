"""The gRPC API of IAM: what goes wrong on the wire becomes a reason, and a limit that says when it ends is waited for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from collectors.gcp import Config
from collectors.gcp.iam_library import IamLibrary
from collectors.gcp.sign_in import GoogleAuth
from sandbox.estate import FIRST_NIGHT
from sandbox.gcp import GcpSandbox
from sandbox.kit.provider import environment
from scanner.collect.collector import Run
from scanner.collect.failures import SourceError
from scanner.secrets.detectors import Fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox.kit.faults import Trouble

LIST_ROLES = "google.iam.admin.v1.IAM/ListRoles"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[GcpSandbox]:
    with GcpSandbox() as made:
        yield made


def roles(sandbox: GcpSandbox, folder: Path) -> list[str]:
    config = Config.model_validate({**sandbox.section(), "retries": 1, "largest_answer_mb": 1})
    run = Run(as_of=FIRST_NIGHT, fingerprint=Fingerprint(b"k" * 32), cache=folder, stopping=threading.Event())
    with environment(sandbox.environment()):
        sign_in = GoogleAuth(config, run)
        library = IamLibrary(config, run, sign_in)
        try:
            return [str(role["name"]) for role in library.roles()]
        finally:
            library.close()
            sign_in.close()
            sandbox.heal()


def test_roles_come_in_pages_with_their_permissions(sandbox: GcpSandbox, tmp_path: Path) -> None:
    assert roles(sandbox, tmp_path) == [role["name"] for role in sandbox.company.roles]
    assert sandbox.calls[LIST_ROLES] > 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (403, "denied"),
        (401, "denied"),
        (500, "unreachable"),
        ("closed", "unreachable"),
        ("malformed", "malformed"),
        ("huge", "truncated"),
        ("too-many-bare", "throttled"),
        ("looping-next", "malformed"),
    ],
)
def test_a_fault_becomes_a_reason(sandbox: GcpSandbox, tmp_path: Path, fault: Trouble, reason: str) -> None:
    sandbox.fail(LIST_ROLES, fault)
    with pytest.raises(SourceError) as failed:
        roles(sandbox, tmp_path)
    assert failed.value.reason == reason


def test_a_quota_that_says_when_it_ends_is_waited_for(sandbox: GcpSandbox, tmp_path: Path) -> None:
    sandbox.fail(LIST_ROLES, "too-many", 1)
    assert len(roles(sandbox, tmp_path)) == len(sandbox.company.roles)
