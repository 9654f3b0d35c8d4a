"""The socket of the server, taken before anything is loaded."""

from __future__ import annotations

import errno
import socket

from search_spaces.errors import InputError


def bound_socket(host: str, port: int) -> socket.socket:
    """A TCP socket at ``host`` and ``port`` that does not listen yet; port 0 is any free one.

    Raises `InputError` if the port is in use or reserved, and if the address is not this machine's.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        remedies = {
            errno.EADDRINUSE: f"port {port} of {host} is in use; give another --port, or 0 for a free one",
            errno.EACCES: f"port {port} is reserved for the system; give a --port from 1024",
            errno.EADDRNOTAVAIL: f"--host '{host}' is no address of this machine; give one, or 127.0.0.1",
        }
        if error.errno not in remedies:
            raise
        raise InputError(remedies[error.errno]) from error
    return listener


def address_of(listener: socket.socket) -> str:
    """The address of the page, such as ``http://127.0.0.1:8000``."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
