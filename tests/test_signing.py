"""Signatures over the ledger: by a local key, and keyless ones (Sigstore bundles) verified offline."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from scanner.config import SecretRef
from scanner.ledger import Ledger
from scanner.signing import SigningError, lines_of_bundle, public_key, signer
from scanner.snapshot import SnapshotError
from scanner.verification import verify_state
from tests.checkout_nights import Checkout

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

DATA = Path(__file__).parent / "data" / "sigstore"


def write_keys(folder: Path, name: str = "key") -> tuple[Path, Path]:
    key = Ed25519PrivateKey.generate()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


def problems(state: Path, key: Ed25519PublicKey) -> str:
    return "\n".join(verify_state(state, key=key).problems)


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Checkout, Path, Path]:
    """A state whose second night is signed."""
    place = Checkout(tmp_path)
    private, public = write_keys(tmp_path)
    place.night(1)
    place.night(2, place.configure(signing_key=f"${{file:{private}}}"))
    return place, private, public


def test_every_line_from_the_first_signed_one_is_verified(signed: tuple[Checkout, Path, Path]) -> None:
    place, _, public = signed
    found = verify_state(place.state, key=public_key(public))
    assert found.problems == []
    assert found.lines[1] == (
        "ledger.jsonl: 5 lines are signed by this key; the first 5 were written before there was a key"
    )


def test_openssl_makes_a_key_and_verifies_a_line(tmp_path: Path) -> None:
    """What signs is Ed25519 over the line without its signature: nothing of our own is needed to verify it."""
    import base64

    key, public = tmp_path / "key.pem", tmp_path / "public.pem"
    for command in (
        ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key)],
        ["openssl", "pkey", "-in", str(key), "-pubout", "-out", str(public)],
    ):
        subprocess.run(command, check=True, capture_output=True)
    place = Checkout(tmp_path)
    place.night(1, place.configure(signing_key=f"${{file:{key}}}"))
    line = (place.state / "ledger.jsonl").read_text().splitlines()[0]
    signature = json.loads(line)["signature"]
    (tmp_path / "line").write_text(line.replace(f',"signature":"{signature}"', ""))
    (tmp_path / "signature").write_bytes(base64.b64decode(signature))
    done = subprocess.run(
        ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(public), "-rawin",
         "-in", str(tmp_path / "line"), "-sigfile", str(tmp_path / "signature")],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_ledger_written_anew_is_not_signed(signed: tuple[Checkout, Path, Path]) -> None:
    """Somebody who can write to the state, and has no key, makes a whole and well-chained ledger."""
    place, _, public = signed
    ledger = Ledger(place.state)
    kept = [line for line, _ in ledger.lines()]
    ledger.path.unlink()
    (place.state / "snapshots").rename(place.state / "aside")
    (place.state / "analysis").rename(place.state / "aside2")
    (place.state / "history").rename(place.state / "aside3")
    for line in kept:
        ledger.append(line)
    for name, aside in (("snapshots", "aside"), ("analysis", "aside2"), ("history", "aside3")):
        (place.state / aside).rename(place.state / name)
    assert verify_state(place.state).problems == []
    assert "no line is signed by this key" in problems(place.state, public_key(public))


def test_a_line_added_without_the_key_and_another_key_are_noticed(
    signed: tuple[Checkout, Path, Path],
) -> None:
    place, _, public = signed
    _, other = write_keys(place.folder, "other")
    assert "no line is signed by this key" in problems(place.state, public_key(other))
    place.night(3)
    assert "is not signed by this key" in problems(place.state, public_key(public))


def test_keys_that_cannot_be_used_say_what_to_do(tmp_path: Path) -> None:
    ec = generate_private_key(SECP256R1())
    wrong = tmp_path / "ec.pem"
    wrong.write_bytes(ec.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "text").write_text("not a key")
    for path in (wrong, tmp_path / "text"):
        with pytest.raises(SigningError, match="openssl genpkey -algorithm ed25519"):
            signer(SecretRef(f"${{file:{path}}}"))
        with pytest.raises(SigningError, match="openssl pkey"):
            public_key(path)
    with pytest.raises(SigningError, match="No such file"):
        public_key(tmp_path / "missing")
    assert signer(None) is None


# Keyless


SIGNED = 'DO NOT MODIFY ME!\n\nthis is the input for bundle_v3, which tests support for "v3" bundles.\n\nDO NOT MODIFY ME!\n'
"""What the public bundle signs: it stands for the ledger, whose lines are not read."""
WHO = {"identity": "william@yossarian.net", "issuer": "https://github.com/login/oauth"}


def trusted_root(instance: str) -> Path:
    sigstore = pytest.importorskip("sigstore", reason="comes with sprawlscan[sign]")
    (root,) = Path(sigstore.__file__).parent.glob(f"_store/*{instance}*/trusted_root.json")
    return root


def ledger_of(folder: Path, text: str) -> Ledger:
    (folder / "ledger.jsonl").write_text(text)
    return Ledger(folder)


@pytest.mark.parametrize("more", ["", "a line\n", "a line\nand another\n"])
def test_a_bundle_is_verified_offline_over_the_ledger_as_far_as_it_went(tmp_path: Path, more: str) -> None:
    root = trusted_root("sigstage")
    ledger = ledger_of(tmp_path, SIGNED + more)
    assert lines_of_bundle(ledger, DATA / "bundle.json", root, **WHO) == 5


@pytest.mark.parametrize("text", [SIGNED.replace("v3", "v4"), SIGNED[:-18], "first\n" + SIGNED])
def test_a_ledger_that_is_not_what_was_signed_is_noticed(tmp_path: Path, text: str) -> None:
    ledger = ledger_of(tmp_path, text)
    with pytest.raises(SnapshotError, match="changed, removed or cut"):
        lines_of_bundle(ledger, DATA / "bundle.json", trusted_root("sigstage"), **WHO)


@pytest.mark.parametrize(
    ("instance", "who"),
    [
        ("sigstage", {**WHO, "identity": "mallory@example.com"}),
        ("sigstage", {**WHO, "issuer": "https://token.actions.githubusercontent.com"}),
        ("sigstore.dev", WHO),
    ],
    ids=["another identity", "another issuer", "another root"],
)
def test_a_bundle_of_somebody_else_is_refused(tmp_path: Path, instance: str, who: dict[str, str]) -> None:
    ledger = ledger_of(tmp_path, SIGNED)
    with pytest.raises(SnapshotError, match="is not a valid signature"):
        lines_of_bundle(ledger, DATA / "bundle.json", trusted_root(instance), **who)


def test_a_bundle_whose_signature_was_changed_is_refused(tmp_path: Path) -> None:
    root = trusted_root("sigstage")
    bundle = json.loads((DATA / "bundle.json").read_text())
    signature = bundle["messageSignature"]["signature"]
    bundle["messageSignature"]["signature"] = (
        signature[:20] + ("A" if signature[20] != "A" else "B") + signature[21:]
    )
    (tmp_path / "bundle.json").write_text(json.dumps(bundle))
    with pytest.raises(SnapshotError, match="is not a valid signature"):
        lines_of_bundle(ledger_of(tmp_path, SIGNED), tmp_path / "bundle.json", root, **WHO)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff"])
def test_what_is_no_bundle_is_told(tmp_path: Path, content: bytes) -> None:
    root = trusted_root("sigstage")
    (tmp_path / "bundle.json").write_bytes(content)
    with pytest.raises(SigningError, match="cannot be used"):
        lines_of_bundle(ledger_of(tmp_path, SIGNED), tmp_path / "bundle.json", root, **WHO)
    with pytest.raises(SigningError, match="No such file"):
        lines_of_bundle(ledger_of(tmp_path, SIGNED), tmp_path / "missing", root, **WHO)
