from __future__ import annotations

import pytest

from quix.exits import Exit, QuixError
from quix.link.dialler import check_url


@pytest.mark.parametrize(
    "url",
    [
        "wss://example.org",
        "wss://example.org:8470/wsi",
        "ws://127.0.0.1:8470/wsi",
        "ws://localhost/",
        "ws://[::1]:1/wsi",
    ],
)
def test_urls_that_keep_secrets_are_dialled(url: str) -> None:
    check_url(url, allow_plaintext=False)


@pytest.mark.parametrize(
    "url",
    [
        "ws://example.org/wsi",
        "ws://10.0.0.1:8470",
        "ws://localhost.example.org/",
        "ws://128.0.0.1/",
        "ws://127.example.org/",
    ],
)
def test_plain_text_to_other_machines_has_to_be_allowed(url: str) -> None:
    with pytest.raises(QuixError, match="--allow-plaintext") as caught:
        check_url(url, allow_plaintext=False)
    assert caught.value.code is Exit.CONFIG
    check_url(url, allow_plaintext=True)


@pytest.mark.parametrize("url", ["", "example.org", "http://example.org", "wss://", "wss://host:port/", "ws://:80"])
def test_what_is_no_websocket_url_is_refused_with_the_field_named(url: str) -> None:
    with pytest.raises(QuixError, match="^server: "):
        check_url(url, allow_plaintext=True)


def test_a_password_in_the_url_is_refused_without_repeating_it() -> None:
    with pytest.raises(QuixError, match="leave the username and password out") as caught:
        check_url("wss://user:hunter22@example.org/", allow_plaintext=True)
    assert "hunter22" not in str(caught.value)
