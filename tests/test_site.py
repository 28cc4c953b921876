"""The site in a browser: no fault in its console, pictures, nothing from another host, also on a narrow screen."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page, Request

browsers = pytest.importorskip("playwright.sync_api")
ROOT = Path(__file__).parents[1]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PAGES = [
    "index.html",
    "guide/early_stopping.html",
    "auto_gallery/plot_02_network_picture.html",
    "reference/generated/skneural.NeighborEmbedding.html",
]
NARROW, WIDE = {"width": 400, "height": 800}, {"width": 1280, "height": 800}


def _built_site(folder: Path) -> Path:
    """The site that SKNEURAL_SITE names, or a new one in which one example of the gallery was executed."""
    if "SKNEURAL_SITE" in os.environ:
        return (ROOT / os.environ["SKNEURAL_SITE"]).resolve()
    made = shutil.ignore_patterns("_build", "auto_gallery", "generated", "backreferences", "sg_execution_times.rst")
    sources = shutil.copytree(ROOT / "docs", folder / "docs", ignore=made)
    shutil.copytree(ROOT / "examples", folder / "examples")
    for path in ROOT.glob("*.md"):
        shutil.copy(path, folder)
    one_example = "sphinx_gallery_conf.filename_pattern=/plot_02_"
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-D", one_example, sources, folder / "html"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "html"


@contextmanager
def _served(site: Path) -> Iterator[str]:
    """Address of a server of the folder on this machine."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@contextmanager
def _browser(profile: Path) -> Iterator[tuple[Page, list[str], list[str]]]:
    """A page of a browser, the faults that it reports, and the addresses that it asks for."""
    faults: list[str] = []
    requests: list[str] = []
    with browsers.sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=BROWSER, headless=True, args=SWITCHES, viewport=WIDE
        )
        page = context.new_page()
        page.on("console", lambda said: faults.append(said.text) if said.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("requestfailed", lambda request: faults.extend(_failure(request)))
        page.on("request", lambda request: requests.append(request.url))
        yield page, faults, requests
        context.close()


def _failure(request: Request) -> list[str]:
    """What is under way when the next page is asked for is aborted, which is no fault."""
    return [] if request.failure == "net::ERR_ABORTED" else [f"not loaded: {request.url}, {request.failure}"]


def _background(page: Page) -> str:
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def _wide_parts(page: Page) -> list[str]:
    """What ends right of the page, and stands in nothing that can be scrolled, as code and tables do."""
    return page.evaluate(
        """() => {
            const scrolled = part => part && part.tagName !== "ARTICLE" &&
                (["auto", "scroll"].includes(getComputedStyle(part).overflowX) || scrolled(part.parentElement));
            return [...document.querySelectorAll("article *")]
                .filter(part => part.getBoundingClientRect().right > innerWidth + 1 && !scrolled(part))
                .map(part => part.outerHTML.slice(0, 120));
        }"""
    )


def _check_page(page: Page, address: str) -> None:
    page.set_viewport_size(NARROW)
    page.goto(address)
    assert _wide_parts(page) == [], address
    # Pictures further down are loaded when they come into sight.
    page.evaluate("[...document.images].forEach(image => image.loading = 'eager')")
    page.wait_for_function("[...document.images].every(image => image.complete)")
    assert page.evaluate("[...document.images].filter(image => !image.naturalWidth).map(image => image.src)") == []


def _check_code(page: Page, address: str) -> None:
    """Lines of 80 columns are seen whole; the scripts of examples have longer ones."""
    page.set_viewport_size(WIDE)
    page.goto(address)
    cut = page.evaluate(
        """() => [...document.querySelectorAll("div.highlight pre")]
            .filter(block => block.scrollWidth > block.clientWidth)
            .map(block => block.innerText)
            .filter(text => text.split("\\n").every(line => line.length <= 80))"""
    )
    assert cut == [], address


def _check_search(page: Page, root: str) -> None:
    """Ask as a reader does, in the field of the start page."""
    page.set_viewport_size(WIDE)
    page.goto(root + "index.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("early stopping")
    page.keyboard.press("Enter")
    found = page.locator("#search-results a", has_text="Early stopping, validation rows and callbacks").first
    found.click()
    browsers.expect(page).to_have_title("Early stopping, validation rows and callbacks — skneural")


def _check_light_and_dark(page: Page, root: str) -> None:
    seen = {}
    page.goto(root + "index.html")
    for mode in ("light", "dark"):
        page.locator("header .theme-switch-button:visible").click()
        page.locator(f"header .theme-change-button[data-mode={mode}]:visible").click()
        browsers.expect(page.locator("html")).to_have_attribute("data-theme", mode)
        page.keyboard.press("Escape")
        seen[mode] = _background(page)
    page.goto(root + PAGES[1])
    assert _background(page) == seen["dark"] != seen["light"]


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs chromium (apt-get install chromium)")
def test_site_is_read_in_a_browser(tmp_path: Path) -> None:
    """Where it is served, and from its folder; all of one test, for the site is built once."""
    site = _built_site(tmp_path)
    with _served(site) as address, _browser(tmp_path / "profile") as (page, faults, requests):
        for root in (address, f"{site.as_uri()}/"):
            requests.clear()
            for name in PAGES:
                _check_page(page, root + name)
            _check_search(page, root)
            _check_light_and_dark(page, root)
            assert {one for one in requests if not one.startswith((root, "data:"))} == set()
        for path in sorted(site.rglob("*.html")):
            if "_static" not in path.parts:
                _check_page(page, path.as_uri())
                _check_code(page, path.as_uri())
        assert faults == [], "\n".join(faults)
