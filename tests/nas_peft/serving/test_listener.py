"""The socket of the server, and what is wrong with an address."""

from __future__ import annotations

import pytest

from nas_peft.serving.listener import address_of, bound_socket
from search_spaces import InputError


def test_port_zero_is_a_free_one():
    with bound_socket("127.0.0.1", 0) as first, bound_socket("127.0.0.1", 0) as second:
        addresses = {address_of(first), address_of(second)}
    assert len(addresses) == 2
    assert all(address.startswith("http://127.0.0.1:") for address in addresses)


def test_mistakes_are_one_line():
    with bound_socket("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"^port {port} of 127\.0\.0\.1 is in use; give another --port"):
            bound_socket("127.0.0.1", port)
    with pytest.raises(InputError, match=r"'192\.0\.2\.1' is no address of this machine"):
        bound_socket("192.0.2.1", 0)
