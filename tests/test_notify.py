"""Notifications after a night: the webhook, the heartbeat, Prometheus. Real HTTP against a server on loopback."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sandbox.kit.authority import CertificateAuthority
from sandbox.kit.http import Reply
from sandbox.kit.server import LoopbackServer
from scanner.collect.night_order import ImplausibleTimeError
from scanner.collect.run import NothingCollectedError
from scanner.command.progress import LogProgress
from scanner.config_file import Loaded, load
from scanner.document import DocumentError
from scanner.night import open_night
from scanner.pipeline.outcome import Exit, Outcome
from scanner.pipeline.stages import run_night
from scanner.pipeline.state_folder import LockedError, locked
from tests.checkout_nights import DANGEROUS, FIRST, SAFE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOOK = "hooks-Zm9vYmFyLXNlY3JldA"
PING = "ping-2f6c1ad0-secret"


class Listener:
    """A server that records requests."""

    def __init__(self) -> None:
        self.notified: list[tuple[str, str, Any]] = []
        self.status = 200
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                listener.notified.append(("GET", self.path, None))
                self._answer()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.notified.append(("POST", self.path, json.loads(body)))
                self._answer()

            def _answer(self) -> None:
                self.send_response(listener.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def messages(self) -> list[dict[str, Any]]:
        return [body for method, _, body in self.notified if method == "POST"]

    def pings(self) -> list[str]:
        return [path for method, path, _ in self.notified if method == "GET"]


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    made = Listener()
    monkeypatch.setenv("WEBHOOK", f"{made.url}/{HOOK}")
    monkeypatch.setenv("PING", f"{made.url}/{PING}/")
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


class Place:
    """A checkout that is scanned, and the configuration."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workflows = folder / "quiet-name" / ".github" / "workflows"
        self.workflows.mkdir(parents=True)
        self.write("build", SAFE)

    def write(self, name: str, text: str) -> None:
        (self.workflows / f"{name}.yml").write_text(text)

    def configure(self, prometheus: str | None = None, **notify: Any) -> Loaded:
        top: dict[str, Any] = {
            key: notify.pop(key) for key in ("fail_on", "min_coverage", "exceptions") if key in notify
        }
        document: dict[str, Any] = {
            "collectors": {"definitions": {"paths": ["quiet-name"]}},
            "reports": {
                "formats": ["prometheus"] if prometheus else [],
                **({"prometheus": {"textfile": prometheus}} if prometheus else {}),
            },
            "notify": notify,
            **top,
        }
        (self.folder / "config.yaml").write_text(json.dumps(document))
        return load(self.folder / "config.yaml")

    def night(self, number: int, loaded: Loaded) -> Outcome:
        return run_night(loaded, as_of=FIRST + timedelta(days=number - 1), progress=LogProgress())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


WEBHOOK = {"webhook": "${env:WEBHOOK}"}


def test_a_new_high_finding_is_reported_once_and_a_quiet_night_is_silent(
    place: Place, listener: Listener
) -> None:
    loaded = place.configure(**WEBHOOK, report_url="https://reports.example/x")
    place.night(1, loaded)
    assert listener.notified == []
    place.write("surprise-name", DANGEROUS)
    outcome = place.night(2, loaded)
    high = {name: count for name, count in outcome.new.items() if name in {"critical", "high"} and count}
    assert high
    ((method, path, message),) = listener.notified
    assert (method, path) == ("POST", f"/{HOOK}")
    assert message["new"] == high
    assert message["run_id"] == outcome.run_id == "20261123T020000Z"
    assert "new: " in message["text"]
    assert message["text"].endswith("https://reports.example/x")
    place.night(3, loaded)
    assert len(listener.notified) == 1


def test_the_message_names_no_identity_and_no_credential(place: Place, listener: Listener) -> None:
    place.write("surprise-name", DANGEROUS)
    loaded = place.configure(**WEBHOOK)
    outcome = place.night(1, loaded)
    (message,) = listener.messages()
    sent = json.dumps(message)
    with open_night(loaded.settings.state, outcome.run_id) as night:
        columns = "id, subject, subject_name, identity_id, identity_name, account_id, account_name, resource"
        values = {value for row in night.rows(f"SELECT {columns} FROM findings") for value in row if value}
    assert len(values) > 5
    assert [value for value in values if value in sent] == []
    for name in ("quiet-name", "surprise-name", str(place.folder)):
        assert name not in sent


def test_findings_below_the_threshold_are_not_reported(place: Place, listener: Listener) -> None:
    place.write("surprise-name", SAFE.replace("{}", "write-all"))
    outcome = place.night(1, place.configure(**WEBHOOK, webhook_threshold="critical"))
    assert outcome.new["critical"] == 0 < outcome.new["high"]
    assert listener.notified == []


@contextmanager
def broken(listener: Listener, monkeypatch: pytest.MonkeyPatch, how: str) -> Iterator[None]:
    if how == "refuses":
        listener.status = 500
    elif how == "unreachable":
        monkeypatch.setenv("WEBHOOK", f"http://127.0.0.1:1/{HOOK}")
        monkeypatch.setenv("PING", f"http://127.0.0.1:1/{PING}")
    elif how == "no-address":
        monkeypatch.setenv("WEBHOOK", f"http://[::1/{HOOK}")
        monkeypatch.setenv("PING", PING)
    else:
        monkeypatch.delenv("WEBHOOK")
        monkeypatch.delenv("PING")
    yield


@pytest.mark.parametrize("how", ["refuses", "unreachable", "no-address", "not-set"])
def test_nobody_listening_does_not_fail_the_night_and_logs_no_address(
    place: Place,
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    how: str,
) -> None:
    place.write("surprise-name", DANGEROUS)
    loaded = place.configure(**WEBHOOK, ping_url="${env:PING}")
    with broken(listener, monkeypatch, how):
        outcome = place.night(1, loaded)
    assert outcome.exit_code == Exit.OK
    assert (loaded.settings.state / "reports" / outcome.run_id / "run.json").is_file()
    missed = [
        vars(record)["channel"]
        for record in caplog.records
        if record.msg == "a notification was not delivered"
    ]
    assert missed == ["dead-man ping", "webhook", "dead-man ping"]
    everything = str([vars(record) for record in caplog.records])
    assert HOOK not in everything
    assert PING not in everything


@pytest.mark.parametrize("named", ["ca_bundle", "SSL_CERT_FILE", "nowhere"])
def test_a_webhook_with_a_certificate_of_the_company_is_reached_if_its_authority_is_named(
    place: Place, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    told: list[str] = []

    def say(method: str, target: str, *_: object) -> Reply:
        told.append(f"{method} {target}")
        return Reply(status=200, body=b"", headers={})

    place.write("surprise-name", DANGEROUS)
    with CertificateAuthority() as authority, LoopbackServer(say, "hook", authority) as server:
        monkeypatch.setenv("WEBHOOK", f"{server.origin}/{HOOK}")
        monkeypatch.setenv("PING", f"{server.origin}/{PING}")
        if named == "SSL_CERT_FILE":
            monkeypatch.setenv(named, str(authority.bundle))
        bundle = {"ca_bundle": str(authority.bundle)} if named == "ca_bundle" else {}
        place.night(1, place.configure(**WEBHOOK, ping_url="${env:PING}", **bundle))
    expected = [f"GET /{PING}/start", f"POST /{HOOK}", f"GET /{PING}"]
    assert told == ([] if named == "nowhere" else expected)


def test_a_message_that_is_redirected_is_not_taken_as_delivered(
    place: Place, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    place.write("surprise-name", DANGEROUS)
    listener.status = 302
    loaded = place.configure(**WEBHOOK)
    place.night(1, loaded)
    assert [
        vars(record)["status"]
        for record in caplog.records
        if record.msg == "a notification was not delivered"
    ] == [302]
    listener.status = 200
    place.night(2, loaded)
    assert len(listener.messages()) == 2


def test_the_ping_frames_a_night(place: Place, listener: Listener) -> None:
    place.write("surprise-name", DANGEROUS)
    outcome = place.night(1, place.configure(ping_url="${env:PING}", fail_on="high"))
    assert outcome.exit_code == Exit.FINDINGS
    assert listener.pings() == [f"/{PING}/start", f"/{PING}"]


def test_a_night_that_missed_part_of_its_work_pings_fail(place: Place, listener: Listener) -> None:
    place.write("broken", "on: [push\njobs: }{")
    outcome = place.night(1, place.configure(ping_url="${env:PING}", min_coverage=1.0))
    assert outcome.exit_code == Exit.COVERAGE
    assert listener.pings() == [f"/{PING}/start", f"/{PING}/fail"]


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        (ImplausibleTimeError, "sealed"),
        (NothingCollectedError, "no-folder"),
        (DocumentError, "no-exceptions"),
    ],
)
def test_a_run_that_fails_is_reported_by_its_kind_alone(
    place: Place, listener: Listener, kind: type[Exception], spoil: str
) -> None:
    options: dict[str, Any] = {**WEBHOOK, "ping_url": "${env:PING}"}
    loaded = place.configure(**options)
    if spoil == "sealed":
        place.night(1, loaded)
        listener.notified.clear()
    elif spoil == "no-folder":
        (place.folder / "quiet-name").rename(place.folder / "moved")
    else:
        loaded = place.configure(**options, exceptions="not-there.yaml")
    with pytest.raises(kind):
        place.night(1, loaded)
    assert listener.pings() == [f"/{PING}/start", f"/{PING}/fail"]
    (message,) = listener.messages()
    assert message == {
        "text": f"sprawlscan 20261122T020000Z: the run failed ({kind.__name__}). See its log.",
        "run_id": "20261122T020000Z",
        "failed": kind.__name__,
    }


def test_a_run_that_finds_the_lock_taken_tells_nobody(place: Place, listener: Listener) -> None:
    loaded = place.configure(**WEBHOOK, ping_url="${env:PING}")
    with locked(loaded.settings.state, 0), pytest.raises(LockedError):
        place.night(1, loaded)
    assert listener.notified == []


def test_an_exception_about_to_end_is_reported_when_it_begins_to(place: Place, listener: Listener) -> None:
    entry = {
        "id": "RISK-1",
        "rule": "workflow-excess-permissions",
        "subject": "definitions:ci-pipeline:quiet-name:.github/workflows/surprise-name.yml",
        "owner": "platform",
        "approver": "ciso@lanternpay.example",
        "reason": "accepted-risk",
        "explanation": "For a while.",
        "ticket": "SEC-1",
        "approved": "2026-11-01",
        "expires": "2026-11-30",
    }
    (place.folder / "exceptions.yaml").write_text(json.dumps({"exceptions": [entry]}))
    place.write("surprise-name", SAFE.replace("{}", "write-all"))
    loaded = place.configure(**WEBHOOK, webhook_threshold="critical", exceptions="exceptions.yaml")
    place.night(1, loaded)
    place.night(2, loaded)
    assert [message["exceptions_ending"] for message in listener.messages()] == [1]


def samples(path: Path) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(path.read_text())
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_prometheus_reads_the_figures_of_every_run(place: Place) -> None:
    place.write("surprise-name", DANGEROUS)
    loaded = place.configure(prometheus="metrics/sprawlscan.prom")
    outcome = place.night(1, loaded)
    path = place.folder / "metrics" / "sprawlscan.prom"
    found = samples(path)
    assert found["sprawlscan_last_run_timestamp_seconds",] == FIRST.timestamp()
    assert found["sprawlscan_coverage_ratio",] == outcome.coverage.ratio == 1.0
    assert found["sprawlscan_partial",] == 0
    assert found["sprawlscan_gaps", "definitions"] == 0
    new = {
        key[2]: value for key, value in found.items() if key[0] == "sprawlscan_findings" and key[3] == "new"
    }
    assert new == {severity: count for severity, count in outcome.new.items() if count}
    assert found["sprawlscan_rule_results", "evaluated"] > 0
    assert path.stat().st_mode & 0o777 == 0o644
    assert outcome.reports == []


def test_the_figures_are_replaced_whole(place: Place) -> None:
    loaded = place.configure(prometheus="sprawlscan.prom")
    place.night(1, loaded)
    path = place.folder / "sprawlscan.prom"
    before = path.read_text()
    with path.open() as old:
        place.night(2, loaded)
        assert old.read() == before
    assert samples(path)["sprawlscan_last_run_timestamp_seconds",] == (FIRST + timedelta(days=1)).timestamp()
    assert [other.name for other in path.parent.glob("*.prom*")] == ["sprawlscan.prom"]


def test_figures_that_cannot_be_written_do_not_fail_the_night(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    (place.folder / "file").touch()
    loaded = place.configure(prometheus="file/sprawlscan.prom")
    assert place.night(1, loaded).exit_code == Exit.OK
    assert "no metrics for Prometheus" in caplog.messages
