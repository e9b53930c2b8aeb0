"""Who asks something of the server."""

from __future__ import annotations

from msgspec import Struct

from quix.store.sight import EVERYTHING, Sight
from quix.store.users import Role


class Caller(Struct, frozen=True, kw_only=True):
    """A user, the role and the sight that hold for this request, and the address that it came from.

    `token` is the id of the personal token that was shown, and empty where it was a login; `login` is the id of that.
    """

    name: str
    role: Role
    address: str = ""
    sight: Sight = EVERYTHING
    token: str = ""
    login: str = ""
