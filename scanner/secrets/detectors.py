"""Detects which values and names look like secrets, and fingerprints values without keeping them.

Why not a library: the input here is one *named value* in memory (a variable, a parameter, a line of a definition
file), tens of thousands of times a night, and only a verdict may leave.
detect-secrets (https://github.com/Yelp/detect-secrets, 1.5.0 of 2024) reads files, keeps an unsalted SHA-1 of
its findings, which can be reversed for weak passwords, and its entropy plugins produce too much noise. kingfisher
(https://github.com/mongodb/kingfisher) is a separate binary that compiles hundreds of rules at each start
and by default validates secrets against the live service. Neither accepts a name together with a value, and neither
returns the public key id that links a copy to its credential at the issuer.

The formats are those that the issuers publish, for instance
https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github#githubs-token-formats,
https://docs.gitlab.com/security/tokens/#token-prefixes,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids,
https://docs.slack.dev/authentication/tokens, https://docs.stripe.com/keys.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import itertools
import math
import re
from collections import Counter

import msgspec

from scanner.records import RecognizedBy  # noqa: TC001  msgspec reads the annotations at run time
from scanner.secrets.names import is_public_name, secret_name, weak_secret_name

__all__ = ["Fingerprint", "Seen", "entropy", "inspect", "secret_name"]

_LIMIT = 1 << 18
"""Maximum number of characters examined: more than any store allows (Secrets Manager: 65,536 bytes)."""


class Fingerprint:
    """HMAC-SHA-256 of a value under the installation's key: 32 hex digits, useless without the key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __call__(self, value: str) -> str:
        """Return the fingerprint of a value."""
        raw = value.strip().encode("utf-8", "surrogatepass")
        return hmac.new(self._key, raw, hashlib.sha256).hexdigest()[:32]

    def __repr__(self) -> str:
        return "Fingerprint(...)"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a value: its detector, length and fingerprint, never the value itself."""

    looks_like: str
    """Detector: ``aws-access-key-id``, ``aws-secret-key``, ``github-token``, ``private-key``, ``jwt``,
    ``connection-string``, ``high-entropy``; ``password``, ``token``, ... if only the name says so."""
    length: int
    fingerprint: str
    recognized_by: RecognizedBy = "value"
    """What says that it is a secret: ``name`` if the value has no known format."""
    key_id: str | None = None
    """The public identifier inside the value (an AWS access key id), if any."""


def _compile(patterns: dict[str, str]) -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((detector, re.compile(pattern)) for detector, pattern in patterns.items())


_B = r"(?<![A-Za-z0-9_])"  # no word character before it: a token does not start inside a word

TOKENS = _compile(
    {
        "github-token": _B + r"(?:gh[pousr]_[A-Za-z0-9_.-]{30,}|github_pat_[A-Za-z0-9_]{36,})",
        "gitlab-token": _B
        + r"(?:gl(?:pat|dt|rtr|rt|ptt|ft|imt|agent|oas|cbt|soat|ffct|wt)-[A-Za-z0-9_.-]{16,}|GR1348941[A-Za-z0-9_-]{20})",
        "slack-token": _B + r"(?:xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-\d-[A-Za-z0-9-]{20,})",
        "slack-webhook": r"https://hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_-]{20,}",
        "discord-webhook": r"https://(?:\w+\.)?discord(?:app)?\.com/api/webhooks/\d{10,}/[A-Za-z0-9_-]{30,}",
        "teams-webhook": r"https://[\w.-]+\.webhook\.office\.com/webhookb2/[\w@/-]{30,}",
        "npm-token": _B + r"npm_[A-Za-z0-9]{30,}|:_authToken\s*=\s*(?P<npm>[A-Za-z0-9_-]{20,})",
        "pypi-token": _B + r"pypi-[A-Za-z0-9_-]{50,}",
        "stripe-key": _B + r"(?:[sr]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=]{24,})",
        "google-api-key": _B + r"AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])",
        "google-oauth-secret": _B + r"GOCSPX-[A-Za-z0-9_-]{20,}",
        "google-access-token": _B + r"ya29\.[A-Za-z0-9_-]{30,}",
        "azure-client-secret": r"(?<![A-Za-z0-9_~.-])[A-Za-z0-9_~.-]{3}\dQ~[A-Za-z0-9_~.-]{31,34}(?![A-Za-z0-9_~.-])",
        "azure-devops-token": _B + r"[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}(?![A-Za-z0-9])",
        "azure-storage-key": r"(?i:\b(?:AccountKey|SharedAccessKey)\s*=\s*)(?P<azk>[A-Za-z0-9+/]{40,}={0,2})",
        "azure-sas": r"[?&;]sig=(?P<sas>[A-Za-z0-9%+/=_-]{30,})",
        "sendgrid-key": _B + r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{30,}",
        "mailgun-key": _B + r"key-[0-9a-f]{32}(?![0-9a-f])",
        "mailchimp-key": _B + r"[0-9a-f]{32}-us\d{1,2}(?!\w)",
        "twilio-key": _B + r"SK[0-9a-f]{32}(?![0-9a-fA-F])",
        "anthropic-key": _B + r"sk-ant-[A-Za-z0-9_-]{30,}",
        "openai-key": _B
        + r"sk-(?:(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{32,}|(?:or-v1-)?[A-Za-z0-9]{32,})(?![A-Za-z0-9_-])",
        "huggingface-token": _B + r"hf_[A-Za-z0-9]{30,}",
        "vault-token": _B + r"hv[sbr]\.[A-Za-z0-9_-]{20,}",
        "terraform-token": _B + r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{50,}",
        "docker-token": _B + r"dckr_[po]at_[A-Za-z0-9_-]{20,}",
        "doppler-token": _B + r"dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._-]{36,}",
        "digitalocean-token": _B + r"do[opr]_v1_[0-9a-f]{64}",
        "heroku-key": _B + r"HRKU-[A-Za-z0-9_-]{30,}",
        "shopify-token": _B + r"shp(?:at|ss|ca|pa)_[0-9a-fA-F]{32}",
        "square-token": _B + r"(?:sq0(?:atp|csp)-[A-Za-z0-9_-]{22,}|EAAA[A-Za-z0-9_-]{60})",
        "databricks-token": _B + r"dapi[0-9a-f]{32}(?:-\d)?(?![0-9a-f])",
        "newrelic-key": _B + r"NRAK-[A-Z0-9]{27}",
        "grafana-token": _B + r"(?:glsa_[A-Za-z0-9]{32}_[0-9A-Fa-f]{8}|glc_[A-Za-z0-9+/]{32,}={0,2})",
        "pulumi-token": _B + r"pul-[0-9a-f]{40}",
        "linear-key": _B + r"lin_api_[A-Za-z0-9]{32,}",
        "atlassian-token": _B + r"(?:AT[AC]TT3[A-Za-z0-9_=-]{40,}|ATBB[A-Za-z0-9]{24,})",
        "sentry-token": _B + r"sntry[su]_[A-Za-z0-9_+/=-]{40,}",
        "artifactory-token": _B + r"(?:AKCp[A-Za-z0-9]{60,}|cmVmdGtu[A-Za-z0-9]{50,})",
        "telegram-token": r"(?<![\w:])\d{8,10}:AA[A-Za-z0-9_-]{32,}",
        "rubygems-key": _B + r"rubygems_[0-9a-f]{48}",
        "nuget-key": _B + r"oy2[a-z0-9]{43}(?![a-z0-9])",
        "crates-token": _B + r"cio[A-Za-z0-9]{32}(?![A-Za-z0-9])",
        "age-secret-key": _B + r"AGE-SECRET-KEY-1[A-Z0-9]{58}",
        "planetscale-token": _B + r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.-]{32,}",
        "fly-token": _B + r"fm\dr?_[A-Za-z0-9+/=,_-]{80,}",
        "supabase-token": _B + r"sb(?:p_[0-9a-f]{40}|_secret_[A-Za-z0-9_-]{20,})",
        "netlify-token": _B + r"nf[pcoub]_[A-Za-z0-9]{36}",
        "azure-platform-key": r"(?<![A-Za-z0-9/+_-])(?:[A-Za-z0-9/+]{76}(?:APIM|ACDb|\+(?:ABa|AMC|ASt))[A-Za-z0-9/+]{5}[AQgw]==|"
        r"[A-Za-z0-9/+]{33}(?:AIoT|\+(?:ASb|AEh|ARm))[A-Za-z0-9/+]{5}=|[A-Za-z0-9_-]{44}AzFu[A-Za-z0-9_-]{5}[AQgw]==|"
        r"[A-Za-z0-9]{42}AzSe[A-D][A-Za-z0-9]{5}(?![A-Za-z0-9])|[A-Za-z0-9]{33}AzCa[A-P][A-Za-z0-9]{5}=|[A-Za-z0-9]{42}\+ACR[A-D][A-Za-z0-9]{5}(?![A-Za-z0-9]))",
        "azure-app-configuration": r";Id=[^;\s]{8,60};Secret=(?P<aac>[A-Za-z0-9+/]{36,}={0,2})",
        "google-refresh-token": _B + r"1//0[A-Za-z0-9_-]{40,}",
        "google-hmac-key": _B + r"GOOG1[A-Z0-9]{50,60}(?![A-Z0-9])",
        "openshift-token": r"(?<![A-Za-z0-9])sha256~[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])",
        "braintree-token": r"access_token\$(?:production|sandbox)\$[0-9a-z]{16}\$[0-9a-f]{32}",
        "amazon-mws-token": r"(?i:\bamzn\.mws\.)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        "clojars-token": _B + r"CLOJARS_[0-9a-f]{60}",
        "typeform-token": _B + r"tfp_[A-Za-z0-9_.-]{40,}",
        "prefect-token": _B + r"pn[ub]_[A-Za-z0-9]{36}",
        "easypost-key": _B + r"EZ[AT]K[A-Za-z0-9]{54}",
        "frameio-token": _B + r"fio-u-[A-Za-z0-9_-]{60,}",
        "dynatrace-token": _B + r"dt0[a-z]\d\d\.[A-Z0-9]{8,24}\.[A-Z0-9]{64}",
        "duffel-token": _B + r"duffel_(?:test|live)_[A-Za-z0-9_-]{40,}",
        "sourcegraph-token": _B + r"(?:sgp_(?:[0-9a-f]{16}_|local_)?[0-9a-f]{40}|slk_[0-9a-f]{64})",
        "hubspot-token": _B + r"pat-(?:na|eu)\d-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        "brevo-key": _B + r"xkeysib-[0-9a-f]{64}-[A-Za-z0-9]{16}",
        "shippo-token": _B + r"shippo_(?:test|live)_[0-9a-f]{40}",
        "posthog-key": _B + r"phx_[A-Za-z0-9]{40,}",
        "cloudflare-origin-key": _B + r"v1\.0-[0-9a-f]{24}-[0-9a-f]{146}",
        "cloudflare-token": _B + r"cf(?:ut|at|k)_[A-Za-z0-9]{40,}",
        "groq-key": _B + r"gsk_[A-Za-z0-9]{48,}",
        "replicate-token": _B + r"r8_[A-Za-z0-9]{37}(?![A-Za-z0-9])",
        "perplexity-key": _B + r"pplx-[A-Za-z0-9]{48,}",
        "xai-key": _B + r"xai-[A-Za-z0-9]{70,}",
        "nvidia-key": _B + r"nvapi-[A-Za-z0-9_-]{60,}",
        "airtable-token": _B + r"pat[A-Za-z0-9]{14}\.[0-9a-f]{64}",
        "mailersend-token": _B + r"mlsn\.[0-9a-f]{64}",
        "tailscale-key": _B + r"tskey-[a-z]+-[A-Za-z0-9]{10,}-[A-Za-z0-9]{20,}",
        "aiven-password": _B + r"AVNS_[A-Za-z0-9_-]{17,24}(?![A-Za-z0-9_-])",
        "contentful-token": _B + r"CFPAT-[A-Za-z0-9_-]{40,}",
        "facebook-token": _B + r"EAA[A-Z][A-Za-z0-9]{90,}",
        "adafruit-key": _B + r"aio_[A-Za-z0-9]{28}(?![A-Za-z0-9])",
        "flutterwave-key": _B + r"FLWSECK(?:_TEST)?-[0-9a-z]{12,32}(?:-X)?(?![0-9a-z])",
        "infracost-key": _B + r"ico-[A-Za-z0-9]{32}(?![A-Za-z0-9])",
        "readme-key": _B + r"rdme_[a-z0-9]{70}",
        "lob-key": _B + r"(?:live|test)_[0-9a-f]{35}(?![0-9a-f])",
        "launchdarkly-key": _B + r"sdk-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        "stytch-secret": _B + r"secret-(?:test|live)-[A-Za-z0-9_-]{34,}=",
        "snyk-token": _B + r"snyk_(?:uat|sat)\.[0-9a-z]{8}\.[A-Za-z0-9_-]{40,}",
        "mongodb-atlas-secret": _B + r"mdb_sa_sk_[A-Za-z0-9_-]{40}",
        "neon-key": _B + r"napi_[a-z0-9]{60,}",
        "vercel-token": _B + r"vc[pikra]_[A-Za-z0-9]{50,}",
        "grafana-key": _B + r"eyJrIjoi[A-Za-z0-9]{70,}={0,2}",
        "tencent-key-id": _B + r"AKID[A-Za-z0-9]{32}(?![A-Za-z0-9])",
        "sonar-token": _B + r"sq[pua]_[0-9a-f]{40}",
        "buildkite-token": _B + r"bk(?:ua|aj|ct|rt)_[0-9A-Za-z]{32,}",
        "circleci-token": _B + r"CCI(?:PAT|PRJ)_[A-Za-z0-9_]{40,}",
        "onepassword-token": _B + r"ops_eyJ[A-Za-z0-9_=-]{100,}",
        "postman-key": _B + r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}",
        "notion-token": _B + r"(?:ntn_[A-Za-z0-9]{40,}|secret_[A-Za-z0-9]{43}(?![A-Za-z0-9]))",
        "figma-token": _B + r"fig[doru]_[A-Za-z0-9_-]{36,}",
        "aws-bedrock-key": _B + r"ABSK[A-Za-z0-9+/]{100,}={0,2}",
        "aws-session-token": r"(?<![A-Za-z0-9+/])(?:FwoGZXIvYXdz|FQoGZXIvYXdz|IQoJb3JpZ2lu)[A-Za-z0-9+/=]{100,}",
        "jwt": r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*",
    }
)
"""Tokens recognizable by their issuer's format anywhere in a text. A named group, if present, is the secret
part."""

_HINTS = {
    "github-token": "gh github_pat_", "gitlab-token": "GR1348941 gl", "slack-token": "xapp- xox",
    "slack-webhook": "https://hooks.slack", "discord-webhook": ".com/api/webhooks/",
    "teams-webhook": ".webhook.office.com/webhookb2/", "npm-token": ":_authToken npm_",
    "pypi-token": "pypi-", "stripe-key": "k_live_ k_test_ whsec_", "google-api-key": "AIza",
    "google-oauth-secret": "GOCSPX-", "google-access-token": "ya29.", "azure-client-secret": "Q~",
    "azure-devops-token": "AZDO", "azure-sas": "sig=", "sendgrid-key": "SG.", "mailgun-key": "key-",
    "mailchimp-key": "-us", "twilio-key": "SK", "anthropic-key": "sk-ant-", "openai-key": "sk-",
    "huggingface-token": "hf_", "vault-token": "hvb. hvr. hvs.", "terraform-token": ".atlasv1.",
    "docker-token": "dckr_", "doppler-token": "dp.", "digitalocean-token": "_v1_", "heroku-key": "HRKU-",
    "shopify-token": "shp", "square-token": "EAAA sq0", "databricks-token": "dapi", "newrelic-key": "NRAK-",
    "grafana-token": "glc_ glsa_", "pulumi-token": "pul-", "linear-key": "lin_api_",
    "atlassian-token": "ATATT3 ATBB ATCTT3", "sentry-token": "sntry", "artifactory-token": "AKCp cmVmdGtu",
    "telegram-token": ":AA", "rubygems-key": "rubygems_", "nuget-key": "oy2", "crates-token": "cio",
    "age-secret-key": "AGE-SECRET-KEY-1", "planetscale-token": "pscale_", "fly-token": "fm1 fm2",
    "supabase-token": "sb_secret_ sbp_", "netlify-token": "nf",
    "azure-platform-key": "+ABa +ACR +AEh +AMC +ARm +ASb +ASt ACDb AIoT APIM AzCa AzFu AzSe",
    "azure-app-configuration": ";Secret=", "google-refresh-token": "1//0", "google-hmac-key": "GOOG1",
    "openshift-token": "sha256~", "braintree-token": "access_token$", "clojars-token": "CLOJARS_",
    "typeform-token": "tfp_", "prefect-token": "pnb_ pnu_", "easypost-key": "EZAK EZTK",
    "frameio-token": "fio-u-", "dynatrace-token": "dt0", "duffel-token": "duffel_",
    "sourcegraph-token": "sgp_ slk_", "hubspot-token": "pat-", "brevo-key": "xkeysib-",
    "shippo-token": "shippo_", "posthog-key": "phx_", "cloudflare-origin-key": "v1.0-",
    "cloudflare-token": "cfat_ cfk_ cfut_", "groq-key": "gsk_", "replicate-token": "r8_",
    "perplexity-key": "pplx-", "xai-key": "xai-", "nvidia-key": "nvapi-", "airtable-token": "pat",
    "mailersend-token": "mlsn.", "tailscale-key": "tskey-", "aiven-password": "AVNS_",
    "contentful-token": "CFPAT-", "facebook-token": "EAA", "adafruit-key": "aio_",
    "flutterwave-key": "FLWSECK", "infracost-key": "ico-", "readme-key": "rdme_", "lob-key": "live_ test_",
    "launchdarkly-key": "sdk-", "stytch-secret": "secret-", "snyk-token": "snyk_",
    "mongodb-atlas-secret": "mdb_sa_sk_", "neon-key": "napi_", "vercel-token": "vc",
    "grafana-key": "eyJrIjoi", "tencent-key-id": "AKID", "sonar-token": "sqa_ sqp_ squ_",
    "buildkite-token": "bkaj_ bkct_ bkrt_ bkua_", "circleci-token": "CCIP", "onepassword-token": "ops_eyJ",
    "postman-key": "PMAK-", "notion-token": "ntn_ secret_", "figma-token": "fig", "aws-bedrock-key": "ABSK",
    "aws-session-token": "GZXIvYXdz IQoJb3JpZ2lu", "jwt": ".eyJ",
}  # fmt: skip
"""Substrings of which one occurs in every token of a detector. They are searched first because that is cheap."""

HINTED = tuple(
    (hint, detector, pattern)
    for detector, pattern in TOKENS
    for hint in (_HINTS[detector].split(" ") if detector in _HINTS else [""])
)
"""A substring, and the detector and pattern of the tokens that it stands in."""
_SHORTEST = 18
"""Length of the shortest token (an AWS key id is searched separately)."""

PRIVATE_KEY = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-\d: |\bPRIVATE KEY-----\\n"
)
USERINFO = re.compile(
    r"\b(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{1,30})://(?P<user>[^\s/:@'\"<>?#]{0,200}):(?P<secret>[^\s/@'\"]{1,300})@"
)
"""A URL that contains a password."""

_KEYED = re.compile(
    r"(?i)(?:\A|[;&?\s,{\"'])(?:password|passwd|pwd|user\s?pass(?:word)?|access_?token|api_?key|apikey|client_secret|secret)"
    r"[\"']?\s*=\s*[\"']?(?P<secret>[^\s;&'\",}]{1,300})"
)
"""``key=value`` inside a longer text: ADO.NET and libpq connection strings, JDBC and HTTP queries."""
_NETRC = re.compile(r"\bmachine\s+\S+\s+login\s+\S+\s+password\s+(?P<secret>\S{1,300})")
_DOCKER_AUTH = re.compile(r'"auth"\s*:\s*"(?P<secret>[A-Za-z0-9+/=]{8,})"')
_KUBECONFIG = re.compile(r"\b(?:client-key-data|token)[\"']?\s*:\s*[\"']?(?P<secret>[A-Za-z0-9+/=._-]{20,})")
_ACCESS_KEY = re.compile(r"(?<![A-Za-z0-9])(?P<id>(?P<kind>AKIA|ASIA)[A-Z0-9]{16})(?![A-Za-z0-9])")
_ALIBABA_KEY = re.compile(r"(?<![A-Za-z0-9])LTAI[A-Za-z0-9]{12,26}(?![A-Za-z0-9])")
_FORTY = re.compile(r"(?<![A-Za-z0-9/+])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
_GCP_KEY_ID = re.compile(r'"private_key_id"\s*:\s*"([0-9a-f]{40})"')
_AWS_WORD = re.compile(r"(?i)aws|secret|access_?key|s3|ses_|smtp")
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]{48,}+={0,2}\s*+")
_DATABASES = frozenset(
    {
        "postgres",
        "postgresql",
        "mysql",
        "mysqlx",
        "mariadb",
        "mssql",
        "sqlserver",
        "oracle",
        "mongodb",
        "mongodb+srv",
        "redis",
        "rediss",
        "amqp",
        "amqps",
        "clickhouse",
        "cockroachdb",
        "couchbase",
        "cassandra",
        "neo4j",
        "bolt",
        "ldap",
        "ldaps",
        "jdbc",
        "kafka",
        "nats",
        "memcached",
        "snowflake",
        "redshift",
        "elasticsearch",
        "influxdb",
        "smtp",
        "smtps",
    }
)

_REFERENCE = re.compile(
    r"""(?isx)
    arn:[a-z-]+: .* | \$\{\{ .* \}\} | \$\{ [^{}]* \} | \$ [A-Z_a-z] \w* | \$\( [^()]* \) | \$\[ .* \] | % \w+ % | \{\{ .* \}\}
    | <% .* %> | !(?:Ref|Sub|GetAtt|ImportValue|reference)\b .*
    | (?: vault | ssm | ssm-secure | secretsmanager | secret-?manager | aws-?sm | aws-?ssm | aws-sm | aws-ps | sm | gcp-?sm | gcpsm
        | op | bws | akv | azurekeyvault | azure-?key-?vault | keyvault | akeyless | conjur | doppler | infisical | chamber
        | env | file | sops | secret | secrets | berglas | ref\+\w+ | valueFrom | parameterstore | k8s | kms ) : .*
    | projects/[^/\s]+/secrets/.* | @Microsoft\.KeyVault\(.*\) | ENC\[.*\] | AgICA?H?[A-Za-z0-9+/]{80,}={0,2}
    | AQICAH[A-Za-z0-9+/]{60,}={0,2} | \$ANSIBLE_VAULT;.* | -----BEGIN\ PGP\ MESSAGE-----.*
    | (?:secrets|vars|env|parameters|variables|inputs|var|local|data|module|params|process\.env|props|config|settings|this|self)\.[\w.\[\]-]+
    | (?:os\.)?(?:environ|getenv|ENV|env|process\.env)[\[(] .* [\])] | [A-Za-z_][\w.]*\( [^()]* \) | [a-z_][\w.]*\[ ["'] [^\[\]]* ["'] \]
    | %\(\w+\)s
    """
)
"""Text that references a secret or contains it encrypted, but is not the secret itself."""

_EMBEDDED_REFERENCE = re.compile(
    r"\$\{\{|\$\{[^{}]*\}|\$\([^()]*\)|\{\{[^{}]*\}\}|\A\$[A-Za-z_]\w*|\$[A-Z_][A-Z0-9_]+|%[A-Z_]+%"
)
_FLAG = re.compile(
    r"(?i)true|false|yes|no|y|n|on|off|none|null|nil|undefined|n/?a|enabled?|disabled?|required|optional|"
    r"string|securestring|number|boolean|object|auto|default|inherit|always|never|read|write|admin-only|basic|bearer|"
    r"oauth2?|oidc|aws4|hmac|rs256|hs256|plain(?:text)?"
)
_NUMBER = re.compile(r"[+-]?[\d_]+(?:\.\d+)?(?:[a-zA-Z]{1,2})?|0x[0-9a-fA-F]{1,8}|[\d:.-]+")
_PLAIN_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S*")
_PATH = re.compile(
    r"(?:~|\.{1,2})?/[\w.@$-]*(?:/[\w.@$ -]*)*|[A-Za-z]:\\[^\n]*|[a-z][a-z0-9_.-]*(?:/[a-z0-9_.*-]+)+/?|"
    r"[\w.-]+\.(?:pem|key|json|ya?ml|txt|p12|pfx|crt|cer|env|properties|conf|ini|jks|gpg|asc|sh|py|js|tfvars?|toml|xml|plist)"
)
_NAME_VALUE = re.compile(
    r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|"
    r"(?=[\w.-]*(?:secret|token|passwor|credential|key|cred|auth|pat\b))[a-z][a-z]*(?:[-_.][a-z]+)+"
)
"""The name of a secret in place of its value: ``DB_PASSWORD``, ``payments-db-secret``."""
_HOST = re.compile(
    r"(?i)(?:[a-z0-9-]+\.)+(?:com|net|org|io|dev|cloud|local|internal|co|uk|de|eu|svc)(?::\d+)?"
)
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HEX = re.compile(r"(?:0x)?[0-9a-fA-F-]+|sha\d+[:-][A-Za-z0-9+/=]+")
_PROSE = re.compile(r"(?:[a-z]+|[A-Z]+|[A-Z][a-z]+)(?:[-_./](?:[a-z]+|[A-Z]+|[A-Z][a-z]+))*")
_PLACEHOLDER = re.compile(
    r"""(?ix)
    change[-_. ]?(?:me|it|this) | replace[-_. ]?(?:me|this|with) | example | placeholder | dummy | (?<![a-z])fake | to[-_ ]?do\b | \btbd\b
    | fix[-_]?me | (?<![a-z])your[-_. ]? | (?<![a-z])my[-_.](?:secret|password|token|api|key|access) | insert[-_ ] | redacted | \bmasked\b
    | \bhidden\b | not[-_ ]?a[-_ ]?(?:real|secret|password|token|key) | not[-_ ]?(?:used|needed|real|set|secret)\b | sample | (?<![a-z])lorem
    | fake[-_]?(?:key|secret|token|pass|value|pw|api) | your[-_]?(?:password|secret|token|api|key|access) | Eby8vdM02xNOcqFlqUwJPLlm | C2y6yDjf5/R\+ob0N8A7Cgv30
    | eyJzdWIiOiIxMjM0NTY3ODkwIi | \A__\w+__\Z | \A@@?[\w.]+@@?\Z | \A\#\{[^{}]*\}\#?\Z | x{4,} | \*{3,} | \.{3,} | \A<[^<>]*>\Z | \A\[[^\[\]]*\]\Z | \A\{[\w .-]*\}\Z | _{4,} | (?<!-)-{8,}\Z | 0{10,} | \bnone\b | \bempty\b | 1234567890abcdef
    | \bset[-_ ](?:me|in|by|via)\b | \bfrom[-_ ](?:vault|secret|env) | unused | \bmock | abcdefghijklmnop
    """
)


def entropy(text: str) -> float:
    """Return the Shannon entropy of a text in bits per character, at most ``log2(len(text))``."""
    size = len(text)
    if not size:
        return 0.0
    return -sum(count / size * math.log2(count / size) for count in Counter(text).values())


def is_placeholder(text: str) -> bool:
    """Return whether a text is a placeholder: ``changeme``, ``xxxx``, ``<token>``, ``abcdefgh...``."""
    return len(set(text)) <= 2 or _PLACEHOLDER.search(text) is not None or _is_sequence(text)


def _is_sequence(text: str) -> bool:
    """Return whether most characters of a text are consecutive in the alphabet, as in typed examples."""
    if len(text) < 12 or len(text) > 200:
        return False
    steps = sum(
        1
        for a, b in itertools.pairwise(text.lower())
        if (b.isalnum() and ord(b) - ord(a) == 1) or (a, b) in {("9", "0"), ("z", "0"), ("9", "a")}
    )
    return steps * 4 >= (len(text) - 1) * 3 and not text.isdigit()


def is_prose(text: str) -> bool:
    """Return whether a text is words joined by dashes in one letter case: a name, not a token."""
    return _PROSE.fullmatch(text) is not None


def is_reference(text: str) -> bool:
    """Return whether a text references a secret (``arn:...``, ``${{ }}``, ``vault:...``) or contains it encrypted."""
    return _REFERENCE.fullmatch(text) is not None


def refers_to_a_value(text: str) -> bool:
    """Return whether a text is, or contains, a reference to a value: ``$TOKEN``, ``${{ secrets.TOKEN }}``."""
    return is_reference(text) or _EMBEDDED_REFERENCE.search(text) is not None


def is_flag(text: str) -> bool:
    """Return whether a text says something about a secret and is none: ``true``, ``required``, ``inherit``."""
    return _FLAG.fullmatch(text) is not None


def looks_random(text: str) -> bool:
    """Return whether a text without spaces looks machine-generated: long, with mixed characters."""
    if len(text) < 16 or re.search(r"\s", text):
        return False
    kinds = sum(1 for kind in (r"[a-z]", r"[A-Z]", r"[0-9]", r"[^A-Za-z0-9]") if re.search(kind, text))
    if _HEX.fullmatch(text):
        return len(text) >= 32 and entropy(text) > 3.0
    return kinds >= 2 and entropy(text) >= min(3.6, 0.85 * math.log2(len(text)))


_WORDS_OF_A_PATH = re.compile(r"[A-Za-z]{4,}(?:/[A-Za-z]{4,}){2,}")
"""Words without a digit between slashes, such as ``HybridCompute/machines/runCommands/write``, an action of Azure. One in
many millions of random keys looks like this."""


def is_aws_secret_key(text: str) -> bool:
    """Return whether 40 characters can be an AWS secret access key: mixed, random and not a path."""
    return (
        re.search(r"[a-z]", text) is not None
        and re.search(r"[A-Z]", text) is not None
        and re.search(r"[0-9/+]", text) is not None
        and entropy(text) >= 4.1
        and not is_placeholder(text)
        and _WORDS_OF_A_PATH.fullmatch(text) is None
    )


def _seen(
    looks_like: str,
    value: str,
    fingerprint: Fingerprint,
    *,
    key_id: str | None = None,
    recognized_by: RecognizedBy = "value",
) -> Seen:
    return Seen(
        looks_like=looks_like,
        length=len(value),
        fingerprint=fingerprint(value),
        key_id=key_id,
        recognized_by=recognized_by,
    )


def _by_format(name: str, text: str) -> tuple[str, str | None] | None:
    """Return the detector and key id of a text, based on its format alone."""
    if '"service_account"' in text and '"private_key"' in text:
        found = _GCP_KEY_ID.search(text)
        return "gcp-service-account-key", found.group(1) if found else None
    if PRIVATE_KEY.search(text) and not is_placeholder(text[:400].replace("-----", "")):
        return "private-key", None
    access_key = next((m for m in _ACCESS_KEY.finditer(text) if not is_placeholder(m["id"])), None)
    key_id = access_key["id"] if access_key else None
    if len(text) >= 40 and (key_id or len(text) == 40 or _AWS_WORD.search(text)):
        for match in _FORTY.finditer(text):
            if not is_aws_secret_key(match.group()):
                continue
            if key_id or _AWS_WORD.search(name) or (len(text) > 40 and _AWS_WORD.search(text)):
                return "aws-secret-key", key_id
    if access_key:
        kind = "aws-access-key-id" if access_key["kind"] == "AKIA" else "aws-temporary-key-id"
        return kind, key_id
    for hint, detector, pattern in HINTED if len(text) >= _SHORTEST else ():
        if hint not in text:
            continue
        for match in pattern.finditer(text):
            secret = next((group for group in match.groups() if group), match.group())
            if not is_placeholder(secret) and not is_reference(secret) and not is_prose(secret):
                return detector, None
    alibaba = _ALIBABA_KEY.search(text)
    if alibaba and not is_placeholder(alibaba.group()):
        return "alibaba-access-key-id", alibaba.group()
    return _by_structure(text)


def _by_structure(text: str) -> tuple[str, str | None] | None:
    """Return the detector of a text with a password in a URL, a connection string or a login file."""
    for match in USERINFO.finditer(text):
        if _is_value(match["secret"]):
            scheme = match["scheme"].lower()
            return ("connection-string" if scheme in _DATABASES else "basic-auth-url"), None
    if '"auths"' in text:
        for match in _DOCKER_AUTH.finditer(text):
            if _is_value(match["secret"]):
                return "docker-config", None
    if "clusters" in text and "users" in text:
        for match in _KUBECONFIG.finditer(text):
            if _is_value(match["secret"]):
                return "kubeconfig", None
    for match in _NETRC.finditer(text):
        if _is_value(match["secret"]):
            return "netrc", None
    if "=" in text:
        for match in _KEYED.finditer(text):
            if _is_value(match["secret"]) and match.start("secret") > 0:
                return ("url-secret" if _PLAIN_URL.match(text) else "connection-string"), None
    return None


def _is_value(text: str) -> bool:
    """Return whether a text is an actual value: not a reference, placeholder or flag."""
    return not (
        is_reference(text)
        or _EMBEDDED_REFERENCE.search(text)
        or is_placeholder(text)
        or _FLAG.fullmatch(text)
    )


def _decoded(text: str) -> str | None:
    """Return the decoded text of a base64 value (a kubeconfig, a key file), or None."""
    if not _BASE64.fullmatch(text):
        return None
    packed = re.sub(r"\s+", "", text)
    try:
        plain = base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    return plain if plain.isprintable() or "\n" in plain else None


_MOUNTED = re.compile(r"(?:secrets?|kv(?:-?v[12])?|[\w-]{1,60}/data)/[\w./-]{1,200}(?:[#: ][\w.-]{1,60})?$")
"""A path below a usual mount of Vault."""
_FIELD_OF_STORED = re.compile(
    r"(?:[\w-]{1,60}/){1,12}[\w.-]{1,60}(?:[#: ][\w.-]{1,60})?(?:\s*\|\s*\w{1,60}\s*;?)?"
)
"""A field of a secret in Vault, as its clients name it: ``secret/data/ci/db password | DB_PASSWORD``.

https://github.com/hashicorp/vault-action#simple-key.
"""


def _by_name(name: str, text: str) -> tuple[str, RecognizedBy] | None:
    """Return what a name with a value of unknown format is, and whether the value or only the name says so."""
    word = secret_name(name)
    weak = word is None and weak_secret_name(name)
    if word is None and not weak:
        # An unprefixed key of AWS's alphabet and length is a secret unless the name suggests an identifier.
        if (
            _FORTY.fullmatch(text)
            and not is_public_name(name)
            and is_aws_secret_key(text)
            and text.count("/") <= 3
        ):
            return "high-entropy", "value"
        return None
    if _EMBEDDED_REFERENCE.search(text) or is_placeholder(text) or _FLAG.fullmatch(text):
        return None
    if _NUMBER.fullmatch(text):
        return (word, "name") if word == "password" and len(text) >= 6 and text.isdigit() else None
    if word == "connection-string" or len(text.split()) > 8:
        return None
    random = looks_random(text)
    if word is not None and random and not _UUID.fullmatch(text):
        plain = _PLAIN_URL.fullmatch(text) or _PATH.fullmatch(text) or _HOST.fullmatch(text)
        named = _NAME_VALUE.fullmatch(text) or _MAIL.fullmatch(text) or _MOUNTED.match(text)
        return None if plain or named else (_vendor(name, text) or "high-entropy", "value")
    if any(p.fullmatch(text) for p in (_PLAIN_URL, _PATH, _NAME_VALUE, _HOST, _MAIL, _FIELD_OF_STORED)):
        return None
    if word is not None:
        return word, "name"
    if re.search(r"(?i)oauth$", name) and re.fullmatch(r"[0-9a-f]{40}", text):
        return "high-entropy", "value"
    return ("high-entropy", "value") if random and not _HEX.fullmatch(text) and entropy(text) > 3.8 else None


def _vendor(name: str, text: str) -> str | None:
    """Return the detector for formats (plain hex, plain letters) that are secrets only by name."""
    lower = name.lower()
    if re.fullmatch(r"[0-9a-f]{32}|[0-9a-f]{40}", text) and re.search(r"datadog|(?:^|[^a-z])dd_", lower):
        return "datadog-key"
    if re.fullmatch(r"[0-9a-f]{32}", text) and "twilio" in lower:
        return "twilio-key"
    if re.fullmatch(r"[A-Za-z0-9_-]{40}", text) and re.search(r"cloudflare|(?:^|[^a-z])cf_", lower):
        return "cloudflare-token"
    if re.fullmatch(r"[a-z2-7]{52}", text) and re.search(r"azure|devops|ado|vsts|pat", lower):
        return "azure-devops-token"
    if re.fullmatch(r"[A-Za-z0-9+/]{86}==", text):
        return "azure-storage-key"
    if re.fullmatch(r"s\.[A-Za-z0-9]{24}", text) and "vault" in lower:
        return "vault-token"
    return None


def inspect(name: str, value: str, fingerprint: Fingerprint) -> Seen | None:
    """Classify one named value. Return None if it is not a secret: empty, a reference, a flag, a URL without userinfo.

    Checked in order: the format of the value, the decoded text of a base64 value, the name. Placeholders
    (``changeme``, AWS's documented ``...EXAMPLE`` keys) are not secrets. Never raises. The result contains nothing of
    the value except a public key id.
    """
    text = value[:_LIMIT].strip().strip("\"'")
    if len(text) < 3 or is_reference(text):
        return None
    found = _by_format(name, text)
    if found is None:
        inner = _decoded(text)
        found = _by_format(name, inner) if inner is not None else None
    if found is not None:
        return _seen(found[0], value, fingerprint, key_id=found[1])
    named = _by_name(name, text)
    return _seen(named[0], value, fingerprint, recognized_by=named[1]) if named else None
