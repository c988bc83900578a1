"""botocore's HTTP session with a deadline for a whole answer and a largest answer; its own timeouts are for each read.

A run that must stop ends a request that waits, as in `scanner.collect.transport`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import urllib3
from botocore.awsrequest import AWSHTTPConnection, AWSHTTPSConnection
from botocore.exceptions import BotoCoreError, ConnectionClosedError, HTTPClientError, ReadTimeoutError
from botocore.hooks import first_non_none_response

from collectors.aws.failures import DeadlineError, MalformedError
from scanner.collect.answers import checked
from scanner.collect.failures import SourceError
from scanner.collect.transport import Watchdog, WatchedConnection, read_bounded

if TYPE_CHECKING:
    from collectors.aws.config import Config
    from scanner.collect.collector import Run


class _Connection(WatchedConnection, AWSHTTPConnection):  # type: ignore[misc]  # botocore's class differs from urllib3's
    pass


class _TlsConnection(WatchedConnection, AWSHTTPSConnection):  # type: ignore[misc]  # the same
    pass


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection  # type: ignore[assignment]  # the same


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection  # type: ignore[assignment]  # the same


class BotocoreSession:
    """Takes the place of an endpoint's `botocore.httpsession.URLLib3Session`, of which `Endpoint` uses two methods."""

    def __init__(self, session: Any, config: Config, watchdog: Watchdog, run: Run) -> None:
        pools = {"http": _Pool, "https": _TlsPool}
        session._pool_classes_by_scheme = pools  # noqa: SLF001  what the managers of proxies are given
        session._manager.pool_classes_by_scheme = pools  # noqa: SLF001
        self._session = session
        self._config = config
        self._watchdog = watchdog
        self._run = run

    def close(self) -> None:
        """Close every connection."""
        self._session.close()

    def send(self, request: Any) -> Any:
        """Send one request and read the whole answer. Raises what botocore raises, `SourceError` and `DeadlineError`.

        https://github.com/boto/botocore/blob/develop/botocore/httpsession.py
        """
        if self._run.stopping.is_set():
            raise DeadlineError
        if request.stream_output:
            raise AssertionError("an operation whose answer is a stream is not read")
        bound = int(self._config.largest_answer_mb * 2**20)
        with self._watchdog.watching(self._config.answer_seconds) as watched:
            try:
                request.stream_output = True
                response = self._session.send(request)
                self._run.clock.note(urlsplit(request.url).hostname or "", response.headers.get("date"))
                response._content = self._content(request, response, bound)  # noqa: SLF001  what it reads itself otherwise
            except (BotoCoreError, SourceError, OSError) as exc:
                # A socket that was shut down fails in many ways, all of them for this reason.
                raise _translated(watched.failure or exc) from None
            finally:
                request.stream_output = False
            if watched.failure is not None:
                raise _translated(watched.failure)
        return response

    def _content(self, request: Any, response: Any, bound: int) -> bytes:
        try:
            return read_bounded(response.raw, bound, status=response.status_code, decode=False)
        except SourceError:
            response.raw.close()
            raise
        except urllib3.exceptions.ReadTimeoutError as exc:
            raise ReadTimeoutError(endpoint_url=request.url, error=exc) from None
        except urllib3.exceptions.ProtocolError as exc:
            raise ConnectionClosedError(error=exc, request=request, endpoint_url=request.url) from None
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            raise HTTPClientError(error=exc) from None


def _translated(failure: Exception) -> Exception:
    return DeadlineError() if isinstance(failure, SourceError) and failure.reason == "deadline" else failure


def limit(endpoint: Any, config: Config, watchdog: Watchdog, run: Run) -> None:
    """Give a client's `botocore.endpoint.Endpoint` the limits: botocore has no option for the class of its HTTP session.

    Before it repeats a request it sleeps, up to twenty seconds; here it wakes when the run must stop.
    """
    endpoint.http_session = BotocoreSession(endpoint.http_session, config, watchdog, run)

    def needs_retry(
        attempts: int,
        operation_model: Any,
        request_dict: Any,
        response: Any = None,
        caught_exception: Exception | None = None,
    ) -> bool:
        service = operation_model.service_model.service_id.hyphenize()
        responses = endpoint._event_emitter.emit(  # noqa: SLF001  as `Endpoint._needs_retry` does
            f"needs-retry.{service}.{operation_model.name}",
            response=response,
            endpoint=endpoint,
            operation=operation_model,
            attempts=attempts,
            caught_exception=caught_exception,
            request_dict=request_dict,
        )
        seconds = first_non_none_response(responses)
        if seconds is None or seconds is False:
            return False
        if run.stopping.wait(seconds):
            raise DeadlineError
        return True

    endpoint._needs_retry = needs_retry  # noqa: SLF001


class CheckedAnswers:
    """Mixed into botocore's clients: a field that an answer lacks is the answer's fault, not ours."""

    def _make_api_call(self, operation_name: str, api_params: Any) -> Any:
        try:
            answer = super()._make_api_call(operation_name, api_params)  # type: ignore[misc]  # of the client's class
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RuntimeError) as exc:
            # botocore checks our parameters with errors of its own: these come of an answer unlike its model, such as a
            # time that is none.
            raise MalformedError(
                f"{operation_name}: the response does not match its model ({exc!r})"
            ) from None
        return checked(answer)


def check_answers(**about: Any) -> None:
    """Mix `CheckedAnswers` into a client: for the event ``creating-client-class``."""
    about["base_classes"].insert(0, CheckedAnswers)
