"""The pages in a real browser: nothing is refused by the policy, pages renew themselves, and a phone shows them whole.

Needs Chromium and Playwright: `apt-get install -y chromium && .venv/bin/pip install playwright`.
"""

import asyncio
import contextlib
import shutil
import socket

import httpx
import pytest

from console.server import run_console
from management.settings import load
from tests.support.console import open_console
from tests.support.settings import SENTINEL
from tests.support.views import NOW, organization, status

HOW = "needs `apt-get install -y chromium && .venv/bin/pip install playwright`"
playwright = pytest.importorskip("playwright.async_api", reason=HOW)
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason=HOW),
    pytest.mark.timeout(300),  # a browser starts slowly on a busy machine
]
PAGES = (
    "/",
    "/organizations",
    "/organizations?state=failing",
    "/organization?name=site-00",
    "/organizations/add",
    "/organization/modify?name=site-00",
    "/organization/delete?name=site-00",
    "/organization/activity?name=site-00",
    "/organizations/bulk",
    "/destinations",
    "/destination/move?name=sentinel",
    "/replays",
    "/replays/start",
    "/dead-letters/redrive",
    "/events",
    "/events/live",
    "/changes",
    "/nothing",
)


@contextlib.asynccontextmanager
async def served_console():
    """Serve a console with sixty organizations, a few of them failing; yield its world and URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    destinations = load(environ=SENTINEL).destinations
    async with open_console(origins=frozenset({url}), destinations=destinations) as console:
        console.context.view.run = lambda stop: stop.wait()  # the snapshot stays as the test sets it
        names = [f"site-{number:02}" for number in range(60)]
        failing = status("failing", reason="the key is wrong", complete_up_to=NOW, last_event=NOW)
        well = status(complete_up_to=NOW, last_event=NOW)
        console.show(
            [organization(name) for name in names],
            {name: failing if number % 20 == 0 else well for number, name in enumerate(names)},
        )
        stop = asyncio.Event()
        serving = asyncio.create_task(run_console(console.context, listener, stop))
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            assert (await client.get("/login")).status_code == 200
        yield console, url
        stop.set()
        await serving


@contextlib.asynccontextmanager
async def opened_page(console, url, **options):
    """Yield a page of a browser that is signed in, and the list of what its console reports."""
    complaints = []
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        context = await browser.new_context(**options)
        context.set_default_timeout(60_000)
        page = await context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        code = console.context.access.make_link_code(console.clock.ms)
        await page.goto(f"{url}/login?code={code}")
        yield page, complaints
        await browser.close()


async def test_pages_fit_a_phone_and_break_no_policy():
    """No page is wider than a phone, and none needs what the Content-Security-Policy refuses."""
    async with (
        served_console() as (console, url),
        opened_page(console, url, viewport={"width": 360, "height": 740}) as (page, complaints),
    ):
        for path in PAGES:
            await page.goto(url + path)
            assert await page.locator("h1").count() == 1, path
            assert await page.evaluate("document.documentElement.scrollWidth") <= 360, path
        unexpected = [text for text in complaints if "404" not in text]

    assert unexpected == []


async def test_a_page_renews_itself_and_keeps_what_the_reader_opened():
    """A change of state appears without a reload; an opened part stays open, and the focus stays where it is."""
    async with served_console() as (console, url), opened_page(console, url) as (page, complaints):
        await page.goto(f"{url}/organization?name=site-01")
        await page.get_by_text("Numbers by hour").click()
        await page.get_by_role("link", name="Modify").focus()
        console.show([organization("site-01")], {"site-01": status("failing", reason="the key was revoked")})
        await page.get_by_text("the key was revoked").wait_for()

        assert await page.evaluate("document.querySelector('details').open")
        assert await page.evaluate("document.activeElement.textContent") == "Modify"
        # The clock of the test is weeks behind that of the browser; ages are by the console's clock.
        assert await page.locator("#live time.ago").first.text_content() == "1 min ago"
        assert complaints == []


async def test_pages_read_and_send_without_javascript():
    """Search, filter and sign-out are plain links and forms."""
    async with (
        served_console() as (console, url),
        opened_page(console, url, java_script_enabled=False) as (page, _),
    ):
        await page.goto(f"{url}/organizations")
        await page.get_by_label("State").select_option("failing")
        await page.get_by_role("button", name="Apply").click()
        assert await page.locator("tbody tr").count() == 3
        await page.get_by_label("Search").fill("site-2")
        await page.get_by_role("button", name="Apply").click()
        assert await page.locator("tbody tr").count() == 1
        await page.get_by_role("button", name="Sign out").click()
        assert await page.locator("h1").text_content() == "Sign in"
