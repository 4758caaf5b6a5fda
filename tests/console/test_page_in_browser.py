"""The live page and the report in a real browser (Debian's `chromium`): layout, accessibility and behaviour.

axe-core checks what a screen reader gets; without `npm install --no-save axe-core@4.14.1` this check is left out.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pytest_httpserver import HTTPServer

from src.observability import ObservabilityContext, settings
from src.observability.journal.store import Journal
from tests import million
from tests.console.cycles import ask
from tests.console.fleet import judge
from tests.providers.wire import Provider

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium")
AXE = settings.REPO_ROOT / "node_modules" / "axe-core" / "axe.min.js"
HOSTILE = (
    "<script>document.title='owned'</script>\"><img src=x onerror=\"document.title='owned'\">\x1b[2J\u202e</ol>"
    + "W" * 300
)
SIZES = {"phone": (400, 860), "laptop": (1280, 900), "desktop": (1920, 1080)}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("Debian's chromium is not installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


def served() -> tuple["subprocess.Popen[str]", str]:
    """Start `serve` on this test's journal; return the process and the printed address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "src.observability", "serve", "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=settings.REPO_ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    return process, process.stdout.readline().split()[-1]


def stopped(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Return status and stderr of `serve` after Ctrl-C."""
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    return process.returncode, errors


@pytest.fixture
def serve() -> Iterator[Callable[[], str]]:
    """Starts `serve` on this test's journal, and returns the printed address."""
    started: list[subprocess.Popen[str]] = []

    def start() -> str:
        process, address = served()
        started.append(process)
        return address

    yield start
    for process in started:
        assert stopped(process) == (0, "")


class Browser:
    """A page in a browser, which records the page's errors and requests."""

    def __init__(self, chromium: Any, size: str, scheme: str, cookies: Any = None) -> None:
        width, height = SIZES[size]
        self.width = width
        viewport = {"width": width, "height": height}
        self.context = chromium.new_context(viewport=viewport, color_scheme=scheme, storage_state=cookies)
        self.page = self.context.new_page()
        self.page.set_default_timeout(10_000)
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.errors.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def check(self, origin: str) -> None:
        """Check that the page has no error, no request to another host, no sideways scrolling, and no fault for
        screen readers."""
        self.page.wait_for_load_state()
        assert self.errors == []
        assert [url for url in self.requests if not url.startswith(origin)] == []
        assert self.page.evaluate("document.documentElement.scrollWidth") <= self.width
        assert self.page.title() != "owned"
        assert self.page.locator("img").count() == 0
        if AXE.exists():
            violations, passes = self.axe()
            assert violations == []
            assert passes > 10

    def axe(self) -> tuple[list[Any], int]:
        """Run axe-core in an isolated JavaScript world, which the page's security policy does not restrict."""
        session = self.context.new_cdp_session(self.page)
        frame = session.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
        world = {"contextId": session.send("Page.createIsolatedWorld", {"frameId": frame})["executionContextId"]}
        session.send("Runtime.evaluate", {"expression": AXE.read_text(encoding="utf-8"), **world})
        rules = "result.violations.map((rule) => [rule.id, rule.nodes[0].html, rule.nodes[0].failureSummary])"
        script = f"axe.run(document).then((result) => JSON.stringify([{rules}, result.passes.length]))"
        how = {"awaitPromise": True, "returnByValue": True, **world}
        answer = session.send("Runtime.evaluate", {"expression": script, **how})
        violations, passes = json.loads(answer["result"]["value"])
        return violations, passes


def plant() -> None:
    """Record cycles whose every text is hostile."""
    for number in range(3):
        with ObservabilityContext.agent_cycle(f"{HOSTILE}{number}", input={"x": HOSTILE}):
            ask(HOSTILE, model=HOSTILE, answer=HOSTILE)
            action, confidence = (("BUY", 80), (HOSTILE, 1e300), ("SELL", -5))[number]
            ObservabilityContext.add_trading_signal(action, confidence, HOSTILE, HOSTILE)


def replay(server: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run `make demo` with a fake provider on loopback; skip the test before Python 3.11, which the agents need."""
    demo = pytest.importorskip("src.agents.demo", exc_type=ImportError)
    claude = Provider("claude")
    claude.play(server, "answer")
    claude.configure(monkeypatch, server.url_for(""))
    assert demo.main() == 0


@pytest.fixture(params=["empty", "demo", "fleet", "hostile"])
def content(
    request: pytest.FixtureRequest, journal: Any, journal_of: Callable[..., Journal], httpserver: HTTPServer,
    monkeypatch: pytest.MonkeyPatch,
) -> str:  # fmt: skip
    """Leave the journal empty, or fill it with the demo's, a fleet's or hostile traces; return which of these."""
    if request.param == "demo":
        replay(httpserver, monkeypatch)
        journal.observations()
    elif request.param == "fleet":
        judge(journal_of(300, days=0.9), 150)
        monkeypatch.setenv("OBSERVABILITY_BUDGETS", "fleet 20 USD/day; *Agent1 2 calls/week; claude-* 200 calls/week")
    elif request.param == "hostile":
        monkeypatch.setenv("OBSERVABILITY_BUDGETS", "<img/src=x/onerror=document.title='owned'> 20 USD/day")
        plant()
        journal.observations()
    else:
        Journal(settings.journal_path()).close()
    return str(request.param)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_live_page(size: str, scheme: str, content: str, chromium: Any, serve: Any, tmp_path: Path) -> None:
    """The overview and a trace's page pass all checks at every screen size, light or dark; the address has no token."""
    browser = Browser(chromium, size, scheme)
    address = serve()
    origin = address.partition("?")[0]
    browser.page.goto(address)
    browser.page.locator("#lower .pair").wait_for()
    assert browser.page.url == origin
    browser.check(origin)
    browser.page.screenshot(path=tmp_path / "overview.png", full_page=True)
    if content != "empty":
        browser.page.locator(".row a").first.click()
        browser.page.locator(".tree").wait_for()
        browser.check(origin)
        assert browser.page.locator(".message").count() >= 1
    browser.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_report(size: str, scheme: str, content: str, chromium: Any, tmp_path: Path) -> None:
    """The report is one file, requests nothing and passes all checks; its links lead to its traces and back."""
    file = tmp_path / "report.html"
    subprocess.run(
        [sys.executable, "-m", "src.observability", "report", "--html", file],
        check=True, cwd=settings.REPO_ROOT, capture_output=True,
    )  # fmt: skip
    browser = Browser(chromium, size, scheme)
    browser.page.goto(file.as_uri())
    browser.check(file.as_uri())
    if content != "empty":
        browser.page.locator(".row a").first.click()
        assert browser.page.locator(".sheet:visible").count() == 1
        assert not browser.page.locator("#content").is_visible()
        browser.check(file.as_uri())
        browser.page.get_by_role("link", name="← Report").click()
        assert browser.page.locator("#content").is_visible()
    browser.context.close()


@pytest.fixture
def fleet(chromium: Any, serve: Any, journal_of: Callable[..., Journal]) -> Iterator[tuple[Browser, Journal, str]]:
    """The live page, which shows one day of a fleet's calls; the journal; the page's origin."""
    made = journal_of(300, days=0.9)
    judge(made, 150)
    browser = Browser(chromium, "laptop", "light")
    address = serve()
    browser.page.goto(address)
    browser.page.locator("#lower .pair").wait_for()
    yield browser, made, address.partition("?")[0]
    browser.context.close()


def test_new_decisions_come_by_themselves(fleet: tuple[Browser, Journal, str]) -> None:
    """New decisions appear on top, are announced, and update the tiles; after a click on Live no more appear."""
    browser, made, origin = fleet
    page = browser.page
    calls = page.locator("#tiles .note").last.text_content()
    million.fill(made, 2, days=0.00001, seed=77)
    page.locator(".row.new").first.wait_for()
    assert page.locator(".row.new").count() == 2
    assert page.locator("#status").text_content() == "2 new rows"
    page.wait_for_function(
        "text => document.querySelector('#tiles .tile:last-child .note').textContent !== text", arg=calls
    )
    page.get_by_role("button", name="Live").click()
    million.fill(made, 1, days=0.00001, seed=78)
    page.wait_for_timeout(2500)
    assert page.locator(".row.new").count() == 2
    browser.check(origin)


def test_ctrl_c_ends_an_open_stream() -> None:
    """Ctrl-C ends the server within five seconds, without a message, although an event stream is open."""
    Journal(settings.journal_path()).close()
    process, address = served()
    with httpx.Client() as client:
        client.get(address)
        with client.stream("GET", f"{address.partition('?')[0]}events?after=0") as stream:
            assert next(stream.iter_lines()) == ":"
            began = time.monotonic()
            assert stopped(process) == (0, "")
            assert time.monotonic() - began < 5


def test_a_view_stays_in_the_address(fleet: tuple[Browser, Journal, str]) -> None:
    """Filters and periods change the page's address; a reload or the back button shows the rows of that address."""
    browser, made, origin = fleet
    page = browser.page
    page.get_by_label("Action").select_option("SELL")
    page.wait_for_url("**/?action=SELL")
    page.get_by_label("Symbol").select_option("BTC")
    page.wait_for_url("**action=SELL*")
    page.locator("#periods a", has_text="7 d").click()
    page.wait_for_url("**period=7d**")
    page.wait_for_function("!document.querySelector('.badge.BUY')")
    wanted = {
        row["trace_id"]
        for row in made.select("SELECT trace_id FROM decisions WHERE action = 'SELL' AND symbol = 'BTC'")
    }
    for _ in range(2):
        assert {link.rpartition("/")[2] for link in hrefs(page)} <= wanted
        assert len(hrefs(page)) == min(len(wanted), 30)
        page.reload()
    page.get_by_label("Text in prompt, answer or reason").fill("no such text")
    page.get_by_label("Text in prompt, answer or reason").press("Enter")
    page.wait_for_url("**text=no+such+text**")
    assert page.locator(".row a").count() == 0
    page.go_back()
    page.locator(".row a").first.wait_for()
    browser.check(origin)


def hrefs(page: Any) -> list[str]:
    """Return the addresses of the list's rows."""
    links: list[str] = page.locator("#rows a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    return links


def test_by_keyboard_alone(fleet: tuple[Browser, Journal, str]) -> None:
    """The first Tab offers a link to the decisions; from there, Tab and Enter open a trace."""
    browser, _, origin = fleet
    page = browser.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('#rows') !== null")
    page.keyboard.press("Enter")
    page.locator(".tree").wait_for()
    browser.check(origin)


def test_marks_show_their_figures(fleet: tuple[Browser, Journal, str]) -> None:
    """A chart's tooltip has the words that a screen reader gets; a table's headers sort it and show the order."""
    browser, _, _ = fleet
    page = browser.page
    mark = page.locator("section:has(> header > h2:text-is('Decisions')) g[aria-label]").last
    mark.hover()
    tip = page.locator(".tip")
    assert tip.is_visible()
    assert re.sub(r"\W+", " ", tip.text_content()) == re.sub(r"\W+", " ", mark.get_attribute("aria-label"))
    table = page.locator("section:has(> header > h2:text-is('Agents'))")
    for order in ("descending", "ascending"):
        table.get_by_role("button", name="calls").click()
        assert table.locator("th", has_text="calls").first.get_attribute("aria-sort") == order
        calls = [int(text) for text in table.locator("tbody td:nth-child(2)").all_text_contents()]
        assert calls == sorted(calls, reverse=order == "descending")


WRITER = """
import sys, time
from pathlib import Path
from src.observability.journal.store import Journal
from tests.million import fill
journal, end, pause = Journal(Path(sys.argv[1])), Path(sys.argv[2]), float(sys.argv[3])
while not end.exists():
    fill(journal, 5, days=0.00001, seed=time.time_ns())
    time.sleep(pause)
"""


@contextmanager
def writing(path: Path, processes: int, pause: float) -> Iterator[None]:
    """While the block runs, let processes append traces, five at a time; none of the processes may fail."""
    end = path.with_name("end")
    command = [sys.executable, "-c", WRITER, str(path), str(end), str(pause)]
    writers = [subprocess.Popen(command, cwd=settings.REPO_ROOT, stderr=subprocess.PIPE) for _ in range(processes)]
    try:
        yield
    finally:
        end.touch()
        done = [(writer.communicate(timeout=60)[1], writer.returncode) for writer in writers]
    assert done == [(b"", 0)] * processes


def test_while_a_fleet_writes(fleet: tuple[Browser, Journal, str]) -> None:
    """Eight processes append without a pause: the page works, and no process gets an error."""
    browser, made, origin = fleet
    with writing(made.path, 8, pause=0):
        for _ in range(6):
            browser.page.reload()
            browser.page.locator("#lower .pair").wait_for(timeout=20_000)
    browser.check(origin)


def paint_and_filter(page: Any) -> tuple[float, float]:
    """Return two times (ms), each the shortest of several: to the first paint, and from a filter to its address."""
    paints, filters = [], []
    for _ in range(2):
        page.reload()
        page.locator("#lower .pair").wait_for()
        paints.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        for action in ("SELL", ""):
            began = time.perf_counter()
            page.get_by_label("Action").select_option(action)
            page.wait_for_function("action => location.search.includes('action') === (action !== '')", arg=action)
            filters.append(1000 * (time.perf_counter() - began))
            page.locator("#lower .pair").wait_for()
    return min(paints), min(filters)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_million_rows_being_written_to(
    chromium: Any, serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While four processes append to a million rows, the page loads on screens of every size, applies
    a filter, and shows new decisions."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", "fleet 900 USD/month; *Agent1 20 USD/day")
    made = Journal(settings.journal_path())
    million.fill(made, 333_334)
    made.close()
    address = serve()
    origin = address.partition("?")[0]
    cookies = None
    with writing(made.path, 4, pause=0.1):
        for size, scheme in zip(SIZES, ("light", "dark", "light"), strict=True):
            browser = Browser(chromium, size, scheme, cookies)
            browser.page.set_default_timeout(60_000)
            browser.page.goto(origin if cookies else address)
            cookies = browser.context.storage_state()
            paint, filtered = paint_and_filter(browser.page)
            print(f"{size}: first paint {paint:.0f} ms, a filter {filtered:.0f} ms")
            browser.page.locator(".row.new").first.wait_for()
            browser.check(origin)
            browser.page.screenshot(path=tmp_path / f"{size}.png")
            browser.context.close()


@pytest.mark.skipif("MILLION" not in os.environ, reason="MILLION names a journal by `python -m tests.million`")
def test_a_million_rows(chromium: Any, serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a million rows on a quiet machine, the page is painted within a second and filtered within 300 ms."""
    monkeypatch.setenv("OBSERVABILITY_JOURNAL", os.environ["MILLION"])
    browser = Browser(chromium, "laptop", "light")
    browser.page.goto(serve())
    paint, filtered = paint_and_filter(browser.page)
    print(f"first paint {paint:.0f} ms, a filter {filtered:.0f} ms")
    assert paint <= 1000
    assert filtered <= 300
