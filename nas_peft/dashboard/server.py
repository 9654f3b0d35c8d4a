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


def dashboard_server(shown: ShownRun, listener: socket.socket) -> WSGIServer:
    """The server of a run's dashboard at ``listener``, which is bound and does not listen yet."""
    from optuna_dashboard import wsgi

    app = wsgi(shown.study.storage, artifact_store=shown.study.store)
    own = str(listener.getsockname()[0]) in LOOPBACK
    return _Server(listener, OwnPages(app) if own else app)


def serve_run(
    shown: ShownRun, listener: socket.socket, say: Callable[[str], None], between: float = BETWEEN
) -> None:
    """Serve the dashboard at ``listener`` until Ctrl-C or a signal to stop.

    A run that is not over is looked at every ``between`` seconds. ``say`` is called with lines for people.
    """
    stop = threading.Event()

    def follow() -> None:
        while not shown.ended and not stop.wait(between):
            try:
                shown.update()
            except (InputError, OSError) as error:
                say(f"the run cannot be read any more: {error}; start the command again")
                return

    follower = threading.Thread(target=follow, daemon=True)
    try:
        shown.update()
        with dashboard_server(shown, listener) as server:
            follower.start()
            say(f"dashboard: {address_of(listener)}/dashboard/studies/0 (Ctrl+C ends)")
            server.serve_forever()
    except KeyboardInterrupt:
        say("ended; the run is as it was")
    finally:
        stop.set()
        if follower.is_alive():
            follower.join()
