"""Reads the labeled clusters of tests/data/labeled_clusters, serves each, and compares its labels with what was read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

import collectors.kubernetes
from sandbox.kit.elsewhere import Elsewhere
from sandbox.kit.trial import Trial
from sandbox.kubernetes import KubernetesSandbox
from sandbox.kubernetes.bootstrap_policy import add_bootstrap_policy, bind, role
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.platform_objects import add_namespaces, add_scanner, node
from scanner.records import Account, Control, Credential, Grant, Identity, Link, Rollout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.records import Record

FOLDER = Path(__file__).parent / "data/labeled_clusters"
Label = dict[str, Any]


def estates() -> list[dict[str, Any]]:
    """Return every labeled cluster."""
    return [one for path in sorted(FOLDER.glob("*.yaml")) for one in yaml.safe_load(path.read_text())]


def built(estate: dict[str, Any]) -> Cluster:
    """Return the cluster of an estate, with what every cluster has."""
    cluster = Cluster(estate["estate"].replace(" ", "-"))
    node(cluster, "node-1")
    add_namespaces(cluster, 400)
    add_bootstrap_policy(cluster, 400)
    for one in estate["manifests"]:
        if "kind" in one:
            _apply(cluster, one)
        else:
            _short(cluster, one)
    add_scanner(cluster, 300)
    return cluster


def _apply(cluster: Cluster, manifest: dict[str, Any]) -> None:
    if manifest["kind"] == "Namespace":
        # The server labels each with its name, and a controller adds the default account.
        name, labels = manifest["metadata"]["name"], manifest["metadata"].get("labels", {})
        labels = {"kubernetes.io/metadata.name": name, **labels}
        cluster.add("v1", "Namespace", name, labels=labels, spec={}, status={"phase": "Active"})
        cluster.add("v1", "ServiceAccount", "default", name)
        return
    cluster.apply([manifest])


def _subject(written: str) -> str:
    return written if " " in written else f"ServiceAccount {written}"


def _short(cluster: Cluster, one: dict[str, Any]) -> None:
    """Add what the short forms stand for."""
    match one:
        case {"accounts": accounts}:
            for place in accounts:
                _account(cluster, place)
        case {"bind": to, "to": subjects}:
            name = f"{to.partition(' ')[2]}-{len(cluster.everything())}"
            bind(cluster, name, to, *map(_subject, subjects), namespace=one.get("in", ""))
        case {"role": name, "rules": lines}:
            role(cluster, name, "\n".join(lines), one.get("in", ""))
        case {"grant": place, "rules": lines}:
            _account(cluster, place)
            name, namespace = place.replace("/", "-"), one.get("in", "")
            role(cluster, name, "\n".join(lines), namespace)
            kind = "Role" if namespace else "ClusterRole"
            bind(cluster, name, f"{kind} {name}", f"ServiceAccount {place}", namespace=namespace)
        case {"workload": place}:
            _workload(cluster, place, one)
        case {"vap": name}:
            _admission_policy(cluster, name, one)
        case {"kyverno": name}:
            rule: dict[str, Any] = {
                "name": "r",
                "match": {"any": [{"resources": {"kinds": ["Pod"]}}]},
                "validate": {"message": "m", "pattern": {"spec": {}}},
            }
            if "rule" in one:
                rule["validate"]["failureAction"] = one["rule"]
            cluster.add("kyverno.io/v1", "ClusterPolicy", name, spec={"rules": [rule], **one.get("spec", {})})
        case {"webhook": name}:
            _webhook(cluster, name, one["failure"])
        case _:
            raise ValueError(one)


def _account(cluster: Cluster, place: str) -> None:
    namespace, _, name = place.partition("/")
    cluster.add("v1", "ServiceAccount", name, namespace)


def _workload(cluster: Cluster, place: str, one: dict[str, Any]) -> None:
    """Add a Deployment, its replica set, and a pod for each of ``ids``: the ``imageID``; null for one not started."""
    namespace, _, name = place.partition("/")
    image, account = one.get("image", "reg.example/a:1"), one.get("account", "default")
    ids = one.get("ids", ["reg.example/a@sha256:" + "1" * 64])
    spec = {
        "containers": [{"name": "main", "image": image, **one.get("container", {})}],
        "serviceAccountName": account,
        **one.get("pod", {}),
    }
    if "automount" in one:
        spec["automountServiceAccountToken"] = one["automount"]
    labels = {"app": name}
    replicas = len(ids)
    status: dict[str, Any] = {
        "observedGeneration": 1,
        "replicas": replicas,
        "updatedReplicas": replicas,
        "availableReplicas": replicas,
        "readyReplicas": replicas,
        **one.get("status", {}),
    }
    template = {"metadata": {"labels": labels}, "spec": spec}
    body = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    deployment = cluster.add(
        "apps/v1",
        "Deployment",
        name,
        namespace,
        spec={**body, **({"paused": True} if one.get("paused") else {})},
        status=status,
    )
    sets = cluster.add(
        "apps/v1",
        "ReplicaSet",
        f"{name}-5d8f",
        namespace,
        labels=labels,
        owner=deployment,
        spec=body,
        status={"replicas": replicas},
    )
    for number, image_id in enumerate(ids):
        started = {"name": "main", "image": image, "imageID": image_id, "ready": True, "restartCount": 0, "state": {"running": {}}}  # fmt: skip
        shown = (
            {"phase": "Pending"} if image_id is None else {"phase": "Running", "containerStatuses": [started]}
        )
        cluster.add(
            "v1",
            "Pod",
            f"{name}-5d8f-{number}",
            namespace,
            labels=labels,
            owner=sets,
            spec=spec,
            status=shown,
        )


def _admission_policy(cluster: Cluster, name: str, one: dict[str, Any]) -> None:
    version = "admissionregistration.k8s.io/v1"
    rules = [
        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["pods"]}
    ]
    cluster.add(
        version,
        "ValidatingAdmissionPolicy",
        name,
        spec={
            "failurePolicy": one.get("failure", "Fail"),
            "matchConstraints": {"resourceRules": rules},
            "validations": [{"expression": "true"}],
        },
    )
    for number, actions in enumerate(one.get("actions", ())):
        cluster.add(
            version,
            "ValidatingAdmissionPolicyBinding",
            f"{name}-{number}",
            spec={"policyName": name, "validationActions": actions},
        )


def _webhook(cluster: Cluster, name: str, failure: str) -> None:
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
    hook = {
        "name": f"{name}.example.com",
        "admissionReviewVersions": ["v1"],
        "clientConfig": {"url": "https://hooks.example.com"},
        "failurePolicy": failure,
        "rules": rules,
        "sideEffects": "None",
    }
    cluster.add("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", name, webhooks=[hook])


def night_of(cluster: Cluster) -> list[Record]:
    """Return what the collector reads from a cluster. Raises AssertionError if anything was not read."""
    with KubernetesSandbox("small", cluster.version) as sandbox, Elsewhere() as elsewhere:
        sandbox.serve_cluster(cluster)
        night = Trial(collectors.kubernetes, sandbox, elsewhere).night()
    assert [gap.detail for gap in night.gaps] == []
    return night.of_tables()


class ReadCluster:
    """The records of one cluster, by what labels ask for."""

    def __init__(self, records: list[Record]) -> None:
        self.identities = [one for one in records if isinstance(one, Identity)]
        self.grants = [one for one in records if isinstance(one, Grant)]
        self.links = [one for one in records if isinstance(one, Link)]
        self.controls = [one for one in records if isinstance(one, Control)]
        self.rollouts = [one for one in records if isinstance(one, Rollout)]
        self.credentials = [one for one in records if isinstance(one, Credential)]
        self.accounts = {one.id: one.name for one in records if isinstance(one, Account)}

    def identity(self, written: str) -> Identity:
        """Return the identity that a label names. Raises LookupError."""
        kind, space, name = written.partition(" ")
        wanted = (
            {"User": "kubernetes-user", "Group": "kubernetes-group"}.get(kind) if space else "service-account"
        )
        for one in self.identities:
            if one.kind == wanted and one.name == (name or written):
                return one
        raise LookupError(written)

    def workload(self, place: str) -> Identity:
        """Return a deployment by namespace and name."""
        return next(one for one in self.identities if one.kind == "deployment" and one.name == place)

    def wrong(self, label: Label) -> str | None:
        """Return how what was read differs from a label; None if it does not."""
        try:
            problems = list(self._problems(label))
        except (LookupError, StopIteration) as exc:
            problems = [f"not there: {exc}"]
        return f"{label}: {'; '.join(problems)}" if problems else None

    def _problems(self, label: Label) -> Iterator[str]:
        match label:
            case {"powers": who}:
                yield from self._powers(who, label)
            case {"silent": who}:
                held = {power for one in self._grants_of(who) for power in one.powers}
                if held:
                    yield f"it has {sorted(held)}"
            case {"becomes": [source, target]}:
                first, last = self.identity(source).id, self.identity(target).id
                if self._reached(first, last) is not label["holds"]:
                    yield "it does not" if label["holds"] else "it does"
            case {"token": place, "mounted": mounted}:
                shown = self.workload(place).tags.get("api_access")
                if (shown == "mounted") is not mounted:
                    yield f"api_access is {shown}"
            case {"node": place, "reached": reached}:
                shown = self.workload(place).tags.get("node_access")
                if (shown is not None) is not reached:
                    yield f"node_access is {shown}"
            case {"control": kind, "name": name, "is": enforcement}:
                kinds = {kind, label.get("also_kind", kind)}
                found = [
                    one.enforcement for one in self.controls if one.kind in kinds and _named(one.name, name)
                ]
                if not found or any(one not in {enforcement, *label.get("also", ())} for one in found):
                    yield f"it is {found}"
            case {"rollout": place}:
                yield from self._rollout(place, label)
            case {"static": place, "used": used}:
                token = next(one for one in self.credentials if one.name == place)
                shown = token.last_used_at.date().isoformat() if token.last_used_at else "never" if token.never_used else "unknown"  # fmt: skip
                if shown != used or token.lifetime != "static":
                    yield f"{token.lifetime}, used {shown}"
            case {"no_static": place}:
                yield from (f"{one.kind}" for one in self.credentials if one.name == place)
            case _:
                raise ValueError(label)

    def _grants_of(self, who: str) -> list[Grant]:
        number = self.identity(who).id
        return [one for one in self.grants if one.identity_id == number]

    def _powers(self, who: str, label: Label) -> Iterator[str]:
        grants = self._grants_of(who)
        held = {str(power) for one in grants for power in one.powers}
        missing, extra = set(label.get("has", ())) - held, set(label.get("lacks", ())) & held
        if missing:
            yield f"lacks {sorted(missing)}, has {sorted(held)}"
        if extra:
            yield f"has {sorted(extra)}"
        order = ["resource", "group", "account", "organization"]
        widest = max((order.index(one.breadth) for one in grants), default=-1)
        if "breadth" in label and order[widest] != label["breadth"]:
            yield f"its breadth is {order[widest]}"

    def _reached(self, first: str, last: str) -> bool:
        """Whether an identity can become another, by itself or as a member of a group."""
        groups = {
            one.target_id for one in self.links if one.source_id == first and one.relation == "member_of"
        }
        starts = {first, *groups}
        return any(
            one.source_id in starts and one.target_id == last and one.relation == "can_become"
            for one in self.links
        )

    def _rollout(self, place: str, label: Label) -> Iterator[str]:
        number = self.workload(place).id
        rows = [one for one in self.rollouts if one.workload_id == number]
        running = {one.running_digest for one in rows}
        declared = {one.declared_digest for one in rows} - {None}
        if not rows or None in running:
            shown = "unknown"
        else:
            shown = "same" if len(running) == 1 and (not declared or running == declared) else "drifting"
        if "is" in label and shown != label["is"]:
            yield f"it is {shown}: {rows}"
        if "state" in label and {one.state for one in rows} != {label["state"]}:
            yield f"its state is {[one.state for one in rows]}"


def _named(shown: str, wanted: str) -> bool:
    return wanted in {shown, *shown.split("/")}
