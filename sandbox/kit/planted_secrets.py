"""Secrets in every form in which a text may hold one, planted in every string of a sandbox's answers.

`SecretPlanter` is used like `sandbox.kit.canaries.CanaryPlanter`, but plants in the fields that are shown on purpose
too: whoever can name a repository, a job or a tag can put a password there. What is written must show none of them.
"""

from __future__ import annotations

import base64
import re
from collections import defaultdict
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import msgspec

from sandbox.kit.canaries import is_choice
from sandbox.kit.issued import text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from sandbox.kit.canaries import Field

CONFIGURED = "k7#Rq/9w+Zm2&Xv p4=Tj"
"""A secret value of the configuration, which no issuer's format tells, with characters that encodings change."""


class Planted(msgspec.Struct, frozen=True, kw_only=True):
    """One secret as it stands in a text."""

    text: str
    """What is planted."""
    needle: str
    """What no artifact may show."""


def _in_pattern(pattern: str, needle: str) -> Planted:
    return Planted(text=pattern.format(needle), needle=needle)


def _encoded(shift: int, *, urlsafe: bool = False) -> Planted:
    """The configured value within a longer text in base64, at one of the three alignments."""
    raw = b"user:"[: 3 + shift] + CONFIGURED.encode() + b"\nmore"
    whole = (base64.urlsafe_b64encode(raw) if urlsafe else base64.b64encode(raw)).decode()
    packed = base64.b64encode(b"\0" * shift + CONFIGURED.encode()).decode()
    inner = packed[(0, 2, 3)[shift] : len(packed) - 4]
    return Planted(text=whole, needle=inner.translate(str.maketrans("+/", "-_")) if urlsafe else inner)


RECOGNIZED: dict[str, Callable[[str], Planted]] = {
    "github-token": lambda seed: _in_pattern("{}", "ghp_" + text_of(seed, 36)),
    "gitlab-token": lambda seed: _in_pattern("{}", "glpat-" + text_of(seed, 20)),
    "slack-webhook": lambda seed: _in_pattern("https://hooks.slack.com/services/{}", f"T0{text_of(seed, 8)}/B0{text_of(seed, 30)}"),
    "jwt": lambda seed: _in_pattern("eyJhbGciOiJIUzI1NiJ9.eyJ{}", text_of(seed, 30) + "." + text_of(seed + "s", 43)),
    "private-key": lambda seed: _in_pattern("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----", text_of(seed, 64)),
    "aws-secret-key": lambda seed: _in_pattern("{}", text_of(seed, 28) + "aB3/" + text_of(seed + "k", 8)),
    "url-password": lambda seed: _in_pattern("https://deploy:{}@git.example.com/x.git", text_of(seed, 14)),
    "database-url": lambda seed: _in_pattern("postgres://app:{}@db.internal:5432/app", text_of(seed, 9)),
    "url-token": lambda seed: _in_pattern("https://api.example.com/v1?access_token={}", text_of(seed, 24)),
    "bearer": lambda seed: _in_pattern("Authorization: Bearer {}", text_of(seed, 32)),
    "assigned": lambda seed: _in_pattern("DB_PASSWORD={}", text_of(seed, 16)),
    "option": lambda seed: _in_pattern("--password {}", text_of(seed, 16)),
    "connection-string": lambda seed: _in_pattern("Server=db;User Id=app;Password={};", text_of(seed, 16)),
    "azure-sas": lambda seed: _in_pattern("https://x.blob.core.windows.net/c?sv=2024&sig={}", text_of(seed, 43) + "%3D"),
}  # fmt: skip
"""By the format that an issuer gives them, or by what stands beside them: each with a value of its own."""

CONFIGURED_FORMS: dict[str, Planted] = {
    "raw": Planted(text=CONFIGURED, needle=CONFIGURED),
    "url-encoded": Planted(text=quote(CONFIGURED, safe=""), needle=quote(CONFIGURED, safe="")),
    "url-encoded-path": Planted(text=quote(CONFIGURED), needle=quote(CONFIGURED)),
    "url-encoded-twice": Planted(
        text=quote(quote(CONFIGURED, safe=""), safe=""), needle=quote(quote(CONFIGURED, safe=""), safe="")
    ),
    "plus-encoded": Planted(text=quote_plus(CONFIGURED), needle=quote_plus(CONFIGURED)),
    "lower-case-hex": Planted(
        text=re.sub("%..", lambda found: found.group().lower(), quote(CONFIGURED, safe="")),
        needle=re.sub("%..", lambda found: found.group().lower(), quote(CONFIGURED, safe="")),
    ),
    **{f"base64-{shift}": _encoded(shift) for shift in range(3)},
    **{f"base64url-{shift}": _encoded(shift, urlsafe=True) for shift in range(3)},
}
"""Of a value of the configuration."""

FORMS: tuple[str, ...] = (*RECOGNIZED, *CONFIGURED_FORMS)


def secret_in(form: str, seed: str) -> Planted:
    """Return a secret in a form; the same seed gives the same one."""
    return CONFIGURED_FORMS[form] if form in CONFIGURED_FORMS else RECOGNIZED[form](seed)


_MARKED = re.compile(r"(?:\.|%2E)zq\..*?\.qz", re.DOTALL)


class SecretPlanter:
    """Plants in the fields that it is given; every item of a list gets the next form. Thread-safe."""

    def __init__(self) -> None:
        self.served: defaultdict[Field, set[str]] = defaultdict(set)
        """The texts of each field, as they were served without secrets."""
        self.planted: dict[str, set[tuple[Field, str]]] = defaultdict(set)
        """What no artifact may show -> where it was planted, and in which form."""
        self._fields: frozenset[Field] = frozenset()
        self._forms: tuple[str, ...] = FORMS
        self._turn: dict[Field, int] = {}
        self._lock = Lock()

    def plant(self, fields: Collection[Field], forms: tuple[str, ...] = FORMS) -> None:
        """Plant these forms in these fields from now on; in none, to watch what is served."""
        self._fields, self._forms = frozenset(fields), forms

    def outgoing(self, route: str, place: str, text: str) -> str:
        """Return a text of an answer, with its secret."""
        field = (route, place)
        with self._lock:
            if field not in self._fields:
                self.served[field].add(text)
                return text
            turn = self._turn.setdefault(field, len(self._turn))
            self._turn[field] += 1
            form = self._forms[turn % len(self._forms)]
            secret = secret_in(form, f"{route} {place} {turn % len(self._forms)}")
            self.planted[secret.needle].add((field, form))
        return f"{text}.zq.{secret.text}.qz"

    def groups(self, steering: Collection[str] = ()) -> dict[str, set[Field]]:
        """Return the fields that were served, by what a secret in them would do to a client.

        A ``name`` is only copied, an ``address`` begins like one, a ``choice`` is a word of the API's own. ``steering``
        are routes whose choices a client waits for: those are left out.
        """
        found: dict[str, set[Field]] = {"name": set(), "address": set(), "choice": set(), "formed": set()}
        for field, texts in self.served.items():
            if all(is_choice(text) for text in texts):
                if field[0] not in steering:
                    found["choice"].add(field)
            elif any(re.match(r"[a-z][a-z0-9+.-]*://", text) for text in texts):
                found["address"].add(field)
            else:
                formed = any(re.match(r"\d{4}-\d\d-\d\d|[\[{(]|[-+]?[\d.]+$", text) for text in texts)
                found["formed" if formed else "name"].add(field)
        return found

    def incoming(self, text: str) -> str:
        """Return what a client sent, without secrets."""
        return _MARKED.sub("", text)

    def found(self, text: str) -> dict[str, set[tuple[Field, str]]]:
        """Return the planted secrets that a text shows."""
        return {needle: where for needle, where in self.planted.items() if needle in text}
