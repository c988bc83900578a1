"""Which credential a stored secret is a copy of: labeled pairs and labeled look-alikes.

The labels say what a person would conclude from names, places, dates and sign-ins. They were written before the code.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from scanner.analyze.secret_credentials import match_secrets
from scanner.parquet import write_table
from scanner.records import TABLES, Account, Credential, Gap, Identity, Link, Secret, StoredSignIn
from scanner.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scanner.records import Record

AS_OF = datetime(2026, 11, 23, 2, tzinfo=UTC)
ORG, APP, WEB, CLOUD, TENANT = (
    "github:org:1",
    "github:repo:1",
    "github:repo:2",
    "aws:account:1",
    "entra:tenant:1",
)
KEY, OTHER_KEY, LONE_KEY = "AKIAIOSFODNN7EXAMPLE", "AKIAI44QH8DHBEXAMPLE", "AKIAIOSFODNN7LONELYX"
CLIENT, TWO_SECRETS = "149d271f-af69-5d98-b2f7-b47982385669", "6e6ba057-c427-5de0-bc92-a68f667a2243"


def days(ago: int) -> datetime:
    return AS_OF - timedelta(days=ago)


def place(ref: str, parent: str | None = None, native: str = "1") -> Account:
    return Account(
        id=ref, provider=ref.split(":", maxsplit=1)[0], account_id=ref, kind=ref.split(":")[1], native_id=native, name=ref, parent_id=parent
    )  # fmt: skip


def key(native: str, account: str = CLOUD, **more: Any) -> Credential:
    given: dict[str, Any] = {"created_at": days(300), "lifetime": "static", "enabled": True, **more}
    return Credential(
        id=f"aws:access-key:{native}", provider="aws", account_id=account, identity_id=f"aws:iam-user:{native}", kind="access-key",
        native_id=native, name=native, **given,
    )  # fmt: skip


def client_secret(number: int, client: str, kind: str = "client-secret", **more: Any) -> Credential:
    given: dict[str, Any] = {"created_at": days(100), "lifetime": "expiring", "enabled": True, **more}
    return Credential(
        id=f"entra:{kind}:{client}/{number}", provider="entra", account_id=TENANT, identity_id=f"entra:principal:{client}",
        kind=kind, native_id=str(number), name=str(number), **given,
    )  # fmt: skip


def principal(client: str) -> Identity:
    return Identity(
        id=f"entra:principal:{client}", provider="entra", account_id=TENANT, surface="automation", kind="service-principal",
        native_id=client, name=client, address=f"entra:application:{client}",
    )  # fmt: skip


def workflow(name: str, account: str, sign_ins: list[StoredSignIn], **more: Any) -> Identity:
    return Identity(
        id=f"github:workflow:{name}", provider="github", account_id=account, surface="automation", kind="github-workflow",
        is_pipeline=True, native_id=name, name=name, sign_ins=sign_ins, **more,
    )  # fmt: skip


def secret(ref: str, name: str, account: str = APP, **more: Any) -> Secret:
    given: dict[str, Any] = {"store": "github-actions", "readable": False, **more}
    return Secret(id=ref, provider=account.split(":", maxsplit=1)[0], account_id=account, name=name, **given)


def key_id(ref: str, name: str, native: str, account: str = APP, **more: Any) -> Secret:
    given: dict[str, Any] = {"store": "github-variable", "readable": True, **more}
    return Secret(
        id=ref, provider=account.split(":", maxsplit=1)[0], account_id=account, name=name, looks_like="aws-access-key-id",
        recognized_by="value", fingerprint=f"print of {native}", credential_id=f"aws:access-key:{native}", **given,
    )  # fmt: skip


PLACES = (place(ORG), place(APP, ORG), place(WEB, ORG), place(CLOUD, native="111122223333"), place("aws:account:2", native="444455556666"), place(TENANT))  # fmt: skip
CREDENTIALS = (
    key(KEY),
    key(OTHER_KEY),
    key(LONE_KEY, "aws:account:2"),
    client_secret(1, CLIENT),
    client_secret(9, CLIENT, "client-certificate"),
    client_secret(1, TWO_SECRETS),
    client_secret(2, TWO_SECRETS),
    principal(CLIENT),
    principal(TWO_SECRETS),
)
AWS = StoredSignIn(service="aws", names=["AWS_SECRET_ACCESS_KEY"])
BOTH = StoredSignIn(service="aws", names=["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])


def azure(client: str | None, name: str = "ARM_CLIENT_SECRET") -> StoredSignIn:
    return StoredSignIn(service="azure", names=[name], target=client and f"entra:application:{client}")


def connection(name: str, client: str, how: str = "static") -> tuple[Record, ...]:
    ref = f"azure-devops:connection:{name}"
    return (
        Identity(
            id=ref, provider="azure-devops", account_id=APP, surface="automation", kind="ado-service-connection", native_id=name,
            name=name, logins=[f"azure:{how}"],
        ),
        Link(id=f"link-{name}", provider="azure-devops", account_id=APP, source_id=ref, relation="uses", target_id=f"entra:principal:{client}"),
    )  # fmt: skip


A, B = f"aws:access-key:{KEY}", f"aws:access-key:{OTHER_KEY}"
E = f"entra:client-secret:{CLIENT}/1"

LABELED: dict[str, tuple[tuple[Record, ...], str | None, str | None]] = {
    # The records beside the credentials, the credential of secret ``s``, how it is known.
    "key id in a variable of the same repository": (
        (secret("s", "AWS_SECRET_ACCESS_KEY"), key_id("k", "AWS_ACCESS_KEY_ID", KEY)), A, "beside-key-id"),
    "with a suffix, beside two pairs": (
        (secret("s", "AWS_SECRET_ACCESS_KEY_PROD"), key_id("k", "AWS_ACCESS_KEY_ID_PROD", KEY), key_id("k2", "AWS_ACCESS_KEY_ID_DEV", OTHER_KEY)),
        A, "beside-key-id"),
    "with a prefix, in lower case": (
        (secret("s", "deploy_aws_secret_key"), key_id("k", "deploy_aws_access_key_id", KEY), key_id("k2", "AWS_ACCESS_KEY_ID", OTHER_KEY)),
        A, "beside-key-id"),
    "both in one environment": (
        (secret("s", "AWS_SECRET_ACCESS_KEY", environment="production"), key_id("k", "AWS_ACCESS_KEY_ID", KEY, environment="production"),
         key_id("k2", "AWS_ACCESS_KEY_ID", OTHER_KEY)), A, "beside-key-id"),
    "both given to one function": (
        (secret("s", "AWS_SECRET_ACCESS_KEY", CLOUD, store="lambda-env", holder_id="f"),
         key_id("k", "AWS_ACCESS_KEY_ID", KEY, CLOUD, store="lambda-env", holder_id="f")), A, "beside-key-id"),
    "two parameters of one path": (
        (secret("s", "/prod/mailer/secret-access-key", CLOUD, store="ssm-parameter"),
         key_id("k", "/prod/mailer/access-key-id", KEY, CLOUD, store="ssm-parameter")), A, "beside-key-id"),
    "the same value as a known copy": (
        (secret("s", "SOMETHING", WEB, readable=True, fingerprint="x"),
         secret("t", "BACKUP_KEY", APP, readable=True, fingerprint="x", credential_id=A)), A, "same-value"),
    "the same value as one beside its key id": (
        (secret("s", "COPIED", WEB, readable=True, fingerprint="x"),
         secret("t", "AWS_SECRET_ACCESS_KEY", readable=True, fingerprint="x"), key_id("k", "AWS_ACCESS_KEY_ID", KEY)), A, "same-value"),
    "a workflow signs in with both, the secret is the organization's": (
        (secret("s", "AWS_SECRET_ACCESS_KEY", ORG, visibility="all"), key_id("k", "AWS_ACCESS_KEY_ID", KEY), workflow("w", APP, [AWS], variables=["AWS_ACCESS_KEY_ID"])),
        A, "sign-in"),
    "a workflow signs in with names that tell nothing": (
        (secret("s", "DEPLOY_PASSPHRASE"), key_id("k", "DEPLOY_USER", KEY),
         workflow("w", APP, [StoredSignIn(service="aws", names=["DEPLOY_USER", "DEPLOY_PASSPHRASE"])])), A, "sign-in"),
    "a workflow signs in as an application with one secret": (
        (secret("s", "ARM_CLIENT_SECRET"), workflow("w", APP, [azure(CLIENT)])), E, "sign-in"),
    "the secret has another name": (
        (secret("s", "TERRAFORM_SP"), workflow("w", APP, [azure(CLIENT, "TERRAFORM_SP")])), E, "sign-in"),
    "one of two client secrets is younger than the stored value": (
        (secret("s", "ARM_CLIENT_SECRET", updated_at=days(50)), workflow("w", APP, [azure("c0ffee00-0000-4000-8000-000000000001")]),
         principal("c0ffee00-0000-4000-8000-000000000001"), client_secret(1, "c0ffee00-0000-4000-8000-000000000001", created_at=days(51)),
         client_secret(2, "c0ffee00-0000-4000-8000-000000000001", created_at=days(10))),
        "entra:client-secret:c0ffee00-0000-4000-8000-000000000001/1", "sign-in"),
    "a service connection that signs in with a secret": (
        (secret("s", "azure-platform", store="ado-service-connection", holder_id="azure-devops:connection:a"), *connection("a", CLIENT)),
        E, "sign-in"),
    "the key id is part of the name": (
        (secret("s", f"iam/{KEY}/secret", CLOUD, store="secrets-manager"),), A, "id-in-name"),
    "the key id is a tag": (
        (secret("s", "mailer", CLOUD, store="secrets-manager", tags={"AccessKeyId": KEY}),), A, "id-in-name"),
    "the client id is part of the name": (
        (secret("s", f"sp-{CLIENT}-secret", store="key-vault-secret"),), E, "id-in-name"),
    "the account number is part of the name, and the account has one key": (
        (secret("s", "AWS_SECRET_ACCESS_KEY_444455556666"),), f"aws:access-key:{LONE_KEY}", "id-in-name"),
    "what the collector read stands": (
        (secret("s", "AWS_SECRET_ACCESS_KEY", credential_id=B), key_id("k", "AWS_ACCESS_KEY_ID", KEY)), B, "key-id"),
    # Look-alikes: nobody could tell, or it is another thing.
    "only a name": ((secret("s", "AWS_SECRET_ACCESS_KEY"),), None, None),
    "another service's secret key": (
        (secret("s", "STRIPE_SECRET_KEY"), key_id("k", "AWS_ACCESS_KEY_ID", KEY)), None, None),
    "another store with the same protocol": (
        (secret("s", "R2_SECRET_ACCESS_KEY"), key_id("k", "AWS_ACCESS_KEY_ID", KEY)), None, None),
    "the key of a web framework": (
        (secret("s", "SECRET_KEY"), key_id("k", "ACCESS_KEY_ID", KEY)), None, None),
    "a password beside a key id": ((secret("s", "DB_PASSWORD"), key_id("k", "AWS_ACCESS_KEY_ID", KEY)), None, None),
    "another suffix": (
        (secret("s", "AWS_SECRET_ACCESS_KEY_PROD"), key_id("k", "AWS_ACCESS_KEY_ID", KEY)), None, None),
    "another environment": (
        (secret("s", "AWS_SECRET_ACCESS_KEY", environment="staging"), key_id("k", "AWS_ACCESS_KEY_ID", KEY, environment="production")),
        None, None),
    "another repository": ((secret("s", "AWS_SECRET_ACCESS_KEY", WEB), key_id("k", "AWS_ACCESS_KEY_ID", KEY)), None, None),
    "another function of the account": (
        (secret("s", "AWS_SECRET_ACCESS_KEY", CLOUD, holder_id="g"), key_id("k", "AWS_ACCESS_KEY_ID", KEY, CLOUD, holder_id="f")),
        None, None),
    "another path": (
        (secret("s", "/prod/ledger/secret-access-key", CLOUD), key_id("k", "/prod/mailer/access-key-id", KEY, CLOUD)), None, None),
    "two key ids under one name": (
        (secret("s", "AWS_SECRET_ACCESS_KEY"), key_id("k", "AWS_ACCESS_KEY_ID", KEY), key_id("k2", "aws_access_key_id", OTHER_KEY)), None, None),
    "a value that was stored before the key existed": (
        (secret("s", "AWS_SECRET_ACCESS_KEY", updated_at=days(400)), key_id("k", "AWS_ACCESS_KEY_ID", KEY)), None, None),
    "a readable value of another format": (
        (secret("s", "AWS_SECRET_ACCESS_KEY", readable=True, looks_like="github-token", recognized_by="value"), key_id("k", "AWS_ACCESS_KEY_ID", KEY)),
        None, None),
    "copies of two credentials have its value": (
        (secret("s", "X", WEB, readable=True, fingerprint="x"), secret("t", "T", readable=True, fingerprint="x", credential_id=A),
         secret("u", "U", readable=True, fingerprint="x", credential_id=B)), None, None),
    "an organization's secret that two workflows use with two keys": (
        (secret("s", "AWS_SECRET_ACCESS_KEY", ORG, visibility="all"), key_id("k", "AWS_ACCESS_KEY_ID", KEY),
         key_id("k2", "AWS_ACCESS_KEY_ID", OTHER_KEY, WEB), workflow("w", APP, [AWS], variables=["AWS_ACCESS_KEY_ID"]), workflow("v", WEB, [AWS], variables=["AWS_ACCESS_KEY_ID"])), None, None),
    "an organization's secret that the repository replaces": (
        (secret("s", "AWS_SECRET_ACCESS_KEY", ORG, visibility="all"), secret("own", "AWS_SECRET_ACCESS_KEY"),
         key_id("k", "AWS_ACCESS_KEY_ID", KEY), workflow("w", APP, [AWS], variables=["AWS_ACCESS_KEY_ID"])), None, None),
    "an organization's secret for other repositories": (
        (secret("s", "AWS_SECRET_ACCESS_KEY", ORG, visibility="selected", available_to=[WEB]), key_id("k", "AWS_ACCESS_KEY_ID", KEY),
         workflow("w", APP, [AWS], variables=["AWS_ACCESS_KEY_ID"])), None, None),
    "a secret that the workflow uses for something else": (
        (secret("s", "SLACK_TOKEN"), key_id("k", "AWS_ACCESS_KEY_ID", KEY), workflow("w", APP, [BOTH])), None, None),
    "a sign-in with three secrets": (
        (secret("s", "ONE"), secret("t", "TWO"), key_id("k", "DEPLOY_USER", KEY),
         workflow("w", APP, [StoredSignIn(service="aws", names=["DEPLOY_USER", "ONE", "TWO"])])), None, None),
    "an application with two secrets": ((secret("s", "ARM_CLIENT_SECRET"), workflow("w", APP, [azure(TWO_SECRETS)])), None, None),
    "an application that is not known": ((secret("s", "ARM_CLIENT_SECRET"), workflow("w", APP, [azure(None)])), None, None),
    "an application whose credentials were not all listed": (
        (secret("s", "ARM_CLIENT_SECRET"), workflow("w", APP, [azure(CLIENT)]),
         Gap(id="g", provider="entra", account_id=TENANT, collector="entra", target="t", table="credentials", call="c", reason="denied", detail="no")),
        None, None),
    "a tenant id in an application's sign-in": (
        (secret("s", "ARM_TENANT_ID"), secret("t", "ARM_CLIENT_SECRET"),
         workflow("w", APP, [StoredSignIn(service="azure", names=["ARM_TENANT_ID", "ARM_CLIENT_SECRET"], target=f"entra:application:{CLIENT}")])), None, None),
    "a federated service connection": (
        (secret("s", "azure-platform", store="ado-service-connection", holder_id="azure-devops:connection:a"), *connection("a", CLIENT, "oidc")),
        None, None),
    "a value that was stored before the only client secret": (
        (secret("s", "ARM_CLIENT_SECRET", updated_at=days(200)), workflow("w", APP, [azure(CLIENT)])), None, None),
    "a key id that nobody has": ((secret("s", "iam/AKIAAAAAAAAAAAAAAAAA/secret", CLOUD),), None, None),
    "two key ids in one name": ((secret("s", f"{KEY}-replaces-{OTHER_KEY}", CLOUD),), None, None),
    "part of a key id": ((secret("s", f"iam/{KEY}X/secret", CLOUD),), None, None),
    "the client id of an application with two secrets": ((secret("s", f"sp-{TWO_SECRETS}"),), None, None),
    "an account number with two keys": ((secret("s", "AWS_SECRET_ACCESS_KEY_111122223333"),), None, None),
    "an account number in the name of another thing": ((secret("s", "WEBHOOK_444455556666"),), None, None),
    "a long number that contains an account number": ((secret("s", "AWS_SECRET_ACCESS_KEY_94444555566667"),), None, None),
}  # fmt: skip


@contextmanager
def matched(folder: Path, *records: Record) -> Iterator[Tables]:
    tables = Tables([folder])
    try:
        for name in ("accounts", "identities", "credentials", "secrets", "links", "gaps"):
            cls = TABLES[name]
            rows = [record for record in records if type(record) is cls]
            write_table(folder / f"records-{name}.parquet", cls, rows)
            tables.view(name, cls, [folder / f"records-{name}.parquet"])
        match_secrets(tables, folder)
        yield tables
    finally:
        tables.close()


@pytest.mark.parametrize("case", LABELED)
def test_labeled(tmp_path: Path, case: str) -> None:
    records, credential, how = LABELED[case]
    with matched(tmp_path, *PLACES, *CREDENTIALS, *records) as tables:
        query = "SELECT credential_id, credential_known_by FROM secrets WHERE id = 's'"
        assert list(tables.rows(query)) == [(credential, how)]


def test_a_night_without_credentials_matches_nothing(tmp_path: Path) -> None:
    records = (secret("s", "AWS_SECRET_ACCESS_KEY"), key_id("k", "AWS_ACCESS_KEY_ID", KEY))
    with matched(tmp_path, *PLACES, *records) as tables:
        found = list(tables.rows("SELECT id, credential_known_by FROM secrets ORDER BY id"))
        assert found == [("k", "key-id"), ("s", None)]
