"""The files of `monitoring/`, loaded by Prometheus, which scrapes a real server with a real agent."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from acceptance.house import House, Rest, Server, until
from harness.server import free_port

FILES = Path(__file__).parents[2] / "monitoring"

MAY_BE_EMPTY = {"Away the longest"}
"""Panels that show nothing where all is well."""


class Prometheus:
    """A running Prometheus with the files of `monitoring/`, as they are but for addresses and intervals."""

    def __init__(self, house: House, server: Server, token: str) -> None:
        folder = house.root / "prometheus"
        shutil.copytree(FILES, folder)
        text = (folder / "prometheus.yml").read_text()
        for old, new in {
            "control.example.org:8480": server.http.removeprefix("http://"),
            "scheme: https": "scheme: http",
            "interval: 15s": "interval: 1s",
            "interval: 30s": "interval: 1s",
        }.items():
            assert old in text
            text = text.replace(old, new)
        (folder / "prometheus.yml").write_text(text)
        (folder / "quix.token").write_text(token)
        self.url = f"http://127.0.0.1:{free_port()}"
        house.start(
            "prometheus",
            [
                "prometheus",
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={self.url.removeprefix('http://')}",
            ],
        )

    def ask(self, path: str, **params: str) -> Any:
        """Return the `data` of an answer of its API."""
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=params)
        return answer.raise_for_status().json()["data"]

    def query(self, expression: str) -> list[Any]:
        found: list[Any] = self.ask("query", query=expression)["result"]
        return found

    def up(self) -> set[str]:
        """The jobs that are scraped."""
        try:
            targets = self.ask("targets")["activeTargets"]
        except httpx.HTTPError:  # it is not ready yet
            return set()
        return {target["labels"]["job"] for target in targets if target["health"] == "up"}


@pytest.fixture
def scraped(house: House) -> tuple[Server, Rest]:
    server = house.server(telemetry__interval="0.5")
    house.agent(server.url, "--sandbox=none")
    rest = server.rest("watch")
    rest.get(f"/backends/{rest.wait_online()}/telemetry")  # so that requests are counted
    return server, rest


@pytest.mark.timeout(180)
def test_prometheus_reads_it_all_and_every_panel_shows_something(house: House, scraped: tuple[Server, Rest]) -> None:
    server, rest = scraped
    token = rest.post("/tokens", name="prometheus", role="viewer")["token"]
    prometheus = Prometheus(house, server, token)
    until(lambda: prometheus.up() == {"quix", "quix-backends"}, "both jobs are scraped", 60)
    until(lambda: prometheus.query("quix_backend_network_receive_bytes_per_second"), "samples are there", 60)
    assert [each["metric"]["name"] for each in prometheus.query("quix_backend_up == 1")] == ["m1"]
    for title, expression in expressions():
        shown = partial(prometheus.query, expression)
        if title in MAY_BE_EMPTY:
            shown()
        else:
            until(shown, f"{title} shows something: {expression}", 30)
    until(lambda: {rule["health"] for rule in _rules(prometheus)} == {"ok"}, "all rules are evaluated", 30)


def _rules(prometheus: Prometheus) -> list[Any]:
    return [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]


def expressions() -> Iterator[tuple[str, str]]:
    """What each panel of the dashboard asks, with its variables filled in."""
    dashboard = json.loads((FILES / "grafana.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"].replace("$name", ".*").replace("$__rate_interval", "10s")


def test_the_rules_fire_when_they_should_and_else_do_not() -> None:
    for command in (["check", "rules", "rules.yml"], ["test", "rules", "rules_test.yml"]):
        done = subprocess.run(["promtool", *command], cwd=FILES, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_has_a_test() -> None:
    names = [line.split(": ")[1] for line in (FILES / "rules.yml").read_text().splitlines() if "- alert: " in line]
    tested = (FILES / "rules_test.yml").read_text()
    assert [name for name in names if name not in tested] == []


def test_the_configuration_is_one_of_prometheus(tmp_path: Path) -> None:
    shutil.copytree(FILES, tmp_path / "m")
    (tmp_path / "m" / "quix.token").touch()
    checked = subprocess.run(
        ["promtool", "check", "config", "prometheus.yml"],
        cwd=tmp_path / "m",
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
