"""Make docs/screenshots: the console of a real server with real agents. `make screenshots` runs it."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from acceptance.house import USERS, House, Server
from harness.console import CHROMIUM, log_in
from harness.server import PASSWORD

FOLDER = Path(__file__).with_name("screenshots")

MACHINES = {
    "web-1": ("site=berlin", "role=web"),
    "web-2": ("site=berlin", "role=web"),
    "db-1": ("site=berlin", "role=database"),
    "game-eu": ("site=helsinki", "role=game"),
    "pi-kitchen": ("site=home",),
    "pi-garden": ("site=home",),
}

WORK = (
    'for i in 1 2 3 4 5 6; do echo "[$i/6] compressing part $i"; '
    "head -c 30000000 /dev/urandom | gzip > part.$i.gz; ls -l part.$i.gz; done; echo done"
)


def serve(house: House) -> Server:
    """Start a server, and its machines; one has gone away again."""
    for name, role in USERS.items():
        args = ["user", "add", name, "--role", role, "--password-stdin", "--data-dir", str(house.root / "server")]
        assert house.quix(*args, stdin=PASSWORD + "\n").returncode == 0
    server = house.server(vpn__wireguard__enabled="true", vpn__wireguard__endpoint="vpn.example.org:51820")
    for name, labels in MACHINES.items():
        agent = house.agent(server.url, *(f"--label={label}" for label in labels), name=name)
        agent.wait_for("enrolled", 60)
        if name == "pi-garden":
            agent.terminate()
    watch(server)
    return server


def watch(server: Server) -> None:
    """Rules: one for machines that are gone, one that fires for a while, and one that is quiet."""
    rest = server.rest()
    rest.post("/alerts/rules", name="Machine is offline", metric="connection", severity="critical", **{"for": 5})
    rest.post("/alerts/rules", name="CPU is busy", metric="cpu", threshold=80, clear=60, **{"for": 3})
    rest.post("/alerts/rules", name="Disk is nearly full", metric="disk_fullest", threshold=95, **{"for": 60})


def fleet(page: Page) -> None:
    page.get_by_role("link", name="web-1").wait_for()
    page.wait_for_timeout(60_000)  # the curves grow


def machine(page: Page) -> None:
    page.get_by_role("link", name="web-1").click()
    page.get_by_role("navigation", name="About web-1").get_by_role("link", name="Runs").click()
    page.get_by_label("by a shell").check()
    page.get_by_role("textbox", name="Command").fill(WORK)
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("log", name="Output").get_by_text(re.compile(r"\[4/6\]")).wait_for(timeout=60_000)


def overview(page: Page) -> None:
    page.get_by_role("navigation", name="About web-1").get_by_role("link", name="Overview").click()
    page.wait_for_timeout(40_000)


def alerts(page: Page) -> None:
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Alerts").click()
    page.get_by_role("region", name="Alerts that fire").get_by_text("pi-garden").wait_for(timeout=60_000)


def enrol(page: Page) -> None:
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Fleet").click()
    page.get_by_role("button", name="Add a machine").click()
    page.get_by_role("button", name="Make the line").click()
    page.get_by_text("Waiting for the machine").wait_for()


def take(browser: Browser, server: Server) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 720}, color_scheme="dark")
    page = context.new_page()
    log_in(page, server.http)
    for name, go in (("fleet", fleet), ("run", machine), ("machine", overview), ("alerts", alerts), ("enrol", enrol)):
        go(page)
        page.screenshot(path=FOLDER / f"{name}.png")
    phone = browser.new_context(viewport={"width": 390, "height": 700}, color_scheme="light").new_page()
    log_in(phone, server.http)
    phone.wait_for_timeout(10_000)
    phone.screenshot(path=FOLDER / "phone.png")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    house = House()
    try:
        server = serve(house)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            take(browser, server)
            browser.close()
    finally:
        house.close()


if __name__ == "__main__":
    main()
