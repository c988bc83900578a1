"""Secrets do not pass; what a reader needs to act stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.secrets.redact import redact, redact_json

SECRET = "Zq7" + "pW2xK9vT4mB8" * 3
AWS_SECRET = "kD9v2Lx7Qw4Rt6Yb1Nz8" + "Mc3Hf5Js0Pg+Ua/Ei7Wo"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"Authorization: Bearer {SECRET}", SECRET),
        (f"Authorization: token {SECRET}", SECRET),
        (f"PRIVATE-TOKEN: {SECRET}", SECRET),
        (f"failed for ghp_{SECRET}", SECRET),
        (f"failed for glpat-{SECRET} twice glpat-{SECRET}", SECRET),
        (f"https://bot:{SECRET}@git.example.org/x.git returned 403", SECRET),
        ("postgres://app:hunter2@db/app", "hunter2"),
        (f"password={SECRET}", SECRET),
        (f"project/--password Xk3jfe9fkqlw8dsa/repo.--password {SECRET}", SECRET),
        ('{"db_password": "hunter2 with blanks"}', "hunter2"),
        ("{'client_secret': 'hunter2'}", "hunter2"),
        (f"aws_secret_access_key = {AWS_SECRET}", AWS_SECRET),
        (f"signature of {AWS_SECRET} failed", AWS_SECRET),
        (f"?access_token={SECRET}&page=2", SECRET),
        (f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----", SECRET),
        (f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}", SECRET),
        (f"eyJhbGciOiJI{SECRET}.eyJzdWIiOiJy{SECRET}.{SECRET}", SECRET),
        (f"//registry.npmjs.org/:_authToken={SECRET}", SECRET),
        (f"AccountKey={SECRET}{SECRET}==;", SECRET),
    ],
)
def test_secrets_are_removed(text: str, secret: str) -> None:
    out = redact(text)
    assert secret not in out
    assert "[redacted:" in out
    assert redact(out) == out


@pytest.mark.parametrize(
    "text",
    [
        "AccessDenied: arn:aws:iam::200000000002:role/deploy-payments is not authorized to perform iam:ListUsers",
        "access key AKIAQWERTYUIOPASDFGH was last used in eu-west-1",
        "GET https://api.github.com/repos/lanternpay/payments-api/actions/secrets?per_page=100 -> 403",
        "digest sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "commit da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "needs the permission organization_administration: read",
        "config.yaml:2:35: collectors.github.token: ${env:ACME_TOKEN} is not set or empty",
        "role/service-role/AWSServiceRoleForAmazonElasticFileSystem",
        "collectors/github/organization.py line 40 in CollectorOfOrganizationsAndRepositories",
        "secret_arn: arn:aws:secretsmanager:eu-west-1:200000000002:secret:db",
        "not authorized on arn:aws:secretsmanager:eu-west-1:200000000002:secret:prod/payments-AbCdEf",
        "arn:aws:secretsmanager:*:*:secret:prod/*",
        "/eid1/c/pub/t/kv0rvxoQvliX0ojsqm-e7Q/a/rISbSSETf0KqFyZ8ppdXmA/sc/b16a5909-82d5-5058-8ce2-b0781795f0a8/bb1a0f26-b165-57b0-a4ad-c48fe9e23694",
    ],
)
def test_what_a_reader_needs_stays(text: str) -> None:
    assert redact(text) == text


@given(st.text(max_size=300))
def test_never_raises(text: str) -> None:
    redact(text)


def test_large_texts_are_read_in_time() -> None:
    for piece in ("-----BEGIN PRIVATE KEY-----", "password", "token ", "://a:", "eyJ", "secret_"):
        redact(piece * 3000)


def test_secrets_in_a_document_are_masked_and_the_rest_stays() -> None:
    document = {
        "Statement": [
            {
                "Sid": f"ghp_{SECRET}",
                "Resource": ["arn:aws:secretsmanager:*:*:secret:prod/*", "*"],
                "Condition": {
                    "StringEquals": {
                        "aws:RequestTag/password": [SECRET, "hunter2abc"],
                        "aws:PrincipalTag/secret-reader": "true",
                        "sts:ExternalId": "f3a91b77c0d24e55",
                        "token.actions.githubusercontent.com:sub": "repo:acme/app:ref:refs/heads/main",
                        "ghes.acme.example/_services/token:sub": "repo:acme/app:environment:production",
                        f"aws:RequestTag/ghp_{SECRET}": "x",
                    }
                },
            }
        ],
        "Version": 1,
    }
    assert redact_json(document) == {
        "Statement": [
            {
                "Sid": "[redacted:github-token]",
                "Resource": ["arn:aws:secretsmanager:*:*:secret:prod/*", "*"],
                "Condition": {
                    "StringEquals": {
                        "aws:RequestTag/password": ["[redacted:value]", "[redacted:value]"],
                        "aws:PrincipalTag/secret-reader": "true",
                        "sts:ExternalId": "f3a91b77c0d24e55",
                        "token.actions.githubusercontent.com:sub": "repo:acme/app:ref:refs/heads/main",
                        "ghes.acme.example/_services/token:sub": "repo:acme/app:environment:production",
                        "aws:RequestTag/[redacted:github-token]": "x",
                    }
                },
            }
        ],
        "Version": 1,
    }
    assert redact_json(redact_json(document)) == redact_json(document)


def test_a_key_that_is_spread_over_a_list_is_masked_and_what_follows_it_stays() -> None:
    line = "MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQCq9IIsZd8gWekF"
    begin, end = "-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----"
    after = "refs/heads/a-branch-with-a-long-name-0123456789abcdef0123456789abcdef01234567"
    document = {
        "args": [begin, "Proc-Type: 4,ENCRYPTED", "", line, 7, f"echo {line} >> key", "9kgS==", end, after]
    }
    hidden = str(redact_json(document))
    assert line not in hidden
    assert "9kgS==" not in hidden
    assert after in hidden
    assert "echo [redacted:private-key] >> key" in hidden
    # Words about a key, without one: the items after it are no part of a key.
    search = [f"grep -r -e '{begin}' .", "make all", after]
    assert redact_json(search)[1:] == search[1:]
