"""Hostile programs, against the real kernel."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from harness.supervisor import PYTHON, House, is_alive, until
from quix.supervisor import landlock
from quix.supervisor.client import SupervisorClient
from quix.supervisor.settings import SandboxMode
from quix.wire.reasons import Reason, Refusal

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0 or landlock.abi() < 6, reason="needs root, and Linux 6.12 or later"),
]

ATTEMPT = """
import json, sys
done = {}
for name, attempt in json.loads(sys.argv[1]).items():
    try:
        exec(attempt)
        done[name] = "done"
    except OSError as error:
        done[name] = type(error).__name__
with open("outcome", "w") as f: f.write(json.dumps(done) + "\\n")
"""


async def outcome(house: House, client: SupervisorClient, attempts: dict[str, str]) -> dict[str, str]:
    """Let a program try things; return for each what became of it."""
    await house.run(client, ATTEMPT, json.dumps(attempts))
    found: dict[str, str] = json.loads(await house.written("outcome"))
    return found


async def test_it_reads_nothing_that_is_not_its_own(house: House) -> None:
    client = await house.client()
    secrets = {
        "shadow": "/etc/shadow",
        "key": str(house.layout.key),
        "log": str(house.layout.log),
        "environ of the agent": f"/proc/{os.getpid()}/environ",
        "environ of the supervisor": f"/proc/{client.pid}/environ",
        "memory of the supervisor": f"/proc/{client.pid}/mem",
        "a file of everybody": "/etc/fstab",
    }
    attempts = {name: f"open({path!r}, 'rb').read(1)" for name, path in secrets.items()}
    attempts |= {
        f"list {path}": f"import os; os.listdir({path!r})" for path in ("/root", "/etc", "/tmp", "/home", "/var/log")
    }
    attempts |= {
        f"list {path}": f"import os; os.listdir({str(path)!r})" for path in (house.folder, house.layout.supervisor)
    }
    assert set((await outcome(house, client, attempts)).values()) == {"PermissionError"}


async def test_it_writes_nowhere_but_in_its_folder(house: House) -> None:
    client = await house.client()
    forbidden = [
        "/tmp",
        "/var/tmp",
        "/dev/shm",
        "/usr/local",
        "/etc",
        "/run",
        str(house.folder),
        str(house.layout.supervisor),
    ]
    attempts = {path: f"open({path + '/quix-was-here'!r}, 'w')" for path in forbidden}
    attempts |= {f"mkdir {path}": f"import os; os.mkdir({path + '/quix-was-here'!r})" for path in forbidden}
    attempts["oom_score_adj"] = "open('/proc/self/oom_score_adj', 'w').write('500')"
    attempts["move out"] = "import os; open('mine', 'w'); os.rename('mine', '/tmp/quix-was-here')"
    attempts["link in"] = "import os; os.link('/usr/bin/true', 'true')"
    found = await outcome(house, client, attempts)
    assert set(found.values()) <= {"PermissionError", "OSError"}, found
    assert not [path for path in forbidden if Path(path, "quix-was-here").exists()]


async def test_it_does_as_it_likes_in_its_folder(house: House) -> None:
    attempts = {
        "write": "open('a', 'w').write('x')",
        "full path": f"open({str(house.layout.data / 'b')!r}, 'w').write('x')",
        "move": "import os; os.mkdir('d'); os.rename('a', 'd/a'); os.link('d/a', 'c')",
        "remove": "import os; os.symlink('c', 's'); os.unlink('s'); os.unlink('c')",
        "execute": "import shutil, subprocess as s; shutil.copy('/usr/bin/true', 't'); s.run(['./t'], check=True)",
        "temporary": "import tempfile as t, os; assert t.NamedTemporaryFile().name.startswith(os.environ['TMPDIR'])",
        "truncate": "open('a', 'w').close(); open('a', 'r+').truncate(10)",
        "devices": "open('/dev/null', 'w').write('x'); open('/dev/urandom', 'rb').read(9)",
        "fifo and socket": "import os, socket; os.mkfifo('p'); socket.socket(socket.AF_UNIX).bind('sock')",
    }
    assert await outcome(house, await house.client(), attempts) == dict.fromkeys(attempts, "done")


async def test_it_signals_and_traces_nobody_outside(house: House) -> None:
    client = await house.client()
    stranger = await client.spawn(["sleep", "1000"])  # of the same account, in a domain of its own
    targets = {"the agent": os.getpid(), "the supervisor": client.pid, "another program": stranger.pid}
    attempts = {name: f"import os, signal; os.kill({pid}, signal.SIGKILL)" for name, pid in targets.items()}
    attempts |= {f"probe {name}": f"import os; os.kill({pid}, 0)" for name, pid in targets.items()}
    attempts |= {f"environ of {name}": f"open('/proc/{pid}/environ', 'rb').read(1)" for name, pid in targets.items()}
    attempts |= {
        f"limits of {name}": f"import resource; resource.prlimit({pid}, resource.RLIMIT_NOFILE, (3, 3))"
        for name, pid in targets.items()
        if pid != stranger.pid
    }
    attempts["everybody"] = "import os; os.kill(-1, 9)"
    found = await outcome(house, client, attempts)
    del found["everybody"]  # kill(2) calls it a success to have reached nobody
    assert set(found.values()) == {"PermissionError"}, found
    assert is_alive(stranger.pid)
    assert is_alive(client.pid)


async def test_it_gains_no_rights_by_executing_a_program_that_gives_them(house: House) -> None:
    client = await house.client()
    shell = house.path("shell")
    shell.write_bytes(Path("/bin/sh").read_bytes())
    shell.chmod(0o4755)  # root's, and set-user-ID
    await client.spawn(["./shell", "-pc", "id -u > uid"])
    assert await house.written("uid") == "60706\n"


async def test_it_reaches_no_abstract_socket_and_not_the_supervisor(house: House) -> None:
    client = await house.client()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("\0quix-test")
        listening.listen()
        attempts = {
            "abstract": "import socket; socket.socket(socket.AF_UNIX).connect('\\0quix-test')",
            "supervisor": f"import socket; socket.socket(socket.AF_UNIX).connect({str(house.layout.socket)!r})",
        }
        found = await outcome(house, client, attempts)
    assert set(found.values()) == {"PermissionError"}


@pytest.mark.parametrize("mode", ["landlock", "uid"])
async def test_hounding_the_supervisor_while_it_starts_others_does_no_harm(house: House, mode: SandboxMode) -> None:
    """What starts a program has the programs' uid for a moment (`quix.supervisor.spawn`)."""
    client = await house.client(mode)
    hound = f"""
import ctypes, os, resource, signal
libc = ctypes.CDLL(None)
open("ready", "w").write("1\\n")
while True:
    for tid in os.listdir("/proc/{client.pid}/task"):
        libc.syscall(234, {client.pid}, int(tid), signal.SIGKILL)  # tgkill
        try:
            resource.prlimit(int(tid), resource.RLIMIT_NOFILE, (3, 3))
        except OSError:
            pass
"""
    hounds = [await house.run(client, hound) for _ in range(2)]
    await house.written("ready")
    pid = client.pid
    limits = Path(f"/proc/{pid}/limits").read_text()
    for _ in range(300):
        await client.spawn(["true"])
    assert client.pid == pid
    assert Path(f"/proc/{pid}/limits").read_text() == limits
    assert all(is_alive(each.pid) for each in hounds)


@pytest.mark.parametrize(
    ("cmd", "said"),
    [
        (
            [PYTHON, "-c", "import ssl, sqlite3, asyncio, subprocess as s; s.run(['sh', '-c', 'echo python > said'])"],
            "python",
        ),
        (["sh", "-c", "ls / > /dev/null; cat /etc/passwd | head -1 > /dev/null && echo sh > said"], "sh"),
        (["perl", "-e", "use POSIX; open(F, '>', 'said'); print F \"perl\\n\""], "perl"),
        (["bash", "-c", "echo <(true) > /dev/null; echo bash > said"], "bash"),
    ],
    ids=["python3", "sh", "perl", "bash"],
)
async def test_ordinary_programs_run(house: House, cmd: list[str], said: str) -> None:
    await (await house.client()).spawn(cmd)
    assert await house.written("said") == f"{said}\n"


async def test_python_starts_without_a_complaint(house: House) -> None:
    await (await house.client()).spawn(["sh", "-c", f"{PYTHON} -c pass 2> stderr; echo $? > status"])
    assert await house.written("status") == "0\n"
    assert house.path("stderr").read_text() == ""


async def test_the_network_is_open(house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        attempts = {"connect": f"import socket; socket.create_connection(('localhost', {port})).close()"}
        assert await outcome(house, await house.client(), attempts) == {"connect": "done"}


@pytest.mark.parametrize("mode", ["uid", "none"])
async def test_what_is_held_without_landlock(house: House, mode: SandboxMode) -> None:
    client = await house.client(mode)
    attempts = {
        "shadow": "open('/etc/shadow')",
        "fstab": "open('/etc/fstab')",
        "key": f"open({str(house.layout.key)!r})",
    }
    closed = "done" if mode == "none" else "PermissionError"
    assert await outcome(house, client, attempts) == {"shadow": closed, "fstab": "done", "key": closed}
    held = "\n".join(client.sandbox.held)
    assert ("account of their own" in held, "system folders" in held) == (mode == "uid", False)
    assert "system folders" in "\n".join(client.sandbox.not_held)


async def test_a_file_that_was_replaced_can_be_read_by_the_next_program(house: House) -> None:
    """Packages and DHCP clients replace files of /etc while the supervisor runs."""
    client = await house.client()
    await client.spawn(["true"])
    path = Path("/etc/hosts")
    copy = path.with_name("hosts.quix-test")
    copy.write_bytes(path.read_bytes())
    copy.chmod(0o644)
    try:
        copy.replace(path)
    except OSError:
        copy.unlink()
        pytest.skip("/etc/hosts is mounted here")
    assert await outcome(house, client, {"hosts": "open('/etc/hosts').read()"}) == {"hosts": "done"}


async def test_a_data_folder_that_programs_cannot_walk_to(house: House) -> None:
    closed = house.folder / "closed"
    closed.mkdir(mode=0o700)
    inner = House(closed / "data-dir")
    client = await inner.client()
    try:
        assert "programs can walk to their data folder by its full path" in client.sandbox.not_held
        found = await outcome(
            inner, client, {"own": "open('own', 'w')", "path": f"open({str(inner.path('own'))!r}, 'w')"}
        )
        assert found == {"own": "done", "path": "PermissionError"}
    finally:
        await inner.end()


NOBODY = 65534

AS_NOBODY = f"""
import os, sys
os.setgroups([]); os.setresgid({NOBODY}, {NOBODY}, {NOBODY}); os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
from quix.supervisor.__main__ import main
sys.exit(main())
"""


async def test_without_root_landlock_is_held(house: House) -> None:
    os.chown(house.folder, NOBODY, NOBODY)
    command = [sys.executable, "-c", AS_NOBODY, *house.settings().argv()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        assert '"ready"' in supervisor.stdout.readline()
        client = await house.client()
        assert client.pid == supervisor.pid
        assert any("account of their own" in sentence for sentence in client.sandbox.not_held)
        assert any("system folders" in sentence for sentence in client.sandbox.held)
        connect = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({str(house.layout.socket)!r})"
        attempts = {
            "uid": f"import os; assert os.getresuid() == ({NOBODY},) * 3",
            "key": f"open({str(house.layout.key)!r})",
            "write": f"open({str(house.layout.supervisor / 'x')!r}, 'w')",
            "signal": f"import os; os.kill({supervisor.pid}, 9)",
            "own": "open('own', 'w')",
            # It can knock (Landlock does not look at that), but not show the key.
            "list": connect
            + '; s.sendall(b\'{"id":1,"ask":{"type":"list"}}\\n\'); assert b"not_authenticated" in s.recv(999)',
        }
        denied = dict.fromkeys(("key", "write", "signal"), "PermissionError")
        assert await outcome(house, client, attempts) == dict.fromkeys(attempts, "done") | denied
        await house.end()
        assert supervisor.wait(10) == 0


async def test_without_root_there_is_no_account_to_switch_to(house: House) -> None:
    os.chown(house.folder, NOBODY, NOBODY)
    command = [sys.executable, "-c", AS_NOBODY, *house.settings("uid").argv()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as supervisor:
        assert supervisor.stdout is not None
        supervisor.stdout.readline()
        client = await house.client("uid")
        with pytest.raises(Refusal, match="--sandbox=landlock") as caught:
            await client.spawn(["true"])
        assert caught.value.reason is Reason.SANDBOX_UNAVAILABLE
        await house.end()
    await until(lambda: not is_alive(supervisor.pid))


NESTED = """
import os, sys
from quix.supervisor import __main__, kernel, landlock
kernel.no_new_privileges()
for _ in range(16):  # as many layers as a thread can have (linux/landlock.h, LANDLOCK_MAX_NUM_LAYERS)
    rules = landlock.ruleset(1, [("/", landlock.rights(1))])
    landlock.restrict(rules)
    os.close(rules)
sys.exit(__main__.main())
"""


async def test_a_sandbox_that_the_kernel_refuses_leaves_no_descriptor_behind(house: House) -> None:
    house.layout.prepare_supervisor()
    command = [sys.executable, "-c", NESTED, *house.settings().argv()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as supervisor:
        try:
            assert supervisor.stdout is not None
            supervisor.stdout.readline()
            client = await house.client()
            assert client.pid == supervisor.pid
            folder = Path(f"/proc/{client.pid}/fd")
            before = len(list(folder.iterdir()))
            for _ in range(5):
                with pytest.raises(Refusal) as caught:
                    await client.spawn(["true"])
                assert caught.value.reason is Reason.SANDBOX_UNAVAILABLE
            assert len(list(folder.iterdir())) == before
        finally:
            await house.end()
