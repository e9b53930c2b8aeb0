"""The policy's file: where it is, who may write it, and that a change counts at once."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from quix.exits import Exit, QuixError
from quix.supervisor.policy import DENY_ALL, KINDS, Policy
from quix.supervisor.policy_file import PolicyFile


class Owner:
    """A folder that is fit to hold a policy, and the log that its owner reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "policy.toml"
        self.told: list[tuple[str, str]] = []

    def write(self, text: str) -> None:
        """Replace the file as docs/policy.md advises."""
        new = self.folder / "policy.toml.new"
        new.write_text(text)
        new.chmod(0o644)
        new.replace(self.file)

    def policy(self, *, named: bool = True) -> PolicyFile:
        return PolicyFile(
            self.file if named else None, self.folder, KINDS, lambda level, text: self.told.append((level, text))
        )

    def errors(self) -> list[str]:
        return [text for level, text in self.told if level == "error"]


@pytest.fixture
def owner(tmp_path: Path) -> Owner:
    tmp_path.chmod(0o755)
    return Owner(tmp_path)


def fault(policy: PolicyFile) -> str:
    """What stands in the way; while it does, nothing is allowed."""
    with pytest.raises(QuixError) as caught:
        policy.load()
    assert caught.value.code is Exit.CONFIG
    assert policy.current is DENY_ALL
    return str(caught.value)


# -- where ---------------------------------------------------------------------------------------


def test_without_a_file_everything_is_allowed(owner: Owner) -> None:
    policy = owner.policy(named=False)
    policy.load()
    assert policy.current == Policy()
    assert owner.told == []


def test_a_file_that_was_named_has_to_be_there(owner: Owner) -> None:
    assert f"policy: {owner.file}: there is no such file" in fault(owner.policy())


def test_the_data_folder_is_one_of_the_usual_places(owner: Owner) -> None:
    owner.write("allow = ['list']")
    assert owner.policy(named=False).current.allow == ("list",)
    assert owner.told == [("info", f"policy read: {owner.file}")]


def test_the_flag_narrows_what_the_file_allows(owner: Owner) -> None:
    owner.write("allow = ['list', 'vpn']")
    policy = PolicyFile(None, owner.folder, ("telemetry", "vpn"), lambda *_: None)
    assert policy.current.allow == ("vpn",)
    owner.file.unlink()
    alone = PolicyFile(None, owner.folder, ["telemetry"], lambda *_: None)
    assert alone.current == Policy(allow=("telemetry",))


@pytest.mark.root
def test_the_systems_file_comes_before_that_of_the_data_folder(owner: Owner) -> None:
    owner.write("allow = ['list']")
    script = """
        set -e
        mount -t tmpfs -o mode=755 none /etc
        "$0" -c "$1" "$2"
        mkdir -m 755 /etc/quix
        echo 'allow = ["vpn"]' > /etc/quix/policy.toml
        chmod 644 /etc/quix/policy.toml
        "$0" -c "$1" "$2"
    """
    code = (
        "import sys, pathlib; from quix.supervisor.policy_file import PolicyFile; "
        "print(PolicyFile(None, pathlib.Path(sys.argv[1]), ('list', 'vpn'), lambda *_: None).current.allow)"
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, sys.executable, code, str(owner.folder)],
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == ["('list',)", "('vpn',)"], done.stderr


# -- who may write it ----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666, 0o620, 0o602])
def test_a_file_that_others_can_write_is_not_used(owner: Owner, mode: int) -> None:
    owner.write("allow = []")
    owner.file.chmod(mode)
    assert f"{owner.file}: others can change it; run: chmod go-w {owner.file}" in fault(owner.policy())


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777, 0o1777])
def test_nor_one_in_a_folder_that_others_can_write(owner: Owner, mode: int) -> None:
    owner.write("allow = []")
    owner.folder.chmod(mode)
    assert f"others can change its folder; run: chmod go-w {owner.folder}" in fault(owner.policy())


def test_nor_one_below_such_a_folder_unless_it_is_sticky(owner: Owner) -> None:
    below = owner.folder / "quix"
    below.mkdir(mode=0o700)
    (below / "policy.toml").write_text("allow = []")
    (below / "policy.toml").chmod(0o600)
    policy = PolicyFile(below / "policy.toml", below, KINDS, lambda *_: None)
    owner.folder.chmod(0o777)
    assert f"run: chmod go-w {owner.folder}" in fault(policy)
    owner.folder.chmod(0o1777)
    assert policy.current.allow == ()
    assert policy.current is not DENY_ALL


def test_nor_one_whose_folder_is_reached_through_a_folder_that_others_can_write(owner: Owner) -> None:
    real, loose = owner.folder / "real", owner.folder / "loose"
    real.mkdir(mode=0o700)
    loose.mkdir()
    loose.chmod(0o777)
    (real / "policy.toml").write_text("allow = []")
    (real / "policy.toml").chmod(0o600)
    (loose / "link").symlink_to(real)
    policy = PolicyFile(loose / "link" / "policy.toml", real, KINDS, lambda *_: None)
    assert f"run: chmod go-w {loose}" in fault(policy)


@pytest.mark.root
@pytest.mark.parametrize("which", ["file", "folder"])
def test_nor_one_that_belongs_to_another_user(owner: Owner, which: str) -> None:
    owner.write("allow = []")
    path = getattr(owner, which)
    os.chown(path, 65534, 65534)
    assert f"it belongs to uid 65534; run: chown 0 {path}" in fault(owner.policy())


@pytest.mark.root
def test_an_agent_without_roots_rights_takes_its_own_file_and_that_of_root(owner: Owner) -> None:
    owner.write("allow = ['list']")
    code = (
        "import os, sys, pathlib; from quix.supervisor.policy_file import PolicyFile\n"
        "file = pathlib.Path(sys.argv[1]); look = lambda: "
        "print(PolicyFile(file, file.parent, ('list',), lambda level, text: print(level)).current.allow)\n"
        "os.setegid(61000); os.seteuid(61000); look()\n"
        "for uid, mode in ((61000, 0o600), (61001, 0o644), (0, 0o600)):\n"
        "    os.seteuid(0); os.chown(file, uid, 0); file.chmod(mode); os.seteuid(61000); look()\n"
    )
    # pytest's own folders are for root alone.
    place = Path("/run") / f"quix-test-{os.getpid()}"
    place.mkdir(mode=0o755)
    try:
        file = place / "policy.toml"
        file.write_text("allow = ['list']")
        file.chmod(0o644)
        done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True)
    finally:
        file.unlink()
        place.rmdir()
    assert done.stdout.split("\n") == ["info", "('list',)"] * 2 + ["error", "()"] * 2 + [""], done.stderr


def test_only_a_regular_file_is_read(owner: Owner) -> None:
    real = owner.folder / "real.toml"
    real.write_text("allow = []")
    real.chmod(0o600)
    owner.file.symlink_to(real)
    assert "it must be a regular file" in fault(owner.policy())
    owner.file.unlink()
    owner.file.mkdir()
    assert "it must be a regular file" in fault(owner.policy())
    owner.file.rmdir()
    os.mkfifo(owner.file, 0o600)
    assert "it must be a regular file" in fault(owner.policy())
    owner.file.unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(owner.file))
        assert "it must be a regular file" in fault(owner.policy())


# -- what it says --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is empty; to allow everything, write: allow = "),
        (b" \n", "it is empty"),
        (b"allow = [", "Invalid value"),
        (b"alow = []", "unknown field `alow`"),
        (b"[limits]\nmemory = 'x'", "limits.memory: must be"),
        (b"# \xff", "utf-8"),
        (b"#" * (2**20 + 1), "larger than 1048576 bytes"),
    ],
)
def test_a_file_that_says_no_policy_is_named(owner: Owner, data: bytes, message: str) -> None:
    owner.file.write_bytes(data)
    owner.file.chmod(0o600)
    said = fault(owner.policy())
    assert said.startswith(f"policy: {owner.file}: ")
    assert message in said


# -- changes -------------------------------------------------------------------------------------


def test_a_change_counts_at_once(owner: Owner) -> None:
    owner.write("allow = ['list']")
    policy = owner.policy()
    assert policy.current.allow == ("list",)
    assert policy.current is policy.current
    for kind in KINDS:
        owner.write(f"allow = ['{kind}']")
        assert policy.current.allow == (kind,)


def test_a_change_in_place_that_keeps_the_size_counts_too(owner: Owner) -> None:
    owner.write("allow = ['list']")
    policy = owner.policy()
    assert policy.current.allow == ("list",)
    owner.file.write_text("allow = ['vpn' ]")
    os.utime(owner.file, ns=(1, 1))
    assert policy.current.allow == ("vpn",)


def test_a_file_that_appears_counts_at_once(owner: Owner) -> None:
    policy = owner.policy(named=False)
    assert policy.current == Policy()
    owner.write("allow = ['list']")
    assert policy.current.allow == ("list",)


def test_a_broken_version_allows_nothing_until_it_is_mended(owner: Owner) -> None:
    owner.write("allow = ['list']")
    policy = owner.policy()
    assert policy.current.allow == ("list",)
    owner.write("allow = ['lst']")
    for _ in range(3):
        assert policy.current is DENY_ALL
    (error,) = owner.errors()
    assert error.startswith(f"everything is refused until this is mended: policy: {owner.file}: allow[0]: ")
    owner.write("allow = ['vpn']")
    assert policy.current.allow == ("vpn",)
    assert owner.told[-1] == ("info", "the policy can be read again")
    owner.write("allow = ['lst']")
    assert policy.current is DENY_ALL
    assert len(owner.errors()) == 2


def test_becoming_writable_for_others_is_a_change(owner: Owner) -> None:
    owner.write("allow = ['list']")
    policy = owner.policy()
    assert policy.current.allow == ("list",)
    owner.file.chmod(0o666)
    assert policy.current is DENY_ALL
    owner.file.chmod(0o644)
    assert policy.current.allow == ("list",)


def test_a_folder_that_is_mended_is_noticed(owner: Owner) -> None:
    owner.write("allow = ['list']")
    owner.folder.chmod(0o777)
    policy = owner.policy()
    assert policy.current is DENY_ALL
    owner.folder.chmod(0o755)
    assert policy.current.allow == ("list",)


@pytest.mark.parametrize("named", [True, False])
def test_a_file_that_goes_missing_does_not_open_the_machine(owner: Owner, named: bool) -> None:
    owner.write("allow = ['list']")
    policy = owner.policy(named=named)
    assert policy.current.allow == ("list",)
    owner.file.unlink()
    assert policy.current is DENY_ALL
    assert "no such file" in owner.errors()[0]
    owner.write("allow = ['list']")
    assert policy.current.allow == ("list",)
    owner.file.unlink()
    assert owner.policy(named=False).current == Policy()
