"""One AWS account, and in it one region, while it is read: what every listing of this collector shares."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar, overload

import msgspec

from collectors.aws.client import document
from collectors.aws.evaluator.facts import ResourcePolicy
from collectors.aws.failures import DeadlineError, MalformedError, PartlyReadError, TruncatedError, explain
from scanner.collect.failures import Failure
from scanner.collect.listings import ListingRequest, gap, with_coverage
from scanner.records import TABLE_OF, Coverage, Gap, Link, Secret, record_id
from scanner.secrets.detectors import inspect

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
    from datetime import datetime

    from collectors.aws.client import Access
    from collectors.aws.config import Config
    from collectors.aws.evaluator.facts import Compute
    from scanner.collect.collector import Run, Target
    from scanner.records import Record, Relation

T = TypeVar("T")
PROVIDER = "aws"


class Found:
    """What the listings of one account leave for those after them, and for the evaluator. Threads append to it."""

    def __init__(self) -> None:
        self.ids: dict[str, str] = {}
        """ARN -> id of the record that stands for it."""
        self.profile_roles: dict[str, str] = {}
        """ARN of an instance profile -> ARN of its role."""
        self.compute: list[Compute] = []
        self.resource_policies: list[ResourcePolicy] = []
        self.eks_issuers: set[str] = set()
        self.pod_identity_roles: set[str] = set()
        self.anchors: list[str] = []
        self.key_ids: set[str] = set()
        """Access key ids that were seen in readable values."""
        self.servers: dict[str, set[str]] = {}
        """ARN of a user -> servers on whose disk its keys lie."""
        self.failures: dict[str, Failure] = {}
        """Call (``eks:ListClusters``) -> why it failed, in one region at least."""
        self.last_accessed: dict[str, dict[str, datetime | None]] = {}
        """ARN of a principal -> service -> last use, as analyzers tell it."""
        self.lock = threading.Lock()


class Place:
    """An account and, for regional listings, a region of it."""

    def __init__(
        self,
        *,
        config: Config,
        run: Run,
        target: Target,
        access: Access,
        account: str,
        partition: str,
        found: Found | None = None,
        region: str | None = None,
        ref: str | None = None,
    ) -> None:
        self.config = config
        self.run = run
        self.target = target
        self.access = access
        self.account = account
        self.region = region
        self.found = found or Found()
        self.partition = partition
        self.ref = ref or record_id(PROVIDER, "account", account)
        """The `Account.id`."""

    def at(self, region: str) -> Place:
        """Return the same account in a region."""
        return Place(
            config=self.config,
            run=self.run,
            target=self.target,
            access=self.access,
            account=self.account,
            partition=self.partition,
            found=self.found,
            region=region,
        )

    def client(self, service: str) -> Any:
        """Return the client of a service, in this region."""
        return self.access.client(service, self.region)

    def arn(self, service: str, resource: str) -> str:
        """Return an ARN in this account and region."""
        return f"arn:{self.partition}:{service}:{self.region or ''}:{self.account}:{resource}"

    def id_of(self, arn: str) -> str:
        """Return the id of the record that stands for an ARN, or the ARN, which the analysis resolves."""
        return self.found.ids.get(arn, arn)

    @overload
    def ask(
        self,
        listing: Generator[Record, None, T],
        call: str,
        *fills: tuple[str, str | None],
        needs: str | None = None,
        service: str | None = None,
    ) -> Generator[Record, None, T | None]: ...

    @overload
    def ask(
        self,
        listing: Iterator[Record],
        call: str,
        *fills: tuple[str, str | None],
        needs: str | None = None,
        service: str | None = None,
    ) -> Iterator[Record]: ...

    def ask(
        self,
        listing: Iterator[Record],
        call: str,
        *fills: tuple[str, str | None],
        needs: str | None = None,
        service: str | None = None,
    ) -> Generator[Record, None, Any]:
        """Yield a listing through `with_coverage`, with a `Gap` or a `Coverage` for every table and kind that it fills.

        ``call`` is ``iam:ListUsers``; ``service`` is boto3's name of the service, where it is another.
        """
        asked = [self.asked(table, kind, call, needs) for table, kind in fills]
        counts: dict[tuple[str, str | None], int] = {}
        outcome: Gap | Coverage | None = None
        records = with_coverage(
            self._unless_stopped(listing),
            asked[0],
            self._explainer(service or call.split(":", maxsplit=1)[0]),
        )
        while True:
            try:
                record = next(records)
            except StopIteration as end:
                result: Any = end.value
                break
            if isinstance(record, Gap | Coverage):
                outcome = record
            else:
                table = TABLE_OF[type(record)]
                for kind in {getattr(record, "kind", None), getattr(record, "store", None), None}:
                    counts[table, kind] = counts.get((table, kind), 0) + 1
            yield record
        match outcome:
            case Gap():
                failure = Failure(reason=outcome.reason, detail=outcome.detail, needs=outcome.needs)
                with self.found.lock:
                    self.found.failures[call] = failure
                for other in asked[1:]:
                    yield gap(other, failure)
            case Coverage():
                for other in asked[1:]:
                    yield from _coverage(other, counts.get((other.table, other.kind), 0))
            case _:
                pass
        return result

    def missing(self, call: str, *fills: tuple[str, str | None]) -> Iterator[Record]:
        """Yield a `Gap` for what could not be asked because ``call``, on which it rests, has failed."""
        failure = self.found.failures.get(call)
        for table, kind in fills if failure else ():
            yield gap(self.asked(table, kind, call), failure or Failure(reason="bug", detail=call))

    def asked(self, table: str, kind: str | None, call: str, needs: str | None = None) -> ListingRequest:
        """Say what a listing of this place is asked for."""
        return ListingRequest(
            provider=PROVIDER,
            account_id=self.ref,
            collector=self.target.collector,
            target=self.target.name,
            table=table,
            kind=kind,
            call=call,
            region=self.region,
            needs=needs or call,
        )

    def _unless_stopped(self, listing: Iterator[Record]) -> Generator[Record, None, Any]:
        if self.run.stopping.is_set():
            raise DeadlineError
        return (yield from listing)

    def _explainer(self, service: str) -> Callable[[Exception], Failure | None]:
        """Return `explain` for a service: no address in a region means that it is not offered there."""

        def explained(exc: Exception) -> Failure | None:
            from botocore.exceptions import EndpointConnectionError

            failure = explain(exc)
            nowhere = isinstance(exc, EndpointConnectionError) and self.region is not None
            if failure and nowhere and not self.access.is_offered(service, str(self.region)):
                detail = f"{service} may not be available in {self.region}. {failure.detail}"
                return Failure(reason="unsupported", detail=detail, needs=failure.needs)
            return failure

        return explained

    def limited(self, resources: Iterable[T]) -> Iterator[T]:
        """Yield resources up to ``resource_policy_limit``. Raises `TruncatedError` when there are more."""
        for count, resource in enumerate(resources):
            if count >= self.config.resource_policy_limit:
                limit = self.config.resource_policy_limit
                raise TruncatedError(f"only the first {limit} were read (resource_policy_limit)")
            yield resource

    def add_policy(self, service: str, arn: str, policy: Any) -> None:
        """Keep a resource's policy for the evaluator. Raises `MalformedError` when it is no JSON object."""
        parsed = document(policy)
        if isinstance(parsed, str):
            raise MalformedError("the policy is truncated or not a JSON object")
        found = ResourcePolicy(service=service, arn=arn, record_id=self.id_of(arn), document=parsed)
        with self.found.lock:
            self.found.resource_policies.append(found)

    def link(
        self,
        source: str,
        relation: Relation,
        target: str,
        *,
        evidence: str | None = None,
        why: str | None = None,
    ) -> Link:
        """Return a link between two ids or addresses."""
        return Link(
            id=record_id(PROVIDER, "link", f"{source}>{relation}>{target}"),
            provider=PROVIDER,
            account_id=self.ref,
            source_id=source,
            relation=relation,
            target_id=target,
            evidence=evidence,
            why=why,
        )

    def owner(self, tags: Mapping[str, str]) -> tuple[str | None, str | None]:
        """Return the owner that tags name, and where it was read: ``("payments", "tag:team")``."""
        value, key = _first(tags, self.config.owner_tags)
        return value, f"tag:{key}" if key else None

    def environment(self, tags: Mapping[str, str] | None = None) -> str | None:
        """Return the environment that tags name, or that of the whole account."""
        value, _ = _first(tags or {}, self.config.environment_tags)
        return value or self.config.environments.get(self.account)

    def env_secrets(
        self,
        store: str,
        holder_id: str,
        holder_arn: str,
        values: Mapping[str, str],
        environment: str | None,
    ) -> Iterator[Secret]:
        """Yield what looks like a secret among values in clear. Only name, detector, length and fingerprint go out."""
        found = {name: inspect(name, values[name], self.run.fingerprint) for name in sorted(values)}
        key_ids = {
            seen.key_id
            for seen in found.values()
            if seen and (seen.key_id or "").startswith(("AKIA", "ASIA"))
        }
        # A secret key beside the only key id is that key's.
        only = next(iter(key_ids)) if len(key_ids) == 1 else None
        for name, seen in found.items():
            if seen is None:
                continue
            key_id = seen.key_id if seen.key_id in key_ids else None
            if seen.looks_like == "aws-secret-key":
                key_id = key_id or only
            if key_id:
                with self.found.lock:
                    self.found.key_ids.add(key_id)
            yield Secret(
                id=record_id(PROVIDER, store, f"{holder_arn}/{name}"),
                provider=PROVIDER,
                account_id=self.ref,
                store=store,
                name=name,
                holder_id=holder_id,
                environment=environment,
                readable=True,
                looks_like=seen.looks_like,
                length=seen.length,
                fingerprint=seen.fingerprint,
                credential_id=record_id(PROVIDER, "access-key", key_id) if key_id else None,
                encrypted=False,
                location=holder_arn,
            )


class Tally:
    """Reads items one by one, goes on past AWS's refusals, and tells of them at the end."""

    def __init__(self) -> None:
        self._failed: list[str] = []
        self._first: Exception | None = None
        self._total = 0

    def read(self, name: str, call: Callable[[], T], *, absent: tuple[str, ...] = ()) -> T | None:
        """Return what the call gives; None when AWS refuses it, answers with what cannot be read, or with a code that
        means "there is none".

        Throttling, an unreachable endpoint and an expired session concern the items after it as well: they are raised.
        """
        from botocore.exceptions import ClientError

        self._total += 1
        try:
            return call()
        except MalformedError as exc:
            self.failed(name, exc)
            return None
        except ClientError as exc:
            code = exc.response.get("Error", {}).get("Code", "")
            if code in absent:
                return None
            failure = explain(exc)
            whole = failure is None or failure.reason in {"throttled", "unreachable", "unsupported"}
            if whole or code.startswith(("Expired", "InvalidClientToken", "UnrecognizedClient")):
                raise
            self.failed(name, exc)
            return None

    def failed(self, name: str, exc: Exception) -> None:
        """Note an item that could not be read."""
        self._failed.append(name)
        self._first = self._first or exc

    def has_failed(self, name: str) -> bool:
        """Tell whether an item could not be read."""
        return name in self._failed

    def end(self) -> None:
        """Raise `PartlyReadError` when an item could not be read."""
        if self._first is not None:
            raise PartlyReadError(self._failed, self._total, self._first)


def tags_of(given: Any, key: str = "Key", value: str = "Value") -> dict[str, str]:
    """Return AWS's lists (and maps) of tags as a dict."""
    if isinstance(given, dict):
        return {str(name): str(text) for name, text in sorted(given.items())}
    return {str(tag[key]): str(tag.get(value) or "") for tag in given or [] if key in tag}


def _first(tags: Mapping[str, str], wanted: list[str]) -> tuple[str | None, str | None]:
    lower = {key.lower(): (value, key) for key, value in tags.items() if value}
    return next((lower[name.lower()] for name in wanted if name.lower() in lower), (None, None))


def _coverage(asked: ListingRequest, items: int) -> Iterator[Record]:
    """Yield the `Coverage` of one more table that a listing filled."""
    for record in with_coverage((), asked, lambda _: None):
        yield msgspec.structs.replace(record, items=items) if isinstance(record, Coverage) else record
