"""
🌙 Moon Dev's Liquidation Agent
Built with love by Moon Dev 🚀

Luna watches forced orders: when long or short liquidations of a window exceed the previous window's by half, she asks
a model whether to BUY, SELL or do NOTHING.

    python -m src.agents.liquidation_agent --replay src/data/samples/liquidations_2025-12-11.csv
    python src/agents/liquidation_agent.py            # live, with MOONDEV_API_KEY in .env
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, Python puts this folder there instead

import pandas as pd
from termcolor import cprint

from src import config
from src.agents.api import MoonDevAPI
from src.agents.base_agent import BaseAgent
from src.agents.feed import FeedError, Window, read_feed, runs_of_windows, window_of
from src.agents.three_lines import INSTRUCTION, Decision

THRESHOLD = 0.5  # a rise by half over the previous window
CHECK_INTERVAL_MINUTES = 10
WINDOW_MINUTES = 15
HISTORY_HOURS = 24
HISTORY_FILE = config.REPO_ROOT / "src/data/liquidation_history.csv"
_HISTORY_COLUMNS = ("timestamp", "long_size", "short_size", "total_size")

SYSTEM_PROMPT = f"You are a liquidation analyst. {INSTRUCTION}"


class LiquidationAgent(BaseAgent):
    """Luna. Live she looks every ten minutes; `replay` takes her through a recorded feed."""

    def __init__(self, window_minutes: float = WINDOW_MINUTES) -> None:
        super().__init__("liquidation")
        self.window_minutes = window_minutes
        self.api = MoonDevAPI()

    def consider(self, before: Window, now: Window) -> Decision | None:
        """One pass: compare two windows, and ask the model where there is a spike; None where there is none."""
        longs, shorts = _rise(before.longs_usd, now.longs_usd), _rise(before.shorts_usd, now.shorts_usd)
        situation = _situation(now, longs, shorts)
        with self.observed_cycle(input=situation) as cycle:
            _print_window(now, longs, shorts)
            if max(longs, shorts) < THRESHOLD:
                cycle.set_output("No spike: the model was not asked")
                return None
            decision = self.decide(SYSTEM_PROMPT, _question(situation))
            _print_decision(decision)
            return decision

    def replay(self, file: Path, once: bool = False) -> list[Decision]:
        """Take the agent through a recorded feed, up to its first decision if `once`.

        Raises:
            FeedError: where the file cannot be read; the message names the cure.
        """
        feed = read_feed(file)
        if feed.broken:
            cprint(f"⚠️ {file.name}: {feed.broken} broken rows skipped, {len(feed.events)} liquidations read", "yellow")
        decisions: list[Decision] = []
        for before, now in chain.from_iterable(map(pairwise, runs_of_windows(feed.events, self.window_minutes))):
            decision = self.run_safely(partial(self.consider, before, now))
            decisions += [decision] if decision else []
            if once and decisions:
                break
        return decisions

    def look(self) -> Decision | None:
        """One live pass: the last minutes against those that the history has last."""
        feed = self.api.get_liquidation_feed()
        if feed is None:
            return None
        length, end = pd.Timedelta(minutes=self.window_minutes), pd.Timestamp.now(tz="UTC")
        now = window_of(feed.events[feed.events["time"] > end - length], end - length, length)
        before = _last_in_history(now)
        _add_to_history(now)
        if before is None:
            cprint("🤖 First look: the next one has something to compare with", "cyan")
            return None
        return self.consider(before, now)

    def run(self) -> None:
        """The live loop."""
        cprint(f"🤖 Luna looks every {CHECK_INTERVAL_MINUTES} minutes. Ctrl-C stops her", "cyan")
        self.run_forever(self.look, CHECK_INTERVAL_MINUTES)


def _rise(before: float, now: float) -> float:
    """By which share `now` exceeds `before`; 0 where there is nothing to compare with."""
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


def _print_decision(decision: Decision) -> None:
    if decision.valid:
        cprint(f"   ✅ {decision.action} ({decision.confidence:.0f}%) {decision.reason}", "green")
    else:
        cprint(f"   ⚠️ NOTHING: {decision.reason}", "yellow")


def _last_in_history(now: Window) -> Window | None:
    if not HISTORY_FILE.exists():
        return None
    with HISTORY_FILE.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    if not rows:
        return None
    last = rows[-1]
    return Window(now.start, now.end, float(last["long_size"]), float(last["short_size"]), [])


def _add_to_history(now: Window) -> None:
    """Append a record, and let go of those older than a day."""
    oldest = (datetime.now(UTC) - timedelta(hours=HISTORY_HOURS)).isoformat()
    kept = []
    if HISTORY_FILE.exists():
        with HISTORY_FILE.open(encoding="utf-8", newline="") as lines:
            kept = [row for row in csv.DictReader(lines) if row["timestamp"] >= oldest]
    sizes = (now.longs_usd, now.shorts_usd, now.longs_usd + now.shorts_usd)
    record = dict(zip(_HISTORY_COLUMNS, (datetime.now(UTC).isoformat(), *sizes), strict=True))
    HISTORY_FILE.parent.mkdir(parents=True, exist_ok=True)
    with HISTORY_FILE.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, _HISTORY_COLUMNS)
        writer.writeheader()
        writer.writerows([*kept, record])


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m src.agents.liquidation_agent", description="Luna")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="a recorded feed (CSV) instead of the live one")
    parser.add_argument("--window", type=float, default=WINDOW_MINUTES, metavar="MINUTES", help="default: %(default)s")
    parser.add_argument("--once", action="store_true", help="stop after one live look, or a replay's first decision")
    arguments = parser.parse_args(given)
    if not arguments.window > 0:
        parser.error("--window must be more than 0 minutes")
    return arguments


def main(given: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
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
    return 0


def _replay(agent: LiquidationAgent, file: Path, once: bool) -> int:
    try:
        decisions = agent.replay(file, once)
    except FeedError as error:
        cprint(f"❌ {error}", "red")
        return 1
    cprint(f"✅ Replayed {file.name}: {len(decisions)} decisions", "green")
    return 0


if __name__ == "__main__":
    sys.exit(main())
