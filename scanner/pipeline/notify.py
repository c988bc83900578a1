"""Notifications about runs: a webhook and a heartbeat.

The webhook is called after a run with news (new findings above a severity, lost coverage, expiring exceptions) and after
a failed run, but not after a run without news. It receives counts and a link, but no names of identities or credentials.
The URLs are secrets, so only the kind of an error is logged. A failed notification never fails the run.

The message of a run with news is sent at least once: the next run sends what was not delivered, and what a killed run did
not come to send. A receiver drops what it has by the message's ``id``, which is the same as long as the news is.
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from scanner.collect.http_config import authorities
from scanner.config import SecretMissingError
from scanner.findings import COUNTS_AS_NEW, SEVERITIES
from scanner.ledger import Notified
from scanner.run_coverage import coverage_sentence

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from scanner.config import NotifySettings, SecretRef
    from scanner.ledger import Ledger
    from scanner.night import Night

log = logging.getLogger(__name__)

WEBHOOK_SECONDS = 15
PING_SECONDS = 10


def _send(
    channel: str,
    address: SecretRef,
    suffix: str,
    message: dict[str, Any] | None,
    *,
    seconds: int,
    ca_bundle: Path | None,
) -> bool:
    """Send, and return whether it was delivered.

    A POST follows no redirect: most of them turn it into a GET without the message, which a sign-in page answers with 200.
    The body of the answer is not read: it may never end.
    """
    import requests

    trusted = authorities(ca_bundle)
    try:
        url = address.read().rstrip("/") + suffix
        if message is None:
            answer = requests.get(url, timeout=seconds, verify=trusted, stream=True)
        else:
            answer = requests.post(
                url, json=message, timeout=seconds, verify=trusted, stream=True, allow_redirects=False
            )
        answer.close()
        if answer.status_code >= 300:
            raise requests.HTTPError(response=answer)
    except SecretMissingError as exc:
        log.error("a notification was not delivered", extra={"channel": channel, "error": str(exc)})  # noqa: TRY400
    except (requests.RequestException, ValueError) as exc:
        status = exc.response.status_code if isinstance(exc, requests.HTTPError) else None
        log.error(  # noqa: TRY400
            "a notification was not delivered",
            extra={"channel": channel, "error": type(exc).__name__, "status": status},
        )
    else:
        return True
    return False


def post(notify: NotifySettings, message: dict[str, Any]) -> bool:
    """POST a message as JSON to ``notify.webhook``, if configured. Returns whether nothing is left to deliver."""
    return notify.webhook is None or _send(
        "webhook", notify.webhook, "", message, seconds=WEBHOOK_SECONDS, ca_bundle=notify.ca_bundle
    )


def ping(notify: NotifySettings, step: Literal["start", "done", "fail"]) -> None:
    """GET ``notify.ping_url``, if configured, as described in https://healthchecks.io/docs/http_api/."""
    if notify.ping_url is not None:
        suffix = "" if step == "done" else f"/{step}"
        _send(
            "dead-man ping", notify.ping_url, suffix, None, seconds=PING_SECONDS, ca_bundle=notify.ca_bundle
        )


def send_notification(notify: NotifySettings, night: Night, ledger: Ledger, *, ended: bool) -> bool:
    """Send the message of a run with news, if a webhook is configured, and record it. Returns whether it was delivered.

    ``ended``: the run returns the exit code of this night next.
    What was delivered once is not sent again, however often the night is analyzed, unless its news changed.
    """
    known = ledger.night(night.run_id)
    assert known.analyzed is not None
    news = message(night, notify.webhook_threshold, notify.report_url) if notify.webhook else None
    earlier = known.notified
    if news is None or (earlier is not None and earlier.delivered and earlier.message == news["id"]):
        delivered = True
    else:
        delivered = post(notify, news)
    ledger.append(
        Notified(
            run_id=night.run_id,
            analysis=known.analyzed.digest,
            message=news["id"] if news is not None else "",
            delivered=delivered,
            ended=ended,
        )
    )
    return delivered


def message(night: Night, threshold: str, report_url: str | None) -> dict[str, Any] | None:
    """Return the message, or None if there is no news. ``text`` is what Slack, Teams and Mattermost show.

    ``id`` identifies the news, not the delivery.
    """
    worst = SEVERITIES[: [str(name) for name in SEVERITIES].index(threshold) + 1]
    counts = night.figures.by_severity("new_findings")
    new = {str(name): counts[name] for name in worst if counts[name]}
    unobserved = night.figures.count("unobserved_findings")
    # Reported once: an exception that stays expired is an open finding like any other.
    query = f"SELECT count(*) FROM findings WHERE {COUNTS_AS_NEW} AND rule IN ('exception-expiring', 'exception-expired')"
    expiring = int(night.one(query) or 0)
    dropped = int(night.one("SELECT count(*) FROM gaps WHERE reason = 'unconfirmed'") or 0)
    failed = int(night.one("SELECT count(DISTINCT rule) FROM rule_results WHERE status = 'error'") or 0)
    parts = []
    if new:
        parts.append(f"new: {', '.join(f'{count} {name}' for name, count in new.items())}")
    if night.coverage.unread:
        parts.append(
            f"{night.coverage.unread} accounts could not be read: {', '.join(night.coverage.unread_targets[:5])}"
        )
    if unobserved:
        parts.append(f"{unobserved} findings could not be checked")
    if dropped:
        parts.append(
            f"{dropped} listings gave far fewer rows than before and wait for a second run to confirm it"
        )
    if night.manifest.partial:
        parts.append("the run was stopped before all targets finished")
    if expiring:
        parts.append(f"{expiring} exceptions have expired or expire soon")
    if failed:
        parts.append(f"{failed} rules failed")
    if not parts:
        return None
    link = f" {report_url}" if report_url else ""
    text = f"sprawlscan {night.run_id}: {'; '.join(parts)}. {coverage_sentence(night.coverage)}{link}"
    content = {
        "text": text,
        "run_id": night.run_id,
        "new": new,
        "open": night.figures.by_severity("open_findings"),
        "unobserved": unobserved,
        "coverage": msgspec.to_builtins(night.coverage),
        "unconfirmed_listings": dropped,
        "partial": night.manifest.partial,
        "exceptions_ending": expiring,
        "report_url": report_url,
    }
    # Findings are in the id, and not in the message: other findings in the same number are other news.
    marks = ", ".join(f"'{name}'" for name in worst)
    query = f"SELECT id FROM findings WHERE {COUNTS_AS_NEW} AND severity IN ({marks}) ORDER BY id"
    found = [row[0] for row in night.rows(query)]
    return {"id": hashlib.sha256(msgspec.json.encode((content, found))).hexdigest()[:32], **content}


class Watched:
    """Sends the heartbeat at the start and end of a run.

    An exception, or a run for which `ended` was not called, is a failure. The message contains only the kind of error,
    because its text may quote a provider.
    """

    def __init__(self, notify: NotifySettings, run_id: str) -> None:
        self._notify = notify
        self._run_id = run_id
        self._sound = False

    def ended(self, *, sound: bool) -> None:
        """Record the result of the run. It is not successful if part of its work is missing."""
        self._sound = sound

    def __enter__(self) -> Self:
        ping(self._notify, "start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        ping(self._notify, "done" if kind is None and self._sound else "fail")
        if kind is not None:
            text = f"sprawlscan {self._run_id}: the run failed ({kind.__name__}). See its log."
            post(self._notify, {"text": text, "run_id": self._run_id, "failed": kind.__name__})
