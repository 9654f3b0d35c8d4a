"""Tokens, and the addresses that need none."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas_peft.serving.access import TOKEN_VARIABLE, is_loopback, read_token, require_token
from search_spaces import InputError

TOKEN = "0123456789abcdef"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_this_machine_alone_needs_no_token(host):
    assert is_loopback(host)
    require_token(host, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_any_other_address_needs_one(host):
    require_token(host, TOKEN)
    with pytest.raises(
        InputError, match="needs a token; give --token-file FILE or set NAS_PEFT_TOKEN"
    ) as refused:
        require_token(host, None)
    assert len(str(refused.value).splitlines()) == 1


def test_a_name_without_an_address():
    with pytest.raises(InputError, match="has no address here"):
        is_loopback("no such name")


def test_a_token_is_read_from_a_file_or_else_from_the_environment(tmp_path: Path, monkeypatch):
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    assert read_token(None) is None
    monkeypatch.setenv(TOKEN_VARIABLE, f"{TOKEN}-of-the-environment")
    assert read_token(None) == f"{TOKEN}-of-the-environment"
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert read_token(tmp_path / "token") == TOKEN


@pytest.mark.parametrize(
    "text", ["", "short", "0123456789 abcdef", "0123456789abcdé" * 2, "0123456789\nabcdef"]
)
def test_weak_tokens_are_refused(text, tmp_path: Path):
    (tmp_path / "token").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="at least 16 letters") as refused:
        read_token(tmp_path / "token")
    assert len(text) < 6 or text not in str(refused.value)


def test_a_token_file_that_is_missing(tmp_path: Path):
    with pytest.raises(InputError, match="no token file at"):
        read_token(tmp_path / "none")
