"""
🌙 Moon Dev's Shown Values
Built with love by Moon Dev 🚀

Values of the journal as text for a terminal. What a model wrote is somebody else's text: no escape sequence, control
character or bidirectional override in it reaches the operator's terminal.
"""

import unicodedata
from datetime import datetime, timezone
from typing import Any

from rich.cells import cell_len, set_cell_size

_KEPT = frozenset("\n\t")
_UNITS = ((1e12, " T"), (1e9, " B"), (1e6, " M"))  # of US dollars
_REPLACED = ("Cc", "Cf", "Cs", "Co")  # control, format (bidirectional marks among them), surrogate, private use


def safe(text: str) -> str:
    """`text` with what a terminal would act on written out, as `\\x1b`; emoji joiners go with the rest."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_safe_character, text))


def _safe_character(character: str) -> str:
    if character in _KEPT or unicodedata.category(character) not in _REPLACED:
        return character
    return "" if character in "\ufe0f\u200d" else character.encode("unicode_escape").decode()


def plain(text: object) -> str:
    """Somebody else's text for a page: bounded, and without control characters and bidirectional overrides."""
    return safe(str(text or "")[:2_000])


def one_line(text: str, width: int) -> str:
    """`text` on one line of at most `width` columns; a Chinese character takes two."""
    line = " ".join(safe(text[: 8 * width]).split())
    return line if cell_len(line) <= width else set_cell_size(line, width - 1).rstrip() + "…"


def both_ends(text: str, width: int) -> str:
    """`text` in at most `width` columns without its middle, so that names that end otherwise look otherwise."""
    if cell_len(text) <= width:
        return text
    end = (width - 1) // 2
    tail = set_cell_size(text[::-1], end).rstrip()[::-1]
    return set_cell_size(text, width - 1 - end).rstrip() + "…" + tail


def padded(text: str, width: int) -> str:
    """`text` on one line of exactly `width` columns."""
    return set_cell_size(one_line(text, width), width)


def signed(value: float, form: str) -> str:
    """`value` in a format with a sign, but for what rounds to nothing: that has none."""
    said = format(value, form)
    return said if any(digit in said for digit in "123456789") else said.lstrip("+-")


def money(usd: float | None) -> str:
    """A cost: `free` is zero, `price unknown` is None, and small costs keep their digits."""
    if usd is None:
        return "price unknown"
    if usd == 0:
        return "free"
    return f"${usd:,.2f}" if usd >= 1 else f"${usd:.6f}".rstrip("0") if usd >= 1e-6 else f"${usd:.1e}"


def money_briefly(value: float | None) -> str:
    """Cents from a dollar on, a hundredth of one below, so that a column can be compared at a glance."""
    if value is None or value == 0 or value < 0.0001:
        return "unknown" if value is None else money(value)
    return f"${value:,.2f}" if value >= 1 else f"${value:.4f}"


def count(number: int) -> str:
    """`12,345`, and `1.2 M` where digits would only fill the screen."""
    if number < 1_000_000:
        return f"{number:,}"
    return f"{number / 1e6:,.1f} M" if number < 1_000_000_000 else f"{number / 1e9:,.1f} G"


_UNITS = ((1e12, " T"), (1e9, " B"), (1e6, " M"))  # of US dollars


def how_many(number: float, noun: str) -> str:
    """`1 call`, `1,234 calls`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def gain(usd: float | None) -> str:
    """A profit or loss: `+$3.00`, `-$12.50`, `+$1.25 M`; what rounds to nothing has no sign."""
    if usd is None:
        return "–"
    unit, name = next((each for each in _UNITS if abs(usd) >= each[0]), (1, ""))
    said = f"${abs(usd) / unit:,.2f}{name}"
    return said if said == "$0.00" else f"{'-' if usd < 0 else '+'}{said}"


def gain_percent(percent: float) -> str:
    """A profit or loss: `+0.80%`."""
    return f"{percent:+z,.2f}%".replace("+0.00%", "0.00%")


def duration(nanoseconds: int | None) -> str:
    """A length of time in the unit that suits it."""
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
    """A length of time that may be unknown."""
    return "–" if value is None else duration(int(value * 1e6))


def tokens(usage: dict[str, int] | None) -> str | None:
    """`212 → 31 tokens`, cached ones named; None where the provider gave none."""
    if usage is None:
        return None
    asked, answered = asked_and_answered(usage)
    cached = usage.get("input_cached_tokens", 0)
    return f"{asked:,} → {answered:,} tokens" + (f" ({cached:,} cached)" if cached else "")


def tokens_briefly(known: tuple[int, int] | None) -> str:
    """Asked and answered: `3,861 → 382`."""
    return "–" if known is None else f"{count(known[0])} → {count(known[1])}"


def asked_and_answered(usage: dict[str, int]) -> tuple[int, int]:
    """Tokens of a call, cached ones and thinking included."""
    asked = sum(number for bucket, number in usage.items() if bucket.startswith("input"))
    return asked, sum(number for bucket, number in usage.items() if bucket.startswith("output"))


def local_time(nanoseconds: int) -> datetime:
    """A time of the journal in the operator's time zone."""
    return datetime.fromtimestamp(nanoseconds / 1e9, timezone.utc).astimezone()


def zone(nanoseconds: int) -> str:
    """The operator's time zone at that time: `CET`."""
    return f"{local_time(nanoseconds):%Z}"


def moment(nanoseconds: int) -> str:
    """`2026-11-24 07:17:05 UTC`."""
    return f"{datetime.fromtimestamp(nanoseconds / 1e9, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"


def text_of(value: Any) -> str:
    """A decoded input or output as text: messages as `role: content`, other structures as `name: value`."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(each, dict) and "role" in each for each in value):
        return "\n".join(f"{each['role']}: {text_of(each.get('content'))}" for each in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {text_of(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(text_of, value))
    return str(value)
