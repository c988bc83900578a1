"""Joins across systems, on labeled estates: what must be concluded of each, and what must not.

The labels follow what the systems document: a connection's token and its subject
(https://learn.microsoft.com/azure/devops/pipelines/release/azure-rm-endpoint), federated credentials of Entra ID
(https://learn.microsoft.com/graph/api/resources/federatedidentitycredential-overview, .../entra/workload-id/workload-identities-flexible-federated-identity-credentials),
AWS roles for Azure DevOps (https://docs.aws.amazon.com/vsts/latest/userguide/awssetup.html), and GitHub's and GitLab's tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest

from sandbox.azure.company import CONTRIBUTOR, OWNER, READER, WEBSITE_CONTRIBUTOR
from sandbox.azure.tenant import DEV, PROD
from sandbox.azure_devops.estate import guid as devops
from sandbox.entra.estate import GITHUB, TENANT, federated
from sandbox.entra.estate import guid as entra
from scanner.records import Credential, Identity, Test, Trust
from tests.microsoft_estates import (
    ENTRA_ISSUER,
    LEGACY_ISSUER,
    ORGANIZATION,
    Conclusions,
    Estate,
    conclusions,
    deploying,
    subject,
    systems,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from scanner.records import Record

AWS = "aws:account:1"


def aws(name: str, **more: Any) -> Identity:
    given: dict[str, Any] = {"surface": "automation", "kind": "iam-user", **more}
    return Identity(
        id=f"arn:aws:iam::1:{name}",
        provider="aws",
        account_id=AWS,
        native_id=name,
        name=name,
        address=f"arn:aws:iam::1:{name}",
        **given,
    )


def aws_key(number: str, user: str) -> Credential:
    return Credential(
        id=f"aws:access-key:{number}", provider="aws", account_id=AWS, identity_id=f"arn:aws:iam::1:{user}",
        kind="access-key", native_id=number, name=number, lifetime="static", enabled=True,
    )  # fmt: skip


def aws_trust(role: str, kind: str, issuer: str, *tests: Test, audience: list[str] | None = None) -> Trust:
    return Trust(
        id=f"trust {role} {issuer}", provider="aws", account_id=AWS, identity_id=f"arn:aws:iam::1:{role}", kind=kind,
        issuer=issuer, tests=list(tests), audience=audience or [], exposure="exact",
    )  # fmt: skip


def presents(name: str, provider: str, issuer: str, *subjects: str, **claims: str) -> Identity:
    return Identity(
        id=f"{provider}:pipeline:{name}", provider=provider, account_id=f"{provider}:repo:1", surface="automation",
        kind=f"{provider}-pipeline", native_id=name, name=name, is_pipeline=True, issuer=issuer, subjects=list(subjects),
        tokens=[{"sub": one, "aud": "*", **claims} for one in subjects],
    )  # fmt: skip


class Label(NamedTuple):
    """What is to be concluded of an estate. Edges are pairs of names."""

    edges: tuple[tuple[str, str], ...] = ()
    may: tuple[tuple[str, str], ...] = ()
    no_edges: tuple[tuple[str, str], ...] = ()
    """Neither certain nor possible."""
    reach: tuple[tuple[str, str], ...] = ()
    no_reach: tuple[tuple[str, str], ...] = ()
    excess: dict[tuple[str, str], tuple[set[str], bool]] = {}  # noqa: RUF012  never changed
    finds: tuple[tuple[str, str], ...] = ()
    """Rule and subject."""
    silent: tuple[tuple[str, str], ...] = ()
    """Rule and subject, of which nothing may be said; ``*`` is any subject."""


ESTATES: dict[str, tuple[Callable[[Estate], None], Label]] = {}


def estate(label: Label) -> Callable[[Callable[[Estate], None]], Callable[[Estate], None]]:
    def add(build: Callable[[Estate], None]) -> Callable[[Estate], None]:
        ESTATES[build.__name__] = (build, label)
        return build

    return add


# Azure DevOps and Entra ID


@estate(
    Label(
        edges=(("azure", "deployer"), ("deploy", "azure")),
        no_edges=(("azure", "other"), ("docs", "azure"), ("docs", "deployer")),
    )
)
def a_federated_connection_signs_in_as_the_application_that_trusts_its_id(e: Estate) -> None:
    number = e.connection("azure", "deployer")
    e.app("deployer", subject(number))
    e.app("other", subject(devops("connection elsewhere")))
    e.pipeline(1, "deploy", deploying("azure"))
    e.pipeline(2, "docs", "steps: [{script: make docs}]\n")


@estate(Label(no_edges=(("azure", "deployer"),), finds=(("pipeline-not-trusted-by-role", "azure"),)))
def an_application_that_trusts_another_connection_lets_this_one_not_in(e: Estate) -> None:
    e.connection("azure", "deployer")
    e.app("deployer", subject(devops("connection elsewhere")))


@estate(Label(no_edges=(("azure", "deployer"),)))
def a_connection_of_the_same_id_in_another_organization_is_another_one(e: Estate) -> None:
    number = e.connection("azure", "deployer")
    e.app("deployer", subject(number, devops("another organization")))


@estate(Label(edges=(("azure", "deployer"),), no_edges=(("azure", "stranger"),)))
def the_old_issuer_goes_by_names(e: Estate) -> None:
    e.shop.endpoint(
        "azure",
        "azurerm",
        "WorkloadIdentityFederation",
        {
            "tenantid": TENANT,
            "serviceprincipalid": entra("app deployer"),
            "workloadIdentityFederationIssuer": LEGACY_ISSUER,
            "workloadIdentityFederationSubject": f"sc://{ORGANIZATION}/shop/azure",
        },
    )
    e.app("deployer", f"sc://{ORGANIZATION}/shop/Azure", issuer=f"{LEGACY_ISSUER}/")
    e.app("stranger", f"sc://{ORGANIZATION}/lab/azure", issuer=LEGACY_ISSUER)


@estate(Label(edges=(("azure", "deployer"),), no_edges=(("azure", "old"),)))
def a_subject_of_the_right_name_and_the_wrong_issuer_is_no_trust(e: Estate) -> None:
    number = e.connection("azure", "deployer")
    e.app("deployer", subject(number))
    e.app("old", subject(number), issuer="https://login.microsoftonline.com/another-tenant/v2.0")


@estate(
    Label(
        may=(("azure", "deployer"), ("registry", "pusher")),
        no_edges=(("azure", "other"), ("azure", "pusher")),
    )
)
def where_a_reader_does_not_see_how_a_connection_signs_in_its_id_still_joins(e: Estate) -> None:
    number = e.connection("azure", "deployer")
    e.static("registry", "pusher")
    e.app("deployer", subject(number))
    e.app("other", subject(devops("connection elsewhere")))
    e.app("pusher", f"sc://{ORGANIZATION}/shop/registry", issuer=LEGACY_ISSUER)
    e.reader = True


@estate(Label(edges=(("azure", "deployer"),), no_edges=(("azure", "other"), ("off", "deployer"))))
def a_connection_with_a_secret_is_its_application(e: Estate) -> None:
    e.static("azure", "deployer")
    e.static("off", "deployer", isDisabled=True)
    e.app("deployer")
    e.app("other")


@estate(
    Label(
        edges=(("azure", "id-shop"),),
        no_edges=(("azure", "id-lab"),),
    )
)
def a_managed_identity_with_a_federated_credential(e: Estate) -> None:
    number = devops("connection azure")
    for name, trusted in (("id-shop", subject(number)), ("id-lab", subject(devops("connection x")))):
        e.directory.service_principal(
            name,
            app_id=entra(f"app {name}"),
            servicePrincipalType="ManagedIdentity",
            federatedIdentityCredentials=[federated(name, ENTRA_ISSUER, trusted)],
        )
    e.connection("azure", "id-shop")


@estate(
    Label(
        edges=(("shop deploy", "azure"), ("lab deploy", "azure"), ("azure", "deployer")),
        no_edges=(("lab docs", "azure"),),
        finds=(),
        silent=(("ado-application-behind-several-connections", "*"),),
    )
)
def a_shared_connection_is_one(e: Estate) -> None:
    number = e.connection("azure", "deployer", shared_with=e.lab)
    e.app("deployer", subject(number))
    e.pipeline(1, "shop deploy", deploying("azure"))
    e.pipeline(2, "lab deploy", deploying("azure"), e.lab)
    e.pipeline(3, "lab docs", "steps: [{script: make docs}]\n", e.lab)


@estate(
    Label(
        edges=(("train", "azure"), ("azure", "deployer")),
        no_edges=(("train", "unused"),),
    )
)
def a_classic_release_uses_the_connection_of_its_tasks(e: Estate) -> None:
    number = e.connection("azure", "deployer")
    e.connection("unused", "deployer")
    e.app("deployer", subject(number))
    e.shop.releases.append(
        {
            "id": 3,
            "name": "train",
            "variables": {},
            "variableGroups": [],
            "environments": [
                {
                    "id": 1,
                    "name": "prod",
                    "deployPhases": [{"workflowTasks": [{"inputs": {"ConnectedServiceName": number}}]}],
                }
            ],
        }
    )


@estate(
    Label(
        edges=(("reads vault", "vault"), ("vault", "reader")),
        no_edges=(("plain", "vault"), ("plain", "reader")),
    )
)
def a_group_of_a_key_vault_is_read_through_its_connection(e: Estate) -> None:
    number = e.connection("vault", "reader")
    e.app("reader", subject(number))
    for one, name, vault in ((5, "from-vault", "kv-shop"), (6, "plain", None)):
        e.shop.variable_groups.append(
            {
                "id": one,
                "name": name,
                "type": "AzureKeyVault" if vault else "Vsts",
                "variables": {"db-password": {"isSecret": True, "value": None, "enabled": True}},
                "providerData": {"serviceEndpointId": number, "vault": vault} if vault else None,
            }
        )
    e.pipeline(1, "reads vault", "variables: [{group: from-vault}]\nsteps: [{script: make}]\n")
    e.pipeline(2, "plain", "variables: [{group: plain}]\nsteps: [{script: make}]\n")


# Other pipelines and Entra ID


@estate(
    Label(
        edges=(
            ("main", "deployer"),
            ("prod", "production"),
            ("main", "any branch"),
            ("prod", "workflow"),
            ("prod", "doubled"),
        ),
        may=(("branches", "deployer"),),
        no_edges=(
            ("main", "production"),
            ("prod", "deployer"),
            ("prod", "any branch"),
            ("other", "deployer"),
            ("main", "workflow"),
            ("other", "doubled"),
        ),
    )
)
def github_tokens_against_subjects_and_expressions(e: Estate) -> None:
    main, production = "repo:acme/shop:ref:refs/heads/main", "repo:acme/shop:environment:production"
    e.app("deployer", main, issuer=GITHUB)
    e.app("production", production, issuer=GITHUB)
    for name, expression in (
        ("any branch", "claims['sub'] matches 'repo:acme/shop:ref:refs/heads/*'"),
        (
            "workflow",
            "claims['sub'] matches 'repo:acme/*' and claims['job_workflow_ref'] eq 'acme/flows/.github/workflows/deploy.yml@refs/heads/main'",
        ),
        ("doubled", "claims['sub'] eq 'repo:acme/shop:environment:production'"),
    ):
        e.directory.application(name, federated=(federated(name, GITHUB, None, expression),))
    flow = "acme/flows/.github/workflows/{}.yml@refs/heads/main"
    e.others += [
        presents("main", "github", GITHUB, main, job_workflow_ref=flow.format("build")),
        presents("prod", "github", GITHUB, production, job_workflow_ref=flow.format("deploy")),
        presents(
            "branches",
            "github",
            GITHUB,
            "repo:acme/shop:ref:refs/heads/*",
            job_workflow_ref=flow.format("build"),
        ),
        presents(
            "other",
            "github",
            GITHUB,
            "repo:acme/other:ref:refs/heads/main",
            job_workflow_ref=flow.format("build"),
        ),
    ]


@estate(
    Label(
        edges=(("release", "deployer"), ("release", "group")),
        no_edges=(("release", "elsewhere"), ("feature", "deployer")),
    )
)
def gitlab_tokens(e: Estate) -> None:
    issuer = "https://gitlab.com"
    main = "project_path:acme/shop:ref_type:branch:ref:main"
    e.app("deployer", main, issuer=issuer)
    e.app("elsewhere", main, issuer="https://gitlab.example")
    e.directory.application(
        "group",
        federated=(
            federated(
                "group", issuer, None, "claims['sub'] matches 'project_path:acme/*:ref_type:branch:ref:main'"
            ),
        ),
    )
    e.others += [
        presents("release", "gitlab", issuer, main),
        presents("feature", "gitlab", issuer, "project_path:acme/shop:ref_type:branch:ref:feature"),
    ]


@estate(
    Label(
        edges=(("payments:api", "payments-app"),),
        no_edges=(("payments:api", "elsewhere"), ("payments:job", "payments-app")),
    )
)
def service_accounts_of_a_cluster(e: Estate) -> None:
    issuer = f"https://westeurope.oic.prod-aks.azure.com/{TENANT}/{entra('cluster')}/"
    e.app("payments-app", "system:serviceaccount:payments:api", issuer=issuer)
    e.app(
        "elsewhere", "system:serviceaccount:payments:api", issuer=issuer.replace("westeurope", "northeurope")
    )
    e.others += [
        msgspec.structs.replace(
            presents(name, "azure", issuer, f"system:serviceaccount:{name}"),
            surface="workload",
            is_pipeline=False,
        )
        for name in ("payments:api", "payments:job")
    ]


# Azure DevOps and AWS

VSTOKEN = LEGACY_ISSUER
AUDIENCE = ["api://AzureADTokenExchange"]


@estate(
    Label(
        edges=(("aws", "user/ci"),),
        no_edges=(("aws", "user/other"), ("unknown key", "user/ci")),
    )
)
def an_access_key_is_its_user(e: Estate) -> None:
    e.shop.endpoint("aws", "aws", "UsernamePassword", {"username": "AKIAIOSFODNN7EXAMPLE", "password": None})
    e.shop.endpoint(
        "unknown key", "aws", "UsernamePassword", {"username": "AKIAI44QH7DHBEXAMPLE", "password": None}
    )
    e.others += [aws("user/ci"), aws("user/other"), aws_key("AKIAIOSFODNN7EXAMPLE", "user/ci")]


@estate(
    Label(
        edges=(("aws", "user/ci"), ("user/ci", "role/trusting")),
        no_edges=(("aws", "role/closed"), ("user/ci", "role/closed"), ("other", "role/trusting")),
    )
)
def a_key_assumes_only_a_role_that_trusts_its_user(e: Estate) -> None:
    for name, role in (("aws", "trusting"), ("other", "closed")):
        e.shop.endpoint(
            name,
            "aws",
            "UsernamePassword",
            {
                "username": "AKIAIOSFODNN7EXAMPLE" if name == "aws" else "AKIAI44QH7DHBEXAMPLE",
                "password": None,
                "assumeRoleArn": f"arn:aws:iam::1:role/{role}",
            },
        )
    e.others += [
        aws("user/ci"),
        aws_key("AKIAIOSFODNN7EXAMPLE", "user/ci"),
        aws("role/trusting", kind="iam-role"),
        aws("role/closed", kind="iam-role"),
        aws_trust("role/trusting", "account", "arn:aws:iam::1:user/ci"),
        aws_trust("role/closed", "account", "arn:aws:iam::1:user/somebody"),
    ]


@estate(
    Label(
        edges=(("aws", "role/deploy"),),
        no_edges=(
            ("aws", "role/other"),
            ("aws", "role/audience"),
            ("aws", "role/elsewhere"),
            ("off", "role/off"),
        ),
    )
)
def an_aws_connection_with_oidc_presents_the_old_issuers_token(e: Estate) -> None:
    for name, more in (("aws", False), ("off", True)):
        e.shop.endpoint(
            name, "aws", "UsernamePassword",
            {"username": None, "useOIDC": "true", "assumeRoleArn": f"arn:aws:iam::1:role/{'deploy' if name == 'aws' else 'off'}"},
            isDisabled=more,
        )  # fmt: skip
    sub = Test(claim="sub", operator="equals", values=[f"sc://{ORGANIZATION}/shop/aws"])
    e.others += [
        aws(f"role/{name}", kind="iam-role") for name in ("deploy", "other", "audience", "elsewhere", "off")
    ]
    e.others += [
        aws_trust("role/deploy", "oidc", VSTOKEN, sub, audience=AUDIENCE),
        aws_trust(
            "role/other",
            "oidc",
            VSTOKEN,
            Test(claim="sub", operator="equals", values=[f"sc://{ORGANIZATION}/lab/aws"]),
            audience=AUDIENCE,
        ),
        aws_trust("role/audience", "oidc", VSTOKEN, sub, audience=["sts.amazonaws.com"]),
        aws_trust(
            "role/elsewhere",
            "oidc",
            f"https://vstoken.dev.azure.com/{devops('another organization')}",
            sub,
            audience=AUDIENCE,
        ),
        aws_trust(
            "role/off",
            "oidc",
            VSTOKEN,
            Test(claim="sub", operator="equals", values=[f"sc://{ORGANIZATION}/shop/off"]),
            audience=AUDIENCE,
        ),
    ]


@estate(
    Label(
        edges=(("google", "deployer@p.iam.gserviceaccount.com"),),
        no_edges=(("google", "other@p.iam.gserviceaccount.com"),),
    )
)
def a_google_key_is_its_service_account(e: Estate) -> None:
    e.shop.endpoint(
        "google",
        "GoogleCloudServiceEndpoint",
        "JWT",
        {"Issuer": "deployer@p.iam.gserviceaccount.com", "PrivateKey": None},
    )
    e.others += [
        Identity(
            id=f"gcp:service-account:{name}", provider="gcp", account_id="gcp:project:p", surface="automation", kind="gcp-service-account",
            native_id=name, name=f"{name}@p.iam.gserviceaccount.com", address=f"{name}@p.iam.gserviceaccount.com",
        )
        for name in ("deployer", "other")
    ]  # fmt: skip


# Down to the workload

RESOURCE = "web-shop"


@estate(
    Label(
        edges=(("deploy", "azure"), ("azure", "deployer")),
        reach=(("deploy", "admin"),),
        no_reach=(("docs", "admin"),),
        excess={
            ("deploy", RESOURCE): (
                {"admin", "grant-access", "become-other", "read-secrets", "change-data"},
                True,
            )
        },
        finds=(("pipeline-excess-access", f"{ORGANIZATION}/shop/deploy"),),
    )
)
def a_pipeline_that_owns_the_subscription_of_its_workload(e: Estate) -> None:
    number = e.connection("azure", "deployer")
    app = e.app("deployer", subject(number))
    e.azure.assign(app, OWNER, f"/subscriptions/{PROD}")
    e.web_app("web-shop")
    e.pipeline(1, "deploy", deploying("azure"))
    e.pipeline(2, "docs", "steps: [{script: make docs}]\n")


@estate(Label(excess={("deploy", RESOURCE): (set(), True)}, silent=(("pipeline-excess-access", "*"),)))
def a_pipeline_with_no_more_than_its_workload(e: Estate) -> None:
    number = e.connection("azure", "deployer")
    app = e.app("deployer", subject(number))
    e.azure.assign(app, READER, f"/subscriptions/{PROD}/resourceGroups/payments")
    e.web_app("web-shop")
    e.pipeline(1, "deploy", deploying("azure"))


@estate(
    Label(
        excess={("deploy", RESOURCE): (set(), True)},
        no_reach=(("deploy", "admin"),),
    )
)
def of_two_workloads_of_one_name_the_pipeline_deploys_the_one_it_can_reach(e: Estate) -> None:
    number = e.connection("azure", "deployer")
    app = e.app("deployer", subject(number))
    e.azure.assign(app, READER, f"/subscriptions/{PROD}/resourceGroups/payments")
    e.web_app("web-shop")
    e.web_app("web-shop", OWNER, subscription=DEV)
    e.pipeline(1, "deploy", deploying("azure"))


@estate(
    Label(
        edges=(("deploy", "azure"), ("azure", "deployer")),
        excess={("deploy", RESOURCE): ({"become-other", "read-secrets", "change-data"}, True)},
        silent=(("entra-secret-beside-federation", "*"),),
    )
)
def a_stored_secret_is_followed_as_far(e: Estate) -> None:
    e.static("azure", "deployer")
    app = e.app("deployer")
    e.azure.assign(app, WEBSITE_CONTRIBUTOR, f"/subscriptions/{PROD}/resourceGroups/payments")
    e.web_app("web-shop")
    e.pipeline(1, "deploy", deploying("azure"))


@estate(Label(excess={("deploy", RESOURCE): (set(), False)}, no_edges=(("azure", "deployer"),)))
def the_agents_own_identity_is_unknown_and_never_equal(e: Estate) -> None:
    e.shop.endpoint("azure", "azurerm", "ManagedServiceIdentity", {"tenantid": TENANT})
    e.app("deployer")
    e.web_app("web-shop")
    e.pipeline(1, "deploy", deploying("azure"))


@estate(Label(excess={("deploy", RESOURCE): (set(), False)}))
def a_connection_of_an_unknown_type_is_never_equal(e: Estate) -> None:
    e.shop.endpoint("azure", "lantern-internal", "Token", {"apitoken": None})
    e.web_app("web-shop")
    e.pipeline(1, "deploy", deploying("azure"))


@estate(Label(excess={("deploy", RESOURCE): (set(), False)}))
def an_application_of_another_tenant_is_unknown(e: Estate) -> None:
    e.static("azure", "of nobody here")
    e.web_app("web-shop")
    e.pipeline(1, "deploy", deploying("azure"))


@estate(Label(excess={("deploy", RESOURCE): (set(), False)}))
def where_role_assignments_are_refused_nothing_is_equal(e: Estate) -> None:
    number = e.connection("azure", "deployer")
    e.app("deployer", subject(number))
    e.web_app("web-shop")
    e.pipeline(1, "deploy", deploying("azure"))
    e.fails.append(("azure", "POST /providers/Microsoft.ResourceGraph/resources roleassignments"))


@estate(
    Label(
        edges=(("azure", "deployer"), ("lab azure", "deployer")),
        finds=(("ado-application-behind-several-connections", "deployer"),),
        silent=(("ado-application-behind-several-connections", "single"),),
    )
)
def one_application_behind_several_connections(e: Estate) -> None:
    first = e.connection("azure", "deployer")
    second = e.connection("lab azure", "deployer", e.lab)
    third = e.connection("alone", "single")
    e.app("deployer", subject(first), subject(second))
    e.app("single", subject(third))


@estate(
    Label(
        finds=(("ado-trust-left-behind", "gone"), ("ado-trust-left-behind", "old name")),
        silent=(
            ("ado-trust-left-behind", "alive"),
            ("ado-trust-left-behind", "other organization"),
            ("ado-trust-left-behind", "github"),
        ),
    )
)
def a_federated_credential_of_a_deleted_connection(e: Estate) -> None:
    number = e.connection("azure", "alive")
    e.app("alive", subject(number))
    e.app("gone", subject(devops("connection deleted")))
    e.app("old name", f"sc://{ORGANIZATION}/shop/renamed", issuer=LEGACY_ISSUER)
    e.app("other organization", subject(devops("connection deleted"), devops("another organization")))
    e.app("github", "repo:acme/shop:environment:production", issuer=GITHUB)


@estate(Label(silent=(("ado-trust-left-behind", "*"),)))
def where_connections_of_a_project_were_refused_none_is_deleted(e: Estate) -> None:
    e.app("gone", subject(devops("connection deleted")))
    e.fails.append(("azure-devops", "GET /{project}/_apis/serviceendpoint/endpoints"))


@estate(
    Label(
        finds=(("ado-trust-left-behind", "converted"),),
        silent=(("ado-trust-left-behind", "plain"),),
    )
)
def the_old_trust_is_left_after_the_conversion(e: Estate) -> None:
    first, second = e.connection("conv", "converted"), e.connection("plain", "plain")
    trusted = (
        federated("new", ENTRA_ISSUER, subject(first)),
        federated("old", LEGACY_ISSUER, f"sc://{ORGANIZATION}/shop/conv"),
    )
    e.directory.application("converted", federated=trusted)
    e.app("plain", subject(second))


@estate(
    Label(
        finds=(("ado-production-from-another-environment", "lab azure"),),
        silent=(
            ("ado-production-from-another-environment", "azure"),
            ("ado-production-from-another-environment", "dev azure"),
        ),
    )
)
def production_is_reached_from_a_project_that_is_not(e: Estate) -> None:
    e.lab.name = "lab-dev"
    for name, project, where in (
        ("azure", e.shop, PROD),
        ("lab azure", e.lab, PROD),
        ("dev azure", e.lab, DEV),
    ):
        number = e.connection(name, f"app {name}", project)
        app = e.app(f"app {name}", subject(number))
        e.azure.assign(app, CONTRIBUTOR, f"/subscriptions/{where}")


@pytest.fixture(scope="module")
def concluded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Conclusions]:
    """What is concluded of each estate: all that were read in full in one night, and each of the others in its own."""
    folder = tmp_path_factory.mktemp("estates")
    rules = {rule for _, label in ESTATES.values() for rule, _ in (*label.finds, *label.silent)}
    whole: dict[str, list[Record]] = {}
    found: dict[str, Conclusions] = {}
    with systems() as running:
        for name, (build, _) in ESTATES.items():
            made = Estate()
            build(made)
            records = running.records(made, folder)
            if made.fails or made.reader:
                found |= conclusions(folder / name, {name: records}, rules)
            else:
                whole[name] = records
    return found | conclusions(folder / "whole", whole, rules)


def missed(label: Label, found: Conclusions) -> list[str]:
    """Return what is wrong, one line each."""
    possible = found.edges | found.may
    wrong = [f"missing edge {one}" for one in label.edges if one not in found.edges]
    wrong += [f"missing possible edge {one}" for one in label.may if one not in found.may]
    wrong += [f"edge that must not be {one}" for one in label.no_edges if one in possible]
    wrong += [f"missing path {one}" for one in label.reach if one not in found.reach]
    wrong += [
        f"path that must not be {one}: {found.reach[one]}" for one in label.no_reach if one in found.reach
    ]
    for pair, (more, complete) in label.excess.items():
        if found.excess.get(pair) != (frozenset(more), complete):
            wrong.append(f"excess of {pair}: {found.excess.get(pair)}, not {(more, complete)}")
    for rule, name in label.finds:
        if (rule, name) not in found.findings:
            wrong.append(f"{rule} not found on {name}: {found.findings}")
    for rule, name in label.silent:
        wrong += [
            f"{rule} found on {who}" for one, who in found.findings if rule == one and name in ("*", who)
        ]
    return wrong


@pytest.mark.parametrize("name", list(ESTATES))
def test_what_follows_from_an_estate_and_what_does_not(name: str, concluded: dict[str, Conclusions]) -> None:
    assert missed(ESTATES[name][1], concluded[name]) == []
