"""The systemd units, judged by systemd's own tools."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from acceptance.house import QUIX
from harness.cli import Shell
from quix.exits import Exit

UNITS = ["quix-agent.service", "quix-server.service", "quix-supervisor.service"]


async def written(stranger: Shell, folder: Path) -> Path:
    """The folder of units that the command has written."""
    result = await stranger.quix("systemd-units", "--to", str(folder))
    assert result.code == Exit.OK
    paths = [Path(line) for line in result.out.splitlines()]
    assert sorted(path.name for path in paths) == [*UNITS, "quix.conf"]
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in paths)
    return folder / "systemd" / "system"


async def test_systemd_finds_nothing_wrong(stranger: Shell, tmp_path: Path) -> None:
    folder = await written(stranger, tmp_path)
    argv = ["systemd-analyze", "verify", *(str(folder / name) for name in UNITS)]
    verified = subprocess.run(argv, capture_output=True, text=True)
    assert (verified.returncode, [line for line in verified.stderr.splitlines() if "quix" in line]) == (0, [])
    for name in UNITS:
        assert f"\nExecStart={QUIX} " in (folder / name).read_text()


@pytest.mark.parametrize(("unit", "bound"), [("agent", 2.0), ("server", 2.0), ("supervisor", 7.5)])
async def test_how_much_a_service_could_do(stranger: Shell, tmp_path: Path, unit: str, bound: float) -> None:
    path = (await written(stranger, tmp_path)) / f"quix-{unit}.service"
    argv = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(path)]
    judged = subprocess.run(argv, capture_output=True, text=True)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", judged.stdout)
    assert found is not None, judged.stderr
    assert float(found[1]) <= bound


async def test_systemd_can_make_the_users(stranger: Shell, tmp_path: Path) -> None:
    await written(stranger, tmp_path / "etc")
    argv = ["systemd-sysusers", f"--root={tmp_path}", str(tmp_path / "etc" / "sysusers.d" / "quix.conf")]
    made = subprocess.run(argv, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    users = {line.split(":")[0] for line in (tmp_path / "etc" / "passwd").read_text().splitlines()}
    assert users == {"quix-server", "quix-agent", "quix"}


async def test_printed_it_is_the_same(stranger: Shell, tmp_path: Path) -> None:
    folder = await written(stranger, tmp_path)
    printed = await stranger.quix("systemd-units")
    as_json = (await stranger.quix("systemd-units", "--json")).json
    for name in UNITS:
        text = (folder / name).read_text()
        assert f"# /etc/systemd/system/{name}\n{text.rstrip()}\n" in printed.out
        assert as_json[f"systemd/system/{name}"] == text


async def test_a_folder_that_cannot_be_written(stranger: Shell, tmp_path: Path) -> None:
    (tmp_path / "systemd").write_text("")
    result = await stranger.quix("systemd-units", "--to", str(tmp_path))
    assert result.code == Exit.CONFIG
    assert "--to: " in result.err
