"""Where a login is kept between commands, and the client that goes with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from quix.exits import Exit, QuixError

if TYPE_CHECKING:
    from quix.client import Client


class Credentials(Struct, kw_only=True):
    """What `quix login` keeps; `ca` is a path, or empty for the system's authorities."""

    url: str
    token: str
    ca: str = ""
    allow_plaintext: bool = False

    def __repr__(self) -> str:
        return f"Credentials(url={self.url!r})"


def _path() -> Path:
    # The XDG base directory specification: what is not absolute is to be ignored.
    named = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    base = named if named.is_absolute() else Path.home() / ".config"
    return base / "quix" / "credentials.json"


def save(credentials: Credentials) -> None:
    """Keep a login, readable by its owner only."""
    from quix.files import write_private

    path = _path()
    try:
        write_private(path, msgspec.json.encode(credentials))
    except OSError as error:
        raise QuixError(f"{path}: {error.strerror}", Exit.CONFIG) from error


def forget() -> None:
    """Remove the login that was kept; that of QUIX_TOKEN is whoever's who set it."""
    if _from_environment() is None:
        _path().unlink(missing_ok=True)


def load() -> Credentials:
    """Return the login: that of QUIX_URL and QUIX_TOKEN, or the one that was kept.

    Raises:
        QuixError: there is none, or the file cannot be used.
    """
    from quix.files import read_private

    given = _from_environment()
    if given is not None:
        return given
    path = _path()
    try:
        return msgspec.json.decode(read_private(path), type=Credentials)
    except FileNotFoundError:
        raise QuixError("not logged in; run `quix login URL --username NAME`", Exit.DENIED) from None
    except OSError as error:
        raise QuixError(f"{path}: {error.strerror}", Exit.CONFIG) from error
    except msgspec.DecodeError as error:
        raise QuixError(f"{path}: damaged; run `quix login URL --username NAME` again", Exit.CONFIG) from error


def _from_environment() -> Credentials | None:
    url, token = os.environ.get("QUIX_URL", ""), os.environ.get("QUIX_TOKEN", "")
    if bool(url) != bool(token):
        # Not the kept login instead: that may be another server than the one that is meant.
        missing = "QUIX_TOKEN" if url else "QUIX_URL"
        raise QuixError(f"{missing}: QUIX_URL and QUIX_TOKEN are set together or not at all", Exit.CONFIG)
    if not url:
        return None
    allowed = os.environ.get("QUIX_ALLOW_PLAINTEXT", "").lower() in ("1", "true")
    return Credentials(url=url, token=token, allow_plaintext=allowed)


def client() -> Client:
    """Return a client for the login that is in force."""
    from quix.client import Client

    kept = load()
    return Client(kept.url, kept.token, ca=kept.ca, allow_plaintext=kept.allow_plaintext)
