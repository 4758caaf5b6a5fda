"""The report: its numbers equal those of pandas, and one file contains all its traces."""

import html as html_entities
import json
import re
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from src.observability import ObservabilityContext, settings
from src.observability.console.app import app
from src.observability.console.evaluation import wilson
from src.observability.console.page.charts import chart, dollars, line, top_of
from src.observability.console.page.view import Range, range_since
from src.observability.console.queries.filter import HOUR_NS
from src.observability.console.time_range import now_ns
from src.observability.journal.store import INTERRUPTED, Journal, Row
from tests import million
from tests.console.cycles import ask

HOSTILE = "<script>document.title='owned'</script>\"><img src=x onerror=\"document.title='owned'\">\x1b[2J\u202e</svg>"
MARK = re.compile(r'<g role="img" aria-label="([^"]*)"')


@pytest.fixture
def report(journal: Any, tmp_path: Path) -> Callable[..., str]:
    """Runs `report` on this test's journal, and returns the file's text."""

    def make(*arguments: str) -> str:
        journal.observations()  # waits until all calls are on disk
        file = tmp_path / "report.html"
        done: Result = CliRunner().invoke(app, ["report", "--html", str(file), *arguments])
        assert done.exit_code == 0, done.output
        return file.read_text(encoding="utf-8")

    return make


@pytest.fixture
def judged(journal_of: Callable[..., Journal]) -> Journal:
    """Four hundred traces spread over two days, with an outcome for half of the decisions."""
    return journal_of(400, days=2.0, judged=200)


def frame(journal: Journal) -> pd.DataFrame:
    """Return every call and decision with its trace's outcome; decisions also have action and confidence."""
    rows = pd.DataFrame(journal.observations("type = 'generation' OR name = 'trading_signal'"))
    signals = pd.json_normalize(rows["metadata"].map(lambda metadata: metadata or {})).set_index(rows.index)
    rows = rows.join(signals[["signal_action", "signal_confidence"]])
    for name in ("pnl_usd", "pnl_pct"):
        scores = {row["trace_id"]: row["value"] for row in journal.scores("name = ?", (name,))}
        rows[name] = rows["trace_id"].map(scores)
    rows["failed"] = rows["level"] == "ERROR"
    rows["gain"] = rows["pnl_usd"].fillna(rows["pnl_pct"])
    return rows


def judged_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the BUY and SELL decisions with an outcome."""
    is_trade = rows["signal_action"].isin(["BUY", "SELL"])
    return rows[is_trade & rows["gain"].notna()]


def tiles_of(html: str) -> dict[str, tuple[str, str]]:
    """Return value and note of each tile."""
    form = r'<h2>([\w ]+)</h2>\s*<p class="figure[^>]*>([^<]*)</p>.*?<p class="note">([^<]*)'
    tiles = re.findall(form, html_entities.unescape(html.partition('id="list"')[0]), re.DOTALL)
    return {name: (value, note) for name, value, note in tiles}


def marks_of(html: str, title: str) -> list[tuple[str, dict[str, float]]]:
    """Return the date and the figures of each bar, from its label for screen readers; the name "" means the total."""
    chart = re.search(rf"<h2>{title}</h2>.*?</section>", html, re.DOTALL)
    assert chart, title
    bars = []
    for label in MARK.findall(chart[0]):
        date, _, text = html_entities.unescape(label).partition(": ")
        parts = (re.fullmatch(r"(?:(.*) )?\$?([\d.,]+)", part) for part in text.split("; ") if part)
        bars.append((date, {part[1] or "": float(part[2].replace(",", "")) for part in parts if part}))
    return bars


def test_tiles_are_what_pandas_computes(judged: Journal, report: Callable[..., str]) -> None:
    """The tiles' net profit, hit rate with its interval, spend and failures equal those that pandas computes."""
    rows = frame(judged)
    calls, cases = rows[rows["type"] == "generation"], judged_of(rows)
    profit, spend = cases["pnl_usd"].sum(), calls["cost_usd"].sum()
    unpriced = (calls["cost_usd"].isna() & ~calls["failed"]).sum()
    hits = int((cases["gain"] > 0).sum())
    low, high = wilson(hits, len(cases))
    html = report()
    tiles = tiles_of(html)
    assert tiles["Spend"] == (
        f"${spend:.2f}" if spend >= 1 else f"${spend:.2g}",
        f"and {unpriced} calls of unknown price",
    )
    assert tiles["Failures"] == (f"{calls['failed'].mean():.1%}".replace("%", " %"),
                                 f"{calls['failed'].sum()} of {len(calls)} calls")  # fmt: skip
    assert tiles["Hit rate"] == (
        f"{100 * hits / len(cases):.1f} %",
        f"{hits} of {len(cases)}; 95 % interval {100 * low:.0f}–{100 * high:.0f} %",
    )
    net = profit - spend
    trades = f"{'-' if profit < 0 else '+'}${abs(profit):,.2f} from trades"
    assert tiles["Net profit"][1] == f"{trades}, {tiles['Spend'][0]} spent, and {unpriced} calls of unknown price"
    assert tiles["Net profit"][0] == f"{'-' if net < 0 else '+'}${abs(net):,.2f}"
    assert f'class="figure {"bad" if net < 0 else "good"}">{tiles["Net profit"][0]}' in html


def test_charts_and_tiles_have_one_source(judged: Journal, report: Callable[..., str]) -> None:
    """All bars add up to the calls' spend, a bar's parts to its total; agents without a colour count as `others`."""
    html, rows = report(), frame(judged)
    calls = rows[rows["type"] == "generation"]
    for by in ("agent", "model"):
        bars = marks_of(html, f"Spend by {by}")
        totals = [figures.get("", sum(figures.values())) for _, figures in bars]
        assert sum(totals) == pytest.approx(calls["cost_usd"].sum(), rel=0.02)  # labels have two significant digits
        for _, figures in bars:
            parts = [usd for name, usd in figures.items() if name]
            assert sum(parts) == pytest.approx(figures.get("", sum(parts)), rel=0.08, abs=1e-4)
    assert any(name.endswith("others") for _, figures in marks_of(html, "Spend by agent") for name in figures)
    decisions = rows[rows["name"] == "trading_signal"]
    drawn: dict[str, float] = {}
    for _, figures in marks_of(html, "Decisions"):
        for action, count in figures.items():
            drawn[action] = drawn.get(action, 0) + count
    assert {name: count for name, count in drawn.items() if name} == decisions["signal_action"].value_counts().to_dict()
    failed = sum(sum(count for name, count in figures.items() if name) for _, figures in marks_of(html, "Failed calls"))
    assert failed == calls["failed"].sum()


def table_of(html: str, title: str) -> pd.DataFrame:
    """Return a table, with the text of each cell."""
    table = re.search(rf'aria-label="{title}"><table>(.*?)</table>', html, re.DOTALL)
    assert table
    lines = re.findall(r"<tr>(.*?)</tr>", table[1], re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", text) for text in lines]
    texts = [[html_entities.unescape(re.sub(r"<[^>]*>", "", cell)) for cell in row] for row in cells]
    return pd.DataFrame(texts[1:], columns=texts[0])


@pytest.mark.parametrize("by", ["agent", "model"])
def test_comparisons_are_what_pandas_computes(by: str, judged: Journal, report: Callable[..., str]) -> None:
    """The tables' calls, failures, decisions, outcomes, hits, profit and net are right; `≤` marks a net profit where
    a call's price is unknown. A decision counts for the model called in its trace."""
    rows = frame(judged)
    models = rows[rows["type"] == "generation"].set_index("trace_id")["model"]
    rows["model"] = rows["model"].fillna(rows["trace_id"].map(models))
    html = report()
    assert "p50 and p95 are those of" not in html  # every call has a known duration
    table = table_of(html, f"{by.capitalize()}s").set_index(by)
    assert sorted(table.index) == sorted(rows[by].unique())
    for name, row in table.iterrows():
        own = rows[rows[by] == name]
        calls, cases = own[own["type"] == "generation"], judged_of(own)
        hits = int((cases["gain"] > 0).sum())
        counts = (len(calls), len(own) - len(calls), len(cases))
        assert tuple(int(row[column].replace(",", "")) for column in ("calls", "decisions", "outcomes")) == counts
        assert row["failed"] == f"{100 * calls['failed'].mean():.1f} %"
        assert (
            row["hit rate"].startswith(f"{100 * hits / len(cases):.0f} % (") if len(cases) else row["hit rate"] == "–"
        )
        usd = cases["pnl_usd"].dropna()
        assert row["profit"] == (f"{'-' if usd.sum() < 0 else '+'}${abs(usd.sum()):,.2f}" if len(usd) else "–")
        net, unpriced = usd.sum() - calls["cost_usd"].sum(), (calls["cost_usd"].isna() & ~calls["failed"]).any()
        is_known = len(usd) and not (unpriced and calls["cost_usd"].isna().all())
        bound = "≤ " if unpriced else ""
        assert row["net"] == (f"{bound}{'-' if net < 0 else '+'}${abs(net):,.2f}" if is_known else "–")
        took = sorted((calls["end_ns"] - calls["start_ns"]) / 1e6)
        middle = took[-(-len(took) // 2) - 1]
        assert row["p50"] == (f"{middle:.0f} ms" if middle < 1000 else f"{middle / 1000:.1f} s")


def test_confidence_against_outcome(judged: Journal, report: Callable[..., str]) -> None:
    """Each of the five classes of confidence has the mean confidence, hits and cases that pandas computes."""
    cases = judged_of(frame(judged)).dropna(subset="signal_confidence")
    wanted = [
        (f"{group['signal_confidence'].mean():.0f}", int((group["gain"] > 0).sum()), len(group))
        for _, group in cases.groupby((cases["signal_confidence"] // 20).clip(upper=4))
    ]
    labels = re.findall(r'aria-label="(\d+) % confident: (\d+) of (\d+) profitable', report())
    assert [(confidence, int(hits), int(count)) for confidence, hits, count in labels] == wanted


def test_every_link_leads_to_a_trace_inside(judged: Journal, report: Callable[..., str]) -> None:
    """The trace of each listed row is in the report exactly once, and no link leads to another local file."""
    html = report()
    ids = re.findall(r'id="(t-\w+)"', html)
    links = {link for link in re.findall(r'href="#([^"]*)"', html) if link}
    assert len(ids) == len(set(ids)) >= 50
    assert links == set(ids)
    assert not re.search(r'(?:href|src)="(?!#|https?://)', html)
    assert "open interest falls while funding" in html.split('id="t-')[1]


def test_only_the_file_s_own_script_and_style_run(report: Callable[..., str]) -> None:
    """The report's security policy allows only the report's own script and style, by their hashes."""
    Journal(settings.journal_path()).close()
    html = report()
    policy = html_entities.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1])  # type: ignore[index]
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = b64encode(sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert " style=" not in html
    assert "None in this period" in html
    assert "No outcomes in this period" in html


def test_a_report_of_one_model_and_of_failures(judged: Journal, report: Callable[..., str]) -> None:
    """With --model in upper or lower case, every figure is that of the model; `--failed` lists the failed calls."""
    calls = frame(judged).query("type == 'generation' and model == 'deepseek-chat'")
    html = report("--model", "DEEPSEEK-chat")
    assert tiles_of(html)["Failures"][1] == f"{calls['failed'].sum()} of {len(calls)} calls"
    assert "gpt-4o-mini" not in html
    assert report("--failed").count('class="badge failed"') == frame(judged)["failed"].sum()


def _append(*rows: Row) -> None:
    made = Journal(settings.journal_path())
    made.append(list(rows), [])
    made.close()


def _call(number: int, **columns: Any) -> Row:
    """Return the row of a call that began `number + 1` minutes ago and took a tenth of a second."""
    start_ns = now_ns() - 60_000_000_000 * (number + 1)
    fixed = {"type": "generation", "name": "g", "trace_name": "g", "model": "m", "agent": "A"}
    return million.observation_row(
        id=f"{number:016x}", trace_id=f"{number:032x}", start_ns=start_ns, end_ns=start_ns + 100_000_000,
        **{**fixed, **columns},
    )  # fmt: skip


def test_unknown_is_shown_as_unknown(report: Callable[..., str]) -> None:
    """An unknown price and the duration of an interrupted call count nowhere as zero."""
    cut = _call(1, model="cut", level="WARNING", status_message=INTERRUPTED)
    _append(_call(0), cut, _call(2, cost_usd=0.0, model="f"))
    html = report()
    assert tiles_of(html)["Spend"] == ("free", "and 2 calls of unknown price")
    table = table_of(html, "Models").set_index("model")
    assert table.loc[["m", "f"], "p50"].tolist() == ["100 ms", "100 ms"]
    assert (table.loc["cut", "p50"], table.loc["m", "spend"], table.loc["f", "spend"]) == ("–", "unknown", "free")
    assert "Spend by" not in html


def test_calls_are_grouped_by_prompt_and_by_error(decide: Any, made: Journal, report: Callable[..., str]) -> None:
    """A call's prompt is its system message or, without one, the first line of its input. First lines, or errors, that
    differ only in decimals or long numbers are grouped together."""
    whale = [{"role": "system", "content": "You watch 1000 whales"}, {"role": "user", "content": "now"}]
    for value, failure, outcome in (
        (whale, "limit 1234567 reached", {"pnl_usd": 3.0}),
        (whale, None, {}),
        ({"prompt": "BTC at 65432.1\nsell?"}, "limit 7654321 reached", {"pnl_usd": -1.0}),
        ({"prompt": "BTC at 70000.5\nsell?"}, "gone", {}),
        ({"prompt": "BTC at 71000.5\nsell?"}, None, {}),
        ({"prompt": "ETH?"}, None, {}),
    ):
        trace_id = decide(calls=[("m", "failed" if failure else 0.5)], **outcome)
        change = "UPDATE observations SET input = ?, status_message = ? WHERE type = 'generation' AND trace_id = ?"
        made.change(change, (json.dumps(value), failure, trace_id))
    html = report("--since", "1970-01-01")
    assert table_of(html, "Prompts").iloc[:, [0, 1, 2, 4, 5, 7]].to_numpy().tolist() == [
        ["BTC at #", "3", "66.7 %", "$0.50", "1", "-$1.00"],
        ["You watch 1000 whales", "2", "50.0 %", "$0.50", "1", "+$3.00"],
        ["ETH?", "1", "0.0 %", "$0.50", "0", "–"],
    ]
    assert re.findall(r'(\d)×</b><span class="reason">([^<]*)', html) == [("2", "limit # reached"), ("1", "gone")]


def test_a_quiet_hour_has_its_place(report: Callable[..., str]) -> None:
    """A chart shows hours without calls as gaps between busy hours, up to the current hour."""
    hours = (50, 20, 0)
    _append(*(_call(60 * hour, cost_usd=0.01) for hour in hours))
    bars = marks_of(report(), "Spend by model")
    assert len(bars) == 26  # buckets of two hours
    assert all(re.fullmatch(r"\d\d \w{3} \d\d:00", date) for date, _ in bars)
    assert [sum(figures.values()) > 0 for _, figures in bars].count(True) == 3


def test_what_a_model_wrote_stays_text(report: Callable[..., str]) -> None:
    """Texts of a model are escaped in rows, tables, charts and traces."""
    with ObservabilityContext.agent_cycle(HOSTILE, input={"x": HOSTILE}):
        ask(HOSTILE, model=HOSTILE, answer=HOSTILE)
        ObservabilityContext.add_trading_signal("BUY", 80, HOSTILE, HOSTILE)
        ObservabilityContext.add_trading_signal(HOSTILE, 80, HOSTILE, HOSTILE)
    html = report()
    assert (html.count("<script>"), html.count("<img"), html.count("document.title=&#39;")) == (
        1,
        0,
        html.count("document.title="),
    )
    assert not re.search("\u202e|\x1b", html)


def test_a_file_that_cannot_be_written_is_reported(judged: Journal, tmp_path: Path) -> None:
    """If the report cannot be written, the message names the file, and the exit status is 1."""
    done = CliRunner().invoke(app, ["report", "--html", str(tmp_path / "nowhere" / "report.html")])
    assert done.exit_code == 1
    assert "nowhere/report.html cannot be written" in json.dumps(done.output)


def test_axes_end_at_round_numbers() -> None:
    """An axis ends at a round number that is not far above the largest value."""
    tops = [top_of(value) for value in (0, 0.03, 0.9, 1, 3, 7, 11, 65_000)]
    assert tops == pytest.approx([1, 0.03, 1, 1, 3, 8, 12, 80_000])
    drawn = chart("Spend", [(0, "A", 2.0), (0, "B", 0.9)], Range(0, 1, 1), dollars)
    assert drawn is not None
    assert drawn.ticks == ["$3", "$1.50", "$0"]


def test_a_line_is_broken_where_nothing_is_known() -> None:
    """An unknown value breaks the line of a chart; a lone point stays visible."""
    assert line([None, None]).paths == []
    assert line([1, 2, None, 3, None, 4, 5]).paths == [
        "M0.0 21.2L16.7 16.4",
        "M49.0 11.6L51.0 11.6",
        "M83.3 6.8L100.0 2.0",
    ]


def test_buckets_cover_the_period() -> None:
    """A period has at most 31 buckets; the first begins with the period, the last ends with the current hour."""
    for hours in (1, 2, 24, 31, 168, 720, 8784):
        time = range_since(now_ns() - hours * HOUR_NS)
        assert 1 <= time.size <= 31
        assert time.start_ns(0) == time.since_ns
        assert time.buckets.first + time.size * time.width == time.end
    assert Range(0, 1, 1).before == Range(-HOUR_NS, 0, 2)


def test_the_interval_is_wilsons() -> None:
    """The intervals for 81 hits of 263 and 0 of 20 are those in Newcombe 1998, Statistics in Medicine 17, table I."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
