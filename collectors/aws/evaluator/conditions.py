"""Conditions of policy statements, evaluated without a request: always true, never true, true in some circumstances, or
unknown. Conditions are compared with what is known about the principal and the time. Keys that a caller sets in its own
request (a tag, a region) can take any value; keys about where it calls from (a network, MFA) restrict it.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
and https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

from __future__ import annotations

import base64
import contextlib
import ipaddress
from datetime import UTC, datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from collectors.aws.evaluator.actions import catalog
from collectors.aws.evaluator.policy import Condition, glob, substitute, variable_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Truth(IntEnum):
    """How certainly a statement applies. Ordered: the minimum of several values says how certainly all of them
    apply.
    """

    NO = 0
    UNKNOWN = 1
    NARROW = 2
    YES = 3


Outcome: TypeAlias = Literal["true", "false", "chosen", "easy", "narrow", "vacuous", "unknown"]
"""The result of one condition. ``chosen``: the caller can make it true by choosing values; ``easy``: by omitting a key;
``narrow``: circumstances decide; ``vacuous``: circumstances decide, and it is true if the key is absent."""


class RequestContext(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a request before it is made."""

    as_of: datetime
    """The night's time, aware UTC."""
    known: dict[str, tuple[str, ...] | None] = {}
    """Lower-case condition key -> its values; None if it is known to be absent."""
    mfa: bool = True
    """Whether the caller may have signed in with MFA."""
    tags_final: bool = False
    """Whether the principal has no tags other than those in ``known``."""
    resource_tags: dict[str, str] | None = None
    """Tags of the requested resource (lower-case keys); None if the resource is unknown."""

    def with_known(
        self, more: dict[str, tuple[str, ...] | None], resource_tags: dict[str, str] | None = None
    ) -> RequestContext:
        """Return a context with more known about the request and its resource."""
        return RequestContext(
            as_of=self.as_of,
            known={**self.known, **more},
            mfa=self.mfa,
            tags_final=self.tags_final,
            resource_tags=resource_tags,
        )

    def variables(self, names: Iterable[str]) -> dict[str, str | None]:
        """Return the values of policy variables; None for a variable known to be absent, no entry for an unknown
        one.
        """
        found: dict[str, str | None] = {}
        for name in names:
            if name in self.known:
                values = self.known[name]
                found[name] = values[0] if values and len(values) == 1 else None
            elif self.tags_final and name.startswith("aws:principaltag/"):
                found[name] = None
        return found


CHOSEN = (
    "aws:requestedregion", "aws:requesttag/", "aws:tagkeys", "sts:rolesessionname", "sts:sourceidentity",
    "sts:transitivetagkeys", "sts:durationseconds", "aws:sourceidentity", "aws:useragent", "aws:referer",
    "s3:tlsversion", "s3:signatureversion", "s3:authtype", "s3:x-amz-",
    "iam:passedtoservice", "iam:policyarn", "iam:awsservicename", "iam:associatedresourcearn",
)  # fmt: skip
"""Keys whose value the caller sets."""
NARROWING = (
    "aws:sourceip", "aws:sourcevpc", "aws:sourcevpce", "aws:vpcsourceip", "aws:multifactorauth", "aws:calledvia",
    "aws:viaawsservice", "aws:sourcearn", "aws:sourceaccount", "aws:sourceorg", "aws:resourcetag/",
    "aws:resourceaccount", "aws:resourceorg", "aws:principaltag/", "aws:principalorg", "aws:principalarn",
    "aws:principalaccount", "aws:principaltype", "aws:principalservicename", "aws:username", "aws:userid",
    "aws:federatedprovider", "aws:tokenissuetime", "aws:assumedroot", "aws:chatbotsourcearn", "aws:ec2instance",
    "aws:isdeletionprotected", "aws:vpceaccount", "aws:vpceorg", "aws:signinsessionarn", "sts:externalid",
    "iam:resourcetag/", "iam:permissionsboundary", "saml:", "token.actions.githubusercontent.com:",
)  # fmt: skip
"""Keys whose value depends on circumstances."""
ALWAYS_PRESENT = (
    "aws:sourceip",
    "aws:resourceaccount",
    "aws:principalarn",
    "aws:principalaccount",
    "aws:userid",
)
"""Keys that every request of a principal has, so that a condition on them is never vacuous."""
NEGATED = frozenset(
    {"stringnotequals", "stringnotequalsignorecase", "stringnotlike", "arnnotequals", "arnnotlike",
     "numericnotequals", "datenotequals", "notipaddress"}
)  # fmt: skip
OPERATORS = NEGATED | frozenset(
    {"stringequals", "stringequalsignorecase", "stringlike", "arnequals", "arnlike", "numericequals",
     "numericlessthan", "numericlessthanequals", "numericgreaterthan", "numericgreaterthanequals", "dateequals",
     "datelessthan", "datelessthanequals", "dategreaterthan", "dategreaterthanequals", "bool", "binaryequals",
     "ipaddress", "null"}
)  # fmt: skip


def holds(
    conditions: Iterable[Condition], context: RequestContext, *, allow: bool, variables: bool = True
) -> Truth:
    """Return how certainly the conditions of one statement hold. For an Allow: whether a caller can meet them. For a
    Deny: YES only if no caller can avoid them.
    """
    truth = Truth.YES
    narrow = False
    for condition in conditions:
        outcome = evaluate_condition(condition, context, variables=variables)
        if allow:
            truth = min(truth, _ALLOW[outcome])
        else:
            one = _DENY[outcome]
            if one is Truth.NO:
                return Truth.NO
            narrow = narrow or one is Truth.NARROW
            truth = min(truth, one)
    return truth


_ALLOW: dict[Outcome, Truth] = {
    "true": Truth.YES,
    "easy": Truth.YES,
    "vacuous": Truth.YES,
    "chosen": Truth.NARROW,
    "narrow": Truth.NARROW,
    "unknown": Truth.UNKNOWN,
    "false": Truth.NO,
}
_DENY: dict[Outcome, Truth] = {
    "true": Truth.YES,
    "vacuous": Truth.NARROW,
    "narrow": Truth.NARROW,
    "unknown": Truth.UNKNOWN,
    "easy": Truth.NO,
    "chosen": Truth.NO,
    "false": Truth.NO,
}


def evaluate_condition(condition: Condition, context: RequestContext, *, variables: bool = True) -> Outcome:
    """Evaluate one condition with what is known."""
    if condition.operator not in OPERATORS:
        return "unknown"
    key = condition.key
    values = condition.values
    if variables and any("${" in value for value in values):
        known = context.variables(variable_names(values))
        expanded = [substitute(value, known) for value in values]
        if any(unknown for _, unknown in expanded) and key not in context.known:
            return "narrow"
        values = tuple(value for value, _ in expanded if value is not None)
    actual = _actual(key, context)
    if key == "aws:multifactorauthpresent" and not context.mfa and actual == "open":
        return _never_with_mfa(condition, values)
    if actual == "open":
        return _without_value(condition, values, context)
    return "true" if _compare(condition, values, actual) else "false"


def _never_with_mfa(condition: Condition, values: tuple[str, ...]) -> Outcome:
    """Evaluate MultiFactorAuthPresent for a session without MFA: the key is false or absent."""
    lowered = {value.lower() for value in values}
    if condition.operator != "bool" or len(lowered) != 1:
        return "narrow"
    if "true" in lowered:
        return "narrow" if condition.if_exists else "false"
    return "true" if condition.if_exists else "narrow"


def _actual(key: str, context: RequestContext) -> tuple[str, ...] | Literal["open"] | None:
    """Return the key's values, None if it is absent, or ``open`` if they depend on the request."""
    if key in context.known:
        return context.known[key]
    if key in {"aws:currenttime", "aws:tokenissuetime"}:
        return (context.as_of.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),)
    if key == "aws:epochtime":
        return (str(int(context.as_of.timestamp())),)
    if key == "aws:securetransport":
        return ("true",)
    if key == "aws:principalisawsservice":
        return ("false",)
    if context.resource_tags is not None and key.startswith(("aws:resourcetag/", "iam:resourcetag/")):
        tag = context.resource_tags.get(key.partition("/")[2])
        return None if tag is None else (tag,)
    if context.tags_final and key.startswith("aws:principaltag/"):
        return None
    return "open"


def _without_value(condition: Condition, values: tuple[str, ...], context: RequestContext) -> Outcome:
    """Evaluate a condition on a key whose value depends on the request."""
    key = condition.key
    chosen = key.startswith(CHOSEN)
    if not chosen and not key.startswith(NARROWING):
        service = key.partition(":")[0]
        if service not in catalog().services:
            return "unknown"
        chosen = False
    absentable = not key.startswith(ALWAYS_PRESENT)
    operator = condition.operator
    if operator == "null":
        wants_absent = "true" in {value.lower() for value in values}
        if wants_absent:
            if not absentable:
                return "false"
            return "easy" if chosen else "vacuous"
        return "chosen" if chosen else ("narrow" if absentable else "true")
    if _impossible(condition, values):
        return "true" if operator in NEGATED else "false"
    if not values:
        return "true" if operator in NEGATED or condition.qualifier == "all" else "false"
    if _anything(operator, values):
        if condition.if_exists or condition.qualifier == "all" or not absentable:
            return "true"
        return "chosen" if chosen else "narrow"
    vacuous = condition.if_exists or condition.qualifier == "all" or operator in NEGATED
    if vacuous and condition.qualifier != "any" and absentable:
        return "easy" if chosen else "vacuous"
    if context.mfa and key == "aws:multifactorauthpresent" and "false" in values and operator == "bool":
        return "vacuous"
    return "chosen" if chosen else "narrow"


def _anything(operator: str, values: tuple[str, ...]) -> bool:
    """Return whether every value satisfies the condition."""
    if operator in {"stringlike", "arnlike", "arnequals"}:
        return any(not value.strip("*") for value in values if value)
    if operator == "ipaddress":
        return any(value in {"0.0.0.0/0", "::/0"} for value in values)
    return False


def _impossible(condition: Condition, values: tuple[str, ...]) -> bool:
    """Return whether no real value can equal any of them: a wildcard in an operator that compares literally."""
    if condition.operator in {"stringequals", "stringequalsignorecase", "stringnotequals"}:
        return bool(values) and all("*" in value or value == "?" for value in values)
    return False


def _compare(condition: Condition, values: tuple[str, ...], actual: tuple[str, ...] | None) -> bool:
    """Compare as AWS does, if the key's values are known or the key is known to be absent."""
    operator = condition.operator
    if operator == "null":
        wants_absent = "true" in {value.lower() for value in values}
        return (actual is None) == wants_absent
    negated = operator in NEGATED
    if actual is None:
        if condition.if_exists or condition.qualifier == "all":
            return True
        return negated and condition.qualifier != "any"
    test = _TESTS[operator]
    if negated:
        matches = [not any(test(one, value) for value in values) for one in actual]
    else:
        matches = [any(test(one, value) for value in values) for one in actual]
    if condition.qualifier == "any":
        return any(matches)
    return all(matches)


def _equal(actual: str, value: str) -> bool:
    return actual == value


def _equal_fold(actual: str, value: str) -> bool:
    return actual.lower() == value.lower()


def _like(actual: str, value: str) -> bool:
    return glob(value, actual)


def _arn(actual: str, value: str) -> bool:
    """Match ARNs part by part: a wildcard does not match a colon, except in the last part."""
    left, right = actual.split(":", 5), value.split(":", 5)
    if value == "*":
        return True
    if len(left) != len(right):
        return False
    return all(glob(pattern, part) for pattern, part in zip(right, left, strict=True))


def _number(text: str) -> float | None:
    with contextlib.suppress(ValueError):
        return float(text)
    return None


def parse_time(text: str) -> datetime | None:
    """Parse an ISO 8601 date or seconds since 1970; None if it is neither."""
    number = _number(text)
    with contextlib.suppress(ValueError, OverflowError, OSError):
        if number is not None:
            return datetime.fromtimestamp(number, UTC)
        read = datetime.fromisoformat(text)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    return None


def _ordered(sign: str, *, dates: bool) -> Callable[[str, str], bool]:
    def test(actual: str, value: str) -> bool:
        left: float | None
        right: float | None
        if dates:
            at, limit = parse_time(actual), parse_time(value)
            left = at.timestamp() if at else None
            right = limit.timestamp() if limit else None
        else:
            left, right = _number(actual), _number(value)
        if left is None or right is None:
            return False
        return {
            "=": left == right,
            "<": left < right,
            "<=": left <= right,
            ">": left > right,
            ">=": left >= right,
        }[sign]

    return test


def _address(actual: str, value: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(actual) in ipaddress.ip_network(value, strict=False)
    return False


def _binary(actual: str, value: str) -> bool:
    with contextlib.suppress(ValueError):
        return base64.b64decode(actual) == base64.b64decode(value)
    return False


_TESTS = {
    "stringequals": _equal,
    "stringnotequals": _equal,
    "stringequalsignorecase": _equal_fold,
    "stringnotequalsignorecase": _equal_fold,
    "stringlike": _like,
    "stringnotlike": _like,
    "arnequals": _arn,
    "arnlike": _arn,
    "arnnotequals": _arn,
    "arnnotlike": _arn,
    "bool": _equal_fold,
    "binaryequals": _binary,
    "ipaddress": _address,
    "notipaddress": _address,
    "numericequals": _ordered("=", dates=False),
    "numericnotequals": _ordered("=", dates=False),
    "numericlessthan": _ordered("<", dates=False),
    "numericlessthanequals": _ordered("<=", dates=False),
    "numericgreaterthan": _ordered(">", dates=False),
    "numericgreaterthanequals": _ordered(">=", dates=False),
    "dateequals": _ordered("=", dates=True),
    "datenotequals": _ordered("=", dates=True),
    "datelessthan": _ordered("<", dates=True),
    "datelessthanequals": _ordered("<=", dates=True),
    "dategreaterthan": _ordered(">", dates=True),
    "dategreaterthanequals": _ordered(">=", dates=True),
}
