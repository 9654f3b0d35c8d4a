"""Who may use the server: loopback addresses without a token, everybody else with one."""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path

from search_spaces.errors import InputError

TOKEN_VARIABLE = "NAS_PEFT_TOKEN"
"""Environment variable that holds the token if there is no token file."""

_SHORTEST = 16


def read_token(file: Path | None) -> str | None:
    """The token in ``file``, else in the environment variable `TOKEN_VARIABLE`, else ``None``.

    Raises `InputError` for a missing file, and for a token that is short or has spaces or other characters
    that an HTTP header cannot hold.
    """
    if file is not None:
        if not file.is_file():
            raise InputError(
                f"no token file at '{file}'; write a token of {_SHORTEST} characters or more to it"
            )
        text, source = file.read_text("utf-8", "replace").strip(), f"the token in '{file}'"
    elif TOKEN_VARIABLE in os.environ:
        text, source = os.environ[TOKEN_VARIABLE].strip(), f"the token in ${TOKEN_VARIABLE}"
    else:
        return None
    if len(text) < _SHORTEST or not text.isascii() or not text.isprintable() or " " in text:
        raise InputError(
            f"{source} has {len(text)} characters; give at least {_SHORTEST} letters, digits and signs "
            "without spaces, such as python -c 'import secrets; print(secrets.token_urlsafe())' prints"
        )
    return text


def is_loopback(host: str) -> bool:
    """Whether all addresses of ``host`` are of this machine alone.

    Raises `InputError` for a name that has no address.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise InputError(
            f"--host '{host}' has no address here; give 127.0.0.1 or an address of this machine"
        ) from error
    # a zone such as %eth0 is no part of the address
    return all(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]).is_loopback for entry in found)


def require_token(host: str, token: str | None) -> None:
    """Raise `InputError` if other machines could reach the server and there is no token."""
    if token is None and not is_loopback(host):
        raise InputError(
            f"--host {host} can be reached from other machines, which needs a token; give --token-file "
            f"FILE or set {TOKEN_VARIABLE}, or serve this machine alone with --host 127.0.0.1"
        )
