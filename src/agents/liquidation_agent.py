"""
🌙 Moon Dev's Liquidation Agent
Built with love by Moon Dev 🚀

Luna watches liquidations (forced orders). When the long or the short liquidations of a window of time are at least 50 %
above those of the window before, she asks a model whether to BUY, SELL or do NOTHING.

    python -m src.agents.liquidation_agent --replay src/data/samples/liquidations_2025-12-11.csv
    python src/agents/liquidation_agent.py            # live, with MOONDEV_API_KEY in .env
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # lets this file import `src` when it runs as a script

import pandas as pd
from termcolor import cprint

from src import config
from src.agents.api import MoonDevAPI
from src.agents.base_agent import BaseAgent, run_as_script
from src.agents.decision import INSTRUCTION, Decision, LocalHints
from src.agents.errors import FeedError
from src.agents.history import History, Values
from src.agents.liquidations import Window, read_feed, runs_of_windows, window_of
from src.observability.terminal import echo

THRESHOLD = 0.5  # call the model only if liquidated longs or shorts are at least 50 % above the previous window's
CHECK_INTERVAL = timedelta(minutes=10)
WINDOW_MINUTES = 15
HISTORY_FILE = config.REPO_ROOT / "src/data/liquidation_history.csv"
_HISTORY_COLUMNS = ("long_size", "short_size", "total_size")

SYSTEM_PROMPT = f"You are a liquidation analyst. {INSTRUCTION}"

# The local model is too small (135 million parameters) to write freely. It chooses among the phrases below.
_LOCAL_HINTS = LocalHints(
    grammar=r"""
root    ::= (buy | sell | nothing) ".\nConfidence: " [3-7] [0-9] "%"
buy     ::= "BUY\n" ("Long liquidations " ended ", so a bounce is " likely | "Short liquidations " grow goes-up)
sell    ::= "SELL\n" ("Short liquidations " ended ", so a pullback is " likely | "Long liquidations " grow goes-down)
nothing ::= "NOTHING\n" ("Both sides are liquidated" | "The flow is mixed") ", so there is no clear edge"
ended   ::= "look exhausted" | "have peaked" | "are fading"
grow    ::= "keep growing" | "are speeding up" | "are still rising"
likely  ::= "likely" | "due" | "near" | "possible"
goes-up   ::= ", so the squeeze " go
goes-down ::= ", so the fall " go
go      ::= "may go on" | "is likely to go on" | "is not over"
""",
    examples="""Longs: $9,000,000 (+350%), shorts: $40,000 (-60%)
BUY
Long liquidations look exhausted, so a bounce is likely.
Confidence: 62%

Longs: $60,000 (-80%), shorts: $4,000,000 (+500%)
SELL
Short liquidations have peaked, so a pullback is due.
Confidence: 57%

Longs: $3,000,000 (+80%), shorts: $50,000 (-20%)
SELL
Long liquidations keep growing, so the fall may go on.
Confidence: 55%

Longs: $500,000 (+60%), shorts: $450,000 (+70%)
NOTHING
Both sides are liquidated, so there is no clear edge.
Confidence: 40%""",
)


class LiquidationAgent(BaseAgent):
    """Luna, who checks the live liquidations every ten minutes, or replays a recorded feed."""

    local_hints = _LOCAL_HINTS
    last_trace: str | None = None  # the id of the last decision's trace

    def __init__(self, window_minutes: float = WINDOW_MINUTES) -> None:
        super().__init__("liquidation")
        self.window_minutes = window_minutes
        self.api = MoonDevAPI()
        self.history = History(HISTORY_FILE, _HISTORY_COLUMNS)

    def consider(self, before: Window, now: Window) -> Decision | None:
        """Compare two windows. On a spike, ask the model for a decision and return it; otherwise return None."""
        longs, shorts = _rise(before.longs_usd, now.longs_usd), _rise(before.shorts_usd, now.shorts_usd)
        _print_window(now, longs, shorts)
        if max(longs, shorts) < THRESHOLD:
            self.pass_quietly()
            return None
        situation = _situation(now, longs, shorts)
        with self.observed_cycle(input=situation) as cycle:
            self.last_trace = cycle.trace_id
            return self.decide(SYSTEM_PROMPT, _question(situation), symbol=now.symbol)

    def replay(self, file: Path, once: bool = False) -> list[Decision]:
        """Run the agent over a recorded feed. If `once`, stop after its first decision.

        Raises:
            FeedError: if the file cannot be read; the message says what to do.
        """
        feed = read_feed(file)
        if feed.broken:
            echo(f"⚠️ {file.name}: {feed.broken} broken rows skipped, {len(feed.events)} liquidations read", "yellow")
        decisions: list[Decision] = []
        for before, now in pairs_of_windows(feed.events, self.window_minutes):
            decision = self.run_safely(partial(self.consider, before, now))
            decisions += [decision] if decision else []
            if once and decisions:
                break
        return decisions

    def look(self) -> Decision | None:
        """Run one live pass: compare the current window with the previous pass's, unless the latter is too old."""
        events = self.api.read_liquidations().events
        length, end = pd.Timedelta(minutes=self.window_minutes), pd.Timestamp.now(tz="UTC")
        now = window_of(events[events["time"] > end - length], end - length, length)
        last = self.history.last(within=length + CHECK_INTERVAL)
        decision = None
        if last is None:
            cprint("🤖 No recent liquidations to compare: the next pass compares its totals with this pass's", "cyan")
        else:
            decision = self.consider(_previous(last, now), now)
        self.history.add({**_sizes(now), "total_size": now.longs_usd + now.shorts_usd})  # a failed pass saves no window
        return decision

    def run(self) -> None:
        """Run live passes until Ctrl-C."""
        echo(f"🤖 Luna checks every {CHECK_INTERVAL.total_seconds() / 60:.0f} minutes. Ctrl-C stops her", "cyan")
        self.run_forever(self.look, CHECK_INTERVAL.total_seconds() / 60)


def pairs_of_windows(events: pd.DataFrame, minutes: float) -> Iterator[tuple[Window, Window]]:
    """Yield each window of a feed with the window before it, if no gap lies between them."""
    return chain.from_iterable(map(pairwise, runs_of_windows(events, minutes)))


def _sizes(window: Window) -> dict[str, float | None]:
    return {"long_size": window.longs_usd, "short_size": window.shorts_usd}


def _previous(last: Values, now: Window) -> Window:
    """The window of the previous pass. Its amounts were recorded (`last`); the other fields are copied from `now`."""
    return now._replace(longs_usd=last["long_size"] or 0.0, shorts_usd=last["short_size"] or 0.0)


def _rise(before: float, now: float) -> float:
    """The rise from `before` to `now` as a share of `before`; 0 if `before` is 0."""
    return (now - before) / before if before > 0 else 0.0


def _situation(now: Window, longs: float, shorts: float) -> dict[str, Any]:
    return {
        "window": f"{now.start:%Y-%m-%d %H:%M} to {now.end:%H:%M} UTC",
        "longs_usd": round(now.longs_usd),
        "longs_change_pct": round(100 * longs),
        "shorts_usd": round(now.shorts_usd),
        "shorts_change_pct": round(100 * shorts),
        "most_liquidated": now.top_symbols,
    }


def _question(situation: dict[str, Any]) -> str:
    return (
        f"Liquidations from {situation['window']}, against the window before:\n"
        f"Longs: ${situation['longs_usd']:,} ({situation['longs_change_pct']:+d}%)\n"
        f"Shorts: ${situation['shorts_usd']:,} ({situation['shorts_change_pct']:+d}%)\n"
        f"Most liquidated: {', '.join(situation['most_liquidated'])}\n"
        "Is the forced flow exhausted (fade it), or will it go on (follow it)?\n"
        f"{INSTRUCTION}"
    )


def _print_window(now: Window, longs: float, shorts: float) -> None:
    print(
        f"🌙 {now.start:%H:%M}–{now.end:%H:%M} UTC  longs ${now.longs_usd:>12,.0f} ({longs:+7.0%})"
        f"  shorts ${now.shorts_usd:>10,.0f} ({shorts:+7.0%})"
    )


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m src.agents.liquidation_agent", description="Luna")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="replay this recorded feed (a CSV file)")
    parser.add_argument("--window", type=float, default=WINDOW_MINUTES, metavar="MINUTES", help="default: %(default)s")
    parser.add_argument("--once", action="store_true", help="stop after one live pass, or a replay's first decision")
    arguments = parser.parse_args(given)
    if not 0.1 <= arguments.window <= 24 * 60:
        parser.error("--window takes minutes, from 0.1 to 1440 (a day)")
    return arguments


def main(given: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    arguments = _arguments(given)
    agent = LiquidationAgent(arguments.window)
    if arguments.replay is not None:
        return _replay(agent, arguments.replay, arguments.once)
    if not config.MOONDEV_API_KEY:
        cprint("⚠️ Set MOONDEV_API_KEY in .env to run live, or replay a recorded feed:", "yellow")
        print("   python -m src.agents.liquidation_agent --replay src/data/samples/liquidations_2025-12-11.csv")
        return 0
    if arguments.once:
        agent.run_safely(agent.look)
    else:
        agent.run()
    return 1 if agent.failed_passes else 0


def _replay(agent: LiquidationAgent, file: Path, once: bool) -> int:
    try:
        decisions = agent.replay(file, once)
    except FeedError as error:
        echo(f"❌ {error}", "red")
        return 1
    if agent.failed_passes:
        echo(f"⚠️ Replayed {file.name}: {len(decisions)} decisions, {agent.failed_passes} failed passes", "yellow")
        return 1
    echo(f"✅ Replayed {file.name}: {len(decisions)} decisions", "green")
    return 0


if __name__ == "__main__":
    sys.exit(run_as_script(main))
