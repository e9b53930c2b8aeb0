"""What those who watch the server see."""

from __future__ import annotations

from harness.api import Place


async def test_the_server_says_that_it_is_up(there: Place) -> None:
    answer = await there.web.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_prometheus_can_read_what_is_counted(there: Place) -> None:
    async with there.agent(lambda _req, _msg: None):
        answer = await there.web.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "quix_backends_connected 1.0" in answer.text.splitlines()
