"""Values and names that are secrets, and look-alikes that are not."""

from __future__ import annotations

import base64
import json
import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.secrets.detectors import TOKENS, Fingerprint, inspect, secret_name

FP = Fingerprint(b"test-key")
HEX = "0123456789abcdef"
WORD = string.ascii_letters + string.digits


def made(size: int, alphabet: str = WORD) -> str:
    """Return a value that looks real: generated, so that no scanner takes this file for a leak."""
    source = random.Random(f"{size}{alphabet}")
    return "".join(source.choice(alphabet) for _ in range(size))


KEY_ID = "AKIA" + made(16, string.ascii_uppercase + "234567")
AWS_SECRET = made(40, WORD + "/+")
PEM = "-----BEGIN RSA " + "PRIVATE KEY-----\n" + made(64) + "\n-----END RSA " + "PRIVATE KEY-----"
JWT = "eyJ" + made(20) + ".eyJ" + made(40) + "." + made(43)
GCP = json.dumps(
    {
        "type": "service_account",
        "project_id": "lantern",
        "private_key_id": made(40, HEX),
        "private_key": PEM,
        "client_email": "ci@lantern.iam.gserviceaccount.com",
    }
)
KUBECONFIG = (
    f"apiVersion: v1\nclusters:\n- name: a\nusers:\n- name: b\n  user:\n    client-key-data: {made(80)}\n"
)
DOCKER = json.dumps({"auths": {"ghcr.io": {"auth": base64.b64encode(b"bot:Hunter2!xyz").decode()}}})

SECRETS = [
    ("AWS_ACCESS_KEY_ID", KEY_ID, "aws-access-key-id"),
    ("anything", f"key={KEY_ID};", "aws-access-key-id"),
    ("AWS_ACCESS_KEY_ID", "ASIA" + KEY_ID[4:], "aws-temporary-key-id"),
    ("AWS_SECRET_ACCESS_KEY", AWS_SECRET, "aws-secret-key"),
    (
        "AWS_CREDENTIALS",
        f"[default]\naws_access_key_id={KEY_ID}\naws_secret_access_key={AWS_SECRET}",
        "aws-secret-key",
    ),
    ("CI_VALUE", AWS_SECRET, "high-entropy"),
    ("GH", "ghp_" + made(36), "github-token"),
    ("GH", "github_pat_" + made(22) + "_" + made(59), "github-token"),
    ("GH", "ghs_" + made(36), "github-token"),
    ("GL", "glpat-" + made(20), "gitlab-token"),
    ("GL", "glptt-" + made(40, HEX), "gitlab-token"),
    ("GL", "gldt-" + made(20), "gitlab-token"),
    ("HOOK", "xoxb-123456789012-1234567890123-" + made(24), "slack-token"),
    ("HOOK", "https://hooks.slack.com/services/T024BE7LD/B024BE7LD/" + made(24), "slack-webhook"),
    ("NPM", "npm_" + made(36), "npm-token"),
    ("NPMRC", "//registry.npmjs.org/:_authToken=" + made(36), "npm-token"),
    ("PYPI", "pypi-AgEIcHlwaS5vcmc" + made(90), "pypi-token"),
    ("PAY", "sk_live_" + made(24), "stripe-key"),
    ("PAY", "rk_test_" + made(24), "stripe-key"),
    ("MAPS", "AIza" + made(35), "google-api-key"),
    ("G", "GOCSPX-" + made(28), "google-oauth-secret"),
    ("AZ", "abc8Q~" + made(34), "azure-client-secret"),
    ("AZ", f"DefaultEndpointsProtocol=https;AccountName=x;AccountKey={made(86)}==;", "azure-storage-key"),
    ("BUS", f"Endpoint=sb://x.servicebus.windows.net/;SharedAccessKey={made(43)}=", "azure-storage-key"),
    ("BLOB", f"https://x.blob.core.windows.net/c?sv=2024-01-01&sig={made(43)}%3D", "azure-sas"),
    ("DD_API_KEY", made(32, HEX), "datadog-key"),
    ("MAIL", f"SG.{made(22)}.{made(43)}", "sendgrid-key"),
    ("SMS", "SK" + made(32, HEX), "twilio-key"),
    ("LLM", "sk-ant-api03-" + made(80), "anthropic-key"),
    ("LLM", "sk-proj-" + made(48), "openai-key"),
    ("V", "hvs." + made(24), "vault-token"),
    ("TF", f"{made(14)}.atlasv1.{made(67)}", "terraform-token"),
    ("D", "dckr_pat_" + made(27), "docker-token"),
    ("DBX", "dapi" + made(32, HEX), "databricks-token"),
    ("BOT", "1234567890:AA" + made(33), "telegram-token"),
    ("KEY", PEM, "private-key"),
    ("KEY", "-----BEGIN OPENSSH " + "PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjE", "private-key"),
    ("KEY", base64.b64encode(PEM.encode()).decode(), "private-key"),
    ("T", JWT, "jwt"),
    ("HEADER", f"Bearer {JWT}", "jwt"),
    ("GOOGLE_CREDENTIALS", GCP, "gcp-service-account-key"),
    ("GOOGLE_CREDENTIALS", base64.b64encode(GCP.encode()).decode(), "gcp-service-account-key"),
    ("DATABASE_URL", "postgres://app:S3cr3t!pw@db.internal:5432/app", "connection-string"),
    ("REDIS", "rediss://:S3cr3tpw@cache:6379/0", "connection-string"),
    ("MSSQL", "Server=db;Database=app;User Id=sa;Password=S3cr3t!pw;Encrypt=True", "connection-string"),
    ("PG", "host=db user=app password=S3cr3tpw dbname=app", "connection-string"),
    ("JDBC", "jdbc:mysql://db:3306/app?user=app&password=S3cr3tpw", "connection-string"),
    ("REPO", "https://bot:S3cr3tpw@git.example.org/x.git", "basic-auth-url"),
    ("HOOK", "https://api.acme.io/in?api_key=9f8e7d6c5b4a", "url-secret"),
    ("KUBE", KUBECONFIG, "kubeconfig"),
    ("DOCKER", DOCKER, "docker-config"),
    ("NET", "machine git.acme.io login bot password S3cr3tpw", "netrc"),
    ("ALI", "LTAI5t" + made(18), "alibaba-access-key-id"),
    ("SERVICE_TOKEN", made(32), "high-entropy"),
    ("signing_secret", made(48, HEX), "high-entropy"),
    ("SESSION_KEY", made(32), "high-entropy"),
    ("GL", "glcbt-64_" + made(20), "gitlab-token"),
    ("GL", "GR1348941" + made(20), "gitlab-token"),
    ("AZ", made(76, WORD + "/+") + "+ASt" + made(5) + "Q==", "azure-platform-key"),
    ("AZ", made(44) + "AzFu" + made(5) + "w==", "azure-platform-key"),
    (
        "AZ",
        f"Endpoint=https://x.azconfig.io;Id=ab-l0-s0:{made(20)};Secret={made(43)}=",
        "azure-app-configuration",
    ),
    ("G", "1//0" + made(60), "google-refresh-token"),
    ("OC", "sha256~" + made(43), "openshift-token"),
    ("DT", "dt0c01." + made(24, "ABCDEFGHKL234567") + "." + made(64, "ABCDEFGHKL234567"), "dynatrace-token"),
    ("TS", "tskey-auth-" + made(17) + "-" + made(32), "tailscale-key"),
    ("HS", "pat-na1-1b4e28ba-2fa1-11d2-883f-0016d3cca427", "hubspot-token"),
    ("SRC", "sgp_" + made(40, HEX), "sourcegraph-token"),
    ("LLM", "gsk_" + made(52), "groq-key"),
    ("LLM", "sk-or-v1-" + made(64, HEX), "openai-key"),
    ("GITHUB_OAUTH", made(40, HEX), "high-entropy"),
]

NAMED = [
    ("DB_PASSWORD", "hunter2", "password"),
    ("dbPassword", "Sommer2026", "password"),
    ("db_passwd", "12345678", "password"),
    ("api-key", "k-17-b", "api-key"),
    ("CLIENT_SECRET", "1b4e28ba-2fa1-11d2-883f-0016d3cca427", "secret"),
    ("auth_token", "letmein", "token"),
    ("PW", "hunter2", "password"),
    ("PASS_DOCKER", "hunter2", "password"),
    ("STOREPASS", "hunter2", "password"),
]
"""Values of no known format, which only their name makes secrets."""

LOOK_ALIKES = [
    ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ("ROLE_ID", "AROA" + KEY_ID[4:]),
    ("USER_ID", "AIDA" + KEY_ID[4:]),
    ("WORD", "XAKIA" + KEY_ID[4:]),
    ("GITHUB_TOKEN", "${{ secrets.GITHUB_TOKEN }}"),
    ("GITHUB_TOKEN", "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
    ("TOKEN", "$CI_JOB_TOKEN"),
    ("TOKEN", "${TOKEN}"),
    ("TOKEN", "$(System.AccessToken)"),
    ("TOKEN", "%TOKEN%"),
    ("TOKEN", "{{ vault_token }}"),
    ("PASSWORD", "prefix-${DB_PASSWORD}"),
    ("DB_PASSWORD", "vault:secret/data/db#password"),
    ("DB_PASSWORD", "arn:aws:secretsmanager:eu-west-1:200000000002:secret:db-AbCdEf"),
    ("DB_PASSWORD", "{{resolve:secretsmanager:db:SecretString:password}}"),
    ("DB_PASSWORD", "op://prod/db/password"),
    ("DB_PASSWORD", "projects/lantern/secrets/db/versions/latest"),
    ("DB_PASSWORD", "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/db)"),
    ("DB_PASSWORD", "ENC[AES256_GCM,data:Tr7o1,iv:1,aad:No=,tag:k=,type:str]"),
    ("DB_PASSWORD", "AQICAH" + made(120)),
    ("DB_PASSWORD", "ref+vault://secret/db#pw"),
    ("DB_PASSWORD", "changeme"),
    ("DB_PASSWORD", "<your-password>"),
    ("DB_PASSWORD", "********"),
    ("DB_PASSWORD", "xxxxxxxx"),
    ("DB_PASSWORD", "REPLACE_ME"),
    ("DB_PASSWORD", ""),
    ("DB_PASSWORD", "   "),
    ("DB_PASSWORD", "null"),
    ("DB_PASSWORD", "/run/secrets/db_password"),
    ("DB_PASSWORD", "./secrets/db.txt"),
    ("DB_PASSWORD", "DB_PASSWORD_PROD"),
    ("secretName", "payments-db-credentials"),
    ("credentials", "payments-db-credentials"),
    ("secret", "prod/payments/db"),
    ("SECRET_ARN", "something"),
    ("TOKEN_URL", "https://login.acme.io/oauth/token"),
    ("TOKEN", "https://login.acme.io/oauth/token"),
    ("TOKEN_TTL", "3600"),
    ("USE_TOKEN", "true"),
    ("token", "true"),
    ("token", "1"),
    ("MAX_TOKENS", "4096"),
    ("PASSWORD_MIN_LENGTH", "14"),
    ("PASSWORD_POLICY", "strict"),
    ("SECRET_PROVIDER", "vault"),
    ("KMS_KEY", "alias/payments"),
    ("PRIMARY_KEY", "customer_id"),
    ("CACHE_KEY", made(40, HEX)),
    ("COMMIT_SHA", made(40, HEX)),
    ("GIT_COMMIT", made(40, HEX)),
    ("IMAGE", f"acme/app@sha256:{made(64, HEX)}"),
    ("INTEGRITY", f"sha384-{made(64)}"),
    ("BUILD_ID", "1b4e28ba-2fa1-11d2-883f-0016d3cca427"),
    ("CLIENT_ID", made(32)),
    ("PUBLIC_KEY", "-----BEGIN PUBLIC KEY-----\n" + made(64) + "\n-----END PUBLIC KEY-----"),
    ("CERT", "-----BEGIN CERTIFICATE-----\n" + made(64) + "\n-----END CERTIFICATE-----"),
    ("SSH_PUB", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + made(43) + " ci@acme"),
    ("STRIPE_PUBLISHABLE_KEY", "pk_live_" + made(24)),
    ("DATABASE_URL", "postgres://db.internal:5432/app"),
    ("DATABASE_URL", "postgres://app:${DB_PASSWORD}@db.internal:5432/app"),
    ("DATABASE_URL", "postgres://app:<password>@db/app"),
    ("MSSQL", "Server=db;Database=app;Trusted_Connection=True"),
    ("MSSQL", "Server=db;User Id=sa;Password=$(DbPassword);"),
    ("URL", "https://api.acme.io/v1/items?page=2"),
    ("URL", "https://api.acme.io:8443/v1/users/@me"),
    ("GOOGLE", json.dumps({"type": "external_account", "audience": "//iam.googleapis.com/projects/1"})),
    ("LOG_LEVEL", "info"),
    ("REGION", "eu-west-1"),
    ("VERSION", "3.12.1"),
    ("SCRIPT", "echo the password is kept in the vault, ask the platform team for it"),
    ("TEXT", base64.b64encode(b"only a plain text of no interest whatever, but long").decode()),
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("NODE_OPTIONS", "--max-old-space-size=4096"),
    ("MODEL", "meta-llama/Llama-3.1-70B-Instruct-Turbo1"),
    ("EMAIL_TOKEN_SENDER", "ci@acme.io"),
    ("tokenizer", "cl100k_base"),
    ("secretary", "Ms Jones"),
    ("NAME", "sk-eks-production-cluster-europe-west-one-blue"),
    ("TOKEN", "ghp_abcdefghijklmnopqrstuvwxyz1234567890"),
    ("TOKEN", "ghp_123456789012345678901234567890123456"),
    ("AWS_ACCESS_KEY_ID", "AKIA1234567890123456"),
    ("api_key", "0123456789abcdef"),
    ("api_key", "somefakekey"),
    ("TOKEN", "xoxb-bot-token-of-the-team-goes-here"),
    (
        "AZURITE",
        "AccountName=devstoreaccount1;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
    ),
    ("password", "__DB_PASSWORD__"),
    ("password", "#{DbPassword}#"),
    ("password", "%(password)s"),
    ("password", "process.env.DB_PASSWORD"),
    ("password", 'os.environ["DB_PASSWORD"]'),
    ("secret", "get_secret('db')"),
    ("imagePullSecret", "regcred"),
    ("issecret", "yes-it-is"),
    ("hasPassword", "maybe"),
    ("PASS_THROUGH", "headers"),
]


@pytest.mark.parametrize(("name", "value", "looks_like"), SECRETS)
def test_secrets_are_recognized(name: str, value: str, looks_like: str) -> None:
    seen = inspect(name, value, FP)
    assert seen is not None
    assert (seen.looks_like, seen.recognized_by) == (looks_like, "value")
    assert seen.length == len(value)
    assert seen.fingerprint == FP(value)


@pytest.mark.parametrize(("name", "value", "looks_like"), NAMED)
def test_a_name_alone_can_make_a_secret(name: str, value: str, looks_like: str) -> None:
    seen = inspect(name, value, FP)
    assert seen is not None
    assert (seen.looks_like, seen.recognized_by) == (looks_like, "name")


@pytest.mark.parametrize(("name", "value"), LOOK_ALIKES)
def test_look_alikes_are_left_alone(name: str, value: str) -> None:
    assert inspect(name, value, FP) is None


def test_key_ids_are_kept_since_they_are_public() -> None:
    alone = inspect("AWS_ACCESS_KEY_ID", KEY_ID, FP)
    pair = inspect("x", f"{KEY_ID}:{AWS_SECRET}", FP)
    google = inspect("x", GCP, FP)
    assert alone is not None
    assert alone.key_id == KEY_ID
    assert pair is not None
    assert (pair.looks_like, pair.key_id) == ("aws-secret-key", KEY_ID)
    assert google is not None
    assert google.key_id == made(40, HEX)


def test_an_example_beside_a_real_key_does_not_hide_it() -> None:
    seen = inspect("notes", f"AKIAIOSFODNN7EXAMPLE {KEY_ID}", FP)
    assert seen is not None
    assert seen.key_id == KEY_ID


@given(st.text(max_size=60), st.text(max_size=400))
def test_never_raises_and_never_leaks(name: str, value: str) -> None:
    seen = inspect(name, value, FP)
    if seen is not None and seen.key_id is None:
        kept = f"{seen.looks_like} {seen.fingerprint}"
        assert len(value.strip()) < 8 or value.strip() not in kept


@given(st.sampled_from([*SECRETS, *NAMED]), st.text(max_size=20))
def test_no_part_of_a_secret_is_in_the_answer(case: tuple[str, str, str], tail: str) -> None:
    name, value, _ = case
    seen = inspect(name, f"{value} {tail}", FP)
    if seen is not None:
        kept = f"{seen.looks_like} {seen.fingerprint}"
        assert not any(value[at : at + 12] in kept for at in range(max(1, len(value) - 12)))


def test_lone_surrogates_are_fingerprinted() -> None:
    seen = inspect("password", "hun\ud800ter2", FP)
    assert seen is not None
    assert (seen.looks_like, seen.recognized_by) == ("password", "name")


def test_every_token_has_the_signs_that_are_looked_for_first() -> None:
    detectors = {detector for detector, _ in TOKENS}
    for name, value, looks_like in SECRETS:
        if looks_like in detectors:
            found = inspect(name, f"see {value} there", FP)
            assert found is not None
            assert found.looks_like == looks_like


def test_ten_megabytes_are_evaluated_in_time() -> None:
    assert inspect("x", "aA1+" * 2_500_000, FP) is None
    assert inspect("x", "a" * 10_000_000, FP) is None
    assert inspect("x", "://" * 3_000_000, FP) is None


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("/prod/payments/db-password", "password"),
        ("/prod/payments/dbPassword", "password"),
        ("/prod/secrets/db", "secret"),
        ("/prod/payments/apiKey", "api-key"),
        ("STRIPE_KEY", "api-key"),
        ("PGPASSWORD", "password"),
        ("SMTP_PASS", "password"),
        ("SSH_PRIVATE_KEY", "private-key"),
        ("GITHUB_PAT", "token"),
        ("NPM_TOKEN", "token"),
        ("API_KEY_2", "api-key"),
        ("ConnectionString", "connection-string"),
        ("AWS_SECRET_ACCESS_KEY", "access-key"),
        ("TEST_PW", "password"),
        ("SLACK_WEBHOOK_URL", "webhook"),
        ("GCLOUD_API_KEYFILE", "credential"),
        ("GITHUB_WEBHOOK_URL", None),
        ("IS_SECRET", None),
        ("existingSecret", None),
        ("/prod/payments/region", None),
        ("/prod/secrets/db-host", None),
        ("/prod/payments/token-ttl", None),
        ("KMS_KEY_ARN", None),
        ("NEXT_TOKEN", None),
        ("COMPASS", None),
        ("MONKEY", None),
        ("PATCH_LEVEL", None),
        ("", None),
        ("///", None),
    ],
)
def test_names(name: str, word: str | None) -> None:
    assert secret_name(name) == word
