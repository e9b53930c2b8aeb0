"""Where facts are kept: SQLAlchemy Core, one module a noun. The only door to the database."""

from __future__ import annotations

from quix.store.engine import Store

__all__ = ["Store"]
