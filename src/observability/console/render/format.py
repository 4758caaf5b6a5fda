"""Formats single values as text.

Text that a model wrote is not trusted: escape sequences, control characters and bidirectional overrides are escaped
before they reach the terminal.
"""

import json
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from rich.cells import cell_len, set_cell_size

from ..queries.filter import NEVER_NS, Filter
from ..queries.totals import tokens_in_and_out
from ..signal import finite
from ..time_range import local_time

DITTO = "″"  # printed instead of a cost or outcome that another decision of the same trace shows
SHORT_ID = 8  # number of digits in a shortened trace id
_MAX_DECIMALS = 7  # a printed cost has at most this many decimal places; smaller costs look like `$1.2e-09`
_KEPT = frozenset("\n\t")
_UNITS = ((1e12, " T"), (1e9, " B"), (1e6, " M"))  # suffixes of large amounts in US dollars
# Unicode categories that are escaped: control, format (such as bidirectional marks), surrogate, private use
_ESCAPED = ("Cc", "Cf", "Cs", "Co")


def safe(text: str) -> str:
    """Escape characters that a terminal would interpret, such as `\\x1b`; remove emoji joiners."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_safe_character, text))


def _safe_character(character: str) -> str:
    if character in _KEPT or unicodedata.category(character) not in _ESCAPED:
        return character
    return "" if character in "\ufe0f\u200d" else character.encode("unicode_escape").decode()


def plain(text: object) -> str:
    """Return the first 2,000 characters of untrusted text, with control characters escaped."""
    return safe(str(text or "")[:2_000])


def one_line(text: str, width: int) -> str:
    """Cut `text` to one line of at most `width` columns; a Chinese character takes two columns."""
    line = " ".join(safe(text[: 8 * width]).split())
    return line if cell_len(line) <= width else set_cell_size(line, width - 1).rstrip() + "…"


def both_ends(text: str, width: int) -> str:
    """Shorten `text` to at most `width` columns by cutting its middle, so that different endings stay visible."""
    if cell_len(text) <= width:
        return text
    end = (width - 1) // 2
    tail = set_cell_size(text[::-1], end).rstrip()[::-1]
    return set_cell_size(text, width - 1 - end).rstrip() + "…" + tail


def padded(text: str, width: int) -> str:
    """Cut or pad `text` to one line of exactly `width` columns."""
    return set_cell_size(one_line(text, width), width)


def json_text(value: Any, *, ascii_only: bool = True) -> str:
    """Return valid JSON on one line; infinity and NaN become null."""
    try:
        return json.dumps(value, ensure_ascii=ascii_only, allow_nan=False)
    except ValueError:
        return json.dumps(_without_infinity(value), ensure_ascii=ascii_only)


def _without_infinity(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_infinity(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinity(item) for item in value]
    return finite(value) if isinstance(value, float) else value


def signed(value: float, form: str) -> str:
    """Format `value` with a sign, unless it rounds to zero."""
    text = format(value, form)
    return text if any(digit in text for digit in "123456789") else text.lstrip("+-")


def money(usd: float | None) -> str:
    """Format a cost: None as `unknown`, zero as `free`, below $1 with two significant digits, otherwise with cents."""
    if not usd:
        return "unknown" if usd is None else "free"
    if usd >= 1:
        return f"${usd:,.2f}"
    rounded = f"{usd:.1e}"
    digits = 1 - int(rounded.partition("e")[2])
    return f"${float(rounded):.{max(digits, 2)}f}" if digits <= _MAX_DECIMALS else f"${rounded}"


def price(usd: float | None) -> str:
    """Format a cost for use in a sentence: None becomes `price unknown`."""
    return "price unknown" if usd is None else money(usd)


def profit_of(row: Mapping[str, Any]) -> float | None:
    """Return an outcome's profit or loss: in USD if that is known, else in percent; None if there is no outcome."""
    usd = finite(row["pnl_usd"])
    return finite(row["pnl_pct"]) if usd is None else usd


def cost_text(row: Mapping[str, Any], form: Callable[[float | None], str] = money) -> str:
    """Format the cost of a decision's trace: `″` if another decision of the trace shows it, `–` if it has no calls."""
    if not row["stands"]:
        return DITTO
    return form(row["cost_usd"]) if row["calls"] else "–"


def outcome_text(row: Mapping[str, Any]) -> str:
    """Format the outcome of a decision's trace: `″` if another decision of the trace shows it, `–` if it is unknown."""
    profit = profit_of(row)
    if profit is None:
        return "–"
    if not row["stands"]:
        return DITTO
    return gain_percent(profit) if finite(row["pnl_usd"]) is None else gain(profit)


def count(number: int) -> str:
    """Format a number as `12,345`, or as `1.2 M` if it is large."""
    if number < 1_000_000:
        return f"{number:,}"
    return f"{number / 1e6:,.1f} M" if number < 1_000_000_000 else f"{number / 1e9:,.1f} G"


def how_many(number: float, noun: str) -> str:
    """Format a number with its noun: `1 call`, `1,234 calls`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def gain(usd: float | None) -> str:
    """Format a profit or loss: `+$3.00`, `-$12.50`, `+$1.25 M`; no sign if it rounds to zero."""
    if usd is None:
        return "–"
    unit, suffix = next((unit for unit in _UNITS if abs(usd) >= unit[0]), (1, ""))
    amount = f"${abs(usd) / unit:,.2f}{suffix}"
    return amount if amount == "$0.00" else f"{'-' if usd < 0 else '+'}{amount}"


def gain_percent(percent: float) -> str:
    """Format a profit or loss in percent: `+0.80%`; no sign if it rounds to zero."""
    return f"{signed(percent, '+,.2f')}%"


def duration(nanoseconds: int | None) -> str:
    """Format a duration in a suitable unit; `still running` for None."""
    if nanoseconds is None:
        return "still running"
    milliseconds = nanoseconds / 1e6
    if milliseconds < 1:
        return "<1 ms"
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 120_000:
        return f"{milliseconds / 1000:.1f} s"
    minutes = milliseconds / 60_000
    if minutes < 120:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.0f} hours" if minutes < 2880 else f"{minutes / 1440:.0f} days"


def milliseconds(value: float | None) -> str:
    """Format a duration given in milliseconds; `–` for None."""
    return "–" if value is None else duration(int(value * 1e6))


def tokens(usage: dict[str, int] | None) -> str:
    """Format token counts, input before output: `212 → 31 tokens`. The number of cached tokens follows, if any."""
    if usage is None:
        return "tokens unknown"
    tokens_in, tokens_out = tokens_in_and_out(usage)
    cached = usage.get("input_cached_tokens", 0)
    return f"{tokens_in:,} → {tokens_out:,} tokens" + (f" ({cached:,} cached)" if cached else "")


def tokens_briefly(counts: tuple[int, int] | None) -> str:
    """Format the numbers of input and output tokens: `3,861 → 382`; `–` for None."""
    return "–" if counts is None else f"{count(counts[0])} → {count(counts[1])}"


def zone(nanoseconds: int) -> str:
    """Return the UTC offset of the operator's time zone at the given time: `+01:00`, or `UTC`."""
    offset = f"{local_time(nanoseconds):%z}"
    return "UTC" if offset == "+0000" else f"{offset[:3]}:{offset[3:5]}"


def moment(nanoseconds: int) -> str:
    """Format a time in the operator's time zone: `2026-11-24 08:17:05 +01:00`."""
    return f"{local_time(nanoseconds):%Y-%m-%d %H:%M:%S} {zone(nanoseconds)}"


def period(rows: Filter) -> str:
    """Describe the filter's period: `All time`, or `Since 2026-11-24 08:17:05 +01:00, until …`."""
    since = f"Since {moment(rows.since_ns)}" if rows.since_ns > 0 else "All time"
    return since if rows.until_ns == NEVER_NS else f"{since}, until {moment(rows.until_ns)}"


def text_of(value: Any) -> str:
    """Format a decoded input or output as text: a message as `role: content`, an object's entry as `name: value`."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, dict) and "role" in item for item in value):
        return "\n".join(f"{item['role']}: {text_of(item.get('content'))}" for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {text_of(item)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(text_of, value))
    return str(value)
