"""From an alert to a message: gathered, kept until it is taken, sent in order, and given up in the end."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import ssl
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest

from harness.alerts import channel, firing, machine, rule, running, stays, told, until
from harness.api import Place
from harness.receivers import USER, Hook, MailBox, hook, password_file
from quix.server.alerting import webhook
from quix.server.alerting.errors import DeliveryError


async def test_a_storm_is_one_message(tmp_path: Path, web: Hook) -> None:
    async with running(tmp_path) as (there, admin), AsyncExitStack() as stack:
        await channel(admin, web.url)
        await rule(admin)
        fleet = [await stack.enter_async_context(machine(there, f"m{number}")) for number in range(40)]
        await asyncio.gather(*(each.push(cpu=0.99) for each in fleet))
        await until(lambda: web.taken, "a message")
        await stays(lambda: len(web.taken) == 1)
        await asyncio.gather(*(each.push(cpu=0.1) for each in fleet))
        await until(lambda: len(web.taken) == 2, "another one")
        await stays(lambda: len(web.taken) == 2)
    assert told(web) == [("alert.raised", 40), ("alert.resolved", 40)]
    assert len(web.bodies[0]["data"]["alerts"]) == 20
    assert web.bodies[0]["text"].endswith("and 37 more")


async def test_a_message_waits_for_its_receiver_over_a_restart(tmp_path: Path) -> None:
    with hook() as down:
        port = down.port
    async with running(tmp_path) as (there, admin):
        its_id = await channel(admin, f"http://127.0.0.1:{port}/hook")
        await rule(admin)
        async with machine(there, "m1") as m1:
            await m1.push(cpu=0.95)

            async def error() -> str | None:
                found = await there.control.store.alert_channels.find(its_id)
                assert found is not None
                return found.last_error

            async with asyncio.timeout(10):
                while "cannot be reached" not in (await error() or ""):
                    await asyncio.sleep(0.05)
    async with running(tmp_path) as (there, admin):
        with hook(port) as up:
            await until(lambda: up.taken, "the message")
            async with asyncio.timeout(10):
                while await there.control.store.alert_messages.first():
                    await asyncio.sleep(0.05)
            assert (await admin.get("/alerts/channels")).json()["items"][0]["last_error"] is None
        assert told(up) == [("alert.raised", 1)]
    assert 'quix_alert_deliveries_total{kind="webhook",outcome="success"} 1.0' in await metrics(there)


async def metrics(there: Place) -> str:
    from prometheus_client import generate_latest

    return generate_latest(there.control.metrics.registry).decode()


async def test_a_refused_message_is_sent_again_in_its_order_and_under_its_id(tmp_path: Path, web: Hook) -> None:
    web.status, web.answer = 500, b"out of\r\norder"
    async with running(tmp_path) as (there, admin), machine(there, "m1") as m1:
        await channel(admin, web.url)
        await rule(admin)
        await m1.push(cpu=0.95)
        await until(lambda: len(web.refused) >= 2, "two attempts")
        listed = (await admin.get("/alerts/channels")).json()["items"][0]
        assert listed["last_error"] == "the receiver answered 500: out of order"
        assert listed["last_sent_at"] is None
        await m1.push(cpu=0.1)
        await firing(there, 0)
        web.status = 204
        await until(lambda: len(web.taken) == 2, "both")
        assert told(web) == [("alert.raised", 1), ("alert.resolved", 1)]
        ids = {headers["webhook-id"] for headers, _ in web.refused}
        assert ids == {web.taken[0][0]["webhook-id"]}
        assert ids != {web.taken[1][0]["webhook-id"]}
        text = await metrics(there)
        assert 'quix_alert_deliveries_total{kind="webhook",outcome="failed"}' in text
        assert 'quix_alerts_firing{severity="warning"} 0.0' in text


async def test_a_message_is_given_up_after_its_time(
    tmp_path: Path, web: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr("quix.server.alerting.post.PATIENCE", 0.5)
    web.status = 503
    async with running(tmp_path) as (there, admin), machine(there, "m1") as m1:
        await channel(admin, web.url)
        await rule(admin)
        await m1.push(cpu=0.95)
        await until(lambda: web.refused, "an attempt")
        async with asyncio.timeout(10):
            while await there.control.store.alert_messages.first():
                await asyncio.sleep(0.05)
        assert (await admin.get("/alerts/channels")).json()["items"][0]["last_error"].startswith("given up")


def point(folder: Path, url: str) -> None:
    with closing(sqlite3.connect(folder / "server" / "quix.db", isolation_level=None)) as database:
        database.execute("UPDATE alert_channels SET url = ?", (url,))


async def test_what_nobody_thought_of_is_seen_at_the_channel_and_tried_again_after_pauses(
    tmp_path: Path, web: Hook
) -> None:
    async with running(tmp_path) as (there, admin), machine(there, "m1") as m1:
        await channel(admin, web.url)
        await rule(admin)
        await asyncio.to_thread(point, tmp_path, "http://127.0.0.1:84800/")  # as earlier versions let pass
        await m1.push(cpu=0.95)
        async with asyncio.timeout(10):
            while not any(each.attempts >= 2 for each in await there.control.store.alert_messages.first()):
                await asyncio.sleep(0.05)
        error = (await admin.get("/alerts/channels")).json()["items"][0]["last_error"]
        assert error.startswith("a fault of the server, see its log: ")
        assert 'quix_alert_deliveries_total{kind="webhook",outcome="failed"}' in await metrics(there)
        await asyncio.to_thread(point, tmp_path, web.url)
        await until(lambda: told(web) == [("alert.raised", 1)], "the message")


async def test_a_receiver_that_answers_by_the_byte_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "_TIMEOUT", 0.5)

    hung_up = asyncio.Event()

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(b"HTTP/1.1 200 OK\r\nx-drip: ")
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.05)
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        hung_up.set()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server, asyncio.timeout(10):
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(DeliveryError, match="did not answer within"):
            await webhook.post(url, None, "id", b"{}", 1, ssl.create_default_context())
        await hung_up.wait()


async def test_mail_arrives_over_starttls_with_a_login(tmp_path: Path, mail: MailBox) -> None:
    email = {
        "host": "localhost", "port": mail.port, "sender": "quix@example.org",
        "username": USER, "password_file": password_file(tmp_path),
    }  # fmt: skip
    async with running(tmp_path, **email) as (there, admin):
        body = {"name": "ops", "kind": "email", "to": ["ada@example.org", "bob@example.org"]}
        assert (await admin.post("/alerts/channels", json=body)).status_code == 201
        await rule(admin)
        hostile = "m1\u2028\u202eBcc: x@y"
        async with machine(there, hostile) as m1:
            await m1.push(cpu=0.95)
            await until(lambda: mail.mails, "a mail")
            (got,) = mail.mails
            assert got["From"] == "quix@example.org"
            assert got["To"] == "ada@example.org, bob@example.org"
            assert got["Subject"] == "[quix] warning: busy: m1\ufffd\ufffdBcc: x@y (95 %)"
            assert got["Bcc"] is None
            assert "cpu above 90 % for 0 s" in got.get_content()
            assert mail.recipients == [["ada@example.org", "bob@example.org"]]
            async with asyncio.timeout(10):
                while (await admin.get("/alerts/channels")).json()["items"][0]["last_sent_at"] is None:
                    await asyncio.sleep(0.05)
            # Some addresses that are unknown do not make the others get it again and again.
            mail.refused = {"bob@example.org"}
            await m1.push(cpu=0.1)
            await until(lambda: len(mail.mails) == 2, "that it is over")
            await stays(lambda: len(mail.mails) == 2)
            error = (await admin.get("/alerts/channels")).json()["items"][0]["last_error"]
            assert "bob@example.org: 550 no such user here" in error
