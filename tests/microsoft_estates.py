"""Small estates of Azure DevOps, Entra ID and Azure, read by the real collectors and analyzed as a night is."""

from __future__ import annotations

import base64
import threading
import uuid
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import collectors.azure
import collectors.azure_devops
import collectors.entra
from sandbox.azure import AzureSandbox
from sandbox.azure.company import BLOB_READER
from sandbox.azure.company import build as azure_company
from sandbox.azure.tenant import PROD, AzureTenant
from sandbox.azure_devops import AzureDevOpsSandbox
from sandbox.azure_devops.access import default_access
from sandbox.azure_devops.estate import ORGANIZATION, DevOpsOrganization, DevOpsProject
from sandbox.azure_devops.estate import guid as devops
from sandbox.entra import EntraSandbox
from sandbox.entra.company import build as entra_company
from sandbox.entra.estate import TENANT, DirectoryTenant, federated
from sandbox.entra.estate import guid as entra
from sandbox.estate import FIRST_NIGHT
from sandbox.kit.authority import CertificateAuthority
from sandbox.kit.provider import environment
from scanner.analyze.rule_files import load_rules
from scanner.analyze.steps import AnalyzeSettings, analyze
from scanner.collect.collector import Run
from scanner.ledger import Ledger
from scanner.night import open_night
from scanner.secrets.detectors import Fingerprint
from scanner.snapshot import RunInfo, TargetWriter, begin, run_id_of, seal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from scanner.analyze.rule import Rule
    from scanner.records import Record

KEY = Fingerprint(b"k" * 32)
ORGANIZATION_ID = devops("organization")
ENTRA_ISSUER = f"https://login.microsoftonline.com/{TENANT}/v2.0"
LEGACY_ISSUER = f"https://vstoken.dev.azure.com/{ORGANIZATION_ID}"


def encoded(number: str) -> str:
    """Return a GUID as Entra's subjects write it: base64url of its little-endian bytes."""
    return base64.urlsafe_b64encode(uuid.UUID(number).bytes_le).rstrip(b"=").decode()


def subject(connection: str, organization: str = ORGANIZATION_ID) -> str:
    """Return the subject of a connection's token from the Entra issuer.

    https://learn.microsoft.com/azure/devops/pipelines/release/azure-rm-endpoint#issuer-and-subject: ``rISbSS...`` is the
    application ID of Azure DevOps, 499b84ac-1321-427f-aa17-267ca6975798, written in the same way.
    """
    return f"/eid1/c/pub/t/{encoded(TENANT)}/a/rISbSSETf0KqFyZ8ppdXmA/sc/{organization}/{connection}"


def deploying(connection: str, app: str = "shop", group: str = "") -> str:
    """Return the YAML of a pipeline that deploys a web app through a connection."""
    variables = f"variables: [{{group: {group}}}]\n" if group else ""
    return (
        f"trigger: [main]\npool: {{vmImage: ubuntu-24.04}}\n{variables}steps:\n"
        f"  - task: AzureWebApp@1\n    inputs: {{azureSubscription: {connection}, appName: {app}}}\n"
    )


class Estate:
    """Three systems, empty but for the published roles of Azure, and two subscriptions."""

    def __init__(self) -> None:
        self.shop = DevOpsProject(id=devops("project shop"), name="shop")
        self.lab = DevOpsProject(id=devops("project lab"), name="lab")
        self.organization = DevOpsOrganization(projects=[self.shop, self.lab])
        self.organization.access = default_access([(one.id, one.name) for one in (self.shop, self.lab)])
        for project in self.organization.projects:
            project.settings = dict.fromkeys(
                ("enforceJobAuthScope", "enforceSettableVar", "enforceNoAccessToSecretsFromForks"), True
            )
        self.directory = DirectoryTenant()
        graph = next(
            one for one in entra_company(1).service_principals if one["displayName"] == "Microsoft Graph"
        )
        self.directory.service_principals.append(graph)
        whole = azure_company(1)
        self.azure = AzureTenant(
            resourcecontainers=whole.resourcecontainers,
            authorizationresources=[
                row for row in whole.authorizationresources if row["type"].endswith("roledefinitions")
            ],
        )
        self.others: list[Record] = []
        """Records of other systems."""
        self.reader = False
        self.fails: list[tuple[str, str]] = []
        """System and call that is refused."""

    def connection(self, name: str, app: str, project: DevOpsProject | None = None, **more: Any) -> str:
        """Add a federated connection that signs in as an application with the Entra issuer."""
        number = devops(f"connection {name}")
        return (project or self.shop).endpoint(
            name,
            "azurerm",
            "WorkloadIdentityFederation",
            {
                "tenantid": TENANT,
                "serviceprincipalid": entra(f"app {app}"),
                "workloadIdentityFederationIssuer": ENTRA_ISSUER,
                "workloadIdentityFederationSubject": subject(number),
            },
            **more,
        )

    def static(self, name: str, app: str, project: DevOpsProject | None = None, **more: Any) -> str:
        """Add a connection that signs in with an application's secret."""
        return (project or self.shop).endpoint(
            name,
            "azurerm",
            "ServicePrincipal",
            {
                "tenantid": TENANT,
                "serviceprincipalid": entra(f"app {app}"),
                "authenticationType": "spnKey",
                "serviceprincipalkey": None,
            },
            **more,
        )

    def app(self, name: str, *subjects: str, issuer: str = ENTRA_ISSUER, **more: Any) -> str:
        """Add an application that trusts subjects of an issuer."""
        trusted = tuple(federated(f"{name} {number}", issuer, one) for number, one in enumerate(subjects))
        return self.directory.application(name, federated=trusted, **more)

    def pipeline(
        self, number: int, name: str, text: str, project: DevOpsProject | None = None, **more: Any
    ) -> None:
        """Add a YAML pipeline in a repository of its own."""
        project = project or self.shop
        project.pipeline(number, name, project.repository(name, **{"azure-pipelines.yml": text}), **more)

    def web_app(self, name: str, *roles: str, subscription: str = PROD) -> str:
        """Add a web app with its own identity, which holds roles on its resource group."""
        principal = entra(f"principal of {name} in {subscription}")
        self.directory.service_principal(
            f"{name} {subscription}", id=principal, appId=principal, servicePrincipalType="ManagedIdentity"
        )
        number = self.azure.resource(
            "Microsoft.Web/sites",
            name,
            kind="app",
            subscription=subscription,
            identity={"type": "SystemAssigned", "principalId": principal, "tenantId": TENANT},
        )
        for role in roles or (BLOB_READER,):
            self.azure.assign(principal, role, f"/subscriptions/{subscription}/resourceGroups/payments")
        return number


class Conclusions(NamedTuple):
    """What the analysis concludes, by names that a reader knows."""

    edges: set[tuple[str, str]]
    may: set[tuple[str, str]]
    """Those that hold for some tokens only, or that could not be evaluated to the end."""
    reach: dict[tuple[str, str], list[str]]
    """By identity and power: the path."""
    excess: dict[tuple[str, str], tuple[frozenset[str], bool]]
    """By pipeline and workload: what the pipeline has too much, and whether the comparison is complete."""
    findings: set[tuple[str, str]]
    """Rule and the subject's name."""
    figure: tuple[float | None, float | None, float | None]
    """Service connections that are scoped or federated: numerator, denominator, unknown."""


class Systems:
    """The three servers, used for one estate after another."""

    def __init__(self, stack: ExitStack) -> None:
        authority = stack.enter_context(CertificateAuthority())
        self.devops = stack.enter_context(AzureDevOpsSandbox(authority=authority, page=100))
        self.entra = stack.enter_context(EntraSandbox(authority=authority, page=100))
        self.azure = stack.enter_context(AzureSandbox(authority=authority, page=100))

    def records(self, estate: Estate, cache: Path) -> list[Record]:
        """Return what the collectors read of an estate."""
        self.devops.organization, self.devops.reader = estate.organization, estate.reader
        self.entra.directory, self.azure.tenant = estate.directory, estate.azure
        run = Run(as_of=FIRST_NIGHT, fingerprint=KEY, cache=cache, stopping=threading.Event())
        found: list[Record] = []
        for collector, sandbox in (
            (collectors.azure_devops, self.devops),
            (collectors.entra, self.entra),
            (collectors.azure, self.azure),
        ):
            for system, call in estate.fails:
                if system == sandbox.provider:
                    sandbox.fail(call, 403)
            section = {**sandbox.section(), "seconds_between_requests": 0}
            if sandbox is self.devops:
                section["tenant"] = TENANT
            with environment(sandbox.environment()):
                config = collector.Config.model_validate(section)
                for target in collector.targets(config, run):
                    found += collector.collect(target, config, run)
            sandbox.heal()
        return [*found, *estate.others]


@contextmanager
def systems() -> Iterator[Systems]:
    """Start the three servers."""
    with ExitStack() as stack:
        yield Systems(stack)


@cache
def _rules() -> list[Rule]:
    return load_rules()


def conclusions(state: Path, records: Iterable[Record], rules: Iterable[str] = ()) -> Conclusions:
    """Analyze records as a night, with the built-in rules that are named."""
    wanted = set(rules)
    info = RunInfo(run_id=run_id_of(FIRST_NIGHT), as_of=FIRST_NIGHT, tool_version="test", config_digest="")
    folder = state / "snapshots" / info.run_id
    begin(folder, info)
    writer = TargetWriter(
        folder, "test", "1", f"azure-devops:organization:{ORGANIZATION_ID}", fingerprint=KEY
    )
    for record in records:
        writer.write(record)
    writer.finish(0.0)
    ledger = Ledger(state)
    seal(folder, info, record=ledger.sealing(info))
    chosen = [rule for rule in _rules() if rule.id in wanted]
    assert {rule.id for rule in chosen} == wanted
    analyze(state, info.run_id, settings=AnalyzeSettings(threads=1), rules=chosen, ledger=ledger)
    with open_night(state, info.run_id) as night:
        named = "(SELECT id, coalesce(name, id) AS name FROM identities)"
        edges = list(
            night.rows(
                f"SELECT s.name, t.name, e.kind FROM edges e JOIN {named} s ON s.id = e.source_id JOIN {named} t ON t.id = e.target_id"
            )
        )
        reach = night.rows(
            f"SELECT s.name, r.power, r.path FROM reach r JOIN {named} s ON s.id = r.identity_id WHERE r.steps > 0"
        )
        excess = night.rows("SELECT pipeline_name, workload_id, excess, complete FROM excess")
        findings = night.rows(
            "SELECT rule, coalesce(subject_name, subject) FROM findings WHERE status = 'new'"
        )
        figure = next(
            night.rows(
                "SELECT numerator, denominator, unknown FROM metrics "
                "WHERE metric = 'service_connections_scoped_or_federated'"
            )
        )
        return Conclusions(
            {(one, other) for one, other, kind in edges if kind != "trust-pattern"},
            {(one, other) for one, other, kind in edges if kind == "trust-pattern"},
            {(one, power): path for one, power, path in reach},
            {
                (one.rpartition("/")[2], other.rpartition(":")[2].lower()): (frozenset(more), complete)
                for one, other, more, complete in excess
            },
            set(findings),
            figure,
        )


__all__ = [
    "ORGANIZATION",
    "Conclusions",
    "Estate",
    "Systems",
    "conclusions",
    "deploying",
    "subject",
    "systems",
]
