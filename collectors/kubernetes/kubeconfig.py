"""Reads kubeconfig files: which clusters they name, and how to sign in to them.

https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/ . Options that would weaken or redirect the connection
(``insecure-skip-tls-verify``, ``proxy-url``) are not followed.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path  # noqa: TC003  msgspec reads the annotations at run time
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from scanner.collect.failures import SourceError
from scanner.collect.http_config import origin_url
from scanner.secrets.configured import remember

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST = 2**22
"""Larger files are not read, in bytes."""


class ExecPlugin(msgspec.Struct, frozen=True, kw_only=True):
    """A program that prints a token."""

    command: str
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    api_version: str = "client.authentication.k8s.io/v1"


class ClusterAccess(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach and sign in to one cluster. Holds secrets: never logged, never stored."""

    name: str
    server: str
    authority: bytes | None = None
    """PEM of the certificate authorities."""
    authority_file: Path | None = None
    certificate: bytes | None = None
    """PEM of the client certificate."""
    key: bytes | None = None
    token: str | None = None
    token_file: Path | None = None
    plugin: ExecPlugin | None = None

    def __repr__(self) -> str:
        return f"ClusterAccess({self.name!r})"


class KubeconfigContext(msgspec.Struct, frozen=True, kw_only=True):
    """One context: a cluster and a user, by name."""

    name: str
    cluster: str
    user: str
    server: str
    """Empty if the file does not describe the cluster."""


class Kubeconfig:
    """One file. Raises `SourceError` (malformed, or denied if it cannot be read)."""

    def __init__(self, path: Path) -> None:
        self._folder = path.resolve().parent
        try:
            if path.stat().st_size > LARGEST:
                raise SourceError("malformed", f"the kubeconfig is larger than {LARGEST} bytes")
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as exc:
            raise SourceError("denied", f"the kubeconfig cannot be read: {exc.strerror}") from None
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError):
            raise SourceError("malformed", "the kubeconfig is not YAML") from None
        if not isinstance(document, dict):
            raise SourceError("malformed", "the kubeconfig is not a mapping")
        self._clusters = _named(document, "clusters", "cluster")
        self._users = _named(document, "users", "user")
        self._contexts = _named(document, "contexts", "context")

    def contexts(self) -> Iterator[KubeconfigContext]:
        """Yield the contexts in the order of the file."""
        for name in self._contexts:
            yield self.context(name)

    def context(self, name: str) -> KubeconfigContext:
        """Return one context. Raises `SourceError` if the file has none of that name."""
        found = self._contexts.get(name)
        if found is None:
            raise SourceError("malformed", f"the kubeconfig has no context {name!r}")
        cluster = str(found.get("cluster") or "")
        return KubeconfigContext(
            name=name,
            cluster=cluster,
            user=str(found.get("user") or ""),
            server=str(self._clusters.get(cluster, {}).get("server") or ""),
        )

    def access(self, name: str) -> ClusterAccess:
        """Return how to sign in with a context. Raises `SourceError` for what is missing or not supported."""
        context = self.context(name)
        cluster = self._clusters.get(context.cluster)
        if cluster is None or not context.server:
            raise SourceError("malformed", f"the kubeconfig has no server for context {name!r}")
        for option in ("insecure-skip-tls-verify", "proxy-url", "tls-server-name"):
            if cluster.get(option):
                raise SourceError(
                    "unsupported", f"the kubeconfig sets {option} for context {name!r}, which is not followed"
                )
        user = self._users.get(context.user, {})
        try:
            server = origin_url(context.server, "https://10.0.0.1:6443")
        except ValueError as exc:
            raise SourceError("malformed", f"the server of context {name!r} {exc}") from None
        for old in ("auth-provider", "username", "as", "as-groups", "as-uid"):
            if user.get(old):
                raise SourceError(
                    "unsupported", f"the kubeconfig uses {old} for context {name!r}, which is not followed"
                )
        token_file = user.get("tokenFile")
        return ClusterAccess(
            name=name,
            server=server,
            authority=self._pem(cluster, "certificate-authority"),
            certificate=self._pem(user, "client-certificate"),
            key=self._pem(user, "client-key"),
            token=_text(user.get("token")),
            # A token file goes before a token: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/#AuthInfo
            token_file=self._folder / str(token_file) if token_file else None,
            plugin=_plugin(user.get("exec")),
        )

    def _pem(self, section: dict[str, Any], key: str) -> bytes | None:
        """Return ``KEY-data``, or the content of the file that ``KEY`` names. The first goes before the second."""
        data = section.get(f"{key}-data")
        try:
            if data:
                return base64.b64decode(str(data), validate=False)
            return (self._folder / str(section[key])).read_bytes() if section.get(key) else None
        except (binascii.Error, ValueError):
            raise SourceError("malformed", f"{key}-data of the kubeconfig is not base64") from None
        except OSError as exc:
            raise SourceError("denied", f"{key} of the kubeconfig cannot be read: {exc.strerror}") from None


def _named(document: dict[str, Any], plural: str, singular: str) -> dict[str, dict[str, Any]]:
    """Return the entries of a list of named objects. The first of a name counts, as in client-go."""
    found: dict[str, dict[str, Any]] = {}
    rows = document.get(plural)
    for row in rows if isinstance(rows, list) else []:
        inner = row.get(singular) if isinstance(row, dict) else None
        if isinstance(inner, dict) and row.get("name"):
            found.setdefault(str(row["name"]), inner)
    return found


def _text(value: object) -> str | None:
    text = str(value).strip() if value else ""
    if text:
        remember(text)
    return text or None


def _plugin(section: object) -> ExecPlugin | None:
    if not isinstance(section, dict):
        return None
    command = str(section.get("command") or "")
    if not command:
        raise SourceError("malformed", "an exec entry of the kubeconfig has no command")
    pairs = section.get("env")
    return ExecPlugin(
        command=command,
        args=tuple(str(one) for one in section.get("args") or ()),
        env={
            str(pair["name"]): str(pair.get("value") or "")
            for pair in (pairs if isinstance(pairs, list) else [])
            if isinstance(pair, dict) and pair.get("name")
        },
        api_version=str(section.get("apiVersion") or "client.authentication.k8s.io/v1"),
    )
