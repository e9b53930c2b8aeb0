"""Quix: a control plane for machines that nobody can reach from outside.

`quix.Client` and `quix.AsyncClient` are the SDK, see `quix.client`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = ["AsyncClient", "Client", "__version__"]

if TYPE_CHECKING:
    from quix.client import AsyncClient, Client
else:

    def __getattr__(name: str) -> object:
        # Only now: agents and the server import this package too, and have no use for HTTP's client.
        if name in ("AsyncClient", "Client"):
            return getattr(importlib.import_module("quix.client"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
