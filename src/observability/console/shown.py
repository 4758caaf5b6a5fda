"""
🌙 Moon Dev's Shown Values
Built with love by Moon Dev 🚀

Values of the journal as text for a terminal. What a model wrote is somebody else's text: no escape sequence, control
character or bidirectional override in it reaches the operator's terminal.
"""

import unicodedata
from datetime import UTC, datetime
from typing import Any

_KEPT = frozenset("\n\t")
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


def one_line(text: str, width: int) -> str:
    """`text` on one line of at most `width` characters."""
    line = " ".join(safe(text[: 8 * width]).split())
    return line if len(line) <= width else line[: width - 1] + "…"


def money(usd: float | None) -> str:
    """A cost: `free` is zero, `price unknown` is None, and small costs keep their digits."""
    if usd is None:
        return "price unknown"
    if usd == 0:
        return "free"
    return f"${usd:,.2f}" if usd >= 1 else f"${usd:.6f}".rstrip("0") if usd >= 1e-6 else f"${usd:.1e}"


def duration(nanoseconds: int | None) -> str:
    """A length of time in the unit that suits it."""
    if nanoseconds is None:
        return "still running"
    milliseconds = nanoseconds / 1e6
    if milliseconds < 1:
        return "<1 ms"
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1000:.1f} s" if milliseconds < 120_000 else f"{milliseconds / 60_000:.0f} min"


def tokens(usage: dict[str, int] | None) -> str | None:
    """`212 → 31 tokens`, cached ones named; None where the provider gave none."""
    if usage is None:
        return None
    asked = sum(count for bucket, count in usage.items() if bucket.startswith("input"))
    answered = sum(count for bucket, count in usage.items() if bucket.startswith("output"))
    cached = usage.get("input_cached_tokens", 0)
    return f"{asked:,} → {answered:,} tokens" + (f" ({cached:,} cached)" if cached else "")


def local_time(nanoseconds: int) -> datetime:
    """A time of the journal in the operator's time zone."""
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).astimezone()


def moment(nanoseconds: int) -> str:
    """`2026-11-24 07:17:05 UTC`."""
    return f"{datetime.fromtimestamp(nanoseconds / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC"


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
