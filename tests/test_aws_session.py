"""Clients that can only read, and that take no answer for "none" which is no answer."""

from __future__ import annotations

import email.utils
import json
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from collectors.aws.client import Access, items, pages, sign_in
from collectors.aws.config import Config
from collectors.aws.failures import DeadlineError, MalformedError, NotReadOnlyError, explain
from collectors.aws.permissions import OPERATIONS, OPTIONAL_OPERATIONS, SIGN_IN, action_of, is_listed, policy
from sandbox.aws.server import AwsSandbox
from sandbox.kit.authority import CertificateAuthority
from sandbox.kit.http import Reply
from sandbox.kit.server import LoopbackServer
from scanner.collect.collector import Run
from scanner.collect.failures import SourceError
from scanner.collect.night_order import ImplausibleTimeError
from scanner.collect.run import collect_snapshot
from scanner.command.progress import LogProgress
from scanner.config_file import load
from scanner.ledger import Ledger
from scanner.secrets.detectors import Fingerprint
from tests.nights import NIGHT

if TYPE_CHECKING:
    from collections.abc import Iterator


def new_run(stopping: threading.Event | None = None) -> Run:
    return Run(
        as_of=NIGHT,
        fingerprint=Fingerprint(b"k" * 32),
        cache=Path("not-used"),
        stopping=stopping or threading.Event(),
    )


class Answers:
    """The server's next answers: status and body; the last one is repeated."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: list[tuple[int, bytes]] = []
        self.asked = 0


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = given.bodies[min(given.asked, len(given.bodies) - 1)]
            given.asked += 1
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815
        do_HEAD = do_POST  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    given = Answers(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    yield given
    server.shutdown()
    thread.join()
    server.server_close()


def access(answers: Answers, run: Run | None = None) -> Access:
    config = Config(endpoint_url=answers.url, max_attempts=1, home_region="eu-west-1")
    return sign_in(config, run or new_run())


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("iam", "create_access_key", {}),
        ("iam", "delete_user", {"UserName": "ada"}),
        ("secretsmanager", "get_secret_value", {"SecretId": "a"}),
        ("ssm", "get_parameter", {"Name": "a"}),
        ("kms", "decrypt", {"CiphertextBlob": b"a"}),
        ("s3", "get_object", {"Bucket": "abc", "Key": "a"}),
        ("lambda", "get_function", {"FunctionName": "a"}),
        ("sts", "get_session_token", {}),
    ],
)
def test_what_is_not_listed_is_refused_before_it_is_sent(
    answers: Answers, service: str, operation: str, arguments: dict[str, Any]
) -> None:
    client = access(answers).client(service)
    with pytest.raises(NotReadOnlyError):
        getattr(client, operation)(**arguments)
    assert answers.asked == 0


def test_nothing_is_sent_once_the_run_must_stop(answers: Answers) -> None:
    stopping = threading.Event()
    stopping.set()
    with pytest.raises(DeadlineError):
        access(answers, new_run(stopping)).client("iam").get_account_summary()
    assert answers.asked == 0


@pytest.mark.parametrize("waits", ["for an answer", "to try again"])
def test_a_run_that_stops_does_not_wait(waits: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    stopping, asked = threading.Event(), threading.Event()

    def say(*_: object) -> Reply:
        asked.set()
        if waits == "to try again":
            return Reply(status=500, body=b"", headers={})
        drip: Iterator[bytes | float] = (part for _ in range(1000) for part in (0.1, b" "))
        return Reply(status=200, body=b"", headers={}, stream=drip, length=1000)

    with LoopbackServer(say, "aws") as server:
        config = Config(endpoint_url=server.origin, max_attempts=10, home_region="eu-west-1")
        client = sign_in(config, new_run(stopping)).client("iam")
        timer = threading.Timer(0.5, stopping.set)
        timer.start()
        begun = time.monotonic()
        with pytest.raises(DeadlineError):
            client.get_account_summary()
        timer.join()
    assert asked.is_set()
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ("service", "operation", "body"),
    [
        ("secretsmanager", "list_secrets", b'{"SecretList": ['),
        ("secretsmanager", "list_secrets", b"<html>Please sign in</html>"),
        ("secretsmanager", "list_secrets", b""),
        ("secretsmanager", "list_secrets", b"[]"),
        ("lambda", "list_functions", b'{"Functions": [{'),
        ("eks", "list_clusters", b"null"),
        ("ec2", "describe_instances", b"<html><body>Please sign in</body></html>"),
        ("ec2", "describe_instances", b"<DescribeInstancesResponse><reservationSet>"),
        ("iam", "get_account_summary", b"<html/>"),
        ("sns", "list_topics", b""),
        ("s3", "list_buckets", b"<html/>"),
    ],
)
def test_a_body_that_is_no_answer_is_malformed(
    answers: Answers, service: str, operation: str, body: bytes
) -> None:
    answers.bodies = [(200, body)]
    with pytest.raises(MalformedError) as raised:
        getattr(access(answers).client(service), operation)()
    failure = explain(raised.value)
    assert failure is not None
    assert failure.reason == "malformed"


def test_a_page_that_names_itself_ends_with_an_error(answers: Answers) -> None:
    page = json.dumps({"sourceCredentialsInfos": []}).encode()
    answers.bodies = [(200, page)]
    assert list(pages(access(answers).client("codebuild"), "list_source_credentials")) != []
    xml = (
        "<ListServiceSpecificCredentialsResponse><ListServiceSpecificCredentialsResult>"
        "<ServiceSpecificCredentials/><IsTruncated>true</IsTruncated><Marker>again</Marker>"
        "</ListServiceSpecificCredentialsResult></ListServiceSpecificCredentialsResponse>"
    )
    answers.bodies = [(200, xml.encode())]
    answers.asked = 0
    client = access(answers).client("iam")
    with pytest.raises(MalformedError, match="links to itself"):
        list(items(client, "list_service_specific_credentials", "ServiceSpecificCredentials", AllUsers=True))
    assert answers.asked == 2


@pytest.mark.parametrize(
    ("service", "operation", "key", "body"),
    [
        ("lambda", "list_functions", "Functions", b"{}"),
        ("secretsmanager", "list_secrets", "SecretList", b"{}"),
        ("organizations", "list_accounts", "Accounts", b'{"NextToken": null}'),
        ("ssm", "describe_parameters", "Parameters", b'{"Parameters": null}'),
        ("codeconnections", "list_connections", "Connections", b'{"connections": []}'),
        ("eks", "list_clusters", "clusters", b'{"names": []}'),
    ],
)
def test_a_list_that_is_missing_is_no_empty_list(
    answers: Answers, service: str, operation: str, key: str, body: bytes
) -> None:
    answers.bodies = [(200, body)]
    client = access(answers).client(service)
    with pytest.raises(MalformedError, match=key):
        list(items(client, operation, key))


NO_ALIASES = b"""<ListAccountAliasesResponse><ListAccountAliasesResult><AccountAliases/>
<IsTruncated>false</IsTruncated></ListAccountAliasesResult></ListAccountAliasesResponse>"""


@pytest.mark.parametrize(
    ("service", "operation", "key", "body"),
    [
        ("lambda", "list_functions", "Functions", b'{"Functions": []}'),
        ("sqs", "list_queues", "QueueUrls", b"{}"),
        (
            "iam",
            "list_account_aliases",
            "AccountAliases",
            NO_ALIASES,
        ),
        (
            "ec2",
            "describe_key_pairs",
            "KeyPairs",
            b"<DescribeKeyPairsResponse><keySet/></DescribeKeyPairsResponse>",
        ),
        (
            "s3",
            "list_buckets",
            "Buckets",
            b"<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>",
        ),
    ],
)
def test_an_empty_list_is_empty_as_its_service_writes_it(
    answers: Answers, service: str, operation: str, key: str, body: bytes
) -> None:
    answers.bodies = [(200, body)]
    assert list(items(access(answers).client(service), operation, key)) == []


WEB_IDENTITY = b"""<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>
<AccessKeyId>ASIAQWERTYUIOPASDFGH</AccessKeyId><SecretAccessKey>x</SecretAccessKey><SessionToken>y</SessionToken>
<Expiration>2199-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"""
SUMMARY = b"""<GetAccountSummaryResponse><GetAccountSummaryResult><SummaryMap/></GetAccountSummaryResult>
</GetAccountSummaryResponse>"""


@pytest.mark.parametrize("setting", ["endpoint_url", "endpoint_urls"])
def test_sign_in_goes_where_the_configuration_says(
    answers: Answers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, setting: str
) -> None:
    """botocore itself creates the client that exchanges a workload identity's token."""
    (tmp_path / "token").write_text("header.payload.signature")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/scanner")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    answers.bodies = [(200, WEB_IDENTITY), (200, SUMMARY)]
    where: dict[str, Any] = {
        "endpoint_url": answers.url,
        "endpoint_urls": {"sts": answers.url, "iam": answers.url},
    }
    config = Config.model_validate({"max_attempts": 1, "home_region": "eu-west-1", setting: where[setting]})
    sign_in(config, new_run()).client("iam").get_account_summary()
    assert answers.asked == 2


def test_endpoints_of_single_services_go_before_the_one_for_all() -> None:
    config = Config(
        endpoint_url="http://127.0.0.1:1",
        endpoint_urls={"sts": "https://sts.{region}.vpce.example"},
        home_region="eu-west-1",
    )
    made = sign_in(config, new_run())
    assert made.client("sts", "eu-west-3").meta.endpoint_url == "https://sts.eu-west-3.vpce.example"
    assert made.client("iam").meta.endpoint_url == "http://127.0.0.1:1"
    assert Config().endpoint_of("sts", "eu-west-1") is None


@pytest.mark.parametrize("url", ["sts.example", "ftp://sts.example", "https://user:word@sts.example"])
def test_an_endpoint_is_an_address_without_a_password(url: str) -> None:
    with pytest.raises(ValidationError):
        Config(endpoint_urls={"sts": url})
    with pytest.raises(ValidationError):
        Config(endpoint_url=url)


def test_the_certificate_authorities_hold_for_sign_in_as_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from botocore.exceptions import ClientError, SSLError

    (tmp_path / "token").write_text("header.payload.signature")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/scanner")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    with CertificateAuthority() as authority, AwsSandbox(authority=authority) as sandbox:
        unknown = Config(endpoint_url=sandbox.url, max_attempts=1, home_region="eu-west-1")
        with pytest.raises(SSLError):
            sign_in(unknown, new_run()).client("iam").get_account_summary()
        known = unknown.model_copy(update={"ca_bundle": sandbox.bundle})
        # The sandbox takes no such token: it was asked, and so its certificate was good.
        with pytest.raises(ClientError, match="AssumeRoleWithWebIdentity"):
            sign_in(known, new_run()).client("iam").get_account_summary()


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (403, "AccessDeniedException", "denied"),
        (400, "ExpiredTokenException", "denied"),
        (403, "OptInRequired", "denied"),
        (400, "UnrecognizedClientException", "denied"),
        (400, "ThrottlingException", "throttled"),
        (429, "TooManyRequestsException", "throttled"),
        (404, "", "unsupported"),
        (501, "NotImplemented", "unsupported"),
        (400, "UnknownOperationException", "unsupported"),
        (500, "InternalFailure", "unreachable"),
        (503, "ServiceUnavailable", "unreachable"),
    ],
)
def test_what_an_error_means(answers: Answers, status: int, code: str, reason: str) -> None:
    from botocore.exceptions import ClientError

    answers.bodies = [(status, json.dumps({"__type": code, "message": "no"}).encode())]
    with pytest.raises(ClientError) as raised:
        access(answers).client("secretsmanager").list_secrets()
    failure = explain(raised.value)
    assert failure is not None
    assert failure.reason == reason


def test_an_endpoint_that_is_not_there_is_unreachable(answers: Answers) -> None:
    from botocore.exceptions import EndpointConnectionError

    nowhere = Config(endpoint_url="http://127.0.0.1:9", max_attempts=1, home_region="eu-west-1")
    with pytest.raises(EndpointConnectionError) as raised:
        sign_in(nowhere, new_run()).client("iam").get_account_summary()
    failure = explain(raised.value)
    assert failure is not None
    assert failure.reason == "unreachable"


def test_a_bucket_that_redirects_is_malformed_and_not_asked_again(answers: Answers) -> None:
    answers.bodies = [(302, b"")]
    with pytest.raises(SourceError) as raised:
        access(answers).client("s3").get_bucket_policy(Bucket="exports")
    assert answers.asked == 1
    failure = explain(raised.value)
    assert failure is not None
    assert failure.reason == "malformed"


def test_what_we_do_not_know_is_a_bug() -> None:
    assert explain(KeyError("Users")) is None
    assert explain(NotReadOnlyError("iam:CreateUser")) is None


def all_operations() -> set[tuple[str, str]]:
    listed = [*OPERATIONS.values(), SIGN_IN]
    found = {(service, name) for services in listed for service, names in services.items() for name in names}
    for service, options in OPTIONAL_OPERATIONS.items():
        found |= {(service, name) for names in options.values() for name in names}
    return found


def test_every_listed_operation_exists_and_only_reads() -> None:
    import botocore.session

    models = botocore.session.get_session()
    for service, operation in all_operations() - {
        ("signin", "CreateOAuth2Token"),
        ("sso-oidc", "CreateToken"),
    }:
        assert operation in models.get_service_model(service).operation_names, (service, operation)
        reads = operation.startswith(("List", "Get", "Describe", "BatchGet", "AssumeRole"))
        assert reads or operation in {"GenerateCredentialReport", "GenerateServiceLastAccessedDetails"}


def test_the_policy_allows_what_the_guard_allows_and_nothing_that_is_never_called() -> None:
    allowed = {
        action for part in policy()["Statement"] if part["Effect"] == "Allow" for action in part["Action"]
    }
    listed = {action_of(*pair) for pair in all_operations() if pair[0] not in {"sso", "sso-oidc", "signin"}}
    optional = {"ec2:DescribeInstanceAttribute", "sts:AssumeRole", "sts:AssumeRoleWithWebIdentity"}
    assert listed - optional == allowed
    assert not is_listed("iam", "CreateUser")


def test_values_and_data_are_denied_to_the_role() -> None:
    (deny,) = [part for part in policy()["Statement"] if part["Effect"] == "Deny"]
    assert {"secretsmanager:GetSecretValue", "ssm:GetParameter*", "kms:Decrypt"} <= set(deny["Action"])


@pytest.fixture
def behind(monkeypatch: pytest.MonkeyPatch) -> int:
    """Every server's clock is five days behind this machine's."""
    date = email.utils.formatdate(time.time() - 5 * 86400, usegmt=True)
    monkeypatch.setattr("http.server.BaseHTTPRequestHandler.date_time_string", lambda *_: date)
    return 5 * 86400


def test_every_response_is_a_witness_of_the_clock(answers: Answers, behind: int) -> None:
    run = new_run()
    answers.bodies = [(200, SUMMARY)]
    access(answers, run).client("iam").get_account_summary()
    assert run.clock.seconds_ahead() == pytest.approx(behind, abs=60)


def test_a_night_with_aws_alone_that_is_refused_for_its_clock_says_so(
    answers: Answers, behind: int, tmp_path: Path
) -> None:
    assert behind
    answers.bodies = [
        (403, b"<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code></Error></ErrorResponse>")
    ]
    section = {"endpoint_url": answers.url, "max_attempts": 1, "home_region": "eu-west-1"}
    (tmp_path / "config.yaml").write_text(json.dumps({"collectors": {"aws": section}}))
    loaded = load(tmp_path / "config.yaml")
    with pytest.raises(ImplausibleTimeError, match=r"5\.0 days ahead of"):
        collect_snapshot(
            loaded.settings,
            ledger=Ledger(loaded.settings.state),
            digest=loaded.digest,
            as_of=datetime.now(UTC),
            from_clock=True,
            stopping=threading.Event(),
            progress=LogProgress(),
        )
    assert not Ledger(loaded.settings.state).nights()
    assert not list(loaded.settings.state.glob("snapshots/*"))


@pytest.mark.parametrize("time", [b'"soon"', b'"\\ud800"', b"1e300", b"[]"])
def test_a_time_that_is_none_is_the_answers_fault(answers: Answers, time: bytes) -> None:
    answers.bodies = [(200, b'{"SecretList": [{"Name": "a", "CreatedDate": ' + time + b"}]}")]
    with pytest.raises(MalformedError, match="does not match its model"):
        access(answers).client("secretsmanager").list_secrets()


@pytest.mark.parametrize("body", [b"", b"[]", b"\x1f\x8b\x08", b"<html></html>", b"<ListAllMyBucketsResu"])
def test_a_list_of_buckets_that_is_none_is_malformed_and_no_server_error(
    answers: Answers, body: bytes
) -> None:
    answers.bodies = [(200, body)]
    with pytest.raises(MalformedError):
        access(answers).client("s3").list_buckets()
    assert answers.asked == 1
