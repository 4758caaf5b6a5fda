"""The page in a real browser (Debian's `chromium`): its numbers are the journal's, and it makes no request."""

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from src.observability import ObservabilityContext, observe_llm, settings
from src.observability.console.app import app
from src.observability.console.evaluation import wilson
from src.observability.console.report.series import calendar
from src.observability.journal.store import INTERRUPTED, Journal, Row
from tests import million

DAY_NS = 86_400_000_000_000
CHROMIUM = shutil.which("chromium")
HOSTILE = "<script>document.title='owned'</script>\"><img src=x onerror=\"document.title='owned'\">\x1b[2J\u202e</svg>"


@pytest.fixture
def report(journal: Any, tmp_path: Path) -> Any:
    """Runs the command on this test's journal."""

    def make(*arguments: str) -> Path:
        journal.observations()  # written to disk
        file = tmp_path / "report.html"
        done: Result = CliRunner().invoke(app, ["report", "--html", str(file), *arguments])
        assert done.exit_code == 0, done.output
        return file

    return make


@pytest.fixture
def judged(journal_of: Callable[..., Journal]) -> None:
    """A fortnight of four hundred traces, and what came of a hundred decisions."""
    made = journal_of(400)
    traces = made.select("SELECT trace_id FROM observations WHERE name = 'trading_signal' ORDER BY seq LIMIT 100")
    made.append([], [_outcome(row["trace_id"], number) for number, row in enumerate(traces)])


def _outcome(trace_id: str, number: int) -> dict[str, Any]:
    return {
        "id": f"{trace_id[:20]}-pnl", "trace_id": trace_id, "observation_id": None, "name": "pnl_usd",
        "data_type": "NUMERIC", "value": float(number % 3 - 1), "comment": None, "environment": "default",
        "session_id": None, "timestamp_ns": number, "destination": None, "state": "local",
    }  # fmt: skip


def _labels(html: str, form: str) -> list[tuple[str, ...]]:
    """What marks of this form say to a screen reader."""
    return [
        match.groups() for label in re.findall(r'aria-label="([^"]*)"', html) if (match := re.fullmatch(form, label))
    ]


@pytest.mark.slow
def test_the_charts_say_what_the_journal_has(judged: None, report: Any) -> None:
    """Every figure in their accessible text, computed once more by pandas from the rows."""
    html = report().read_text(encoding="utf-8")
    reader = Journal(settings.journal_path(), create=False)
    rows = pd.DataFrame(reader.observations("type = 'generation' OR name = 'trading_signal'"))
    reader.close()
    rows["day"] = pd.to_datetime(rows["start_ns"], unit="ns").dt.strftime("%Y-%m-%d")
    calls = rows[rows["type"] == "generation"]
    priced = calls.dropna(subset="cost_usd")  # what has no price is in no bar
    spent = {f"{day}, {model}": usd for (day, model), usd in priced.groupby(["day", "model"])["cost_usd"].sum().items()}
    models = "|".join(calls["model"].unique())
    drawn = {what: float(usd) for what, usd in _labels(html, rf"(.*, (?:{models})): \$([\d.]+)") for what in [what]}
    assert drawn == pytest.approx(spent, abs=1e-6)
    by_agent = sum(float(usd) for (usd,) in _labels(html, r".*, \w+Agent\d+: \$([\d.]+)"))
    (others,) = re.findall(r"<p>\d+ others together: \$([\d.]+)\.", html)
    assert by_agent + float(others) == pytest.approx(calls["cost_usd"].sum(), abs=6e-3)  # the others in two digits
    unpriced = (calls["cost_usd"].isna() & (calls["level"] != "ERROR")).sum()
    assert html.count(f"Not included: {unpriced} calls of unknown price.") == 2
    assert "nobody-s-model: $" not in html
    failed = calls.assign(failed=calls["level"] == "ERROR").groupby("day")["failed"].agg(["sum", "count"])
    errors = {
        day: (int(some), int(count)) for day, some, count in _labels(html, r"([\d-]+): (\d+) of (\d+) calls? failed")
    }
    assert errors == {day: (row["sum"], row["count"]) for day, row in failed.iterrows()}
    signals = rows[rows["name"] == "trading_signal"]
    actions = signals["metadata"].map(lambda metadata: metadata["signal_action"])
    decided = {f"{day}, {action}": int(count) for day, action, count in _labels(html, r"(.*), (\w+): (\d+) decisions?")}
    assert decided == {
        f"{day}, {action}": count for (day, action), count in signals.groupby(["day", actions]).size().items()
    }
    assert sum(int(count) for (count,) in _labels(html, r".* s, .*: (\d+) calls?")) == len(calls)


def _calls(*days_ago_and_models: tuple[int, str]) -> None:
    """A call of a tenth of a second each, at noon, that cost a cent but for those of `nobody`."""
    noon = time.time_ns() // DAY_NS * DAY_NS + DAY_NS // 2
    rows = [
        million.observation_row(
            id=f"{number:016x}", trace_id=f"{number:032x}", type="generation", name="g", trace_name="g", model=model,
            agent="A", start_ns=noon - days * DAY_NS, end_ns=noon - days * DAY_NS + DAY_NS // 864_000,
            cost_usd=None if model == "nobody" else 0.01,
        )
        for number, (days, model) in enumerate(days_ago_and_models)
    ]  # fmt: skip
    made = Journal(settings.journal_path())
    made.append(rows, [])
    made.close()


def test_a_day_without_a_call_has_its_place(report: Any) -> None:
    """Between two that have some, and up to today: an outage looks like a gap."""
    _calls((5, "m"), (4, "m"), (2, "m"))
    today = time.time_ns() // DAY_NS
    days = [f"{datetime.fromtimestamp((today - ago) * 86_400, timezone.utc):%Y-%m-%d}" for ago in range(5, -1, -1)]
    html = report().read_text(encoding="utf-8")
    errors = html.split("<h2>Errors</h2>")[1].split("</section>")[0]
    assert [day[5:] for day in days] == re.findall(r"<text[^>]*>(\d\d-\d\d)</text>", errors)
    spend = html.split("<h2>Spend by model</h2>")[1].split("</section>")[0]
    assert [day[5:] for day in days] == re.findall(r"<text[^>]*>(\d\d-\d\d)</text>", spend)
    drawn = [day for day, _ in _labels(html, r"(.*), m: \$([\d.]+)")]
    assert drawn == [days[0], days[1], days[3]]


def test_years_of_days_are_the_last_one() -> None:
    """A row with a broken clock makes no picture of fifty years."""
    days = calendar(["1970-01-01", "2026-11-01"])
    assert (len(days), days[-1]) == (366, "2026-11-01")
    assert calendar([]) == []


@pytest.mark.slow
def test_no_call_is_missing_from_the_latencies(report: Any) -> None:
    """Of eight models five stand alone, the rest together."""
    _calls(*[(0, f"m{number}") for number in range(8) for _ in range(10 - number)])
    html = report().read_text(encoding="utf-8")
    counts = {model: int(count) for model, count in _labels(html, r"0\.1–0\.3 s, (.*): (\d+) calls?")}
    assert counts == {"m0": 10, "m1": 9, "m2": 8, "m3": 7, "m4": 6, "all others": 5 + 4 + 3}


def test_what_nobody_can_price_is_text(report: Any) -> None:
    """Not a bar of nothing; where no price is known at all, there is no picture of spend."""
    _calls((0, "m"), (0, "nobody"), (0, "nobody"))
    html = report().read_text(encoding="utf-8")
    assert "nobody: $" not in html
    assert html.count("Not included: 2 calls of unknown price.") == 2
    assert "0.1–0.3 s, nobody: 2 calls" in html


def _ticks(html: str, title: str) -> list[str]:
    """What the upright axis of a picture says, from the ground up."""
    drawn = html.split(f"<h2>{title}</h2>")[1].split("</section>")[0].split('aria-label="Y-axis')[1]
    return re.findall(r"<text[^>]*>([^<]*)</text>", drawn.split("mark-rule role-axis-domain")[0].split("aria-label")[0])


def test_where_all_is_free_spend_is_a_sentence(report: Any) -> None:
    """In a low card of its own, not two tall ones without a picture; of one call, not `1 calls`."""
    _append(_call(0, cost_usd=0.0), _call(1, model="nobody"))
    html = report().read_text(encoding="utf-8")
    assert "<h2>Spend</h2><p>No chart: 1 call of unknown price; all others were free.</p>" in html
    assert "Spend by" not in html
    assert "1 call of unknown price</span>" in html
    assert 'class="card chart"><h2>Confidence' not in html
    assert not re.search(r"\b1 (calls|decisions)\b", html)


def test_axes_suit_what_is_counted(report: Any) -> None:
    """Calls are whole, and a day without an error is a point on the ground of an axis."""
    _append(_call(0))
    html = report().read_text(encoding="utf-8")
    assert _ticks(html, "Latency") == ["0", "1"]
    errors = _ticks(html, "Errors")
    assert (errors[0], errors[-1], len(set(errors))) == ("0%", "10%", len(errors))


def test_what_is_unknown_of_a_call_is_not_shown_as_known(report: Any) -> None:
    """The tokens of one that failed, and how long one took whose process died during it."""
    _append(_call(0, level="ERROR"), _call(1, model="cut", level="WARNING", status_message=INTERRUPTED))
    html = report().read_text(encoding="utf-8")
    assert _labels(html, r"0\.1–0\.3 s, (.*): 1 call") == [("m",)]
    by_model = html.split("<h2>By model</h2>")[1].split("</section>")[0]
    unknown = '<td class="number" data-value="">–</td>'
    assert by_model.count(f"{unknown * 3}</tr>") == 2


def _append(*rows: Row) -> None:
    made = Journal(settings.journal_path())
    made.append(list(rows), [])
    made.close()


def _call(number: int, **columns: Any) -> Row:
    """A call of a tenth of a second, some minutes ago."""
    start_ns = time.time_ns() - 60_000_000_000 * (number + 1)
    fixed = {"type": "generation", "name": "g", "trace_name": "g", "model": "m", "agent": "A"}
    return million.observation_row(
        id=f"{number:016x}", trace_id=f"{number:032x}", start_ns=start_ns, end_ns=start_ns + 100_000_000,
        **{**fixed, **columns},
    )  # fmt: skip


@pytest.mark.slow
def test_the_report_is_of_one_model(judged: None, report: Any) -> None:
    """Calls, decisions and outcomes are those of the model, however it is written."""
    html = report("--model", "DEEPSEEK-chat").read_text(encoding="utf-8")
    made = Journal(settings.journal_path(), create=False)
    (calls,) = made.select("SELECT count(*) AS n FROM observations WHERE model = 'deepseek-chat'")
    made.close()
    assert f"<b>{calls['n']}</b><span>model calls" in html
    assert f"<b>{calls['n']}</b><span>decisions" in html
    assert sum(int(count) for (count,) in _labels(html, r".*, \w+: (\d+) decisions?")) == calls["n"]
    assert "gpt-4o-mini" not in html


@pytest.mark.slow
def test_pictures_have_names(judged: None, report: Any) -> None:
    """Each is an image that is called something; the moon is a picture too, since not every machine has its letter."""
    html = report().read_text(encoding="utf-8")
    named = re.findall(r'<svg role="img" aria-label="([^"]+)"', html)
    titles = ("Spend by agent", "Spend by model", "Latency", "Errors", "Decisions", "Confidence against outcome")
    assert [name.startswith(title) for name, title in zip(named, titles, strict=True)] == [True] * 6
    assert html.count("<svg") == len(named) + 1
    assert "🌙" not in html


@pytest.mark.slow
def test_what_came_of_decisions_is_shown_with_its_doubt(judged: None, report: Any) -> None:
    """A class of confidence, its cases, its hits, and how wide the interval is."""
    html = report().read_text(encoding="utf-8")
    classes = _labels(html, r"(\d+)% confident: (\d+) of (\d+) profitable, (\d+)%")
    cases = sum(int(count) for _, _, count, _ in classes)
    assert len(classes) == 5
    assert f"<p>{cases} BUY and SELL decisions" in html
    assert 40 < cases <= 100


def test_the_interval_is_wilsons() -> None:
    """Figures of the example in Newcombe 1998, Statistics in Medicine 17, table I: 81 of 263, and 0 of 20."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)


def test_an_empty_journal_has_a_page_too(report: Any) -> None:
    """It says what to do."""
    Journal(settings.journal_path()).close()
    html = report().read_text(encoding="utf-8")
    assert "Nothing recorded in this period" in html
    assert 'role="img"' not in html


def _plant() -> None:
    @observe_llm(name=HOSTILE)
    def ask(prompt: str, model: str) -> str:
        return HOSTILE

    with ObservabilityContext.agent_cycle(HOSTILE, input={"x": HOSTILE}):
        ask(HOSTILE, model=HOSTILE)
        ObservabilityContext.add_trading_signal("BUY", 80, HOSTILE, HOSTILE)
        ObservabilityContext.add_trading_signal(HOSTILE, 80, HOSTILE, HOSTILE)


@pytest.fixture
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("Debian's chromium is not installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


TEXT_SIZES = """Math.min(...[...document.querySelectorAll('.card svg')].flatMap(svg => {
    const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    return [...svg.querySelectorAll('text')].map(text => parseFloat(getComputedStyle(text).fontSize) * scale); }))"""
SIZES = {"phone": (390, 844), "desktop": (1280, 900)}


@pytest.mark.slow
@pytest.mark.usefixtures("judged")
def test_a_phone_shows_what_was_decided(report: Any, browser: Any) -> None:
    """Action, symbol and confidence, without scrolling sideways."""
    page = browser.new_page(viewport={"width": 400, "height": 844})
    page.goto(report().as_uri())
    row = page.locator("section:has(h2:text-is('The last decisions')) tbody tr").first
    cells = row.locator("td").evaluate_all("cells => cells.map(cell => cell.getBoundingClientRect().right)")
    assert row.locator("td").first.text_content() in ("BUY", "SELL", "NOTHING")
    assert max(cells[:3]) <= 400 - 12


@pytest.mark.slow
@pytest.mark.usefixtures("judged")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_page_stands_by_itself(size: str, scheme: Any, report: Any, browser: Any, tmp_path: Path) -> None:
    """No error, no request, no scrolling sideways; tables sort; whatever a model wrote stays text."""
    _plant()
    file = report()
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(5_000)
    errors: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_timeout(200)
    assert errors == []
    assert requests == [file.as_uri()]
    assert page.title().startswith("Observability report")
    assert page.locator("script").count() == 1
    assert page.locator("img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("td", has_text="<script>document.title").count() >= 4
    assert "\u202e" not in page.content()
    colour = page.evaluate("getComputedStyle(document.querySelector('svg [aria-roledescription=bar]')).fill")
    assert colour != "none"
    assert page.evaluate(TEXT_SIZES) >= 11
    _sorts(page)
    picture = tmp_path / f"report-{size}-{scheme}.png"
    page.screenshot(path=picture, full_page=True)
    assert picture.stat().st_size > 20_000
    context.close()


def _sorts(page: Any) -> None:
    """A number the greatest first, a name the least first, then the other way round; every header shows that it can."""
    assert page.locator("th").count() == page.locator('th[aria-sort="none"]').count()
    table = "section:has(h2:text-is('By agent'))"
    for name, orders in (("calls", ("descending", "ascending")), ("agent", ("ascending", "descending"))):
        header = page.locator(f"{table} th", has_text=name).first
        column = header.evaluate("cell => cell.cellIndex")
        for order in orders:
            header.locator("button").click()
            assert header.get_attribute("aria-sort") == order
            mark = header.locator("button").evaluate("button => getComputedStyle(button, '::after').content")
            assert mark == ('"▼"' if order == "descending" else '"▲"')
            cells = page.locator(f"{table} tbody tr").evaluate_all(
                f"rows => rows.map(row => row.cells[{column}].dataset.value ?? row.cells[{column}].textContent)"
            )
            plain = [cell for cell in cells if re.fullmatch(r"\d+|\w+Agent\d+", cell)]  # no hostile name
            assert plain == sorted(
                plain, key=int if name == "calls" else str.casefold, reverse=order == "descending"
            )  # fmt: skip
            assert len(plain) > 10


def test_a_file_that_cannot_be_written_is_reported(judged: None, tmp_path: Path) -> None:
    """With its name and the reason; status 1."""
    done = CliRunner().invoke(app, ["report", "--html", str(tmp_path / "nowhere" / "report.html")])
    assert done.exit_code == 1
    assert "nowhere/report.html cannot be written" in json.dumps(done.output)
