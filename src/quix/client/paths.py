"""How things are named in a path."""

from __future__ import annotations

from urllib.parse import quote

from quix.exits import Exit, QuixError


def backend_path(backend: str) -> str:
    """Return the path of a backend. Raises QuixError: no path can hold its name."""
    if "/" in backend:
        # HTTP servers take an encoded slash for a real one, so no path can name this.
        raise QuixError(f"backend: {backend!r} holds a slash; name it by its id", Exit.NO_BACKEND)
    return f"/backends/{segment(backend, 'backend')}"


def run_path(backend: str, run_id: str) -> str:
    return f"{backend_path(backend)}/runs/{segment(run_id, 'run_id')}"


def user_path(name: str) -> str:
    return f"/users/{segment(name, 'name')}"


def segment(text: str, field: str) -> str:
    """Return `text` as one step of a path: "." and ".." are names here, and no steps upwards."""
    if not text:
        raise QuixError(f"{field}: it must not be empty", Exit.DATA)
    return quote(text, safe="", errors="surrogateescape").replace(".", "%2E")
