"""A client that is generated from the description alone, by a generator that is not ours, can be used."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.api import Place
from harness.server import PASSWORD

DESCRIPTION = Path(__file__).parents[3] / "docs" / "openapi.json"


@pytest.fixture
def generated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a package that was generated and can be imported."""
    generator = Path(sys.executable).with_name("openapi-python-client")
    package = tmp_path / "quix_generated"
    monkeypatch.setenv("PATH", str(generator.parent), prepend=":")
    args = ["generate", "--path", DESCRIPTION, "--meta", "none", "--output-path", package]
    done = subprocess.run(
        [str(generator), *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout
    # It knows no lines of JSON, one after another; it leaves nothing else out.
    missing = [line for line in done.stdout.splitlines() if line.startswith(("WARNING", "ERROR", "Unable"))]
    assert missing == ["WARNING parsing GET /api/v1/audit/export within audit."], done.stdout
    monkeypatch.syspath_prepend(str(tmp_path))
    return package.name


async def test_log_in_list_and_start(there: Place, generated: str) -> None:
    def part(name: str) -> Any:
        return importlib.import_module(f"{generated}.{name}")

    client = part("client").Client(base_url=there.url)
    async with client:
        wanted = part("models.credentials").Credentials(username="op", password=PASSWORD)
        login = await part("api.login.login").asyncio(client=client, body=wanted)
    known = part("client").AuthenticatedClient(base_url=there.url, token=login.token)
    async with known, there.agent(lambda _req, _msg: {"result": "success", "proc_id": 7}, "web-1"):
        order = part("models.list_backends_sort").ListBackendsSort("name")
        page = await part("api.backends.list_backends").asyncio(client=known, sort=order)
        assert [backend.name for backend in page.items] == ["web-1"]
        command = part("models.command").Command(cmd=["uptime"])
        started = await part("api.programs.execute").asyncio("web-1", client=known, body=command, idempotency_key="k1")
        assert started.proc_id == 7
        run = await part("api.programs.get_run").asyncio("web-1", started.run_id, client=known)
        assert (run.id, run.cmd, run.state.value) == (started.run_id, ["uptime"], "untracked")
        error = await part("api.backends.get_backend").asyncio("web-2", client=known)
        assert error.reason == "backend_unknown"
