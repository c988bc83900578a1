"""What is checked when objects are created, and whether it is enforced, audited, or only there.

https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/,
https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/,
https://kyverno.io/docs/policy-types/cluster-policy/policy-settings/,
https://open-policy-agent.github.io/gatekeeper/website/docs/enforcement-points/,
https://docs.sigstore.dev/policy-controller/overview/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.kubernetes.calls import (
    ADMISSION,
    GATEKEEPER,
    KYVERNO,
    KYVERNO_CEL,
    POLICY_CONTROLLER,
    Resource,
)
from collectors.kubernetes.records import control
from scanner.collect.listings import with_coverage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from collectors.kubernetes.scope import KubeScope
    from scanner.records import Enforcement, Record

_CHECKED = frozenset(("*", "pods", "deployments", "*/*", "pods/*"))
"""What a webhook for workloads intercepts."""


def admission(scope: KubeScope, labels: Mapping[str, Mapping[str, str]]) -> Iterator[Record]:
    """Yield every admission policy and validating webhook. ``labels`` are those of each namespace."""
    bound: dict[str, list[Any]] = {}

    def binding(item: Any) -> Iterator[Record]:
        bound.setdefault(str(item["spec"].get("policyName") or ""), []).append(item["spec"])
        yield from ()

    read = yield from scope.listed(
        ADMISSION["validatingadmissionpolicybindings"], binding, table="controls", kind="admission-policy"
    )
    if read:
        yield from scope.listed(
            ADMISSION["validatingadmissionpolicies"],
            lambda item: _admission_policy(scope, item, bound),
            table="controls",
            kind="admission-policy",
        )
    yield from scope.listed(
        ADMISSION["validatingwebhookconfigurations"],
        lambda item: _webhooks(scope, item),
        table="controls",
        kind="admission-webhook",
    )
    excepted: dict[str, list[str]] = {}
    yield from scope.listed(
        KYVERNO["policyexceptions"],
        lambda item: _exception(item, excepted),
        table="controls",
        kind="policy-exception",
        loses=("controls/admission-policy", "controls/image-policy"),
    )
    for name in ("clusterpolicies", "policies"):
        yield from scope.listed(
            KYVERNO[name],
            lambda item: _kyverno(scope, item, excepted),
            table="controls",
            kind="admission-policy",
            fills=("controls/image-policy",),
        )
    for name, kind in (
        ("validatingpolicies", "admission-policy"),
        ("imagevalidatingpolicies", "image-policy"),
    ):
        yield from scope.listed(
            KYVERNO_CEL[name], lambda item, kind=kind: _kyverno_cel(scope, item, kind),  # type: ignore[misc]
            table="controls", kind=kind,
        )  # fmt: skip
    yield from scope.listed(
        POLICY_CONTROLLER["clusterimagepolicies"],
        lambda item: _image_policy(scope, item, labels),
        table="controls",
        kind="image-policy",
    )
    yield from _constraints(scope)


def _identity(item: Any) -> tuple[str, str]:
    metadata = item["metadata"]
    namespace = metadata.get("namespace")
    return str(metadata["uid"]), f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


def _admission_policy(scope: KubeScope, item: Any, bound: Mapping[str, list[Any]]) -> Iterator[Record]:
    uid, name = _identity(item)
    bindings = bound.get(name, [])
    actions = {action for one in bindings for action in _actions(one)}
    fails_open = str(item["spec"].get("failurePolicy") or "Fail") == "Ignore"
    enforcement: Enforcement = "absent"
    detail = "No binding applies it, so it checks nothing"
    if "Deny" in actions and not fails_open:
        enforcement, detail = "enforced", "Objects that break it are refused"
    elif "Deny" in actions:
        enforcement, detail = (
            "audited",
            "Objects pass when its expressions fail to evaluate (failurePolicy Ignore)",
        )
    elif bindings:
        enforcement, detail = "audited", f"Its bindings only {' and '.join(sorted(actions)) or 'exist'}"
    narrowed = any((one.get("matchResources") or {}).get("namespaceSelector") for one in bindings)
    if narrowed:
        detail = f"{detail}, in selected namespaces"
    yield control(
        scope, "admission-policy", uid, name, enforcement=enforcement, detail=detail, stage="deploy"
    )


def _actions(spec: Any) -> list[str]:
    """Return what happens to objects that break a policy."""
    said = spec.get("validationActions") or ()
    return [action for action in ("Audit", "Deny", "Warn") if action in said]


def _webhooks(scope: KubeScope, item: Any) -> Iterator[Record]:
    uid, name = _identity(item)
    for webhook in item.get("webhooks") or ():
        checked = {str(one) for rule in webhook.get("rules") or () for one in rule.get("resources") or ()}
        if not checked & _CHECKED:
            continue
        opens = webhook.get("failurePolicy") == "Ignore"
        yield control(
            scope,
            "admission-webhook",
            f"{uid}/{webhook['name']}",
            f"{name}/{webhook['name']}",
            enforcement="audited" if opens else "enforced",
            detail="Objects pass when it does not answer (failurePolicy Ignore)"
            if opens
            else "Objects are refused when it does not answer",
            stage="deploy",
            bypass=_left_out(webhook.get("namespaceSelector")),
        )


def _left_out(selector: Any) -> list[str]:
    """Return the namespaces that a selector leaves out by name."""
    return [
        str(value)
        for part in (selector or {}).get("matchExpressions") or ()
        if part.get("key") == "kubernetes.io/metadata.name" and part.get("operator") == "NotIn"
        for value in part.get("values") or ()
    ]


def _exception(item: Any, excepted: dict[str, list[str]]) -> Iterator[Record]:
    """Take note of the policies that an exception lifts: https://kyverno.io/docs/exceptions/"""
    _, name = _identity(item)
    for one in item["spec"].get("exceptions") or ():
        excepted.setdefault(str(one.get("policyName") or ""), []).append(f"PolicyException {name}")
    yield from ()


def _kyverno(scope: KubeScope, item: Any, excepted: Mapping[str, list[str]]) -> Iterator[Record]:
    uid, name = _identity(item)
    spec = item["spec"]
    rules = [one for one in spec.get("rules") or () if one.get("validate") or one.get("verifyImages")]
    if not rules:
        return  # It changes or makes objects, and refuses none.
    whole = str(spec.get("validationFailureAction") or "Audit").lower() == "enforce"
    images = [one for rule in rules for one in rule.get("verifyImages") or ()]
    refusing = [rule for rule in rules if _refuses(rule, whole=whole)]
    opens = str(
        (spec.get("webhookConfiguration") or {}).get("failurePolicy") or spec.get("failurePolicy") or "Fail"
    )
    enforcement: Enforcement = "enforced" if len(refusing) == len(rules) else "audited"
    detail = f"{len(refusing)} of {len(rules)} rules refuse what breaks them"
    if spec.get("admission") is False:
        enforcement, detail = "audited", "It is not applied on admission"
    elif opens == "Ignore" and enforcement == "enforced":
        enforcement, detail = "audited", "Objects pass when Kyverno does not answer (failurePolicy Ignore)"
    overrides = [
        str(namespace)
        for one in spec.get("validationFailureActionOverrides") or ()
        if str(one.get("action") or "").lower() == "audit"
        for namespace in one.get("namespaces") or ()
    ]
    yield control(
        scope, "image-policy" if images else "admission-policy", uid, name, enforcement=enforcement, detail=detail,
        stage="deploy", bypass=[*overrides, *excepted.get(name, ())],
    )  # fmt: skip


def _refuses(rule: Any, *, whole: bool) -> bool:
    """Return whether a rule refuses what breaks it: by its own action, else by that of the policy."""
    own = (rule.get("validate") or {}).get("failureAction")
    several = [own, *(one.get("failureAction") for one in rule.get("verifyImages") or ())]
    said = [str(one).lower() for one in several if one]
    return all(one == "enforce" for one in said) if said else whole


def _kyverno_cel(scope: KubeScope, item: Any, kind: str) -> Iterator[Record]:
    uid, name = _identity(item)
    spec = item["spec"]
    actions = _actions(spec)
    admitted = ((spec.get("evaluation") or {}).get("admission") or {}).get("enabled") is not False
    opens = spec.get("failurePolicy") == "Ignore"
    enforced = "Deny" in actions and admitted and not opens
    yield control(
        scope, kind, uid, name,
        enforcement="enforced" if enforced else "audited",
        detail="Objects that break it are refused" if enforced else f"Its actions are {', '.join(actions) or 'none'}",
        stage="deploy",
    )  # fmt: skip


def _image_policy(scope: KubeScope, item: Any, labels: Mapping[str, Mapping[str, str]]) -> Iterator[Record]:
    uid, name = _identity(item)
    warns = str(item["spec"].get("mode") or "enforce") == "warn"
    chosen = sorted(
        place for place, its in labels.items() if its.get("policy.sigstore.dev/include") == "true"
    )
    enforcement: Enforcement = "audited" if warns else "enforced"
    detail = "Images that break it run, with a warning" if warns else "Images that break it are refused"
    if not chosen:
        enforcement, detail = "absent", "No namespace has the label policy.sigstore.dev/include"
    yield control(
        scope, "image-policy", uid, name, enforcement=enforcement,
        detail=f"{detail}, in {', '.join(chosen)[:500]}" if chosen else detail, stage="deploy",
    )  # fmt: skip


def _constraints(scope: KubeScope) -> Iterator[Record]:
    """Yield the constraints of Gatekeeper, whose types each cluster defines."""

    def read() -> Iterator[Record]:
        for name, version in sorted(scope.installed.names(GATEKEEPER).items()):
            resource = Resource(group=GATEKEEPER, version=version, name=name, custom=True)
            for item in scope.objects(resource):
                yield from _constraint(scope, item)

    request = scope.request(
        "controls", f"GET /apis/{GATEKEEPER}", kind="admission-policy", needs=f"list *.{GATEKEEPER}"
    )
    yield from with_coverage(read(), request)


def _constraint(scope: KubeScope, item: Any) -> Iterator[Record]:
    uid, name = _identity(item)
    spec = item["spec"]
    action = str(spec.get("enforcementAction") or "deny")
    if action == "scoped":
        denies = any(
            one.get("action") == "deny"
            and any(
                point.get("name") in {"*", "validation.gatekeeper.sh"}
                for point in one.get("enforcementPoints") or ()
            )
            for one in spec.get("scopedEnforcementActions") or ()
        )
    else:
        denies = action == "deny"
    left_out = [str(one) for one in (spec.get("match") or {}).get("excludedNamespaces") or ()]
    yield control(
        scope, "admission-policy", uid, name,
        enforcement="enforced" if denies else "audited",
        detail="Objects that break it are refused" if denies else "Objects that break it are counted, and may bring a warning",
        stage="deploy", bypass=left_out,
    )  # fmt: skip
