"""What a policy allows, and how it is read."""

from __future__ import annotations

import tomllib
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from quix.supervisor.policy import DENY_ALL, KINDS, Kind, Policy, parse
from quix.wire.messages import OwnerPolicy
from quix.wire.reasons import Reason, Refusal
from quix.wire.runs import RunLimits, RunOptions


def read(text: str) -> Policy:
    return parse(tomllib.loads(text))


def refused(caught: pytest.ExceptionInfo[Refusal]) -> str:
    assert caught.value.reason is Reason.POLICY_DENIED
    return caught.value.detail


# -- reading -------------------------------------------------------------------------------------


def test_every_key() -> None:
    policy = read("""
        allow = ["list", "execute", "execute"]
        commands = ["uptime", "backup.sh *"]
        environment = true
        max_programs = 16
        [limits]
        memory = "512M"
        processes = 64
        cpu = 1.5
        open_files = 256
        file_size = "2G"
        output = "10K"
        time = "1h"
    """)
    assert policy.allow == ("execute", "list")
    assert policy.commands is not None
    assert [each.text for each in policy.commands] == ["uptime", "backup.sh *"]
    assert (policy.environment, policy.max_programs, policy.is_broken) == (True, 16, False)
    assert policy.limits == RunLimits(
        memory=512 * 2**20, processes=64, cpu=1.5, open_files=256, file_size=2**31, output=10240, time=3600
    )


@pytest.mark.parametrize(
    ("value", "number"),
    [('"7"', 7), ("7", 7), ('"7s"', 7), ('"7m"', 420), ('"7h"', 25200), ('"7d"', 604800), ("0.5", 0.5)],
)
def test_times(value: str, number: float | None) -> None:
    if number is None:
        with pytest.raises(ValueError, match=r"limits\.time: must be a number, or whole digits with one of s, m, h, d"):
            read(f"limits.time = {value}")
    else:
        assert read(f"limits.time = {value}").limits.time == number


def test_what_is_not_said_is_allowed() -> None:
    assert read("allow = ['telemetry', 'execute', 'signal', 'vpn', 'list']") == Policy()
    assert Policy().allow == KINDS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("alow = []", "alow"),
        ("is_broken = false", "is_broken"),
        ("allow = ['telemtry']", r"allow\[0\]: .*telemtry"),
        ("allow = 'telemetry'", "allow: "),
        ("commands = ['ok', './x']", r"commands: './x': the program must be"),
        ("commands = [1]", r"commands\[0\]: "),
        ("commands = 'uptime'", "commands: "),
        ("environment = 1", "environment: "),
        ("max_programs = 0", "max_programs: "),
        ("max_programs = true", "max_programs: "),
        ("limits = 1", "limits: "),
        ("limits.memry = 1", "limits: .*memry"),
        ("limits.memory = '1'", r"limits\.memory: Expected"),
        ("limits.memory = 'x'", r"limits\.memory: must be .* K, M, G, T"),
        ("limits.memory = ''", r"limits\.memory: must be"),
        ("limits.memory = 'M'", r"limits\.memory: must be"),
        ("limits.memory = '-1M'", r"limits\.memory: must be"),
        ("limits.memory = '1.5M'", r"limits\.memory: must be"),
        ("limits.memory = '1m'", r"limits\.memory: must be"),
        ("limits.memory = '²M'", r"limits\.memory: must be"),
        (f"limits.memory = '{'9' * 5000}M'", r"limits\.memory: must be"),
        ("limits.memory = '1K'", r"limits\.memory: "),
        ("limits.memory = true", r"limits\.memory: "),
        ("limits.processes = '4K'", r"limits\.processes: "),
        ("limits.time = nan", r"limits\.time: "),
        ("limits.time = inf", r"limits\.time: "),
        ("limits.cpu = 0", r"limits\.cpu: "),
    ],
)
def test_what_does_not_fit_is_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^.*{message}"):
        read(text)


# -- kinds ---------------------------------------------------------------------------------------


def test_a_kind_that_is_not_allowed_is_refused_by_name() -> None:
    policy = read("allow = ['telemetry', 'list']")
    policy.check("telemetry", "list")
    with pytest.raises(Refusal) as caught:
        policy.check("telemetry", "execute")
    assert refused(caught) == "the owner of this machine does not allow execute"


def test_narrowing_never_widens() -> None:
    policy = read("allow = ['telemetry', 'list']")
    assert policy.narrowed(["telemetry", "vpn"]).allow == ("telemetry",)
    assert policy.narrowed(KINDS) == policy
    assert policy.narrowed([]).allow == ()


@pytest.mark.parametrize("kind", KINDS)
def test_the_stand_in_for_a_broken_file_allows_nothing(kind: Kind) -> None:
    with pytest.raises(Refusal, match="until its owner mends it"):
        DENY_ALL.check(kind)
    with pytest.raises(Refusal):
        DENY_ALL.check_command(["uptime"])
    with pytest.raises(Refusal):
        DENY_ALL.check_options(RunOptions(env={"A": "b"}))


# -- programs ------------------------------------------------------------------------------------


def test_without_a_list_any_command_with_any_variables() -> None:
    Policy().check_command(["anything", "at all"])
    Policy().check_options(RunOptions(env={"LD_PRELOAD": "/x"}))


def test_with_a_list_only_what_is_on_it() -> None:
    policy = read("commands = ['uptime', 'du -s *']")
    policy.check_command(["du", "-s", "data"])
    with pytest.raises(Refusal) as caught:
        policy.check_command(["sh", "-c", "uptime"])
    assert refused(caught) == "cmd: not among the commands that the owner of this machine allows"
    with pytest.raises(Refusal):
        read("commands = []").check_command(["uptime"])


@pytest.mark.parametrize(
    ("text", "is_allowed"),
    [
        ("", True),
        ("environment = false", False),
        ("commands = ['uptime']", False),
        ("commands = []", False),
        ("commands = ['uptime']\nenvironment = true", True),
    ],
)
def test_environment_variables(text: str, is_allowed: bool) -> None:
    policy = read(text)
    policy.check_options(RunOptions(cwd="/", title="t", env={}))
    policy.check_options(RunOptions())
    if is_allowed:
        policy.check_options(RunOptions(env={"A": "b"}))
    else:
        with pytest.raises(Refusal) as caught:
            policy.check_options(RunOptions(env={"A": "b"}))
        assert refused(caught).startswith("env: ")


VALUES: dict[str, Any] = {
    "memory": 2**30,
    "processes": 10,
    "cpu": 2.5,
    "open_files": 100,
    "file_size": 1000,
    "output": 1000,
    "time": 60.0,
}


@pytest.mark.parametrize("name", RunLimits.__struct_fields__)
def test_each_limit_is_bound_by_itself(name: str) -> None:
    highest = VALUES[name]
    policy = Policy(limits=RunLimits(**{name: highest}))
    other = "time" if name == "cpu" else "cpu"
    assert policy.bound(RunLimits()) == RunLimits(**{name: highest})
    assert policy.bound(RunLimits(**{name: highest})) == RunLimits(**{name: highest})
    lower = {name: highest - 1, other: 10**6}
    assert policy.bound(RunLimits(**lower)) == RunLimits(**lower)
    with pytest.raises(Refusal) as caught:
        policy.bound(RunLimits(**{name: highest + 1}))
    assert refused(caught) == f"limits.{name}: the owner of this machine allows at most {highest}"


def test_no_limits_bind_nothing() -> None:
    assert Policy().bound(RunLimits(memory=2**40)) == RunLimits(memory=2**40)
    assert Policy().bound(RunLimits()) == RunLimits()


def test_admitting_a_command_goes_through_every_check() -> None:
    policy = read("commands = ['uptime']\nlimits.time = 60")
    asked = RunOptions(cwd="x", title="t", limits=RunLimits(processes=1))
    assert policy.admit(["uptime"], asked) == RunOptions(cwd="x", title="t", limits=RunLimits(processes=1, time=60))
    for cmd, options in (
        (["sh"], RunOptions()),
        (["uptime"], RunOptions(env={"A": "b"})),
        (["uptime"], RunOptions(limits=RunLimits(time=61))),
    ):
        with pytest.raises(Refusal) as caught:
            policy.admit(cmd, options)
        refused(caught)
    with pytest.raises(Refusal, match="does not allow execute"):
        policy.narrowed(["list"]).admit(["uptime"], RunOptions())


# -- what the server is shown --------------------------------------------------------------------


def test_the_summary_says_what_is_in_force() -> None:
    policy = read("allow = ['list']\ncommands = ['uptime']\nmax_programs = 3\nlimits.memory = '1G'")
    assert policy.summary() == OwnerPolicy(
        allow=["list"], commands=["uptime"], limits={"memory": 2**30}, max_programs=3, environment=False
    )
    assert msgspec.to_builtins(Policy().summary()) == {"allow": list(KINDS)}
    assert Policy().summary().commands is UNSET


def test_a_summary_of_any_policy_is_one_that_a_server_takes() -> None:
    commands = ", ".join(f"'''/x{number} {'é' * 600}\n\x7f'''" for number in range(300)).replace("\x7f", "")
    policy = read(f"commands = [{commands}]\nlimits = {{ time = '10d', cpu = 0.5 }}")
    data = msgspec.json.encode(policy.summary())
    shown = msgspec.json.decode(data, type=OwnerPolicy)
    assert isinstance(shown.commands, list)
    assert (len(shown.commands), {len(each) for each in shown.commands}) == (200, {500})
    short = read("commands = ['''uptime\n-p''']").summary()
    assert short.commands == ["uptime\N{REPLACEMENT CHARACTER}-p"]
    assert msgspec.json.decode(msgspec.json.encode(short), type=OwnerPolicy) == short
    assert len(data) < 2**20
