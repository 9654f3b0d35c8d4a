"""A Ray of this machine alone: its servers listen on the loopback address."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_CLUSTER = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


@contextmanager
def on_loopback() -> Iterator[None]:
    """Context in which ``ray.init`` starts a Ray that other machines cannot reach.

    By default Ray's servers listen on all addresses, and whoever reaches them can run code. Ray takes
    127.0.0.1 where clusters are not enabled, as on macOS. It replaces ``_node_ip_address`` by an address that
    other machines reach. Ray's processes read the environment variable, and this process the constant that
    was made of it when Ray was imported.
    """
    from ray._private import ray_constants

    before, constant = os.environ.get(_CLUSTER), ray_constants.ENABLE_RAY_CLUSTER
    os.environ[_CLUSTER], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = constant
        if before is None:
            del os.environ[_CLUSTER]
        else:
            os.environ[_CLUSTER] = before
