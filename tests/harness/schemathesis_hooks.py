"""How Schemathesis logs in, and what it must not do: shut itself out, or send the only agent away.

Imported by the `schemathesis` command, through `tests/acceptance/schemathesis.toml`.
"""

from __future__ import annotations

import os
from typing import Any

import httpx
import schemathesis

Case = schemathesis.Case[Any]

USER = "checker"
"""The admin that Schemathesis is."""

ENDING = ("revokeBackend", "removeBackend")

_BACKEND = ("web-1", os.environ["QUIX_BACKEND"])
"""The backend with the agent, whose answers are to be looked at."""

_URL = os.environ["QUIX_CHECKED_URL"]
_PASSWORD = os.environ["QUIX_CHECKED_PASSWORD"]


@schemathesis.auth(retry_on=[401])
class Login:
    """Logs in, and again where the login was ended: by `logout`, or by `endSession`."""

    def get(self, case: Case, context: schemathesis.AuthContext) -> str:
        # From an address of its own: wrong passwords, of which there are many, are counted by address.
        with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2")) as web:
            answer = web.post(f"{_URL}/api/v1/login", json={"username": USER, "password": _PASSWORD})
        token: str = answer.raise_for_status().json()["token"]
        return token

    def set(self, case: Case, data: str, context: schemathesis.AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Keep the user of `Login` and the backend with the agent: without them all later answers would be the same.

    Both can be removed, which tests/integration/api/test_users.py and test_backends.py look at.
    """
    path = case.path_parameters
    if path.get("backend_id") == "":
        # The audit says so where something is about no backend. With nothing in between, it would be another path.
        path["backend_id"] = "none"
    if path.get("name") == USER:
        path["name"] = "somebody"
    if case.operation.definition.raw["operationId"] in ENDING and path["backend_id"] in _BACKEND:
        path["backend_id"] = "phone-1"
