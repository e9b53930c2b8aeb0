"""What the agent keeps of its enrolment: the token that makes it this backend and no other."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from quix.exits import Exit, QuixError
from quix.files import read_private, write_private

_ROOM: Final = 4096


class Identity(Struct, kw_only=True):
    """`expires_at` in seconds since the epoch, by this machine's clock."""

    token: str
    expires_at: float

    def __repr__(self) -> str:
        return f"Identity(expires_at={self.expires_at})"


class IdentityFile:
    """`token.json` in the agent's own folder, mode 0600, replaced atomically.

    The seed: the token is "saved to the server's disk for later usage".
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "token.json"

    def load(self) -> Identity | None:
        """Return the saved identity, or None before enrolment.

        Raises:
            QuixError: the file is there and cannot be used; enrolling again would silently make another backend.
        """
        try:
            return msgspec.json.decode(read_private(self._path), type=Identity)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise QuixError(f"{self._path}: {error.strerror}", Exit.CONFIG) from error
        except msgspec.DecodeError as error:
            raise QuixError(
                f"{self._path}: damaged; restore it, or remove it to enrol as a new backend", Exit.CONFIG
            ) from error

    def prove(self) -> None:
        """See whether there is room to save one. Raises OSError where there is none."""
        proof = self._path.with_name("token.proof")
        try:
            write_private(proof, bytes(_ROOM))
        finally:
            proof.unlink(missing_ok=True)

    def save(self, identity: Identity) -> None:
        """Raises OSError where that fails; what was saved before is still there."""
        write_private(self._path, msgspec.json.encode(identity))

    def forget(self) -> None:
        self._path.unlink(missing_ok=True)
