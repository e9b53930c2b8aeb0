"""The web console's files over HTTP: found by browsers, compressed, and fenced in."""

from __future__ import annotations

import gzip
import re

import httpx
import pytest

from harness.api import API, Place, problem
from quix import __version__
from quix.api.assets import Asset
from quix.api.console import PAGES

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}

KINDS = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}


async def index(there: Place, path: str = "/") -> httpx.Response:
    return await there.web.get(path, headers=BROWSER)


async def test_browsers_get_the_console_at_the_root(there: Place) -> None:
    answer = await index(there)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert '<div id="app">' in answer.text


async def test_programs_are_told_at_the_root_where_to_go_on(there: Place) -> None:
    answer = await there.web.get("/")
    assert answer.json() == {"name": "quix", "version": __version__, "openapi": "/api/v1/openapi.json"}
    assert (await there.web.get(answer.json()["openapi"])).json()["openapi"].startswith("3.1")


@pytest.mark.parametrize("path", [*(page for page in PAGES if "{" not in page), "/backends/a", "/backends/a/runs/b"])
async def test_every_page_can_be_opened_by_its_address(there: Place, path: str) -> None:
    assert (await index(there, path)).text == (await index(there)).text


async def test_nothing_but_the_server_itself_is_trusted(there: Place) -> None:
    answer = await index(there)
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
    }
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|javascript:", answer.text)


async def test_files_are_kept_for_good_since_their_names_change(there: Place) -> None:
    names = re.findall(r'"(/assets/[^"]+)"', (await index(there)).text)
    assert {name.rpartition(".")[2] for name in names} == set(KINDS)
    for name in names:
        answer = await there.web.get(name)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"] == KINDS[name.rpartition(".")[2]]


async def test_files_come_compressed_to_who_can_read_that(there: Place) -> None:
    (name,) = re.findall(r'"(/assets/[^"]+\.js)"', (await index(there)).text)
    plain = await there.web.get(name, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    for accepted, encoding in (("br, gzip", "br"), ("gzip, br;q=0", "gzip"), ("gzip", "gzip")):
        async with there.web.stream("GET", name, headers={"Accept-Encoding": accepted}) as answer:
            raw = b"".join([chunk async for chunk in answer.aiter_raw()])
        assert answer.headers["content-encoding"] == encoding
        assert answer.headers["vary"] == "accept-encoding"
        assert len(raw) < len(plain.content) / 2
        if encoding == "gzip":
            assert gzip.decompress(raw) == plain.content


@pytest.mark.parametrize("path", ["/assets/nothing.js", "/assets/..%2findex.html", "/assets/index.html"])
async def test_no_other_file_is_given_away(there: Place, path: str) -> None:
    assert problem(await there.web.get(path)) == (404, "not_found")


async def test_what_rest_does_not_know_is_still_said_in_json(there: Place) -> None:
    for path in (f"{API}/nothing", f"{API}/", "/nothing"):
        assert problem(await index(there, path)) == (404, "not_found")


def test_the_best_body_that_is_accepted_is_given() -> None:
    asset = Asset("text/css", {"br": b"b", "gzip": b"g", "identity": b"i"})
    assert asset.body("gzip, deflate, br, zstd") == ("br", b"b")
    assert asset.body("GZIP") == ("gzip", b"g")
    assert asset.body("br;q=0, gzip;q=0.5") == ("gzip", b"g")
    assert asset.body("") == ("identity", b"i")
