"""`python -m bench [NAME…] [--quick]`: run the benchmarks and print ratios."""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from bench.machines import PROGRAM, executes, idle_agent

CONNECTIONS = 1_000
IDLE = 10_000
ROUNDS = 3


class Worker:
    """A process that answers lines of JSON with lines of JSON."""

    def __init__(self, *command: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a benchmark process died: {self._process.args!r}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def tell(self, **command: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self.read()


class Setting:
    """One server and its load."""

    def __init__(self, kind: str, count: int) -> None:
        self.server = Worker("bench.servers", kind, str(count))
        self.load = Worker("bench.load")
        hello = self.server.read()
        self.url = f"ws://127.0.0.1:{hello['port']}/"
        self.tokens = hello.get("tokens")
        self.count = count

    def connect(self) -> float:
        """Open every connection; return the seconds it took."""
        seconds: float = self.load.tell(open=self.count, url=self.url, tokens=self.tokens)["seconds"]
        return seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.load.__exit__(kind, error, trace)
        self.server.__exit__(kind, error, trace)


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def roundtrips(scale: float) -> None:
    count, seconds = int(CONNECTIONS * scale), 4 * scale
    kinds = ("bare", "quix", "websockets")
    settings = {kind: Setting(kind, count) for kind in kinds}
    rates: dict[str, list[float]] = {kind: [] for kind in kinds}
    try:
        for setting in settings.values():
            setting.connect()
            setting.server.tell(roundtrips=seconds / 4)
        # In turn, so that a machine whose speed drifts is as fast for one as for the other.
        for _ in range(ROUNDS):
            for kind, setting in settings.items():
                result = setting.server.tell(roundtrips=seconds)
                rates[kind].append(result["count"] / result["cpu"])
    finally:
        for setting in settings.values():
            setting.__exit__(None, None, None)
    show(f"round trips per CPU second, {count} connections", {k: f"{median(v):,.0f}" for k, v in rates.items()})
    to_bare = median([q / b for q, b in zip(rates["quix"], rates["bare"], strict=True)])
    to_websockets = median([q / w for q, w in zip(rates["quix"], rates["websockets"], strict=True)])
    ratio("against a bare picows echo", to_bare, ">= 0.65")
    ratio("against the same work on websockets", to_websockets, ">= 2.5")


def idle(scale: float) -> None:
    count = int(IDLE * scale)
    sizes, storms, fanouts = {}, {}, {}
    for kind in ("bare", "quix"):
        with Setting(kind, count) as setting:
            before = setting.server.tell(memory=True)["rss"]
            storms[kind] = setting.connect()
            after = setting.server.tell(memory=True)
            assert after["connections"] == count, after
            sizes[kind] = (after["rss"] - before) / count
            setting.server.tell(fanout=True)
            fanouts[kind] = median([setting.server.tell(fanout=True)["seconds"] for _ in range(ROUNDS)])
    show(f"memory per idle connection, {count} connections", {k: f"{v / 1000:.1f} KB" for k, v in sizes.items()})
    ratio("kilobytes an idle backend", sizes["quix"] / 1000, "<= 16")
    show(f"connect {count}, quix with token", {k: f"{v:.2f} s" for k, v in storms.items()})
    ratio("reconnect storm, rate against bare connects", storms["bare"] / storms["quix"], ">= 0.5")
    show(f"one command to {count}", {k: f"{v:.3f} s" for k, v in fanouts.items()})
    ratio("fan-out, time against bare frames", fanouts["quix"] / fanouts["bare"], "<= 1.5")


def execute(scale: float) -> None:
    sandboxed, bare = asyncio.run(executes(int(400 * scale)))
    figures = {"sandboxed": median(sandboxed), "posix_spawn": median(bare)}
    show(f"start {PROGRAM}", {name: f"{1000 * seconds:.2f} ms" for name, seconds in figures.items()})
    ratio("sandboxed execute, time against posix_spawn", figures["sandboxed"] / figures["posix_spawn"], "<= 2")


def agent(scale: float) -> None:
    resident, unshared, share = idle_agent(30 * scale)
    show("agent, connected and idle", {"resident": f"{resident / 1e6:.1f} MB", "unshared": f"{unshared / 1e6:.1f} MB"})
    ratio("megabytes resident", resident / 1e6, "<= 30")
    ratio("percent of one core", 100 * share, "<= 0.1")


def show(title: str, figures: dict[str, str]) -> None:
    print(f"{title}: " + ", ".join(f"{name} {figure}" for name, figure in figures.items()), flush=True)


def ratio(title: str, value: float, goal: str) -> None:
    print(f"  {title}: {value:.2f}  (goal {goal})", flush=True)


BENCHES: dict[str, Callable[[float], None]] = {
    "roundtrips": roundtrips,
    "idle": idle,
    "execute": execute,
    "agent": agent,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"which to run, of {', '.join(BENCHES)}; default: all")
    parser.add_argument("--quick", action="store_true", help="a tenth of the load")
    options = parser.parse_args()
    if unknown := [name for name in options.name if name not in BENCHES]:
        parser.error(f"no benchmark is named {', '.join(unknown)}")
    for name in options.name or BENCHES:
        BENCHES[name](0.1 if options.quick else 1.0)


if __name__ == "__main__":
    main()
