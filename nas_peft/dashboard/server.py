"""The web server of the dashboard."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from nas_peft.dashboard.shown_run import ShownRun
from nas_peft.serving.listener import address_of
from search_spaces import InputError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

BETWEEN = 5.0
"""Seconds between two looks at a run that is not over."""
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class _Quiet(WSGIRequestHandler):
    """Answers requests without a line for each on standard error."""

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, listener: socket.socket, app: WSGIApplication) -> None:
        super().__init__(("", 0), _Quiet, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_address = listener.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()
        self.set_app(app)
        self.server_activate()


class OwnPages:
    """Answers pages of this server alone, at names of this machine alone.

    A page on the internet may let a browser send requests here, under a name of its own that it points to
    127.0.0.1 (DNS rebinding); so the host must be named as loopback, and a page that sends must be the
    dashboard's own.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Pass the request on, or refuse it with status 403."""
        host, origin = environ.get("HTTP_HOST", ""), environ.get("HTTP_ORIGIN")
        name = host.rpartition("]")[0].lstrip("[") or host.partition(":")[0]
        if name in LOOPBACK and (origin is None or origin.partition("://")[2] == host):
            return self._app(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"the dashboard answers its own pages at localhost and 127.0.0.1 alone\n"]


def serve_run(
    shown: ShownRun, listener: socket.socket, say: Callable[[str], None], between: float = BETWEEN
) -> None:
    """Serve the dashboard at ``listener`` until Ctrl-C or a signal to stop; the run is looked at again and again.

    ``say`` is called with a line for people.
    """
    from optuna_dashboard import wsgi

    shown.update()
    app = wsgi(shown.study.storage, artifact_store=shown.study.store)
    host = str(listener.getsockname()[0])
    stop = threading.Event()

    def follow() -> None:
        while not shown.ended and not stop.wait(between):
            try:
                shown.update()
            except (InputError, OSError) as error:
                say(f"the run cannot be read any more: {error}; start the command again")
                return

    with _Server(listener, OwnPages(app) if host in LOOPBACK else app) as server:
        follower = threading.Thread(target=follow, daemon=True)
        follower.start()
        say(f"dashboard: {address_of(listener)}/dashboard/studies/0 (Ctrl+C ends)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("ended; the run is as it was")
        finally:
            stop.set()
            follower.join()
