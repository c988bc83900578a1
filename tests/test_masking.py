"""What is written shows no secret, ids stay unique and stable, and what only looks like a secret stays."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.kit.planted_secrets import CONFIGURED, FORMS, secret_in
from scanner.policies import canonical_document, policy_record
from scanner.records import Account, Identity, Link, Secret, Test, Trust
from scanner.secrets import masking
from scanner.secrets.configured import remember
from scanner.secrets.detectors import Fingerprint
from scanner.secrets.masking import masked
from scanner.secrets.names import NAMING_PARTS, secret_name
from scanner.secrets.redact import mask, redact

FINGERPRINT = Fingerprint(b"k" * 32)


@pytest.fixture(autouse=True)
def _configured() -> None:
    remember(CONFIGURED)


def account(name: str, **more: object) -> Account:
    return Account(
        id=f"x:account:{name}",
        provider="x",
        account_id=f"x:account:{name}",
        kind="x",
        native_id=name,
        name=name,
        **more,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "around", ["{}", "deploy {} now", "x:name:{}", "a.zq.{}.qz", "https://host/?next={}"]
)
def test_each_form_of_a_secret_is_masked_wherever_it_stands(form: str, around: str) -> None:
    secret = secret_in(form, f"{form} {around}")
    text = around.format(quote(secret.text, safe="") if "://" in around else secret.text)
    once = mask(text, FINGERPRINT)
    assert secret.needle not in once
    assert mask(once, FINGERPRINT) == once
    assert redact(once) == once
    assert secret.needle not in redact(text)


def test_names_that_differ_only_in_the_secret_have_different_ids_that_are_the_same_every_night() -> None:
    names = [f"ci {secret_in('github-token', seed).text}" for seed in ("a", "b")]
    first, second = masked([account(name) for name in names], FINGERPRINT)
    assert first.id != second.id
    assert first.name != second.name
    assert masked([account(names[0])], FINGERPRINT) == [first]


def test_what_refers_to_an_id_is_masked_to_the_same_text() -> None:
    job = f"gh:job:deploy --password {secret_in('assigned', 'x').needle}"
    link = Link(id="l", provider="x", account_id="a", source_id=job, relation="uses", target_id="t")
    (written,) = masked([link], FINGERPRINT)
    assert written.source_id == mask(job, FINGERPRINT) != job


def test_nested_texts_and_what_stands_under_the_name_of_a_secret_are_masked() -> None:
    token = secret_in("gitlab-token", "t").needle
    given = account("a", tags={"password": "hunter2abc", token: "x", "team": "payments"}, members=[token])
    trust = Trust(
        id="t",
        provider="x",
        account_id="a",
        identity_id="i",
        kind="oidc",
        issuer="https://i",
        tests=[Test(claim="aws:RequestTag/password", operator="equals", values=["hunter2abc"])],
    )
    shown = repr(masked([given], FINGERPRINT)) + repr(masked([trust], FINGERPRINT))
    assert "hunter2abc" not in shown
    assert token not in shown
    assert "'team': 'payments'" in shown


@pytest.mark.parametrize(
    "text",
    [
        "github:actions-secret:acme/app/DB_PASSWORD",
        "arn:aws:secretsmanager:eu-west-1:200000000002:secret:prod/db-AbCdEf",
        "https://x-access-token:${GITHUB_TOKEN}@github.com/acme/app.git",
        "curl -H 'Authorization: Bearer $TOKEN' https://example.org",
        "docker login --password $CI_REGISTRY_PASSWORD registry.example.org",
        "id-token: write",
        "Set `persist-credentials: false` on the checkout.",
        "lantern deploy token gitlab+deploy-token-501",
        "the secret: inherit passes every secret",
        "password: ${{ secrets.DB_PASSWORD }}",
        "organization_personal_access_tokens: read, as a GitHub App",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "path=.github/workflows/release.yml",
        "aws:PrincipalTag/secret-reader=true",
    ],
)
def test_names_and_references_stay(text: str) -> None:
    assert mask(text, FINGERPRINT) == text


def test_a_policy_whose_document_was_redacted_keeps_its_hash() -> None:
    secret = secret_in("github-token", "p").needle
    condition = {"StringEquals": {"aws:RequestTag/password": "hunter2abc"}}
    document = canonical_document({"Statement": [{"Sid": secret, "Condition": condition}]})
    assert secret not in document
    assert "hunter2abc" not in document
    policy = policy_record(
        provider="x", account_id="a", kind="k", native_id="n", name="n", document=document, attached_to=[]
    )
    assert masked([policy], FINGERPRINT) == [policy]


@given(st.text(max_size=200))
def test_masking_never_raises_and_is_done_once(text: str) -> None:
    once = mask(text, FINGERPRINT)
    assert mask(once, FINGERPRINT) == once


def test_many_texts_are_sifted_and_none_is_lost() -> None:
    """The sieve that spares most texts a closer look lets through every text that a closer look would change."""
    texts = [
        f"{before}{secret_in(form, f'{form}{number}').text}"
        for form in FORMS
        for before in ("", "x ")
        for number in range(10)
    ]
    texts += [f"nothing in name {number}" for number in range(masking._MANY)]
    left = set(masking._suspects(texts))
    assert [text for text in texts if mask(text, FINGERPRINT) != text and text not in left] == []
    assert not any(text.startswith("nothing") for text in left)


@given(st.lists(st.sampled_from(sorted(["password", "pwd", "pw", "secret", "token", "pat", "jwt", "bearer", "apikey", "api", "access", "private", "key", "credentials", "kubeconfig", "netrc", "connection", "string", "connstr", "slack", "webhook", "pass", "db", "id"])), min_size=1, max_size=4), st.sampled_from(("_", "-", "", ".")))  # fmt: skip
def test_every_name_of_a_secret_has_one_of_the_parts_that_are_looked_for(
    parts: list[str], between: str
) -> None:
    name = between.join(parts)
    assert secret_name(name) is None or re.search(NAMING_PARTS, name)


def test_records_without_secrets_are_handed_on_as_they_are() -> None:
    rows = [
        account("plain", tags={"team": "x"}),
        Secret(id="s", provider="x", account_id="a", store="s", name="DB_PASSWORD"),
        Identity(id="i", provider="x", account_id="a", surface="human", kind="k", native_id="n", name="n"),
    ]
    assert masked(rows, FINGERPRINT) == rows
