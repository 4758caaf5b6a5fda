"""Secrets recognised by the name before them (`name = value`): code, configuration, JSON, tables, flags and prose."""

import re
from collections.abc import Iterator

from .names import NONE, PLACES_OF_USE, SERVICES, STRONG, WEAK, is_password, is_variable, strength, word_set
from .scan import TOKEN_LETTERS, Scan, Span, regex
from .values import (
    IDENTIFIER,
    digits_of,
    holds_secrets,
    is_jumbled,
    is_member,
    is_mixed,
    is_public,
    is_query_key,
    is_secret,
    is_secret_item,
    is_value,
    looks_random,
)

# Ends of names, in lower case. `_PAIR` matches from such an end to the end of the value.
_NAME_ENDS = (
    "key", "secret", "token", "password", "passwd", "passwort", "phrase", "pwd", "mnemonic", "dsn", "words",
    "credential", "authorization", "pass", "pw", "pswd",
)  # fmt: skip
_GO_ON = "acdefgijklmnopqrtuwxyz"  # keys, keyB64, keyHex and keyValue end here, and `keyboard` and `password` go on
_ENDS_HERE = f"(?:(?-i:[^{_GO_ON}])|$)"
# Names of fields may also end in `auth`, `bearer` or `sid` (`INSIDE` contains `sid` too).
NAME_HINT = f"(?:{'|'.join(_NAME_ENDS)}|auth|bearer){_ENDS_HERE}|(?-i:[sS]id{_ENDS_HERE}|SID(?:[^A-Z]|$))"
_QUOTE = r"\\{0,15}(?:\"\"\"|'''|[\"'`])"
_BEHIND = "|".join(sorted(PLACES_OF_USE | SERVICES))
_PAIR = regex(
    rf"(?i:s?(?:_?(?:b64|hex|value|header|{_BEHIND}|\d))?)(?P<close>\\{{0,15}}[\"'`])?[\])]?\*{{0,3}}(?:(?P<sep>"
    r"\s{0,4}:\s{0,4}[|>][+-]?\d?[ \t]{0,8}\r?\n\s{1,40}"  # YAML's block scalars
    r"|\s{0,4}:\s{0,4}\w{1,24}\s{0,4}=\s{0,4}(?=[bBrRuU]{0,2}[\"'])"  # `password: str = "…"`
    r"|\s{0,8}(?::=|=>|[=!]==?|=|:|\|)(?:[ \t]{0,24}|\s{0,8})(?:\*{1,3}\s{0,4})?|\s{0,4},\s{0,4}(?=b?\\{0,15}[\"'])"
    r"|\s{1,4}(?:is|was|provided:|given:|used:)\s{1,4}|>(?=[^\s<>]{4}))"
    r"|(?P<loose>\s{0,4}(?:->|→)\s{0,4}|\s{1,4}[–—-]\s{1,4}|\s{0,4}\((?=[^\s()]{6,128}\))|\s{1,4}(?=\\{0,15}[\"'`])"
    r"|\t{1,8}|\s{1,4}to\s{1,4}|\s{1,4}))"
    rf"(?:[bBrRuU]{{1,2}}(?=\\{{0,15}}[\"']))?(?:(?P<quote>{_QUOTE})|(?P<bare>[^\s\"'`,;&|<>(){{}}\[\]\\]{{1,128}}))"
)
# `"name": "BINANCE_SECRET", "value": …`, in JSON, in Python and in YAML, up to its colon.
_VALUE_FIELD = regex(
    r"(?:\\{0,15}[\"'])?(?:\s{0,4},|\\{1,4}n|[\r\n]{1,2})\s{0,16}(?:\\{0,15}[\"'])?[vV]alue(?=[\\\"':])"
)
# `--api-key VALUE` of a command line.
_ARGUMENT = regex(
    r"(?P<sep>\s{1,4})(?P<loose>(?!))?(?:(?P<quote>[\"'])|(?P<bare>[^\s\"'`,;&|<>(){}\[\]\\-][^\s\"'`,;&|<>(){}\[\]\\]{3,128}))"
)
_REST = regex(r"[^\s\"'`,;&|<>(){}\[\]\\]*")  # the end of a value that is longer than `_PAIR` matches
_REST_OF_LINE = regex(r"[^\s\"'`<>|\\]{4,4096}")  # a value of `.env` goes on to the end of its line
_LINE_STARTS = ("\n", "\\n", "export ", "set ", "ENV ", "-e ")
_NUMBERS = regex(r"\[\s{0,16}\d{1,3}(?:\s{0,4},\s{0,16}\d{1,3}){15,}")  # bytes of a key
_CALL = regex(r"[A-Za-z_][\w.]*\((?:.*\)|[^)]*)")
_TOKEN_LETTERS = frozenset(TOKEN_LETTERS)
_LONGEST_NAME = 64
_LONGEST_VALUE = 4096
_WEAK_REACH = 160  # characters searched for a digit, which a random value has
_SPACED_OWNERS = (
    "api", "secret", "private", "access", "auth", "signing", "encryption", "wallet", "bot", "session", "service",
    "recovery", "seed", "pass", "mnemonic", *sorted(SERVICES),
)  # fmt: skip


def named(scan: Scan) -> Iterator[Span]:
    """Yield values with a secret's name: `API_KEY=…`, `"password": "…"`, `**private key:** …`, `?api-key=…`."""
    for end in _NAME_ENDS:
        masked = 0  # a name inside a masked value is skipped
        for at in _name_ends(scan, end):
            stop = at + len(end)
            goes_on = stop < len(scan.low) and scan.low[stop] in _GO_ON
            if at >= masked and not goes_on and (span := _pair(scan, at, stop)):
                masked = span.end
                yield span


# Some prompts have `key` or `token` in every line. Such a name is examined only after a letter or an owner, or before a
# random value: `looks_random` and `is_query_key` need 16 letters.
_TO_VALUE = r"(?:[a-z0-9_]{0,8}[^a-z0-9_]{1,72}(?![^a-z0-9_])){1,3}"  # punctuation and words, as in `token provided: …`


def _lone(end: str) -> re.Pattern[str]:
    owned = "|".join(rf"(?<={owner} {end})" for owner in _SPACED_OWNERS)
    # `(?=(…))\1` is an atomic group, which Python 3.10 lacks.
    random = rf"{_TO_VALUE}(?=[a-z0-9+/_=-]{{16}})(?=(?=([a-z+/_=-]{{0,160}}))\1\d)"
    return regex(rf"{end}(?:(?<=[a-z0-9_.-]{end})|(?<=[a-z] {end})(?:{owned})|(?={random}))")


_LONE = {end: _lone(end) for end in ("key", "token")}


_WINDOW, _FORESIGHT = 4096, 640  # characters per search: other threads run between two windows


def _name_ends(scan: Scan, end: str) -> Iterator[int]:
    if end not in _LONE:
        yield from scan.anchors(end)
    elif end in scan.low:
        for start in range(0, len(scan.low), _WINDOW):
            for match in _LONE[end].finditer(scan.low, start, start + _WINDOW + _FORESIGHT):
                if match.start() < start + _WINDOW:  # later matches belong to the next window
                    yield match.start()


def _pair(scan: Scan, at: int, end: int) -> Span | None:
    start, name = _name(scan.text, at, end)
    level = strength(name)
    needs_digits = level == WEAK or name.lower().endswith("pass")
    if level == NONE or (needs_digits and scan.digit_after(end) > end + _WEAK_REACH):
        return None
    apart = _VALUE_FIELD.match(scan.text, end)
    match = _PAIR.match(scan.text, apart.end() if apart else end)
    if name.startswith("--") and (match is None or match["loose"]):
        match = _ARGUMENT.match(scan.text, end)
    if match is None or match["bare"] in ("=", ":"):  # `KEYS = [`: a list
        return _numbers(scan.text, level, end) or _list(scan.text, name, end) or _dict(scan.text, name, end)
    if match["quote"] and _ends_quote(scan.text, start, match):
        return None
    if match["sep"] == ">" and scan.text[max(0, start - 1) : start] != "<":
        return None
    first, last = _value(scan.text, start, name, match)
    in_query = start > 0 and scan.text[start - 1] in "?&;"
    if not _is_secret_pair(name, match, scan.text[first:last], in_query):
        return None
    rest = _REST.match(scan.text, last) if match["bare"] else None
    return Span(first, rest.end() if rest else last, "named-secret")


def _ends_quote(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether the quote closes a string that began before the name, as in `getpass("Password: ", stream)`."""
    after = text[match.end() : match.end() + 1]
    return text[max(0, start - 1) : start] == match["quote"] and match["sep"].endswith(" ") and after in ",);]+% "


def _name(text: str, at: int, end: int) -> tuple[int, str]:
    """Return the start of the name that ends at `[at:end]`, and the name; `API key` has two words."""
    last = text[at - 1 : at]
    if last == " ":
        before = text[max(0, at - _LONGEST_NAME) : at]
        spaced = before[:-1].lower().endswith(_SPACED_OWNERS)
        return at, f"{before.split()[-1]} {text[at:end]}" if spaced else text[at:end]
    if last not in _TOKEN_LETTERS:
        return at, text[at:end]
    before = text[max(0, at - _LONGEST_NAME) : at]
    start = at - len(before) + len(before.rstrip(TOKEN_LETTERS))
    return start, text[start:end]


def _numbers(text: str, level: int, end: int) -> Span | None:
    """Return the span of a key written as bytes: `SECRET_KEY=[7, 31, …]`."""
    bracket = text.find("[", end, end + 8) if level == STRONG else -1
    match = _NUMBERS.match(text, bracket) if bracket >= 0 else None
    return Span(match.start() + 1, match.end(), "named-secret") if match else None


_LIST = regex(r"[sS]?(?:\\{0,15}[\"'`])?\s{0,4}[:=]\s{0,4}[\[(]\s{0,16}")
_ITEM = regex(r"\\{0,15}[\"'`](?P<value>[^\"'`\\\r\n]{1,512})\\{0,15}[\"'`]\s{0,16}(?:,\s{0,16}|[\])])")


def _list(text: str, name: str, end: int) -> Span | None:
    """Return the span from a list's first secret to its last: `"api_keys": ["…", "…"]`."""
    match = _LIST.match(text, end)
    bounds: list[int] = []
    while match and (match := _ITEM.match(text, match.end())):
        if len(match["value"]) >= 4 and is_secret(name, match["value"]):
            bounds += match.span("value")
    return Span(bounds[0], bounds[-1], "named-secret") if bounds else None


_DICT = regex(r"[sS]?\\{0,15}[\"']\s{0,4}:\s{0,4}\{")
_MEMBER = regex(
    r"\s{0,16}\\{0,15}[\"'][^\"'\\]{1,64}\\{0,15}[\"']\s{0,4}:\s{0,4}\\{0,15}[\"'](?P<value>[^\"'\\\r\n]{1,512})\\{0,15}[\"']\s{0,16},?"
)


def _dict(text: str, name: str, end: int) -> Span | None:
    """Return the span from a dict's first secret to its last: `"secrets": {"binance": "…"}`."""
    match = _DICT.match(text, end) if holds_secrets(name) else None
    bounds: list[int] = []
    while match and (match := _MEMBER.match(text, match.end())):
        if is_member(match["value"]):
            bounds += match.span("value")
    return Span(bounds[0], bounds[-1], "named-secret") if bounds else None


def _value(text: str, start: int, name: str, match: re.Match[str]) -> tuple[int, int]:
    """Return the bounds of the value."""
    if match["quote"]:
        return match.end(), _quoted_end(text, match.end(), match["quote"])
    begins_line = start == 0 or text[max(0, start - 8) : start].endswith(_LINE_STARTS)
    if (
        match["sep"] == "="
        and name.isupper()
        and begins_line
        and (line := _REST_OF_LINE.match(text, match.start("bare")))
    ):
        return line.span()
    return match.span("bare")


def _quoted_end(text: str, start: int, quote: str) -> int:
    """Return the end of a quoted value: the closing quote (escaped like the opening one), or the end of the line."""
    mark = quote.lstrip("\\")
    depth = len(quote) - len(mark)
    limit = start + _LONGEST_VALUE
    at = text.find(mark, start, limit)
    while at > start and text[at - 1] == "\\":
        escapes = at - start - len(text[start:at].rstrip("\\"))
        if escapes <= depth or escapes % (2 * depth + 2) == depth:
            at -= min(escapes, depth)
            break
        at = text.find(mark, at + 1, limit)
    end = at if at >= 0 else min(len(text), limit)
    return end if len(mark) > 1 else min(_line_end(text, start, end), end)


def _line_end(text: str, start: int, end: int) -> int:
    """Return the end of the line that begins at `start`, but at most `end`."""
    return min(at if at >= 0 else end for at in (text.find("\n", start, end), text.find("\r", start, end)))


def _is_secret_pair(name: str, match: re.Match[str], value: str, in_query: bool) -> bool:
    if strength(name) == WEAK:
        random = looks_random(value) or (in_query and is_query_key(value))
        return not match["loose"] and random and is_value(value)
    if match["loose"]:
        return _is_loose_secret(name, match, value)
    if match["quote"]:
        check = is_secret_item if match["sep"].strip() == "," else is_secret
        return len(value) >= 4 and check(name, value)
    return is_secret(name, value) and _is_bare_secret(name, match, value)


def _is_loose_secret(name: str, match: re.Match[str], value: str) -> bool:
    """Whether the value after a loose separator is a secret: `API key - …`, `password '…' rejected`.

    Unlike prose, such a value has letters and digits.
    """
    if strength(name) != STRONG or not is_mixed(value) or value.startswith("0x") or not is_secret(name, value):
        return False
    if match["quote"] or match["loose"].strip() not in ("", "to") or "\t" in match["loose"]:
        return True
    if is_password(name) and match["loose"].strip() == "to":
        return True
    return len(value) >= 16 and digits_of(value) >= 3 and (not is_public(value) or is_variable(name))


def _is_bare_secret(name: str, match: re.Match[str], value: str) -> bool:
    """Whether a value without quotes is a secret, not code (`key = get_key()`) or prose (`API key: missing`)."""
    after = match.start("bare") + len(value)
    if match.string[after : after + 1] in ("(", "[") or _CALL.fullmatch(value):
        return False
    by_word = match["sep"].strip() not in ("=", ":=", "==", "=>")  # "password: …", "my password is …"
    password = is_password(name)
    if IDENTIFIER.match(value) and not is_jumbled(value):
        stands_alone = not by_word or (match["sep"].strip(" *\t") == ":" and _stands_alone(value, match.string, after))
        return password and stands_alone and "." not in value and strength(value) == NONE and len(value) >= 6
    if value.isdigit() and not password:
        return len(value) >= 16
    if not by_word or is_jumbled(value):
        return len(value) >= 8
    return len(value) >= (6 if password else 8) and any(map(str.isdigit, value))


# One-word remarks about a password: messages of Django, Keycloak and PAM, labels of fields.
_REMARKS = word_set(
    "required optional missing invalid incorrect expired protected changed rejected accepted failed disabled enabled "
    "mismatch mismatched hidden blank needed forgotten unchanged unset prompted verified correct strong stored saved "
    "default string hashed encrypted supplied provided unknown present absent always nothing please expires"
)


def _stands_alone(value: str, text: str, after: int) -> bool:
    """Whether a word stands alone after `password:` and is none of the usual remarks; prose has further words."""
    goes_on = text[after : after + 1] == " " and text[after + 1 : after + 2].isalpha()
    return not goes_on and value.lower() not in _REMARKS
