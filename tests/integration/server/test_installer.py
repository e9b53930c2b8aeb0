"""What a machine fetches to install itself: the script, and the wheel that it names."""

from __future__ import annotations

import hashlib
import io
import ssl
import subprocess
import sys
import zipfile
from importlib import resources
from pathlib import Path

import httpx
import pytest

from harness.server import Door, door
from quix import __version__
from quix.server import wheel
from quix.server.certificate import fingerprint_of, public_key_pin
from quix.server.installer import WHEELS_A_MINUTE, Installer
from quix.server.settings import ServerSettings

SCRIPT = Path(wheel.__file__).with_name("install.sh")


def at(here: Door, path: str) -> str:
    return here.url.replace("ws", "http", 1).removesuffix("/wsi") + path


async def fetched(here: Door, path: str, method: str = "GET") -> httpx.Response:
    # Whose certificate it is, the test of the line looks at.
    async with httpx.AsyncClient(verify=ssl._create_unverified_context()) as client:
        return await client.request(method, at(here, path))


async def test_the_script_names_the_wheel_and_the_wheel_is_the_one(tmp_path: Path) -> None:
    async with door(tmp_path) as here:
        script = await fetched(here, "/install")
        name = f"quix_wsi-{__version__}-py3-none-any.whl"
        body = (await fetched(here, f"/install/{name}")).content
    assert script.status_code == 200
    assert script.headers["content-type"] == "text/x-shellscript; charset=utf-8"
    assert f"wheel='{name}'" in script.text
    assert f"digest='{hashlib.sha256(body).hexdigest()}'" in script.text
    assert ("pin=''" in script.text, "fingerprint=''" in script.text) == (True, True)


def test_whoever_asks_again_and_again_has_nothing_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installer = Installer(ServerSettings(data_dir=tmp_path))
    first = installer.answer(b"/install")
    monkeypatch.setattr(resources, "files", None)
    again = installer.answer(b"/install")
    assert first is not None
    assert again is not None
    assert again.body == first.body


async def test_a_self_signed_certificate_is_pinned(tmp_path: Path) -> None:
    async with door(tmp_path, tls_self_signed=True) as here:
        here.url = here.url.replace("ws://", "wss://")
        text = (await fetched(here, "/install")).text
        assert f"pin='{public_key_pin(here.control.settings)}'" in text
        assert f"fingerprint='{fingerprint_of(tmp_path / 'tls' / 'self-signed.crt')}'" in text


@pytest.mark.parametrize(
    "path", ["/installed", "/install/", "/install/quix_wsi-0.0.1-py3-none-any.whl", "/install/../../etc/passwd"]
)
async def test_nothing_else_is_there(tmp_path: Path, path: str) -> None:
    async with door(tmp_path) as here:
        assert (await fetched(here, path)).status_code == 404
        assert (await fetched(here, "/install", "POST")).status_code == 400


def test_a_wheel_is_not_handed_out_without_end(tmp_path: Path) -> None:
    now = 0.0
    installer = Installer(ServerSettings(data_dir=tmp_path), lambda: now)
    path = b"/install/" + wheel.own().name.encode()

    def status() -> int:
        answer = installer.answer(path)
        assert answer is not None
        return int(answer.status)

    assert [status() for _ in range(WHEELS_A_MINUTE + 1)] == [200] * WHEELS_A_MINUTE + [503]
    now = 60.0
    assert status() == 200


def test_a_wheel_has_the_package_and_no_console_and_is_made_the_same_twice() -> None:
    made = wheel.own()
    wheel.own.cache_clear()
    assert wheel.own() == made
    with zipfile.ZipFile(io.BytesIO(made.body)) as archive:
        names = set(archive.namelist())
        record = archive.read(f"quix_wsi-{__version__}.dist-info/RECORD").decode()
    assert {"quix/cli/main.py", "quix/server/install.sh", "quix/systemd/quix-agent.service"} <= names
    assert not [name for name in names if name.startswith("quix/console") or name.endswith(".pyc")]
    assert {line.split(",")[0] for line in record.splitlines()} == names


@pytest.mark.parametrize("checker", [["shellcheck", "--shell=sh"], ["sh", "-n"]], ids=["shellcheck", "sh"])
def test_the_script_is_sound(checker: list[str]) -> None:
    here = Path(sys.executable).with_name(checker[0])
    argv = [str(here) if here.exists() else checker[0], *checker[1:], str(SCRIPT)]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def run(script: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh"], input=script, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", **env})


def test_without_the_line_before_it_the_script_says_so_and_does_nothing(tmp_path: Path) -> None:
    done = run(SCRIPT.read_text(), QUIX_PREFIX=str(tmp_path))
    assert done.returncode == 64
    assert done.stderr.startswith('quix: this belongs to the line that "quix enroll-command" prints')
    assert not list(tmp_path.iterdir())


def test_half_a_script_does_nothing(tmp_path: Path) -> None:
    text = SCRIPT.read_text()
    line = "QUIX_SERVER=ws://127.0.0.1:9/wsi QUIX_USERNAME=key-a QUIX_PASSWORD=b\n"
    for end in (len(text) // 2, len(text) - len("main </dev/null\n")):
        run(line + text[:end], QUIX_PREFIX=str(tmp_path))
        assert not list(tmp_path.iterdir())


def test_python_without_venv_is_told_apart(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "python3").write_text("#!/bin/sh\ncase $2 in *venv*) exit 1;; esac\n")
    (tools / "python3").chmod(0o755)
    line = "QUIX_SERVER=ws://127.0.0.1:9/wsi QUIX_USERNAME=key-a QUIX_PASSWORD=b\n"
    done = run(line + SCRIPT.read_text(), QUIX_PREFIX=str(tmp_path / "there"), PATH=f"{tools}:/usr/bin:/bin")
    assert (done.returncode, "apt install python3-venv" in done.stderr) == (69, True)
    assert done.stderr.count("\n") == 1
