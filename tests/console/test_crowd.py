"""10,000 backends, 300 of them online: the table stays smooth."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from acceptance.house import House, Server
from harness.console import log_in
from harness.crowd import Crowd, add_backends

COUNT, ONLINE = 10_000, 300
LONGEST_TASK = 200
"""Milliseconds that the page may be busy at a time. Other programs that want the processor lengthen that, so the best
of a few attempts counts."""

SCROLL = """async () => {
    const tasks = [0];
    const observer = new PerformanceObserver((list) => tasks.push(...list.getEntries().map((entry) => entry.duration)));
    observer.observe({type: "longtask"});
    const box = document.querySelector(".virtual");
    let frames = 0;
    for (let top = 0; top < box.scrollHeight && frames < 120; top += box.scrollHeight / 120) {
        box.scrollTop = top;
        await new Promise(requestAnimationFrame);
        frames += 1;
    }
    box.scrollTop = box.scrollHeight;
    await new Promise((resolve) => setTimeout(resolve, 300));
    observer.disconnect();
    return {longest: Math.max(...tasks), frames};
}"""

TYPE = """async () => {
    const input = document.querySelector("input[type=search]");
    const began = performance.now();
    input.value = "site=oslo machine-09";
    input.dispatchEvent(new InputEvent("input", {bubbles: true}));
    await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
    return performance.now() - began;
}"""


@pytest.fixture
def crowded(house: House) -> Iterator[Server]:
    server = house.server(telemetry__interval="2")
    tokens = add_backends(server.data_dir / "quix.db", COUNT, ONLINE)
    crowd = Crowd(server.port, tokens)
    yield server
    crowd.close()


@pytest.mark.timeout(300)
def test_ten_thousand_backends_stay_smooth(page: Page, crowded: Server) -> None:
    log_in(page, crowded.http)
    expect(page.get_by_text(f"{ONLINE} of 10,000 machines online")).to_be_visible(timeout=60_000)
    table = page.get_by_role("table", name="Machines")
    expect(table).to_have_attribute("aria-rowcount", str(COUNT + 1))
    assert table.get_by_role("row").count() < 80, "only rows in sight exist"

    measured = []
    for _ in range(20):
        measured.append(page.evaluate(SCROLL))
        if measured[-1]["longest"] < LONGEST_TASK:
            break
    assert min(each["longest"] for each in measured) < LONGEST_TASK, measured
    expect(page.get_by_role("link", name="machine-09999")).to_be_visible()

    times = [page.evaluate(TYPE) for _ in range(3)]
    expect(page.get_by_role("link", name="machine-09998")).to_be_visible()
    assert min(times) < LONGEST_TASK, times
    print(f"longest task while scrolling {measured}, search {times}")

    page.get_by_role("searchbox").fill("")
    page.evaluate("document.querySelector('.virtual').scrollTop = 0")
    page.get_by_role("button", name="Seen", exact=True).click()
    first = page.get_by_role("row", name="machine-00000 online")
    expect(first.locator(".c-cpu .number")).to_have_text("50 %", timeout=30_000)
