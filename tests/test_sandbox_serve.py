"""``python -m sandbox serve``: one line of JSON has everything that a client needs, and a signal ends it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from sandbox.kit.authority import CertificateAuthority
from sandbox.kit.provider import load_package, provider_names

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def served(*arguments: str) -> Iterator[tuple[dict[str, Any], subprocess.Popen[str]]]:
    """Start the command; give what it printed, and the process."""
    command = [sys.executable, "-m", "sandbox", "serve", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline()), process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_gitlab_over_tls_until_a_signal(number: signal.Signals) -> None:
    with served("gitlab") as (shown, process):
        assert shown["provider"] == "gitlab"
        assert shown["url"].startswith("https://127.0.0.1:")
        assert shown["config"]["base_url"] == shown["url"]
        assert shown["config"]["ca_bundle"] == shown["ca_bundle"]
        (token,) = shown["environment"].values()
        answer = requests.get(
            f"{shown['url']}/api/v4/version",
            headers={"PRIVATE-TOKEN": token},
            verify=shown["ca_bundle"],
            timeout=10,
        )
        assert answer.json()["version"]
        process.send_signal(number)
        assert process.wait(10) == 0
        assert not Path(shown["ca_bundle"]).exists()


@pytest.mark.parametrize("provider", provider_names())
def test_every_provider_can_be_served_over_tls(provider: str) -> None:
    """Its first night is built, and the section of the configuration names the server and its authority."""
    package = load_package(provider)
    with (
        CertificateAuthority() as authority,
        package.open_sandbox("small", "", authority=authority) as sandbox,
    ):
        sandbox.show(1)
        hosts = [value for value in sandbox.section().values() if str(value).startswith("https://127.0.0.1:")]
        assert hosts
        assert sandbox.section()["ca_bundle"] == str(authority.bundle)


@pytest.mark.parametrize("variant", ["app", "token"])
def test_a_variant_sets_how_the_collector_signs_in(variant: str) -> None:
    with served("github", "--plain", "--size", "small", "--variant", variant) as (shown, _):
        assert shown["ca_bundle"] is None
        assert shown["url"].startswith("http://")
        assert variant in shown["config"]
        assert len(shown["environment"]) == 1


@pytest.mark.parametrize("arguments", [["nobody"], ["github", "--variant", "nothing"]])
def test_what_there_is_none_of_is_refused_with_the_choices(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", "serve", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "app" in done.stderr if "github" in arguments else "gitlab" in done.stderr
