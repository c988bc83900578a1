"""Signing in to clusters: kubeconfig files of every kind, and programs that print tokens or do not.

https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
"""

from __future__ import annotations

import base64
import json
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

import collectors.kubernetes
from collectors.kubernetes.kubeconfig import ExecPlugin, Kubeconfig
from collectors.kubernetes.sign_in import ClusterSignIn, access_of, certificate_end, issued_by
from sandbox.estate import FIRST_NIGHT
from sandbox.kit.authority import CertificateAuthority
from sandbox.kit.trial import FINGERPRINT
from sandbox.kubernetes import open_sandbox
from scanner.collect.collector import Run, TargetError
from scanner.collect.failures import SourceError
from scanner.records import Gap, Identity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def certificate(ends: datetime) -> tuple[bytes, bytes]:
    """Return a client certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "anna")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(ends - timedelta(days=365))
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return made.public_bytes(serialization.Encoding.PEM), secret


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a kubeconfig with one user and one cluster."""

    def write(user: dict[str, Any], **cluster: Any) -> Path:
        path = tmp_path / "kubeconfig"
        document = {
            "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1", **cluster}}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "prod", "context": {"cluster": "c", "user": "u"}}],
        }
        path.write_text(json.dumps(document))
        return path

    return write


def signed_in(path: Path, **options: Any) -> ClusterSignIn:
    config = collectors.kubernetes.Config.model_validate({"kubeconfig": str(path), **options})
    return ClusterSignIn(config, access_of(config, "prod"), NOW)


def headers(path: Path, **options: Any) -> dict[str, str]:
    sign_in = signed_in(path, **options)
    try:
        return dict(sign_in.auth.headers())
    finally:
        sign_in.close()


def test_a_token_and_a_token_file_which_goes_first(kubeconfig: Callable[..., Path], tmp_path: Path) -> None:
    assert headers(kubeconfig({"token": "abc-one"})) == {"Authorization": "Bearer abc-one"}
    (tmp_path / "token").write_text("abc-two\n")
    both = kubeconfig({"token": "abc-one", "tokenFile": "token"})
    assert headers(both) == {"Authorization": "Bearer abc-two"}
    with pytest.raises(SourceError, match="token file cannot be read"):
        headers(kubeconfig({"tokenFile": "nowhere"}))


def test_a_client_certificate_that_has_expired_is_told_before_asking(kubeconfig: Callable[..., Path]) -> None:
    for days, good in ((1, True), (-1, False)):
        pem, key = certificate(NOW + timedelta(days=days))
        assert certificate_end(pem) == NOW + timedelta(days=days)
        path = kubeconfig(
            {
                "client-certificate-data": base64.b64encode(pem).decode(),
                "client-key-data": base64.b64encode(key).decode(),
            }
        )
        if good:
            sign_in = signed_in(path)
            assert sign_in.certificate is not None
            sign_in.close()
            continue
        with pytest.raises(SourceError, match="expired on 2026-11-29"):
            signed_in(path)


@pytest.mark.parametrize(
    ("user", "cluster", "reason", "words"),
    [
        ({"client-certificate-data": "bm90IFBFTQ==", "client-key-data": "YQ=="}, {}, "malformed", "not PEM"),
        ({"client-certificate": "nowhere.pem"}, {}, "denied", "cannot be read"),
        ({"auth-provider": {"name": "oidc"}}, {}, "unsupported", "auth-provider"),
        ({"username": "anna", "password": "x"}, {}, "unsupported", "username"),
        ({"token": "t", "as": "system:admin"}, {}, "unsupported", "as for"),
        ({"token": "t"}, {"insecure-skip-tls-verify": True}, "unsupported", "insecure-skip-tls-verify"),
        ({"token": "t"}, {"proxy-url": "http://proxy"}, "unsupported", "proxy-url"),
        ({"token": "t"}, {"server": "ftp://x"}, "malformed", "must be a URL"),
        ({"exec": {"command": "aws"}}, {}, "unsupported", "allow_exec"),
        ({"exec": {}}, {}, "malformed", "no command"),
    ],
)
def test_what_is_not_followed_is_told(
    kubeconfig: Callable[..., Path], user: dict[str, Any], cluster: dict[str, Any], reason: str, words: str
) -> None:
    with pytest.raises(SourceError, match=words) as told:
        signed_in(kubeconfig(user, **cluster))
    assert told.value.reason == reason


def printing(text: str, *, then: str = "") -> ExecPlugin:
    return ExecPlugin(
        command=sys.executable, args=("-c", f"import time; print({text!r}, flush=True); {then}")
    )


def test_a_program_prints_a_token_with_its_end() -> None:
    ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    status = {"token": "printed-token", "expirationTimestamp": ends}
    found = issued_by(printing(json.dumps({"kind": "ExecCredential", "status": status})), "https://c", 20)
    assert found.value == "printed-token"
    assert found.seconds is not None
    assert 3000 < found.seconds < 3700


@pytest.mark.parametrize(
    ("plugin", "reason", "words"),
    [
        (ExecPlugin(command="/nowhere/kubelogin"), "unreachable", "could not be started"),
        (printing("", then="raise SystemExit(3)"), "denied", "failed with code 3"),
        (printing("no JSON"), "malformed", "no ExecCredential"),
        (printing('{"status": {"token": ""}}'), "unsupported", "no token"),
    ],
)
def test_a_program_that_gives_no_token_is_told(plugin: ExecPlugin, reason: str, words: str) -> None:
    with pytest.raises(SourceError, match=words) as told:
        issued_by(plugin, "https://c", 20)
    assert told.value.reason == reason


@pytest.mark.parametrize("then", ["time.sleep(60)", "__import__('os').close(1); time.sleep(60)"])
def test_a_program_that_hangs_is_ended(then: str) -> None:
    started = time.monotonic()
    with pytest.raises(SourceError, match="did not end within"):
        issued_by(printing("{}", then=then), "https://c", 0.5)
    assert time.monotonic() - started < 10


def test_a_program_gets_arguments_and_no_shell(tmp_path: Path) -> None:
    status = json.dumps({"status": {"token": "x"}})
    marker = tmp_path / "made"
    plugin = ExecPlugin(command=sys.executable, args=("-c", f"print({status!r})", f"; touch {marker}"))
    assert issued_by(plugin, "https://c", 20).value == "x"
    assert not marker.exists()


def test_files_that_are_no_kubeconfig(tmp_path: Path) -> None:
    path = tmp_path / "k"
    with pytest.raises(SourceError, match="cannot be read"):
        Kubeconfig(path)
    for text in ("- a list", "a: [", "&a [*a]", "\x00"):
        path.write_text(text)
        with pytest.raises(SourceError) as told:
            Kubeconfig(path)
        assert told.value.reason == "malformed"
    for text in ("contexts: {a: b}", "contexts: [1, {name: x}]"):
        path.write_text(text)
        assert list(Kubeconfig(path).contexts()) == []
    config = collectors.kubernetes.Config.model_validate({"kubeconfig": str(tmp_path / "nowhere")})
    with pytest.raises(TargetError, match="cannot be read"):
        list(collectors.kubernetes.targets(config, run(tmp_path)))


@pytest.mark.parametrize(
    "section",
    [
        {},
        {"url": "https://c", "in_cluster": True},
        {"kubeconfig": "k", "token": "${env:T}"},
        {"url": "https://c", "contexts": ["a"]},
        {"url": "c"},
    ],
)
def test_sections_that_say_nothing_or_two_things_are_rejected(section: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        collectors.kubernetes.Config.model_validate(section)


def run(cache: Path) -> Run:
    return Run(as_of=FIRST_NIGHT, fingerprint=FINGERPRINT, cache=cache, stopping=threading.Event())


def test_each_cluster_of_a_kubeconfig_is_a_target_once(
    kubeconfig: Callable[..., Path], tmp_path: Path
) -> None:
    path = kubeconfig({"token": "t"})
    document = json.loads(path.read_text())
    document["clusters"].append({"name": "d", "cluster": {"server": "https://127.0.0.1:2"}})
    for name, cluster in (("prod-admin", "c"), ("stage", "d")):
        document["contexts"].append({"name": name, "context": {"cluster": cluster, "user": "u"}})
    path.write_text(json.dumps(document))

    def names(**options: Any) -> list[str]:
        config = collectors.kubernetes.Config.model_validate({"kubeconfig": str(path), **options})
        return [target.name for target in collectors.kubernetes.targets(config, run(tmp_path))]

    assert names() == ["prod", "stage"]
    assert names(contexts=["prod-admin"]) == ["prod-admin"]
    assert names(contexts=["stage", "stage"], name="lab") == ["lab"]
    assert names(name="acme") == ["acme prod", "acme stage"]


def test_a_cluster_that_cannot_be_signed_in_to_is_lost_whole(
    kubeconfig: Callable[..., Path], tmp_path: Path
) -> None:
    pem, key = certificate(FIRST_NIGHT - timedelta(days=3))
    expired = {
        "client-certificate-data": base64.b64encode(pem).decode(),
        "client-key-data": base64.b64encode(key).decode(),
    }
    for user in (expired, {"exec": {"command": "aws"}}, {"token": "t"}):
        section = {"kubeconfig": str(kubeconfig(user)), "retries": 0}
        config = collectors.kubernetes.Config.model_validate(section)
        (target,) = collectors.kubernetes.targets(config, run(tmp_path))
        (gap,) = collectors.kubernetes.collect(target, config, run(tmp_path))
        assert isinstance(gap, Gap)
        assert (gap.table, gap.account_id) == ("*", "kubernetes:cluster:prod")


def test_a_client_certificate_signs_in(tmp_path: Path) -> None:
    with CertificateAuthority() as authority, open_sandbox("small", authority=authority) as sandbox:
        path = sandbox.connection()["kubeconfig"]
        config = collectors.kubernetes.Config.model_validate(
            {"kubeconfig": path, "contexts": ["administrator"]}
        )
        (target,) = collectors.kubernetes.targets(config, run(tmp_path))
        rows = list(collectors.kubernetes.collect(target, config, run(tmp_path)))
    assert {row.call for row in rows if isinstance(row, Gap) and row.reason != "unsupported"} == set()
    assert any(isinstance(row, Identity) and row.kind == "service-account" for row in rows)
