"""Small estates of Azure DevOps, Entra ID and Azure, read by the real collectors and analyzed as a night is."""

from __future__ import annotations

import base64
import re
import threading
import uuid
from collections import defaultdict
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

import collectors.azure
import collectors.azure_devops
import collectors.entra
from sandbox.azure import AzureSandbox
from sandbox.azure.company import BLOB_READER
from sandbox.azure.company import build as azure_company
from sandbox.azure.tenant import PROD, AzureTenant
from sandbox.azure_devops import AzureDevOpsSandbox
from sandbox.azure_devops.access import default_access
from sandbox.azure_devops.doors import DoorEstate
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
from scanner.records import Coverage, Gap, Link
from scanner.secrets.detectors import Fingerprint
from scanner.snapshot import RunInfo, begin, run_id_of, seal
from scanner.target_writer import TargetWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

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


def deploying(connection: str, app: str = "web-shop", group: str = "") -> str:
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
        self.organization.doors = DoorEstate(projects=2, tenant_policies=defaultdict(lambda: {"value": True}))
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
    """By pipeline and name of the workload: what the pipeline has too much, and whether the comparison is complete."""
    findings: set[tuple[str, str]]
    """Rule and the subject's name."""


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


_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KEY_ID = re.compile(r"AKIA[A-Z0-9]{16}")
_APART = uuid.UUID("6f0e7f3a-3f4c-4d57-9a70-0c5f3f6f2b11")


def apart(records: Iterable[Record], number: int) -> list[Record]:
    """Return the records of an estate with IDs of their own, so that several estates can be analyzed in one night."""

    def key(match: re.Match[str]) -> str:
        digest = uuid.uuid5(_APART, f"{number} {match.group()}").bytes
        return f"AKIA{base64.b32encode(digest).decode()[:16]}"

    found: list[Record] = []
    for record in records:
        text = msgspec.json.encode(record).decode()
        text = _GUID.sub(lambda match: str(uuid.uuid5(_APART, f"{number} {match.group()}")), text)
        text = _KEY_ID.sub(key, text)
        for old, new in (
            ("arn:aws:iam::1:", f"arn:aws:iam::{number}:"),
            ("aws:account:1", f"aws:account:{number}"),
            ("web-shop", f"web-shop-{number}"),
            (":pipeline:", f":pipeline:{number}-"),
        ):
            text = text.replace(old, new)
        moved = msgspec.json.decode(text.encode(), type=type(record))
        if isinstance(moved, Coverage | Gap | Link):
            # Their ids are hashes, which name no estate.
            moved = msgspec.structs.replace(moved, id=f"{moved.id}-{number}")
        found.append(moved)
    return found


def conclusions(
    state: Path, estates: Mapping[str, Iterable[Record]], rules: Iterable[str] = ()
) -> dict[str, Conclusions]:
    """Analyze estates, each with IDs of its own, as one night, with the built-in rules that are named."""
    wanted = set(rules)
    info = RunInfo(run_id=run_id_of(FIRST_NIGHT), as_of=FIRST_NIGHT, tool_version="test", config_digest="")
    folder = state / "snapshots" / info.run_id
    begin(folder, info)
    writer = TargetWriter(folder, "test", "1", "test:estates:1", fingerprint=KEY)
    homes: dict[str, str] = {}
    for number, (name, records) in enumerate(estates.items(), 1):
        for record in apart(records, number):
            homes[record.id] = name
            writer.write(record)
    writer.finish(0.0)
    ledger = Ledger(state)
    seal(folder, info, record=ledger.sealing(info))
    chosen = [rule for rule in load_rules() if rule.id in wanted]
    assert {rule.id for rule in chosen} == wanted
    analyze(state, info.run_id, settings=AnalyzeSettings(threads=1), rules=chosen, ledger=ledger)
    found = {name: Conclusions(set(), set(), {}, {}, set()) for name in estates}
    named = "(SELECT id, coalesce(name, id) AS name FROM identities)"
    with open_night(state, info.run_id) as night:
        edges = f"SELECT s.id, s.name, t.id, t.name, e.kind FROM edges e JOIN {named} s ON s.id = e.source_id JOIN {named} t ON t.id = e.target_id"
        for source, one, target, other, kind in night.rows(edges):
            if homes[source] == homes[target]:
                part = found[homes[source]]
                (part.may if kind == "trust-pattern" else part.edges).add((one, other))
        reach = f"SELECT s.id, s.name, r.power, r.path FROM reach r JOIN {named} s ON s.id = r.identity_id WHERE r.steps > 0"
        for identity, one, power, path in night.rows(reach):
            found[homes[identity]].reach[one, power] = path
        for pipeline, name, workload, more, complete in night.rows(
            "SELECT pipeline_id, pipeline_name, workload_id, excess, complete FROM excess"
        ):
            ending = re.sub(r"-\d+$", "", workload.rpartition("/")[2])
            found[homes[pipeline]].excess[name.rpartition("/")[2], ending] = (frozenset(more), complete)
        for rule, subject_id, name in night.rows(
            "SELECT rule, subject, coalesce(subject_name, subject) FROM findings WHERE status = 'new'"
        ):
            if subject_id in homes:
                found[homes[subject_id]].findings.add((rule, name))
    return found


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
