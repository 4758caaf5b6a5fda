"""The live page over ASGI: who may open the page, and what each of its addresses shows."""

import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from src.observability import ObservabilityContext, settings
from src.observability.budgets import Ledger, configured, statuses_now
from src.observability.console.app import app
from src.observability.console.page import overview
from src.observability.console.page.access import HEADERS
from src.observability.console.page.conversation import _of_value
from src.observability.console.page.frozen import frozen
from src.observability.console.page.live import news
from src.observability.console.page.server import server
from src.observability.console.page.view import View
from src.observability.console.queries.filter import Filter
from src.observability.journal.store import Journal
from tests import million
from tests.console.cycles import ask
from tests.million import observation_row

PORT = 8099
HOST = f"http://127.0.0.1:{PORT}"
HOSTILE = "<script>document.title='owned'</script>\"><img src=x onerror=alert(1)>\x1b[2J\u202e</ol>"


@pytest.fixture
async def stranger() -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    """A browser without a cookie, and the printed address."""
    page, access = server(PORT)
    transport = httpx.ASGITransport(page.config.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=HOST) as client:
        yield client, access.address


@pytest.fixture
async def browser(stranger: tuple[httpx.AsyncClient, str]) -> httpx.AsyncClient:
    """A browser that opened the printed address."""
    client, address = stranger
    await client.get(address)
    return client


async def test_the_token_becomes_a_cookie(stranger: tuple[httpx.AsyncClient, str]) -> None:
    """The token works in one browser; the redirect removes it from the address; scripts cannot read the cookie."""
    client, address = stranger
    Journal(settings.journal_path()).close()
    assert (await client.get("/")).status_code == 403
    first = await client.get(address)
    assert (first.status_code, first.headers["location"]) == (303, "/")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(first.headers["set-cookie"].split("; "))
    assert (await client.get("/")).status_code == 200
    assert (await client.get(address)).status_code == 303  # again, in the same browser
    async with httpx.AsyncClient(transport=client._transport, base_url=HOST) as another:
        assert (await another.get(address)).status_code == 403


@pytest.mark.parametrize("path", ["/", "/events", "/page.css", "/trace/" + "0" * 32, "/?token=x", "/nothing"])
async def test_a_stranger_gets_nothing(stranger: tuple[httpx.AsyncClient, str], path: str) -> None:
    """A wrong token and a wrong cookie are refused; the refusal has the security headers too."""
    client, _ = stranger
    for cookies in ("", f"moon_page_{PORT}=wrong", f"moon_page_{PORT}=", "\x7f=;;="):
        answer = await client.get(path, headers={"Cookie": cookies})
        assert answer.status_code == 403
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS


@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", f"127.0.0.1:{PORT}.evil.example", f"[::1]:{PORT}", ""]
)
async def test_another_host_name_is_refused(browser: httpx.AsyncClient, host: str) -> None:
    """A web site whose name leads to this machine (DNS rebinding) gets nothing, even with the cookie."""
    answer = await browser.get("/", headers={"Host": host})
    refusal = "This host name is refused: open the address that `serve` printed.\n"
    assert (answer.status_code, answer.text) == (421, refusal)


@pytest.mark.parametrize(
    "path",
    ["/trace/../../etc/passwd", "/trace/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/templates/page.css",
     "/..%2faccess.py", "//etc/passwd", "/trace/' OR 1=1 --", "/trace/%00", "/base.html.j2"],
)  # fmt: skip
async def test_path_tricks_lead_nowhere(browser: httpx.AsyncClient, path: str) -> None:
    """Any address but those of the page's own files and of traces in the journal gets 404."""
    Journal(settings.journal_path()).close()
    answer = await browser.get(path)
    assert answer.status_code == 404
    assert "root:" not in answer.text


async def test_only_reading(browser: httpx.AsyncClient) -> None:
    """Methods other than GET and HEAD are refused."""
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        answer = await browser.request(method, "/")
        assert (answer.status_code, answer.text) == (405, "This page is read-only.\n")


async def test_before_the_first_agent_the_page_waits(browser: httpx.AsyncClient) -> None:
    """Without a journal the page states what to do, and reloads itself; an empty journal is shown as empty."""
    answer = await browser.get("/")
    assert answer.status_code == 503
    assert "run an agent first" in answer.text
    assert 'http-equiv="refresh"' in answer.text
    Journal(settings.journal_path()).close()
    assert "Nothing is recorded yet" in (await browser.get("/")).text


async def test_what_a_model_wrote_stays_text(browser: httpx.AsyncClient, journal: Any) -> None:
    """Recorded texts are escaped in names, reasons, prompts and answers, and texts from the address as well."""
    with ObservabilityContext.agent_cycle(HOSTILE, input={"x": HOSTILE}) as cycle:
        ask(HOSTILE, model=HOSTILE, answer=HOSTILE)
        ObservabilityContext.add_trading_signal("BUY", 80, HOSTILE, HOSTILE)
    assert journal.observations()
    addresses = ("/", f"/trace/{cycle.trace_id}", f"/?{httpx.QueryParams(agent=HOSTILE, symbol=HOSTILE)}")
    for address in addresses:
        html = (await browser.get(address)).text
        assert "document.title" in html
        assert "<script>" not in html
        assert "<img" not in html
        assert not re.search("\u202e|\x1b", re.sub(' value="[^"]*"', "", html))  # a `value` attribute has the raw name
        assert html.count("</ol>") == html.count("<ol")


@pytest.mark.filled(120, days=0.9)
async def test_filters_choose_rows(browser: httpx.AsyncClient, filled: Journal) -> None:
    """Filters by agent, symbol and action combine; following the links to older rows shows each row once."""
    rows = filled.select("SELECT * FROM decisions ORDER BY start_ns DESC, seq DESC")
    chosen = [row["trace_id"] for row in rows if (row["action"], row["symbol"]) == ("SELL", "BTC")]
    assert await traces_of(browser, "/?action=SELL&symbol=BTC&period=7d") == chosen
    assert await traces_of(browser, "/?agent=nobody&period=7d") == []
    assert await traces_of(browser, "/?action=HODL&period=7d") == await traces_of(browser, "/?period=7d")
    pages = await pages_of(browser, "/?period=7d", "Older")
    assert [trace for page in pages for trace in page] == [row["trace_id"] for row in rows]


async def traces_of(browser: httpx.AsyncClient, address: str) -> list[str]:
    """Return the traces listed at an address."""
    return re.findall(r'href="/trace/(\w+)', (await browser.get(address)).text)


async def pages_of(browser: httpx.AsyncClient, address: str, link: str) -> list[list[str]]:
    """Return the traces listed at an address, and those on each next page, to which the link with this text leads."""
    pages = []
    while address:
        html = (await browser.get(address)).text
        pages.append(re.findall(r'href="/trace/(\w+)', html))
        further = re.search(rf'href="([^"]*)">{link}', html)
        address = further[1].replace("&amp;", "&") if further else ""
    return pages


async def test_the_page_cannot_write(filled: Journal, browser: httpx.AsyncClient, monkeypatch: Any) -> None:
    """The page opens the journal read-only: any change is refused."""
    from src.observability.console.page import server as module
    from src.observability.journal import JournalError

    def delete(journal: Journal) -> None:
        journal.change("DELETE FROM observations")

    with pytest.raises(JournalError, match="readonly"):
        module._read(delete)
    assert filled.select("SELECT 1 FROM observations LIMIT 1")


BUDGETS = "fleet 3 calls/month; *Agent1 400 calls/month soft; <img/src=x> 1 USD/day"


@pytest.mark.filled(120, days=0.9)
async def test_budgets_are_on_the_page(filled: Journal, browser: httpx.AsyncClient, monkeypatch: Any) -> None:
    """With any filter, the page and the report show the same figures as `budgets`, which include the newest calls."""
    assert 'class="card budgets"' not in (await browser.get("/")).text
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", BUDGETS)
    with filled.transaction() as db:
        Ledger(configured()).settle(db, time.time())
    periods = "SELECT spent FROM budget_periods ORDER BY budget = 'fleet calls/month' DESC"
    counted = filled.select(periods)
    million.fill(filled, 5, days=0.00001, seed=7)
    screen = (await browser.get("/?action=SELL&agent=WhaleAgent1")).text
    lines = [json.loads(line) for line in CliRunner().invoke(app, ["budgets", "--json"]).stdout.splitlines()]
    assert lines[0]["spent"] == counted[0]["spent"] + 5
    for html in (screen, frozen(filled, Filter())):
        assert [figures_of(card) for card in re.findall(r"<li>\n<b>.*?</li>", html, re.DOTALL)] == [
            pytest.approx({name: line[name] for name in ("spent", "reserved", "left", "limit")}, rel=1e-3)
            for line in lines
        ]
        assert html.count('class="meter bad"') == 1
        assert "<b>&lt;img/src=x&gt; 1 USD/day</b>" in html
    assert filled.select(periods) == counted  # the page wrote nothing
    statuses, is_complete = statuses_now(filled, configured(), time.time(), steps=0)
    assert (statuses[0].spent, is_complete) == (counted[0]["spent"], False)
    monkeypatch.setattr("src.observability.console.page.budgets._STEPS", 0)
    assert "without the newest calls" in (await browser.get("/")).text


def figures_of(card: str) -> dict[str, float]:
    """Return the figures on a budget's card."""
    form = r"~?([\d.,e-]+) <small>(spent|reserved|left|USD|calls)"
    figures = {name: float(text.replace(",", "")) for text, name in re.findall(form, card)}
    return {name if name in ("spent", "reserved", "left") else "limit": value for name, value in figures.items()}


def test_messages_of_any_form() -> None:
    """The page shows all of a recorded value: a conversation, arguments, a message in parts, a text or other data."""

    def read(value: Any) -> list[tuple[str, str]]:
        return [(message.kind, message.text) for message in _of_value(value, "user", "input")]

    assert read("x") == [("user", "x")]
    assert read(None) == []
    assert read([1]) == [("data", "[\n  1\n]")]
    assert read({"role": "assistant", "content": "a"}) == [("assistant", "a")]
    conversation = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [{"type": "text", "text": "t"}, "u"]},
    ]
    assert read(conversation) == [("system", "s"), ("user", "t\nu")]
    assert read({"messages": conversation, "n": 1}) == [*read(conversation), ("data", '{\n  "n": 1\n}')]
    assert read({"prompt": "p", "system": "s"}) == [("system", "s"), ("user", "p")]
    assert read([{"role": "assistant", "content": None, "tool_calls": [1]}]) == [
        ("assistant", '{\n  "tool_calls": [\n    1\n  ]\n}')
    ]


@pytest.mark.filled(120, days=0.9)
async def test_tiles_and_lower_half_are_of_the_view(browser: httpx.AsyncClient, filled: Journal) -> None:
    """The tiles count the calls and failures of the filtered agent; the lower part of the page has the same filter."""
    ((agent, calls, failed),) = (
        tuple(row.values())
        for row in filled.select(
            "SELECT agent, count(*) AS calls, sum(level = 'ERROR') AS failed FROM observations"
            " WHERE type = 'generation' GROUP BY agent ORDER BY failed DESC, agent LIMIT 1"
        )
    )
    noun = "call" if calls == 1 else "calls"
    assert f"{failed} of {calls} {noun}" in (await browser.get(f"/?period=7d&agent={agent}")).text
    lower = (await browser.get(f"/lower?period=7d&agent={agent}")).text
    assert re.findall(r'<th scope="row" title="(\w+Agent\w+)"', lower) == [agent]


@pytest.mark.filled(40, days=0.5)
async def test_text_is_searched(browser: httpx.AsyncClient, filled: Journal, monkeypatch: Any) -> None:
    """The search covers prompts, answers and reasons. For each page of results it takes a limited time, and goes on at
    "Search further". A search text without a letter or digit is ignored."""
    trace = filled.select("SELECT trace_id FROM decisions ORDER BY seq LIMIT 1 OFFSET 7")[0]["trace_id"]
    filled.change(
        "UPDATE observations SET output = ? WHERE type = 'generation' AND trace_id = ?", ('"sell the Zebra now"', trace)
    )
    assert await traces_of(browser, "/?period=7d&text=the+zebra") == [trace]
    assert len(await traces_of(browser, "/?period=7d&text=..")) == 30
    rows = [row["trace_id"] for row in filled.select("SELECT trace_id FROM decisions ORDER BY start_ns DESC, seq DESC")]
    with monkeypatch.context() as limits:
        limits.setattr(overview, "_SEARCH_ROWS", 10)
        limits.setattr(overview, "_SEARCH_SECONDS", -1)
        pages = await pages_of(browser, "/?period=7d&text=the+zebra", "Search further")
    assert pages == [[trace] if trace in rows[at : at + 10] else [] for at in range(0, len(rows) + 1, 10)]
    filled.change("UPDATE observations SET output = ? WHERE type = 'generation'", ('"buy the Zebra"',))
    pages = await pages_of(browser, "/?period=7d&text=the+zebra", "Older")
    assert pages == [rows[:30], rows[30:]]


async def test_a_trace_has_its_facts(browser: httpx.AsyncClient, decide: Any, made: Journal) -> None:
    """A trace's page shows its decisions, outcome, Langfuse address and cost; if a price is unknown, so is the cost."""
    trace_id = decide([("SELL", 64), ("HODL", None)], calls=[("m", 0.5), ("m", "failed")], pnl_usd=3)
    unpriced = decide(calls=[("m", 0.5), ("m", None)])
    made.keep_project("https://langfuse.example|pk", "p1")
    made.change("UPDATE observations SET state = 'shipped', destination = 'https://langfuse.example|pk'")
    html = (await browser.get(f"/trace/{trace_id}")).text
    assert re.findall(r'<span class="badge (\w+)">([^<]*)', html) == [("SELL", "SELL"), ("unreadable", "HODL ?")]
    assert f'href="https://langfuse.example/project/p1/traces/{trace_id}"' in html
    assert "+$3.00" in html
    costs = [
        re.search(r"Cost</dt>\s*<dd[^>]*>([^<]*)", (await browser.get(f"/trace/{name}")).text)
        for name in (trace_id, unpriced)
    ]
    assert [cost and cost[1] for cost in costs] == ["$0.50", "unknown"]


@pytest.mark.filled(20, days=0.5)
def test_news_are_the_rows_that_arrived(filled: Journal) -> None:
    """The browser gets decisions or failures that arrived after its newest row, and new tiles if any row arrived."""
    newest = filled.newest()
    assert news(filled, View(), newest[0], newest) == (newest, [])
    million.fill(filled, 40, days=0.00001, seed=7)
    filled.change("UPDATE observations SET level = 'ERROR' WHERE type = 'generation' AND seq % 5 = 0")
    for view, query in (
        (View(), "name = 'trading_signal' ORDER BY start_ns DESC"),
        (View(failed=True), "type = 'generation' AND level = 'ERROR' ORDER BY start_ns DESC"),
        (View(text="zebra"), "1 = 0"),
    ):
        arrived = filled.select(f"SELECT trace_id FROM observations WHERE seq > ? AND {query}", (newest[0],))
        latest, events = news(filled, view, newest[0], newest)
        assert latest == filled.newest()
        assert [name for name, _ in events] == ["rows", "tiles"][not arrived :]
        assert bool(arrived) == (view.text is None)  # every view has new rows, except the search for "zebra"
        if arrived:
            assert re.findall(r'href="/trace/(\w+)', events[0][1]) == [row["trace_id"] for row in arrived][:30]
    assert [name for name, _ in news(filled, View(), None, newest)[1]] == ["tiles"]
    assert [name for name, _ in news(filled, View(), newest[0], None)[1]] == ["rows"]


async def test_a_long_trace_is_cut(browser: httpx.AsyncClient) -> None:
    """The page cuts traces at 500 observations and texts at 20,000 characters, and names the command that shows all."""
    step = {"trace_id": "a" * 32, "type": "span", "name": "step", "trace_name": "t"}
    long = json.dumps("x" * 30_000)
    rows = [
        observation_row(**step, id=f"{number:016x}", start_ns=number, output=None if number else long)
        for number in range(600)
    ]
    journal = Journal(settings.journal_path())
    journal.append(rows, [])
    journal.close()
    html = (await browser.get(f"/trace/{'a' * 32}")).text
    assert html.count('<span class="type">') == 500
    assert "and 100 observations more: python -m src.observability trace aaaaaaaa --full" in html
    assert ("x" * 20_000 in html, "x" * 20_001 in html) == (True, False)
