"""Secrets that are kept in the store, and can be read only with a key that is not in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quix import files
from quix.exits import Exit, QuixError

_KEY: Final = 32
_NONCE: Final = 12
"""Bytes; random, since AES-GCM allows 2^32 of them with one key (NIST SP 800-38D section 8.3)."""


class Seal:
    """Seals with AES-256-GCM. The key is the file `path` (0600), made now where there is none.

    Raises:
        QuixError: the file is no key, cannot be read or written, or others may read it.
    """

    def __init__(self, path: Path) -> None:
        self._cipher = AESGCM(_read_or_make(path))

    def close(self, secret: str, subject: str) -> bytes:
        """Return the secret of `subject`, unreadable; it opens for the same subject only."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), subject.encode())

    def open(self, sealed: bytes, subject: str) -> str | None:
        """Return the secret; None where it was sealed with another key or for another subject."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], subject.encode()).decode()
        except (InvalidTag, ValueError):
            return None


def _read_or_make(path: Path) -> bytes:
    try:
        key = files.read_private(path)
        if len(key) != _KEY:
            raise QuixError(
                f"{path}: it is no key of {_KEY} bytes; restore it from a backup, or remove it: VPN secrets are then "
                "made anew as backends ask for them, and secrets of webhooks have to be given again",
                Exit.CONFIG,
            )
    except FileNotFoundError:
        key = os.urandom(_KEY)
        _write(path, key)
    except OSError as error:
        raise QuixError(f"{path}: {error.strerror}", Exit.CONFIG) from error
    return key


def _write(path: Path, key: bytes) -> None:
    try:
        files.write_private(path, key)
    except OSError as error:
        raise QuixError(f"{path}: {error.strerror}", Exit.CONFIG) from error
