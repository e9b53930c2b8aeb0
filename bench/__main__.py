"""`python -m bench [NAME…] [--quick]`: run the benchmarks and print ratios."""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from bench.machines import PROGRAM, crowd, executes, idle_agent, outputs, runs
from quix import logs

CONNECTIONS = 1_000
IDLE = 10_000
ROUNDS = 3
PUSH_INTERVAL = 10.0


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
        self._process.wait(timeout=300)

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
    figures = {name: median(seconds) for name, seconds in executes(int(400 * scale)).items()}
    show(f"{PROGRAM} from start to end", {name: f"{1000 * seconds:.2f} ms" for name, seconds in figures.items()})
    ratio("sandboxed execute, time against posix_spawn", figures["sandboxed"] / figures["posix_spawn"], "<= 2")
    seconds = median(asyncio.run(runs(int(200 * scale))))
    show("a run with its key and output, on the disk and answered for", {"median": f"{1000 * seconds:.2f} ms"})


def output(scale: float) -> None:
    size = int(2e9 * scale)
    rounds = [asyncio.run(outputs(size)) for _ in range(ROUNDS)]
    rates = {name: size / median([took[name] for took in rounds]) / 1e9 for name in ("run", "cat")}
    show(f"{size / 1e6:,.0f} MB written", {name: f"{rate:.2f} GB/s" for name, rate in rates.items()})
    ratio("output of a run, rate against cat into a file", rates["run"] / rates["cat"], ">= 0.5")
    memory = asyncio.run(crowd(int(100 * scale)))
    show("supervisor, unshared, by programs", {name: f"{size / 1e6:.1f} MB" for name, size in memory.items()})


def agent(scale: float) -> None:
    resident, unshared, share = idle_agent(30 * scale)
    show("agent, connected and idle", {"resident": f"{resident / 1e6:.1f} MB", "unshared": f"{unshared / 1e6:.1f} MB"})
    ratio("megabytes resident", resident / 1e6, "<= 30")
    ratio("percent of one core", 100 * share, "<= 0.1")


def telemetry(scale: float) -> None:
    count, seconds = int(IDLE * scale), 120 * scale
    with (
        Worker("bench.telemetry", "server", str(count), str(PUSH_INTERVAL)) as server,
        Worker("bench.telemetry", "load") as load,
    ):
        hello = server.read()
        load.tell(open=hello["tokens"], url=f"ws://127.0.0.1:{hello['port']}/")
        idle = server.tell(state=True)
        load.tell(push=PUSH_INTERVAL)
        time.sleep(seconds / 2)  # until each backend is written for the first time
        pushed = load.tell(state=True)["pushed"]
        before = server.tell(state=True)
        time.sleep(seconds)
        lag = server.tell(lag=5)["lag"]
        after = server.tell(state=True)
        done = load.tell(state=True)
        read = server.tell(read=3600)
        loads = server.tell(loads=True)
        kept = server.tell(flush=True)
    span, samples = after["at"] - before["at"], done["pushed"] - pushed
    assert done["failed"] == 0, done
    assert loads["found"] == count, loads
    show(
        f"telemetry of {count} backends each {PUSH_INTERVAL:.0f} s, for {span:.0f} s",
        {
            "samples": f"{samples / span:,.0f}/s",
            "written": f"{(after['written'] - before['written']) / span / 1e6:.2f} MB/s",
            "kept": f"{kept['bytes'] / done['pushed']:.0f} bytes a sample",
            "memory": f"{(after['rss'] - idle['rss']) / count / 1000:.2f} KB a backend",
            "history of an hour": f"{1000 * read['median']:.1f} ms, {1000 * read['longest']:.1f} at most",
            "loop held up": f"{1000 * lag:.0f} ms at most",
        },
    )
    ratio("percent of one core", 100 * (after["cpu"] - before["cpu"]) / span, "<= 25")
    ratio("pushes that arrive, against those due", samples / span / (count / PUSH_INTERVAL), ">= 0.99")
    ratio("megabytes that the fleet's samples take", (after["rss"] - idle["rss"]) / 1e6, "<= 30")


def show(title: str, figures: dict[str, str]) -> None:
    print(f"{title}: " + ", ".join(f"{name} {figure}" for name, figure in figures.items()), flush=True)


def ratio(title: str, value: float, goal: str) -> None:
    print(f"  {title}: {value:.2f}  (goal {goal})", flush=True)


BENCHES: dict[str, Callable[[float], None]] = {
    "roundtrips": roundtrips,
    "idle": idle,
    "execute": execute,
    "output": output,
    "agent": agent,
    "telemetry": telemetry,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"which to run, of {', '.join(BENCHES)}; default: all")
    parser.add_argument("--quick", action="store_true", help="a tenth of the load")
    options = parser.parse_args()
    if unknown := [name for name in options.name if name not in BENCHES]:
        parser.error(f"no benchmark is named {', '.join(unknown)}")
    logs.setup(level="warning")
    for name in options.name or BENCHES:
        BENCHES[name](0.1 if options.quick else 1.0)


if __name__ == "__main__":
    main()
