"""The context of listings: one AWS account, and for regional listings one region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from collectors.aws.failures import DeadlineError, PartlyReadError, TruncatedError, explain
from collectors.aws.permissions import service_of
from scanner.collect.failures import Failure, SourceError
from scanner.collect.listings import ListingRequest, with_coverage
from scanner.records import Coverage, Link, Secret, record_id
from scanner.secrets.detectors import inspect
from scanner.stated import first_stated

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from collectors.aws.client import Access
    from collectors.aws.config import Config
    from collectors.aws.facts import ListedPrincipals
    from scanner.collect.collector import Run, Target
    from scanner.collect.failures import Classify
    from scanner.records import Record, Relation

T = TypeVar("T")
PROVIDER = "aws"


class AwsScope:
    """An account and, for regional listings, a region of it. Never changed: `at` and `knowing` return another."""

    def __init__(
        self,
        *,
        config: Config,
        run: Run,
        target: Target,
        access: Access,
        account: str,
        partition: str,
        region: str | None = None,
        ref: str | None = None,
        principals: ListedPrincipals | None = None,
    ) -> None:
        self.config = config
        self.run = run
        self.target = target
        self.access = access
        self.account = account
        self.region = region
        self.partition = partition
        self.ref = ref or record_id(PROVIDER, "account", account)
        """The `Account.id`."""
        self.principals = principals

    def at(self, region: str) -> AwsScope:
        """Return the same account in a region."""
        return self._but(region=region, principals=self.principals)

    def knowing(self, principals: ListedPrincipals | None) -> AwsScope:
        """Return the same account with its users, groups and roles known."""
        return self._but(region=self.region, principals=principals)

    def _but(self, *, region: str | None, principals: ListedPrincipals | None) -> AwsScope:
        return AwsScope(
            config=self.config,
            run=self.run,
            target=self.target,
            access=self.access,
            account=self.account,
            partition=self.partition,
            region=region,
            ref=self.ref,
            principals=principals,
        )

    def client(self, service: str) -> Any:
        """Return the client of a service, in this region."""
        return self.access.client(service, self.region)

    def arn(self, service: str, resource: str) -> str:
        """Return an ARN in this account and region."""
        return f"arn:{self.partition}:{service}:{self.region or ''}:{self.account}:{resource}"

    def id_of(self, arn: str) -> str:
        """Return the id of the user, group or role of an ARN, or the ARN, which the analysis resolves."""
        return self.principals.ids.get(arn, arn) if self.principals else arn

    @overload
    def listing(  # type: ignore[overload-overlap]  # as for with_coverage
        self,
        records: Generator[Record, None, T],
        call: str,
        kind: str,
        *fills: str,
        loses: Sequence[str] = ...,
        needs: str | None = ...,
    ) -> Generator[Record, None, T | None]: ...

    @overload
    def listing(
        self,
        records: Iterator[Record],
        call: str,
        kind: str,
        *fills: str,
        loses: Sequence[str] = ...,
        needs: str | None = ...,
    ) -> Generator[Record, None, None]: ...

    def listing(
        self,
        records: Iterator[Record],
        call: str,
        kind: str,
        *fills: str,
        loses: Sequence[str] = (),
        needs: str | None = None,
    ) -> Generator[Record, None, Any]:
        """Yield records and their coverage, as `scanner.collect.listings.with_coverage` does; return their value.

        ``call`` is ``iam:ListUsers``; ``kind`` and ``fills`` are what it gives, ``identities/iam-user`` or ``rollouts``;
        ``loses`` is what is in doubt besides when it fails.
        """
        request = ListingRequest(
            provider=PROVIDER,
            account_id=self.ref,
            collector=self.target.collector,
            target=self.target.name,
            table="",
            call=call,
            region=self.region,
            needs=needs or call,
        ).but(kind)
        return with_coverage(
            self._unless_stopped(records),
            request,
            self._classifier(service_of(call)),
            fills=fills,
            loses=loses,
        )

    def lookup(
        self,
        answer: Callable[[], T],
        call: str,
        *doubts: str,
        needs: str | None = None,
    ) -> Generator[Record, None, T | None]:
        """Return an answer that gives no records itself; None, and a `Gap` for each of ``doubts``, when it fails."""

        def asked() -> Generator[Record, None, T]:
            yield from ()
            return answer()

        rows = self.listing(asked(), call, doubts[0], loses=doubts[1:], needs=needs)
        while True:
            try:
                row = next(rows)
            except StopIteration as end:
                value: T | None = end.value
                return value
            if not isinstance(row, Coverage):
                yield row

    def _unless_stopped(self, records: Iterator[Record]) -> Generator[Record, None, Any]:
        if self.run.stopping.is_set():
            raise DeadlineError
        return (yield from records)

    def _classifier(self, service: str) -> Classify:
        """Return the classifier of a service: a missing endpoint in a region means that it is not offered there."""

        def classified(exc: Exception) -> Failure | None:
            from botocore.exceptions import EndpointConnectionError

            failure = explain(exc)
            nowhere = isinstance(exc, EndpointConnectionError) and self.region is not None
            if failure and nowhere and not self.access.is_offered(service, str(self.region)):
                detail = f"{service} may not be available in {self.region}. {failure.detail}"
                return Failure(reason="unsupported", detail=detail, needs=failure.needs)
            return failure

        return classified

    def limited(self, resources: Iterable[T]) -> Iterator[T]:
        """Yield resources up to ``resource_policy_limit``. Raises `TruncatedError` if there are more."""
        for count, resource in enumerate(resources):
            if count >= self.config.resource_policy_limit:
                limit = self.config.resource_policy_limit
                raise TruncatedError(f"only the first {limit} were read (resource_policy_limit)")
            yield resource

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
        """Return the owner in the tags, with its source: ``("payments", "tag:team")``."""
        value, key = first_stated(tags, self.config.owner_tags)
        return value, f"tag:{key}" if key else None

    def environment(self, tags: Mapping[str, str] | None = None) -> str | None:
        """Return the environment in the tags, or that of the whole account."""
        value, _ = first_stated(tags or {}, self.config.environment_tags)
        return value or self.config.environments.get(self.account)

    def env_secrets(
        self,
        store: str,
        holder_id: str,
        holder_arn: str,
        values: Mapping[str, str],
        environment: str | None,
    ) -> Iterator[Secret]:
        """Yield the secrets among plaintext values. Only name, detector, length and fingerprint are kept."""
        found = {name: inspect(name, values[name], self.run.fingerprint) for name in sorted(values)}
        key_ids = {
            seen.key_id
            for seen in found.values()
            if seen and (seen.key_id or "").startswith(("AKIA", "ASIA"))
        }
        # A secret key next to the only key id belongs to that key.
        only = next(iter(key_ids)) if len(key_ids) == 1 else None
        for name, seen in found.items():
            if seen is None:
                continue
            key_id = seen.key_id if seen.key_id in key_ids else None
            if seen.looks_like == "aws-secret-key":
                key_id = key_id or only
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
                recognized_by=seen.recognized_by,
                length=seen.length,
                fingerprint=seen.fingerprint,
                credential_id=record_id(PROVIDER, "access-key", key_id) if key_id else None,
                encrypted=False,
                location=holder_arn,
            )


class PartialReads:
    """Reads items one by one, continues after denied ones, and reports them at the end."""

    def __init__(self) -> None:
        self._failed: list[str] = []
        self._first: Exception | None = None
        self._total = 0

    def read(self, name: str, call: Callable[[], T], *, absent: tuple[str, ...] = ()) -> T | None:
        """Return the result of a call; None if it is denied, malformed, or has an error code that means "there is none".

        Throttling, an unreachable endpoint and an expired session also affect later items, so they are raised.
        """
        from botocore.exceptions import ClientError

        self._total += 1
        try:
            return call()
        except SourceError as exc:
            if exc.reason not in {"malformed", "truncated", "denied"}:
                raise
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
        """Record an item that could not be read."""
        self._failed.append(name)
        self._first = self._first or exc

    def has_failed(self, name: str) -> bool:
        """Return whether an item could not be read."""
        return name in self._failed

    def end(self) -> None:
        """Raise `PartlyReadError` if an item could not be read."""
        if self._first is not None:
            raise PartlyReadError(self._failed, self._total, self._first)


def tags_of(given: Any, key: str = "Key", value: str = "Value") -> dict[str, str]:
    """Return AWS's lists (and maps) of tags as a dict."""
    if isinstance(given, dict):
        return {str(name): str(text) for name, text in sorted(given.items())}
    return {str(tag[key]): str(tag.get(value) or "") for tag in given or [] if key in tag}
