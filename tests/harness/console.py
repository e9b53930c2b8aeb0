"""The web console in a browser."""

from __future__ import annotations

from playwright.sync_api import ConsoleMessage, Page

from harness.server import PASSWORD

CHROMIUM = "/usr/bin/chromium"


class Console:
    """What a page says on the browser's console: `errors`, violations of the content security policy among them.

    A browser reports answers with an error status there too. Those are the page's to deal with, so they do not count.
    """

    def __init__(self, page: Page) -> None:
        self.errors: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.errors.append(message.text)


def log_in(page: Page, http: str, username: str = "root") -> None:
    """Open the console and log in."""
    page.goto(http)
    page.get_by_label("User", exact=True).fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("navigation", name="Main").wait_for()
