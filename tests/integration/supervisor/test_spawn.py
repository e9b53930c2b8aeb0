"""What a program finds when it starts, and how a start fails."""

from __future__ import annotations

import json
import resource
import signal
import stat
from pathlib import Path
from typing import Any

import pytest

from harness.supervisor import PYTHON, House, is_alive, until
from quix.supervisor import proc
from quix.supervisor.account import DEFAULT_ID
from quix.supervisor.client import SupervisorClient
from quix.supervisor.marks import RANGE
from quix.supervisor.settings import SandboxMode
from quix.wire.reasons import Reason, Refusal

MODES: list[SandboxMode] = ["landlock", "uid", "none"]

LOOK = """
import json, os, resource, signal, sys
found = {
    "pid": os.getpid(), "sid": os.getsid(0), "pgid": os.getpgid(0), "cwd": os.getcwd(), "env": dict(os.environ),
    "uids": os.getresuid(), "gids": os.getresgid(), "groups": os.getgroups(), "argv": sys.argv[1:],
    "fds": {n: os.readlink(f"/proc/self/fd/{n}") for n in range(1000) if os.path.lexists(f"/proc/self/fd/{n}")},
    "blocked": [n for n in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
    "core": resource.getrlimit(resource.RLIMIT_CORE), "status": open("/proc/self/status").read(),
}
os.umask(found.setdefault("umask", os.umask(0)))
with open("found", "w") as f: f.write(json.dumps(found) + "\\n")
import time; time.sleep(1000)
"""


async def look(house: House, client: SupervisorClient, *arguments: str) -> dict[str, Any]:
    run = await house.run(client, LOOK, *arguments)
    found: dict[str, Any] = json.loads(await house.written("found"))
    found["run"] = run
    return found


@pytest.mark.parametrize("mode", MODES)
async def test_the_program_is_its_own_master(house: House, mode: SandboxMode) -> None:
    found = await look(house, await house.client(mode), "a b", "ü", "")
    run = found["run"]
    assert found["pid"] == found["sid"] == found["pgid"] == run.pid
    assert found["argv"] == ["a b", "ü", ""]
    assert found["umask"] == 0o077
    assert found["blocked"] == []
    assert found["core"] == [0, 0]


@pytest.mark.parametrize("mode", MODES)
async def test_it_starts_in_its_folder_with_a_clean_environment(house: House, mode: SandboxMode) -> None:
    found = await look(house, await house.client(mode))
    data = str(house.layout.data)
    assert found["cwd"] == data
    expected = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": data,
        "TMPDIR": f"{data}/tmp",
        "LANG": "C.UTF-8",
        "QUIX_RUN_ID": found["run"].id,
        "QUIX_RUN_MARK": f"{found['run'].id}.{found['run'].started_at}",
    }
    assert {name: value for name, value in found["env"].items() if name != "LC_CTYPE"} == expected


async def test_it_holds_nothing_of_the_supervisor(house: House) -> None:
    client = await house.client()
    await house.run(client, "import time; time.sleep(1000)")
    found = await look(house, client)
    assert found["fds"] == {"0": "/dev/null", "1": "/dev/null", "2": "/dev/null"}


@pytest.mark.root
async def test_an_account_of_its_own_for_good(house: House) -> None:
    found = await look(house, await house.client())
    assert found["uids"] == [DEFAULT_ID] * 3
    assert found["gids"] == [DEFAULT_ID] * 3
    assert found["groups"] == [found["run"].mark]
    assert found["run"].mark in RANGE
    for capabilities in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(found["status"].split(f"{capabilities}:")[1].split()[0], 16) == 0
    assert "NoNewPrivs:\t1" in found["status"]


@pytest.mark.root
@pytest.mark.parametrize(("user", "uid", "gid"), [("61000:61001", 61000, 61001), ("nobody", 65534, 65534)])
async def test_an_account_that_was_chosen(house: House, user: str, uid: int, gid: int) -> None:
    found = await look(house, await house.client(program_user=user))
    assert found["uids"] == [uid] * 3
    assert found["gids"] == [gid] * 3
    assert house.layout.data.stat().st_uid == uid


@pytest.mark.root
async def test_the_supervisor_stays_what_it_was(house: House) -> None:
    client = await house.client()
    await look(house, client)
    status = Path(f"/proc/{client.pid}/status").read_text()
    assert "Uid:\t0\t0\t0\t0" in status
    assert "NoNewPrivs:\t0" in status
    assert len(list(Path(f"/proc/{client.pid}/task").iterdir())) == 1


@pytest.mark.root
async def test_the_folders_have_their_owners_and_modes(house: House) -> None:
    house.folder.chmod(0o777)
    house.layout.data.mkdir()
    house.layout.data.chmod(0o777)
    await look(house, await house.client())

    def shown(path: Path) -> tuple[int, int]:
        return path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)

    assert shown(house.folder) == (0, 0o711)
    assert shown(house.layout.supervisor) == (0, 0o700)
    assert shown(house.layout.data) == (DEFAULT_ID, 0o700)
    assert shown(house.path("tmp")) == (DEFAULT_ID, 0o700)


async def test_a_program_of_its_own_folder(house: House) -> None:
    client = await house.client()
    script = house.path("bin/hello")
    script.parent.mkdir()
    script.write_text(f"#!{PYTHON}\nimport sys\nopen('said', 'w').write(sys.argv[1] + chr(10))\n")
    script.chmod(0o755)
    script.parent.chmod(0o755)
    await client.spawn(["bin/hello", "hello"])
    assert await house.written("said") == "hello\n"


async def test_a_program_that_ends_is_forgotten(house: House) -> None:
    client = await house.client()
    run = await client.spawn(["true"])
    await until(lambda: not is_alive(run.pid))
    assert await client.runs() == []
    await until(lambda: not list(house.layout.runs.iterdir()), what="its file is gone")
    assert proc.stat(run.pid) is None, "it is not left a zombie"


async def test_what_a_program_leaves_behind_is_reaped(house: House) -> None:
    client = await house.client()
    await house.run(
        client, "import subprocess as s; p = s.Popen(['sleep', '0.3']); open('left', 'w').write(f'{p.pid}\\n')"
    )
    left = int(await house.written("left"))
    await until(lambda: proc.stat(left) is None, what="the orphan is gone, and no zombie")


REFUSALS: list[tuple[list[str], Reason, str]] = [
    (["no-such-program"], Reason.COMMAND_NOT_FOUND, "no-such-program"),
    (["bin/no-such"], Reason.COMMAND_NOT_FOUND, "bin/no-such"),
    (["true/x"], Reason.COMMAND_NOT_FOUND, "true/x"),
    (["/usr/bin/true/x"], Reason.COMMAND_NOT_FOUND, "Not a directory"),
    (["/usr/bin"], Reason.PERMISSION_DENIED, "/usr/bin"),
    (["./plain"], Reason.PERMISSION_DENIED, "./plain"),
    (["./text"], Reason.SPAWN_FAILED, "not a program"),
    (["./orphan"], Reason.SPAWN_FAILED, "interpreter"),
    (["true", "x" * 200_000], Reason.SPAWN_FAILED, "too long"),
    ([], Reason.REQUEST_INVALID, "msg.cmd"),
    ([""], Reason.REQUEST_INVALID, "msg.cmd[0]"),
    (["tr\0ue"], Reason.REQUEST_INVALID, "msg.cmd[0]"),
    (["true", "a", "b\0"], Reason.REQUEST_INVALID, "msg.cmd[2]"),
]


@pytest.mark.parametrize("mode", MODES)
async def test_how_a_start_fails(house: House, mode: SandboxMode) -> None:
    client = await house.client(mode)
    for name, text, bits in (("plain", "", 0o644), ("text", "just words\n", 0o755), ("orphan", "#!/no/such\n", 0o755)):
        house.path(name).write_text(text)
        house.path(name).chmod(bits)
    for cmd, reason, detail in REFUSALS:
        with pytest.raises(Refusal) as caught:
            await client.spawn(cmd)
        assert (caught.value.reason, detail in caught.value.detail) == (reason, True), (cmd, caught.value.detail)
    assert await client.runs() == []
    assert list(house.layout.runs.iterdir()) == [], "nothing that was not executed is remembered"


@pytest.mark.root
async def test_no_refusal_tells_what_exists_where_programs_may_not_look(house: House) -> None:
    client = await house.client()
    reasons = []
    for path in (house.layout.key, house.layout.supervisor / "no-such-file"):
        with pytest.raises(Refusal) as caught:
            await client.spawn([str(path)])
        reasons.append(caught.value.reason)
    assert reasons == [Reason.PERMISSION_DENIED] * 2


async def test_only_so_many_programs_run_at_a_time(house: House) -> None:
    client = await house.client(max_programs=2)
    first = await client.spawn(["sleep", "1000"])
    await client.spawn(["sleep", "1000"])
    with pytest.raises(Refusal, match="max_programs") as caught:
        await client.spawn(["sleep", "1000"])
    assert caught.value.reason is Reason.LIMIT_REACHED
    await client.signal(first.pid, "SIGKILL")
    await client.spawn(["sleep", "1000"])


async def test_no_descriptor_is_left(house: House) -> None:
    client = await house.client()
    limits = resource.prlimit(client.pid, resource.RLIMIT_NOFILE)
    used = len(list(Path(f"/proc/{client.pid}/fd").iterdir()))
    for spare in range(4):
        resource.prlimit(client.pid, resource.RLIMIT_NOFILE, (used + spare, limits[1]))
        with pytest.raises(Refusal) as caught:
            while True:
                await client.spawn(["sleep", "1000"])
        assert caught.value.reason in (Reason.LIMIT_REACHED, Reason.SPAWN_FAILED, Reason.SANDBOX_UNAVAILABLE)
    running = await client.runs()
    assert len(list(house.layout.runs.iterdir())) == len(running), "what was not executed is not remembered"
    resource.prlimit(client.pid, resource.RLIMIT_NOFILE, limits)
    await client.spawn(["sleep", "1000"])


async def test_a_start_that_cannot_be_recorded_does_not_happen(house: House) -> None:
    client = await house.client()
    house.layout.runs.rmdir()
    with pytest.raises(Refusal, match="recorded") as caught:
        await client.spawn(["sh", "-c", "echo ran > ran"])
    assert caught.value.reason is Reason.SPAWN_FAILED
    assert not house.path("ran").exists()


async def test_the_data_folder_is_gone(house: House) -> None:
    client = await house.client()
    house.layout.data.rmdir()
    with pytest.raises(Refusal, match="No such file") as caught:
        await client.spawn(["true"])
    assert caught.value.reason is Reason.SPAWN_FAILED


@pytest.mark.root
async def test_a_link_in_place_of_the_temporary_folder_leads_nowhere(house: House) -> None:
    client = await house.client()
    target = house.folder / "elsewhere"
    house.path("tmp").symlink_to(target)
    await look(house, client)
    assert not target.exists()


async def test_programs_start_with_every_signal_at_its_default(house: House) -> None:
    """Whoever starts the agent may ignore signals, and Python does; none of it is inherited (execve(2))."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        client = await house.client()
    finally:
        signal.signal(signal.SIGHUP, before)
    run = await client.spawn(["sleep", "1000"])
    status = Path(f"/proc/{run.pid}/status").read_text()
    # glibc keeps 32 and 33 for itself, and its posix_spawn ignores them in every child; sleep(1) has no threads.
    usual = ~(0b11 << 31)
    assert [int(status.split(f"{name}:")[1].split()[0], 16) & usual for name in ("SigIgn", "SigBlk", "SigCgt")] == [
        0,
        0,
        0,
    ]
