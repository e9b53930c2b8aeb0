"""Where a login is kept between commands, and the client that goes with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from quix.exits import Exit, QuixError
from quix.files import read_private, write_private

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
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "quix" / "credentials.json"


def save(credentials: Credentials) -> Path:
    """Keep a login, readable by its owner only; return the file."""
    path = _path()
    write_private(path, msgspec.json.encode(credentials))
    return path


def forget() -> None:
    _path().unlink(missing_ok=True)


def load() -> Credentials:
    """Return the login: that of QUIX_URL and QUIX_TOKEN, or the one that was kept.

    Raises:
        QuixError: there is none, or the file cannot be used.
    """
    url, token = os.environ.get("QUIX_URL"), os.environ.get("QUIX_TOKEN")
    if url and token:
        return Credentials(url=url, token=token, allow_plaintext=bool(os.environ.get("QUIX_ALLOW_PLAINTEXT")))
    try:
        return msgspec.json.decode(read_private(_path()), type=Credentials)
    except FileNotFoundError:
        raise QuixError("not logged in; run `quix login URL --username NAME`", Exit.DENIED) from None
    except (OSError, msgspec.DecodeError) as error:
        raise QuixError(f"{_path()}: cannot be used ({error}); run `quix login` again", Exit.CONFIG) from error


def client() -> Client:
    """Return a client for the login that is in force."""
    from quix.client import Client

    kept = load()
    return Client(kept.url, kept.token, ca=kept.ca, allow_plaintext=kept.allow_plaintext)
