"""From a run that is planned to a program that lives, with everything it reads, writes and is held by."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Final

from msgspec import UNSET

from quix.supervisor import command, log, rlimits, tree
from quix.supervisor.cgroup import Cgroup
from quix.supervisor.cgroups import Cgroups
from quix.supervisor.fdstore import Left
from quix.supervisor.feed import Feed
from quix.supervisor.layout import Layout
from quix.supervisor.living import Living
from quix.supervisor.loop import Loop
from quix.supervisor.output import Output
from quix.supervisor.run import Ports, Run
from quix.supervisor.sandbox import Sandbox
from quix.supervisor.spawn import Plan, Streams, spawn
from quix.supervisor.terminal import open_pty
from quix.wire.reasons import Reason, Refusal
from quix.wire.runs import Outcome, RunOptions

_SPARE: Final = 16
"""Descriptors that must be left after a start: to look at processes, and at what runs wrote."""


class _Open:
    """What is open for one start: `streams` is the program's, the rest is ours."""

    def __init__(self, streams: Streams) -> None:
        self.streams = streams
        self.theirs: list[int] = []
        self.witness: int | None = None
        self.devices: list[str] = []
        self.feed: Feed | None = None
        self.pty: int | None = None
        self.cgroup: Cgroup | None = None

    def give_up(self) -> None:
        """The program does not run."""
        if self.feed is not None:
            self.feed.release()
        if self.pty is not None:
            os.close(self.pty)
        if self.cgroup is not None:
            self.cgroup.remove()


class Starter:
    """Starts programs; it knows none that it started."""

    def __init__(self, layout: Layout, sandbox: Sandbox, cgroups: Cgroups, loop: Loop) -> None:
        self._layout = layout
        self._sandbox = sandbox
        self._cgroups = cgroups
        self._loop = loop
        self._null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)

    def output(self, run: Run, wrote: Callable[[int], None]) -> Output:
        """Open what a run has written so far. Raises Refusal(SPAWN_FAILED)."""
        try:
            return Output(self._layout.runs, run, self._loop, wrote)
        except OSError as error:
            raise _refusal(error, "its output cannot be kept") from error

    def check(self, cmd: list[str], options: RunOptions, ports: Ports) -> None:
        """Raise Refusal where a command can be known not to start."""
        self._sandbox.check(ports)
        command.resolve(command.encode(cmd)[0])
        texts = {f"env.{name}": value for name, value in (options.env or {}).items()} | {"cwd": options.cwd or ""}
        for name, text in texts.items():
            if "\0" in text:
                raise Refusal(Reason.REQUEST_INVALID, f"msg.options.{name}: holds a NUL character")

    def start(self, run: Run, output: Output | None) -> tuple[int, Callable[[Run], Living]]:
        """Execute a run's program; return its pid, and what makes it a `Living` once the run is complete.

        Raises:
            Refusal: it was not executed; nothing of it is left but the output.
        """
        self._sandbox.check(run.ports)
        argv = command.encode(run.cmd)
        executable = command.resolve(argv[0])
        opened = _Open(Streams(self._null, self._null, self._null))
        reserve = self._reserve()
        try:
            self._open(opened, run, output)
            pid = spawn(self._plan(run, executable, argv, opened), self._sandbox)
        except OSError as error:
            opened.give_up()
            raise _refusal(error, "it could not be prepared") from error
        except BaseException:
            opened.give_up()
            raise
        finally:
            for descriptor in (*opened.theirs, *reserve):
                os.close(descriptor)
            if opened.cgroup is not None:
                opened.cgroup.close()
        return pid, lambda complete: Living(
            complete, os.pidfd_open(pid), output, feed=opened.feed, pty=opened.pty, cgroup=opened.cgroup
        )

    def adopt(self, run: Run, pidfd: int, output: Output | None, left: Left) -> Living:
        """Take over a program that an earlier supervisor started, and what was left of it."""
        if output is not None:
            try:
                output.follow_again(left.terminal)
            except OSError as error:
                log.event("error", "a program's output is lost from here on", run=run.id, error=str(error))
        feed = self._feed_again(run, left)
        terminal, left.terminal = left.terminal, None
        cgroup = self._cgroups.find(run.id, run.limits)
        return Living(run, pidfd, output, adopted=True, feed=feed, pty=terminal, cgroup=cgroup)

    def _feed_again(self, run: Run, left: Left) -> Feed | None:
        is_terminal = run.options.terminal is not UNSET
        if left.backlog is None or (is_terminal and left.terminal is None):
            return None
        target = left.input if left.terminal is None else os.dup(left.terminal)
        feed = Feed(target, self._loop, is_terminal=is_terminal, backlog=left.backlog)
        left.input = left.backlog = None
        return feed

    def exceeded(self, run: Run) -> Outcome | None:
        """Return which limit a run's control group saw passed, if there is a group."""
        cgroup = self._cgroups.find(run.id, run.limits)
        return None if cgroup is None else cgroup.exceeded()

    def sweep(self, keep: set[str]) -> None:
        """Kill what is in the control groups of earlier runs other than those, and remove the groups."""
        try:
            left = self._cgroups.sweep(keep)
        except OSError as error:
            log.event("warning", "control groups of earlier runs could not be removed", error=str(error))
            return
        if left:
            log.event("warning", "control groups of earlier runs are still in use", runs=left)

    def _reserve(self) -> list[int]:
        """Hold descriptors for what a start needs at its end."""
        held: list[int] = []
        try:
            while len(held) < _SPARE:
                held += [os.dup(self._null)]
        except OSError as error:
            for descriptor in held:
                os.close(descriptor)
            raise _refusal(error, "it could not be prepared") from error
        return held

    # -- what a program reads, writes and is held by --------------------------------------------

    def _open(self, opened: _Open, run: Run, output: Output | None) -> None:
        self._open_streams(opened, run, output)
        # Also where it holds nothing: it is by this that a tree can be ended for certain.
        if "processes" in self._cgroups.available or self._cgroups.holds(run.limits):
            opened.cgroup = self._group(run)

    def _group(self, run: Run) -> Cgroup:
        try:
            return self._cgroups.create(run.id, run.limits)
        except FileExistsError:
            # What could not be removed yet; or that of a data folder that is gone, and whose inode number this one has.
            left = self._cgroups.find(run.id, run.limits)
            if left is None or not (left.kill() and left.remove()):
                raise
            return self._cgroups.create(run.id, run.limits)

    def _open_streams(self, opened: _Open, run: Run, output: Output | None) -> None:
        if output is None:
            return
        account = self._sandbox.account
        if run.options.terminal:
            pty = open_pty(run.options.terminal, account.uid, account.gid)
            opened.theirs.append(pty.theirs)
            opened.devices.append(pty.path)
            opened.witness = output.follow_terminal(pty.ours, account.uid, account.gid)
            opened.theirs.append(opened.witness)
            opened.pty = os.dup(pty.ours)
            opened.feed = Feed(os.dup(pty.ours), self._loop, is_terminal=True)
            opened.streams = Streams(self._null, self._null, self._null, pty.path)
            return
        stdout, stderr = output.open_pipes(account.uid, account.gid)
        opened.theirs += [stdout, stderr]
        opened.witness = stdout
        opened.devices += map(str, output.pipes)
        stdin = self._null
        if run.options.stdin == "pipe":
            stdin, ours = os.pipe()
            opened.theirs.append(stdin)
            opened.feed = Feed(ours, self._loop, is_terminal=False)
            os.set_blocking(ours, False)
            os.fchown(stdin, account.uid, account.gid)
        opened.streams = Streams(stdin, stdout, stderr)

    def _plan(self, run: Run, executable: bytes, argv: list[bytes], opened: _Open) -> Plan:
        return Plan(
            executable=executable,
            argv=argv,
            env=self._environment(run),
            folder=str(self._layout.data),
            cwd=run.options.cwd or ".",
            streams=opened.streams,
            groups=[run.mark] if run.mark else [],
            devices=opened.devices,
            ports=run.ports,
            witness=opened.witness,
            cgroup=opened.cgroup,
            rlimits=rlimits.rlimits(run.limits, in_cgroup="memory" in self._cgroups.available),
        )

    def _environment(self, run: Run) -> dict[str, str]:
        data = self._layout.data
        return {
            "PATH": ":".join(command.PATH),
            "HOME": str(data),
            "TMPDIR": str(data / "tmp"),
            "LANG": "C.UTF-8",
            **({"TERM": "xterm-256color"} if run.options.terminal else {}),
            **(run.options.env or {}),
            **tree.environment(run),
        }


def _refusal(error: OSError, what: str) -> Refusal:
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return Refusal(Reason.LIMIT_REACHED, f"the supervisor has as many files open as it may: {error}")
    return Refusal(Reason.SPAWN_FAILED, f"{what}: {error}")
