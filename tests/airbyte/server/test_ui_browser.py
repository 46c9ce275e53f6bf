"""The review UI in a real browser: Debian's chromium, driven by Playwright; axe looks at every page.

``SCREENSHOTS=docs/images`` writes the pictures of the documentation there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import chromium
import pytest
from airbyte_services import CLIENT_ID, CLIENT_SECRET
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from ui_services import ERROR, WATCHED, Shop, add_history

_SHOTS = Path(os.environ["SCREENSHOTS"]) if os.environ.get("SCREENSHOTS") else None
_PATIENCE = 20_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = chromium.find()
    if executable is None:
        pytest.fail(f"there is no chromium to test the review UI in; install it: {chromium.COMMAND}")
    expect.set_options(timeout=_PATIENCE)
    with sync_playwright() as playwright:
        # Chromium's sandbox does not work for root, whom containers run tests as.
        launched = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def session(browser: Browser, shop: Shop) -> list[dict]:
    """The cookies of who has signed in, on the page that asks for it."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(shop.server.url)
    expect(page).to_have_title("Sign in · Airbyte")
    page.get_by_label("Client id").fill(CLIENT_ID)
    page.get_by_label("Client secret").fill(CLIENT_SECRET)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Connections")).to_be_visible()
    cookies = context.cookies()
    context.close()
    return cookies


@pytest.fixture
def new_page(browser: Browser, session: list[dict]) -> Iterator[Callable[..., Page]]:
    """Call it for a page of someone signed in; at the end nothing may have gone wrong in it unseen."""
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def create(**options: object) -> Page:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        context.add_cookies(session)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: message.type in ("error", "warning") and wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("response", lambda answer: answer.status >= 400 and wrong.append(f"{answer.status} {answer.url}"))
        page.on("requestfailed", lambda request: _is_failure(request.failure) and wrong.append(request.url))
        return page

    yield create
    for context in contexts:
        context.close()
    assert wrong == []


def _is_failure(failure: str | None) -> bool:
    """A look for news that is cut off by going to another page is none, nor is a download."""
    return failure != "net::ERR_ABORTED"


def _pages(shop: Shop) -> dict[str, str]:
    workspace = f"{shop.server.url}/workspaces/{shop.workspace}"
    source = shop.server.call("GET", f"/connections/{shop.connections['shop_to_warehouse']}")["sourceId"]
    return {
        "connections": f"{workspace}/connections",
        **{tab: shop.address("shop_to_warehouse", tab) for tab in ("status", "timeline", "replication", "settings")},
        "declared": shop.address("shop_to_warehouse", "declared"),
        "failure": shop.address("clicks_to_warehouse", "status"),
        "log": shop.address("events_to_warehouse", "timeline").replace("timeline", "jobs/3"),
        "confirm": shop.address("shop_to_warehouse", "refresh/confirm"),
        "jobs": f"{workspace}/jobs",
        "sources": f"{workspace}/source",
        "source": f"{workspace}/source/{source}",
        "sign-in": f"{shop.server.url}/sign-in",
    }


if _SHOTS is not None:

    def test_pictures_of_the_documentation(shop: Shop, new_page: Callable[..., Page]) -> None:
        add_history(shop, "shop_to_warehouse")
        shop.server.call("PATCH", f"/connections/{shop.connections['shop_to_warehouse']}", json={"prefix": "by_hand_"})
        for name, scheme in (("connections", "light"), ("status", "light"), ("failure", "dark"), ("declared", "light")):
            page = new_page(color_scheme=scheme, viewport={"width": 1280, "height": 720})
            page.goto(_pages(shop)[name])
            page.screenshot(path=_SHOTS / f"{name}.png")
        shop.server.call("PATCH", f"/connections/{shop.connections['shop_to_warehouse']}", json={"prefix": ""})


def test_every_page_can_be_used_by_everybody_and_fits_a_narrow_screen(
    shop: Shop, new_page: Callable[..., Page]
) -> None:
    page = new_page()
    violations, wide = {}, []
    for name, address in _pages(shop).items():
        page.set_viewport_size({"width": 1180, "height": 760})
        page.emulate_media(color_scheme="light")
        page.goto(address)
        found = Axe().run(page).response["violations"]
        page.emulate_media(color_scheme="dark")  # what is not a colour is the same in both
        found += Axe().run(page, options={"runOnly": ["color-contrast", "link-in-text-block"]}).response["violations"]
        if found:
            violations[name] = [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found]
        page.set_viewport_size({"width": 390, "height": 800})
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wide.append(name)
    assert (violations, wide) == ({}, [])


def test_a_sync_is_started_and_watched_to_its_end(shop: Shop, new_page: Callable[..., Page]) -> None:
    shop.server.run_script(shop.connections["shop_to_warehouse"], WATCHED)
    page = new_page()
    page.goto(shop.address("shop_to_warehouse"))
    page.get_by_role("button", name="Sync now").click()
    expect(page.get_by_role("status")).to_have_text("The sync has been started.")
    row = page.get_by_role("row", name=re.compile("users"))
    expect(row).to_contain_text("Syncing")
    expect(row).to_contain_text("700")
    row.get_by_label("Actions for users").click()
    looks = []
    page.on("request", lambda request: looks.append(request.resource_type))
    expect(page.get_by_role("heading", level=1)).to_contain_text("Healthy")
    expect(page.locator(".headline")).to_contain_text("Sync succeeded")
    expect(page.locator(".headline")).to_contain_text("750 rows")
    expect(page.get_by_role("row", name=re.compile("orders"))).to_contain_text("Synced")
    expect(page.get_by_role("link", name="Clear stream…").first).to_be_visible()
    assert set(looks) == {"fetch"}, "the page was kept, with what its reader had opened"
    looks.clear()
    page.wait_for_timeout(1500)
    assert looks == [], "nothing is asked for in a hurry when nothing runs"


def test_a_sync_that_somebody_else_starts_appears_on_an_open_page(shop: Shop, new_page: Callable[..., Page]) -> None:
    page = new_page()
    page.clock.install()
    page.goto(shop.address("events_to_warehouse", "timeline"))
    job = shop.server.sync(shop.connections["events_to_warehouse"])["jobId"]
    expect(page.locator(f"#job-{job}")).to_have_count(0)
    page.clock.fast_forward(10_000)
    expect(page.locator(f"#job-{job}")).to_be_visible()


def test_a_running_sync_is_cancelled_and_a_stream_cleared(shop: Shop, new_page: Callable[..., Page]) -> None:
    connection = shop.connections["shop_to_warehouse"]
    shop.server.run_script(connection, [{"records": 5}, {"sleep": 60}])
    page = new_page()
    page.goto(shop.address("shop_to_warehouse"))
    page.get_by_role("button", name="Sync now").click()
    page.get_by_role("button", name="Cancel sync").click()
    expect(page.get_by_role("status")).to_have_text("The job has been cancelled.")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Cancelled")
    shop.server.run_script(connection, [{"status": "users"}, {"status": "orders"}])
    menu = page.get_by_label("Actions for users")
    menu.press("Enter")
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Clear stream…").first).to_be_hidden()
    menu.press("Enter")
    page.get_by_role("link", name="Clear stream…").first.click()
    expect(page.get_by_text("Lost: every row")).to_contain_text("how far the source has been read")
    assert shop.server.state(connection) is not None
    page.get_by_role("button", name="Clear stream users").click()
    expect(page.get_by_role("row", name=re.compile("users"))).to_contain_text("Cleared")
    assert shop.server.state(connection) is None


def test_a_failed_sync_is_read(shop: Shop, new_page: Callable[..., Page]) -> None:
    page = new_page()
    page.goto(shop.address("clicks_to_warehouse", "timeline"))
    expect(page.get_by_text(ERROR["message"])).to_be_visible()
    page.get_by_role("link", name=re.compile("View log")).click()
    trace = page.get_by_text(ERROR["stack_trace"].splitlines()[0], exact=False).first
    expect(page.locator(".failure-message", has_text="may not read the table").first).to_be_visible()
    expect(trace).to_be_hidden()
    page.get_by_text("What the connector says in detail").first.click()
    expect(trace).to_be_visible()
    page.get_by_label("Level").select_option("ERROR")
    expect(page.get_by_role("log")).to_contain_text("may not read the table")
    expect(page.get_by_role("log")).not_to_contain_text("destination started")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert "destination started" in Path(download.value.path()).read_text()
    page.goto(shop.address("events_to_warehouse", "timeline"))
    page.get_by_role("link", name=re.compile("View log")).first.click()
    expect(page.get_by_role("link", name=re.compile("Attempt 3 of 3"))).to_have_attribute("aria-current", "page")
    page.get_by_role("link", name=re.compile("Attempt 1 of 3")).click()
    expect(page.get_by_role("log")).to_contain_text("boom")


def test_drift_from_the_repo_and_from_the_source_is_seen(shop: Shop, new_page: Callable[..., Page]) -> None:
    connection = shop.connections["shop_to_warehouse"]
    page = new_page()
    page.goto(shop.address("shop_to_warehouse", "declared"))
    expect(page.get_by_role("heading", name="As declared")).to_be_visible()
    shop.server.call("PATCH", f"/connections/{connection}", json={"prefix": "by_hand_"})
    shop.new_field.write_text("")
    shop.server.sync(connection)
    page.goto(shop.server.url)
    row = page.get_by_role("row", name=re.compile("shop_to_warehouse"))
    expect(row).to_contain_text("Schema change")
    row.get_by_role("link", name="1 difference from YAML").click()
    expect(page.get_by_role("region", name="Differences")).to_contain_text("by_hand_")
    expect(page.locator("tr.differs")).to_have_count(1)
    page.get_by_role("link", name="Review the changes").click()
    expect(page.get_by_role("region", name="Schema changes")).to_contain_text("users.extra")
    expect(page.locator("#stream-1 .reason")).to_have_text(
        "Every change moves updated_at, and rows are never deleted outright."
    )
    page.get_by_label("Search streams and fields").fill("updated_at")
    page.keyboard.press("Enter")
    expect(page.get_by_role("row", name=re.compile("updated_at")).first).to_contain_text("cursor")


def test_pages_are_read_and_used_without_scripts(shop: Shop, new_page: Callable[..., Page]) -> None:
    page = new_page(java_script_enabled=False)
    page.goto(shop.server.url)
    page.get_by_label("Search connections").fill("clicks")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("row")).to_have_count(2)
    page.get_by_role("link", name="clicks_to_warehouse").click()
    expect(page.get_by_text(ERROR["message"])).to_be_visible()
    switch = page.get_by_role("switch", name="Enabled")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "false")
    expect(page.get_by_text("someone switched it off")).to_be_visible()
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "true")
