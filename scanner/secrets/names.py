"""Decides from a name alone (``DB_PASSWORD``, ``/prod/payments/api-key``) whether it stores a secret."""

from __future__ import annotations

import functools
import re

_SPLIT = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_WORDS = {
    "password": "password", "passwords": "password", "passwd": "password", "pwd": "password", "pw": "password", "storepass": "password", "keypass": "password", "passphrase": "password",
    "secret": "secret", "secrets": "secret", "token": "token", "pat": "token", "jwt": "token", "bearer": "token",
    "apikey": "api-key", "apikeys": "api-key", "appkey": "api-key", "privatekey": "private-key", "accesskey": "access-key",
    "secretkey": "secret", "credential": "credential", "credentials": "credential", "creds": "credential",
    "keyfile": "credential", "kubeconfig": "credential", "netrc": "credential", "npmrc": "credential", "dockerconfigjson": "credential",
    "connectionstring": "connection-string", "connstring": "connection-string", "connstr": "connection-string",
}  # fmt: skip
NAMING_PARTS = (
    r"(?i:pass|pw[d_]?|secret|token|pat|jwt|bearer|key|cred|kubeconfig|netrc|npmrc|dockerconfig|conn|hook)"
)
"""A pattern: one of these stands in every name of which `secret_name` returns a kind."""

_GLUED = (
    "password",
    "passwd",
    "passphrase",
    "apikey",
    "secretkey",
    "privatekey",
    "secret",
    "token",
    "credentials",
)
_KEY_BEFORE = {
    **dict.fromkeys(("api", "app", "application", "subscription", "license", "licence", "ingest", "integration"), "api-key"),
    **dict.fromkeys(("access", "account", "storage", "shared", "primary", "root"), "access-key"),
    **dict.fromkeys(("private", "ssh", "rsa", "pem", "signing", "deploy", "gpg", "pgp", "tls", "ssl", "client"), "private-key"),
    **dict.fromkeys(("secret", "master", "encryption", "encrypt", "crypto", "auth", "authentication", "hmac", "service",
                     "sa", "session", "webhook", "admin"), "secret"),
    **dict.fromkeys(("stripe", "sendgrid", "datadog", "openai", "anthropic", "mailgun", "twilio", "algolia", "honeycomb",
                     "newrelic", "sentry", "gcp", "google", "azure", "cloudflare", "fastly", "pagerduty", "opsgenie"), "api-key"),
}  # fmt: skip
"""Words before ``key`` that make it a secret. ``primary key`` of a table is excluded below."""

_ABOUT = _set(
    "id ids name names arn arns url urls uri uris path paths file filename files dir directory folder ttl expiry expires expiration "
    "expire age length len size policy policies enabled enable disabled type types version versions rotation min max timeout header "
    "endpoint endpoints issuer audience region regions count field fields algorithm alg algo hash host hostname port user username "
    "prefix suffix format provider store manager mode source location ref reference references parameter param scope scopes email "
    "days hours minutes seconds interval limit limits budget description desc label required help prompt hint status state "
    "bucket table queue topic index namespace service account role owner vault backend method strategy validity lifetime "
    "retention env var variable variables engine driver class schema template lambda function created updated date time "
    "fingerprint thumbprint checksum digest title subject caption report summary"
)
"""As the last word, these mean that the name describes a secret: ``SECRET_NAME``, ``TOKEN_URL``, ``PASSWORD_MIN_LENGTH``."""
_NOT_SECRET = _set(
    "public pub publishable publish primary sort partition cache foreign hash kms object idempotency trace bucket s3 translation i18n "
    "license host known restore shard routing dedupe row column feature flag no skip disable require use allow reset forgot change "
    "max min num total count next page continuation pagination sync cancellation csrf xsrf"
)
"""Before ``key`` or ``token``, these mean that it is not a secret."""
_AFTER_PASS = _set(
    "docker db database registry ssh sudo root admin mysql postgres user ftp smtp mail git nexus sonar"
) | {""}
_CHATS = _set("slack discord teams mattermost office chat lark feishu dingtalk")
"""Services whose webhook URL is itself a secret: anyone who knows it can post."""
_REFERRING = (["pull", "secret"], ["pull", "secrets"], ["existing", "secret"], ["docker", "secret"])
"""Settings that name a stored secret."""
_WEAK = _set(
    "key keys auth oauth salt pin signature hmac seed session cert certificate pass private webhook dsn cookie code"
)
_PUBLIC = _set(
    "id ids arn sha sha1 commit revision rev version hash digest checksum fingerprint thumbprint public pub name etag url uri host "
    "nonce path file image tag ref client dir integrity"
)


def _words(component: str) -> list[str]:
    return [word.lower() for word in _SPLIT.findall(component)]


def _secret_word(words: list[str]) -> str | None:
    """Return the word that makes one component of a name a secret, or None."""
    while words and words[-1].isdigit():
        words = words[:-1]
    if len(words) > 2 and words[-1] in {"url", "uri"} and words[-2] == "webhook":
        words = words[:-1]
    if not words or words[-1] in _ABOUT or words[-2:] in _REFERRING:
        return None
    for index in range(len(words) - 1, -1, -1):
        word, before = words[index], words[index - 1] if index else ""
        if word == "token" and before in _NOT_SECRET:
            continue
        if word == "string" and before in {"connection", "conn"}:
            return "connection-string"
        if word == "pass" and (words[index + 1 : index + 2] or [""])[0] in _AFTER_PASS:
            return "password"
        if word == "webhook" and before in _CHATS:
            return "webhook"
        if word in {"key", "keys"}:
            if before in _KEY_BEFORE and not (before == "primary" and words[:index] == ["primary"]):
                return _KEY_BEFORE[before]
            continue
        if word in _WORDS and before not in {
            "no",
            "skip",
            "disable",
            "require",
            "use",
            "allow",
            "reset",
            "forgot",
            "is",
            "has",
        }:
            return _WORDS[word]
        glued = next(
            (end for end in _GLUED if len(word) > len(end) and word.endswith(end) and word != "issecret"),
            None,
        )
        if glued is not None:
            return _WORDS[glued]
    return None


@functools.lru_cache(maxsize=65536)
def secret_name(name: str) -> str | None:
    """Return the kind of secret that a name suggests: ``password``, ``token``, ``api-key``, ... or None.

    Names may be variables, settings in camel case, or paths (SSM parameters), of which the last part counts;
    a parent called ``secrets`` or ``credentials`` counts if the last part is inconclusive.
    """
    parts = [part for part in re.split(r"[/\\]", name[:2048]) if part]
    if not parts:
        return None
    last = _words(parts[-1])
    found = _secret_word(last)
    if found is not None or len(parts) == 1 or (last and last[-1] in _ABOUT):
        return found
    parent = _words(parts[-2])
    if parent and parent[-1] in {
        "secret",
        "secrets",
        "credential",
        "credentials",
        "password",
        "passwords",
        "tokens",
    }:
        return _WORDS.get(parent[-1], "token")
    return None


@functools.lru_cache(maxsize=65536)
def weak_secret_name(name: str) -> bool:
    """Return whether a name could be that of a secret (``SESSION_KEY``, ``SALT``) if its value looks like one."""
    words = _words(re.split(r"[/\\]", name[:2048])[-1])
    return bool(words) and words[-1] in _WEAK and not any(word in _NOT_SECRET for word in words)


def is_public_name(name: str) -> bool:
    """Return whether a name suggests an identifier or a hash: ``COMMIT_SHA``, ``CLIENT_ID``, ``IMAGE_DIGEST``."""
    return any(word in _PUBLIC for word in _words(name[:2048]))
