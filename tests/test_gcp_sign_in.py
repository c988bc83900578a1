"""How the scanner signs in to Google Cloud: workload identity federation, the metadata server's place, a token by reference.

https://docs.cloud.google.com/iam/docs/workload-identity-federation-with-other-providers,
https://www.rfc-editor.org/rfc/rfc8693
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest
from pydantic import ValidationError

from collectors.gcp.config import Config
from collectors.gcp.sign_in import GoogleAuth
from sandbox.estate import FIRST_NIGHT
from sandbox.kit.http import reply
from sandbox.kit.server import LoopbackServer
from sandbox.kit.trial import FINGERPRINT
from scanner.collect.collector import Run
from scanner.collect.failures import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox.kit.http import Reply

PROVIDER = "//iam.googleapis.com/projects/100/locations/global/workloadIdentityPools/ci/providers/scanner"
RUNS_A_PROGRAM = '{"type": "external_account", "credential_source": {"executable": {"command": "/bin/true"}}}'


class TokenService:
    """A security token service: exchanges one subject token for an access token."""

    def __init__(self) -> None:
        self.status = 200
        self.body: dict[str, object] = {
            "access_token": "made-for-the-scanner",
            "token_type": "Bearer",
            "expires_in": 3600,
        }
        self.asked: list[dict[str, list[str]]] = []
        self.server = LoopbackServer(self._answer, "sts")

    def _answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        assert (method, target) == ("POST", "/v1/token")
        self.asked.append(parse_qs(body.decode()))
        return reply(self.status, self.body)


@pytest.fixture
def service() -> Iterator[TokenService]:
    found = TokenService()
    with found.server:
        yield found


def _run(folder: Path) -> Run:
    return Run(as_of=FIRST_NIGHT, fingerprint=FINGERPRINT, cache=folder, stopping=threading.Event())


def _federated(service: TokenService, folder: Path) -> GoogleAuth:
    token = folder / "token"
    token.write_text("signed by the platform")
    file = folder / "credentials.json"
    configuration = {
        "type": "external_account",
        "audience": PROVIDER,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{service.server.origin}/v1/token",
        "credential_source": {"file": str(token)},
    }
    file.write_text(json.dumps(configuration))
    return GoogleAuth(Config(projects=("acme-lone",), credentials_file=file, retries=0), _run(folder))


def test_a_platform_token_is_exchanged(service: TokenService, tmp_path: Path) -> None:
    auth = _federated(service, tmp_path)
    assert auth.headers() == {"Authorization": "Bearer made-for-the-scanner"}
    assert auth.headers() == {"Authorization": "Bearer made-for-the-scanner"}
    (asked,) = service.asked
    assert asked["subject_token"] == ["signed by the platform"]
    assert asked["audience"] == [PROVIDER]
    assert asked["scope"] == ["https://www.googleapis.com/auth/cloud-platform"]
    auth.close()


@pytest.mark.parametrize(
    ("status", "reason"),
    [(400, "denied"), (401, "denied"), (403, "denied"), (500, "unreachable"), (200, "malformed")],
)
def test_a_refusal_says_what_it_is(service: TokenService, tmp_path: Path, status: int, reason: str) -> None:
    service.status, service.body = status, {"error": "invalid_grant", "error_description": "no such provider"}
    auth = _federated(service, tmp_path)
    with pytest.raises(SourceError) as caught:
        auth.headers()
    assert caught.value.reason == reason
    auth.close()


def test_a_token_service_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    service = TokenService()
    with service.server:
        auth = _federated(service, tmp_path)
    with pytest.raises(SourceError) as caught:
        auth.headers()
    assert caught.value.reason == "unreachable"
    auth.close()


def test_a_file_that_is_none_is_denied(tmp_path: Path) -> None:
    for content in ("", "{}", '{"type": "unheard of"}', "[]", RUNS_A_PROGRAM):
        file = tmp_path / "credentials.json"
        file.write_text(content)
        auth = GoogleAuth(Config(projects=("acme-lone",), credentials_file=file), _run(tmp_path))
        with pytest.raises(SourceError) as caught:
            auth.headers()
        assert caught.value.reason == "denied"
        auth.close()


def test_a_token_by_reference_is_not_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_TOKEN_FOR_A_TEST", "a-token-of-gcloud")
    config = Config.model_validate({"projects": ["acme-lone"], "token": "${env:GOOGLE_TOKEN_FOR_A_TEST}"})
    auth = GoogleAuth(config, _run(tmp_path))
    headers = auth.headers()
    assert headers == {"Authorization": "Bearer a-token-of-gcloud"}
    assert auth.renew(headers) is False
    monkeypatch.delenv("GOOGLE_TOKEN_FOR_A_TEST")
    with pytest.raises(SourceError):
        GoogleAuth(config, _run(tmp_path)).headers()


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({}, "name organizations, projects or both"),
        ({"organizations": ["acme.example"]}, "must be the number of an organization"),
        ({"projects": ["Acme"]}, "must be the ID of a project"),
        ({"projects": ["acme-lone"], "endpoint": "https://iam.googleapis.com"}, "must be a URL such as"),
        ({"projects": ["acme-lone"], "iam_grpc": "https://iam.googleapis.com"}, "must be a host and a port"),
        (
            {"projects": ["acme-lone"], "token": "${env:A}", "credentials_file": "a.json"},
            "two ways to sign in",
        ),
    ],
)
def test_what_a_section_needs(section: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Config.model_validate(section)


def test_old_projects_of_a_domain_have_a_colon() -> None:
    assert Config(projects=("example.com:shop-prod",)).projects == ("example.com:shop-prod",)
