"""Signs the lines of the ledger with a local key, and verifies such signatures, and keyless ones, offline.

A local key is an Ed25519 key in PEM (``openssl genpkey -algorithm ed25519``); it needs the package ``cryptography``. A keyless
signature is a Sigstore bundle (https://docs.sigstore.dev/about/bundle/) over ``ledger.jsonl`` as it was when it was signed,
made by ``cosign sign-blob --bundle`` or ``sigstore sign``; verifying it needs the package ``sigstore``. Both come with
``sprawlscan[sign]``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import TYPE_CHECKING

import msgspec

from scanner.snapshot import SnapshotError

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    from scanner.config import SecretRef
    from scanner.ledger import Ledger, Line


class SigningError(Exception):
    """A key or a bundle cannot be used. The message says why and what to do."""


class LocalKey:
    """Signs with a private Ed25519 key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    def sign(self, data: bytes) -> str:
        """Return the signature in base64."""
        return base64.b64encode(self._key.sign(data)).decode("ascii")


def signer(reference: SecretRef | None) -> LocalKey | None:
    """Return what signs with the referenced key; None without a reference. Raises `SigningError`."""
    if reference is None:
        return None
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ModuleNotFoundError:
        raise SigningError(_MISSING.format(what="signing_key")) from None
    try:
        key = load_pem_private_key(reference.read().encode(), password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningError(
            f"signing_key: {reference.reference} is not an Ed25519 private key in PEM without a password. Make one with "
            "`openssl genpkey -algorithm ed25519 -out key.pem`."
        )
    return LocalKey(key)


_MISSING = "{what} needs a package that is not installed: pip install 'sprawlscan[sign]'"


def public_key(path: Path) -> Ed25519PublicKey:
    """Return the public key in a PEM file. Raises `SigningError`."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ModuleNotFoundError:
        raise SigningError(_MISSING.format(what="--key")) from None
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as exc:
        raise SigningError(f"{path}: {exc.strerror}") from None
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise SigningError(
            f"{path} is not an Ed25519 public key in PEM. Make one with `openssl pkey -in key.pem -pubout -out public.pem`."
        )
    return key


def is_signed(line: Line, key: Ed25519PublicKey) -> bool:
    """Return whether a line carries a valid signature of the key."""
    from cryptography.exceptions import InvalidSignature

    content = msgspec.json.encode(msgspec.structs.replace(line, signature=""))
    try:
        key.verify(base64.b64decode(line.signature, validate=True), content)
    except (InvalidSignature, binascii.Error):
        return False
    return True


def lines_of_bundle(
    ledger: Ledger, bundle_file: Path, trusted_root: Path, *, identity: str, issuer: str
) -> int:
    """Verify a Sigstore bundle over the beginning of the ledger, offline. Returns how many lines it covers.

    ``trusted_root`` is the ``trusted_root.json`` of the Sigstore instance, ``identity`` and ``issuer`` are who must have signed:
    the subject and the OIDC issuer in the certificate. Raises `SigningError` for what cannot be used and `SnapshotError` for a
    ledger that is not what was signed.
    """
    try:
        from sigstore.errors import Error, VerificationError
        from sigstore.hashes import HashAlgorithm, Hashed
        from sigstore.models import Bundle, TrustedRoot
        from sigstore.verify import Verifier
        from sigstore.verify.policy import Identity
    except ModuleNotFoundError:
        raise SigningError(_MISSING.format(what="--bundle")) from None
    try:
        content = bundle_file.read_bytes()
        bundle = Bundle.from_json(content)
        signed = base64.b64decode(json.loads(content)["messageSignature"]["messageDigest"]["digest"])
        verifier = Verifier(trusted_root=TrustedRoot.from_file(str(trusted_root)))
    except OSError as exc:
        raise SigningError(f"{exc.filename}: {exc.strerror}") from None
    except (Error, ValueError, KeyError, TypeError) as exc:
        raise SigningError(f"{bundle_file} or {trusted_root} cannot be used: {exc}") from None
    lines = _lines_with_digest(ledger.read(), signed)
    if lines is None:
        raise SnapshotError(
            f"{ledger.path} is not what {bundle_file} signs, nor a continuation of it: lines were changed, removed or cut."
        )
    hashed = Hashed(algorithm=HashAlgorithm.SHA2_256, digest=signed)
    try:
        verifier.verify_artifact(hashed, bundle, Identity(identity=identity, issuer=issuer))
    except VerificationError as exc:
        raise SnapshotError(f"{bundle_file} is not a valid signature of {identity}: {exc}") from None
    return lines


def _lines_with_digest(data: bytes, digest: bytes) -> int | None:
    """Return after how many lines the sha256 of what comes before is this one; None if after none."""
    running = hashlib.sha256()
    for number, line in enumerate(data.splitlines(keepends=True), 1):
        running.update(line)
        if running.digest() == digest:
            return number
    return None
