"""A machine goes away and comes back, and somebody is told by mail: real processes, and commands at a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from acceptance.house import House, until
from harness.receivers import USER, hook, mail_box, password_file
from harness.server import PASSWORD


def test_a_machine_that_goes_away_is_told_by_mail(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mail_box(tmp_path) as box, hook() as web:
        email = {
            "HOST": "localhost",
            "PORT": str(box.port),
            "SENDER": "quix@example.org",
            "USERNAME": USER,
            "PASSWORD_FILE": str(password_file(tmp_path)),
        }
        for name, value in email.items():
            monkeypatch.setenv(f"QUIX_ALERTS__EMAIL__{name}", value)
        monkeypatch.setenv("SSL_CERT_FILE", str(box.authority))
        server = house.server(alerts__gather="0.5")

        def quix(*args: str, code: int = 0) -> str:
            done = house.quix(*args)
            assert done.returncode == code, (args, done.stdout, done.stderr)
            return done.stdout if code == 0 else done.stderr

        done = house.quix("login", server.http, "--username=root", "--password-stdin", stdin=PASSWORD + "\n")
        assert done.returncode == 0, done.stderr
        quix("alert", "channel", "add", "ops", "--to", "ada@example.org")
        quix("alert", "channel", "add", "hook", "--url", web.url)
        quix("alert", "channel", "test", "ops")
        assert box.mails[0]["Subject"] == "[quix] test message, sent by root"
        web.status, web.answer = 410, b"gone for good"
        assert "410: gone for good" in quix("alert", "channel", "test", "hook", code=1)
        web.status = 204
        quix(
            *[
                "alert",
                "rule",
                "add",
                "away",
                "--metric",
                "connection",
                "--for",
                "1s",
                "--channel",
                "ops",
                "--channel",
                "hook",
            ],
            "--severity=critical",
        )  # fmt: skip
        quix(
            *[
                "alert",
                "rule",
                "add",
                "busy",
                "--metric",
                "cpu",
                "--above",
                "90",
                "--clear",
                "80",
                "--for",
                "5m",
                "-l",
                "role=web",
            ]
        )
        rules = json.loads(quix("alert", "rule", "ls", "--json"))
        assert [(rule["name"], rule["for"], rule["clear"], rule["labels"]) for rule in rules] == [
            ("away", 1, None, {}),
            ("busy", 300, 80, {"role": "web"}),
        ]
        agent = house.agent(server.url)
        rest = server.rest()
        rest.wait_online()
        agent.terminate()
        until(lambda: len(box.mails) == 2, "a mail that it is away", 30)
        assert box.mails[1]["Subject"].startswith("[quix] critical: away: m1 (away for ")
        (alert,) = json.loads(quix("alert", "ls", "--json", "--state", "firing"))
        assert (alert["rule_name"], alert["backend_name"], alert["state"]) == ("away", "m1", "firing")
        assert "firing" in quix("alert", "ls")
        # Another server process, and nobody is told again.
        server.terminate()
        server = house.again(server, alerts__gather="0.5")
        house.agent(server.url)
        until(lambda: len(box.mails) == 3, "a mail that it is back", 30)
        assert box.mails[2]["Subject"] == "[quix] resolved: away: m1"
        assert [body["type"] for body in web.bodies] == ["alert.raised", "alert.resolved"]
        quix("alert", "silence", "add", "--for=2h", "-b", "m1", "--comment=work")
        assert "work" in quix("alert", "silence", "ls")
        (silence,) = json.loads(quix("alert", "silence", "ls", "--json"))
        quix("alert", "silence", "rm", silence["id"])
        quix("alert", "rule", "disable", "busy")
        assert "disabled" in quix("alert", "rule", "ls")
        quix("alert", "rule", "enable", "busy")
        quix("alert", "rule", "rm", "busy")
        assert "ada@example.org" in quix("alert", "channel", "ls")
        quix("alert", "channel", "rm", "hook")
