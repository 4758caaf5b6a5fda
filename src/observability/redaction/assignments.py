"""Secrets recognised by the name beside them (`name = value`): code, configuration, JSON, commands and prose."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from .names import (
    FOREIGN_KEYS,
    FOREIGN_PASSWORDS,
    HOSTS,
    NONE,
    PLACES_OF_USE,
    SERVICES,
    STRONG,
    VARIABLE,
    WEAK,
    is_password,
    is_variable,
    strength,
    word_set,
)
from .scan import TOKEN_LETTERS, Scan, Span, regex
from .values import (
    IDENTIFIER,
    holds_secrets,
    is_jumbled,
    is_made,
    is_mixed,
    is_public,
    is_secret,
    is_secret_item,
    is_value,
    looks_random,
)

# Last letters of the names of secrets, in lower case. `_PAIR` matches what follows: a link such as `=`, and the value.
_NAME_ENDS = (
    "key", "secret", "token", "sword", "swd", "swrd", "passwort", "phrase", "pwd", "mnemonic", "dsn", "words",
    "credential", "authorization", "pass", "pw",
)  # fmt: skip
# If one of these letters follows, the word continues and the name does not end, as in `keyword`. The letters b, h, s
# and v are left out: keyB64, keyHex, keys and keyValue are names of keys.
_GO_ON = "acdefgijklmnopqrtuwxyz"
_ENDS_HERE = f"(?:(?-i:[^{_GO_ON}])|$)"
# Names may also end in `auth`, `bearer`, `sid`, `Sid` or `SID`. A capital after `SID` continues the word: `INSIDE`.
NAME_HINT = f"(?:{'|'.join(_NAME_ENDS)}|auth|bearer){_ENDS_HERE}|(?-i:[sS]id{_ENDS_HERE}|SID(?:[^A-Z]|$))"
_ANY_QUOTE = "[\"'`]"
_QUOTE = rf"\\{{0,15}}(?:\"\"\"|\'\'\'|{_ANY_QUOTE})"
_PREFIX = rf"(?:[bBrRuUfF@$]{{1,2}}(?=\\{{0,15}}{_ANY_QUOTE}))?"  # before a string literal in Python, C#, Objective-C
_BEHIND = "|".join(sorted(PLACES_OF_USE | SERVICES))
_SUFFIX = rf"(?i:s?(?:_?(?:b64|hex|value|header|{_BEHIND}|\d)|\s#?\d{{1,2}}(?=:))?)"
# Text between a name and its value.
_LINKS = (
    # YAML's block scalars: `password: |` and the value on the next line
    r"\s{0,4}:\s{0,4}[|>][+-]?\d?[ \t]{0,8}\r?\n\s{1,40}",
    # declarations: `password: str = "…"`, `const key string = "…"`, `char key[] = "…"`, `Key { get; set; } = "…"`
    r"(?:[ \t]{0,4}:[ \t]{0,4}[\w.&\[\]|' ]{1,40}|\s{1,4}[sS]tr(?:ing)?|\[\d{0,4}\]|\s{0,4}\{[\w; ]{3,24}\})"
    rf"\s{{0,4}}=\s{{0,4}}(?={_PREFIX}\\{{0,15}}[\"'])",
    # `=`, `:`, `=>` and the like, also with bold in Markdown: `**Key:** …`
    r"\s{0,8}(?::=|=>|<-|[=!]==?|=|:|\|)(?:[ \t]{0,24}|\s{0,8})(?:\*{1,3}\s{0,4})?",
    # a comma before the next item of a list or call; the brace of `std::string key{"…"}`
    r"\s{0,4},\s{0,4}(?=b?\\{0,15}[\"'])|\{(?=[\"'])",
    # prose
    r"\s{1,4}(?:(?:is|was):?|provided:|given:|used:)\s{1,4}|\s?[是为為はが는은]\s?",
    # an XML tag: `<password>…`
    r">(?:<!\[CDATA\[)?(?=[^\s<>]{4})",
)
# Text that links a name to its value, but also occurs in prose. The value must therefore have letters and digits.
_LOOSE_LINKS = (
    # with an addition: `API key (read-only): …`, `password for root is …`, `API key set to …`
    r"(?P<aside>\s{0,2}[(\[][\w ,-]{1,24}[)\]]\s{0,2}[:=]\s{0,4}|(?:\s{1,2}(?:for|of|on|from)(?:\s\w{1,16}){1,3}?"
    r"|\s(?:set|changed|format \w{1,12}))(?:\s{0,2}[:=]\s{0,4}|\s(?:is|to)\s{1,4}))",
    # the opening fence of a Markdown code block
    r":?\s{0,4}`{3}\w{0,12}\s{0,4}",
    # HTML tags: `<td>API key</td><td>…`
    r"\s{0,4}:?\s{0,8}(?:</?\w{1,12}(?:\s[^<>]{0,80})?/?>\s{0,8}:?\s{0,4}){1,4}",
    # an arrow, a dash or an opening parenthesis
    r"\s{0,4}(?:->|→|…|\.{3})\s{0,4}|\s{1,4}[–—-]\s{1,4}|\s{0,4}\((?=[^\s()]{6,128}\))",
    # a blank before a quote, also with IPython's `Out[1]:` between them; a tab before the next cell of a table
    r"\s{1,4}(?:Out\[\d{1,4}\]:\s)?(?=\\{0,15}[\"'`])|(?:\t|\\{1,4}t){1,8}",
    r"\s{1,4}to\s{1,4}",
    # any other sign, or a verb; counts only if the value is machine-made
    r"(?P<any>\s{0,4}[^\w\s@./\\\"'`]{1,4}\s{0,4}|\s(?:are|equals?|becomes|(?:will|should|must) be|below)[\s:]{1,4})"
    r"(?=[A-Za-z0-9])",
    r"\s{1,8}",
)
_PAIR = regex(
    rf"{_SUFFIX}(?P<more>[_-]\w{{1,32}})?(?P<close>\\{{0,15}}{_ANY_QUOTE})?[\])]?[*_]{{0,3}}"
    rf"(?:(?P<sep>{'|'.join(_LINKS)})|(?P<loose>{'|'.join(_LOOSE_LINKS)}))"
    rf"{_PREFIX}(?:(?P<quote>(?!`{{3}}){_QUOTE})|(?P<bare>[^\s\"'`,;&|<>(){{}}\[\]\\]{{1,128}}))"
)
# The text between a name and a value that stands in another field, as in these examples:
# `"name": "BINANCE_SECRET", "value": …` in JSON, Python and YAML,
# `name="api_key" value="…"` in XML, `variable "api_key" { default = …` in Terraform, `API_KEY -Value …` in PowerShell,
# `api_key\n … input_value=…` in pydantic's errors.
_VALUE_FIELD = regex(
    r"(?:\\{0,15}[\"'])?(?:\s{0,4},|\\{1,4}n|[\r\n]{1,2})\s{0,16}(?:\\{0,15}[\"'])?[vV]alue(?=[\\\"':])"
    r"|\\{0,15}[\"']\s{1,8}(?:\w{1,16}=\\{0,15}[\"'][^\"'<>]{0,40}[\"']\s{1,8})?(?:value|content)(?==)"
    r"|\s{1,4}--?(?:[vV]alue|body)(?=[ =])|\s{0,4}(?:\\n|\n)[^\n]{0,160}input_value(?==)"
    r"|\"\s?\{\s{0,16}(?:[^{}\n]{0,80}\n\s{0,16}){0,3}default(?=\s{0,16}=)"
)
# A string literal inside an expression: `key = SecretStr("…")`, `getenv("KEY", "…")`, `process.env.KEY || "…"`.
_WRAPPED = regex(
    rf"{_SUFFIX}(?:\\{{0,15}}[\"'])?\]?(?::\s?[\w&' ]{{1,24}})?\s{{0,4}}(?::=|=>|[:=])\s{{0,4}}"
    r"(?:\\\r?\n\s{0,40}|&?(?:\[\])?[\w.:$]{1,40}(?:[(\[][\"'][\w.-]{1,64}[\"'][)\]])?"
    r"(?:\s{1,4}(?:or|\|\||\?\?)\s{1,4}|(?P<call>\(\s{0,16})(?P<first>[\"'][\w.-]{1,64}[\"']\s{0,4},\s{0,4})?))"
    rf"{_PREFIX}(?P<quote>{_QUOTE})"
)
# A value before its name: `… is my API key`, `… (API key)`, `"…" == api_key`, `"value": "…", "name": "API_KEY"`.
_BEFORE = regex(
    r"(?<![\w/+=.-])(?P<value>[A-Za-z0-9][A-Za-z0-9+/_=-]{15,127})\\{0,7}[\"'`]?\)?;?"
    r"(?:\s{1,2}(?:is|was|as)\s(?:not\s)?(?:my|our|your|the|an?)\s(?:valid\s)?|\s{1,2}in(?:to)?\s|\s{0,2}\(|\s{1,4}(?:<-|←|#|//|==)\s{0,3}"
    r"|,\s{0,4}\\{0,7}[\"']name\\{0,7}[\"']:\s{0,4}\\{0,7}[\"'])(?:[A-Za-z]{1,12}[ _-]){0,2}$"
)
_AFTER_NAME = regex(r"[\"'`]?\s{0,2}(?:[).,;!}\n]|$)")
# `--api-key VALUE` of a command line.
_ARGUMENT = regex(
    r"(?P<sep>\s{1,4})(?P<loose>(?!))?(?P<more>(?!))?(?P<close>(?!))?(?:(?P<quote>[\"'])|(?P<bare>[^\s\"'`,;&|<>(){}\[\]\\-][^\s\"'`,;&|<>(){}\[\]\\]{3,128}))"
)
_REST = regex(r"[^\s\"'`,;&|<>(){}\[\]\\]*")  # the rest of a value that is too long for `_PAIR`
# A value in a `.env` file. It may contain signs at which `_PAIR` would stop.
_REST_OF_LINE = regex(r"[^\s\"'`<>|\\]{4,4096}")
_LINE_STARTS = ("\n", "\\n", "export ", "set ", "ENV ", "-e ")
_BYTE = r"(?:0x[0-9a-fA-F]{1,2}|\d{1,3})"
_NUMBERS = regex(  # a list of 16 or more numbers, which are the bytes of a key
    r"[sS]?[\"'\])]{0,2}\s{0,4}(?::?=|:)?\s{0,4}(?:\[\]byte)?[\[{(]\s{0,16}"
    rf"(?P<numbers>{_BYTE}(?:\s{{0,4}},\s{{0,16}}{_BYTE}){{15,}})"
)
# The word `secret` right after or before a key. Exchanges issue pairs: `key: …, secret: …`, in either order.
_SECRET_FOLLOWS = regex(
    r"\\{0,7}[\"'`]?[\s,;&]{1,16}(?:and\s|the\s){0,2}\\{0,7}[\"'`]?(?:api[_ ]?)?secret", re.IGNORECASE
)
_SECRET_PRECEDES = regex(
    r"secret[\"'`]?\s{0,3}[:=]\s{0,3}[\"'`]?[^\s\"'`,;&]{16,128}[\"'`]?[\s,;&]{1,16}[\"'`]?$", re.IGNORECASE
)
# The text before `key` in `my key`, and in `?key=` of a URL's query.
_OWNED = regex(r"(?i:(?<![a-z])(?:my|our|your|bot)\s|[?&;])$")
_CALL = regex(r"[A-Za-z_][\w.]*\((?:.*\)|[^)]*)")
_TOKEN_LETTERS = frozenset(TOKEN_LETTERS)
_LONGEST_NAME = 64
_LONGEST_VALUE = 4096
_REACH = 120  # characters after a name that are searched for a string literal or a bracket
_WEAK_REACH = 160  # characters before or after a name that are searched for a digit: every random value has digits
_SPACED_OWNERS = (
    "api", "secret", "private", "access", "auth", "signing", "encryption", "wallet", "bot", "session", "service",
    "recovery", "seed", "pass", "mnemonic", *sorted(SERVICES),
)  # fmt: skip


def named(scan: Scan) -> Iterator[Span]:
    """Yield values next to a secret's name: `API_KEY=…`, `"password": "…"`, `**private key:** …`, `?api-key=…`."""
    text = _folded(scan.text)
    for end in _NAME_ENDS:
        masked = 0  # end of the last masked value; names inside it are skipped
        for at in _name_ends(scan, end):
            stop = at + len(end)
            goes_on = stop < len(scan.low) and scan.low[stop] in _GO_ON
            if at >= masked and not goes_on and (span := _pair(scan, text, at, stop)):
                masked = span.end
                yield span


# Maps typographic quotes, colons, arrows and invisible spaces, as people and models write them, to the plain sign that
# the rules expect.
_FOLDED = {
    "“”„«»「」『』": '"',
    "‘’": "'",
    "（": "(",
    "）": ")",
    "：": ":",
    "＝": "=",
    "➜➔⇒⟶👉➡": "→",
    "\u200b\u200c\u200d\ufeff": " ",
}


def _folded(text: str) -> str:
    """Return `text` with the signs of `_FOLDED` replaced. All offsets stay the same."""
    if not text.isascii():
        for signs, plain in _FOLDED.items():
            for sign in signs:
                text = text.replace(sign, plain)
    return text


# Some prompts have `key` or `token` in every line. To save time, these two names are examined only inside a longer name
# (`api_key`), after an owner (`api key`), or before a value that may be random. Such a value has 15 characters or more:
# `looks_random` and `is_query_key` accept no shorter one.
# `_TO_VALUE` matches the punctuation and words between name and value, as in `token provided: …`.
_TO_VALUE = r"(?:[a-z0-9_]{0,8}[^a-z0-9_]{1,72}(?![^a-z0-9_])){1,3}"


def _lone(end: str) -> re.Pattern[str]:
    owned = "|".join(rf"(?<={owner} {end})" for owner in _SPACED_OWNERS)
    # `(?=(…))\1` acts as an atomic group. Python 3.10 has no syntax for such groups.
    random = rf"{_TO_VALUE}(?=[a-z0-9+/_=-]{{15}})(?=(?=([a-z+/_=-]{{0,160}}))\1\d)"
    return regex(rf"{end}(?:(?<=[a-z0-9_.-]{end})|(?<=[a-z] {end})(?:{owned})|(?={random}))")


_LONE = {end: _lone(end) for end in ("key", "token")}


# A long text is searched in windows, so that other threads run in between. A match begins in a window of 2,048
# characters, and may extend 640 characters beyond it.
_WINDOW, _FORESIGHT = 2048, 640


def _in_windows(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Yield the matches of `pattern`. A match longer than `_FORESIGHT` may be missed or cut."""
    for start in range(0, len(text), _WINDOW):
        for match in pattern.finditer(text, start, start + _WINDOW + _FORESIGHT):
            if match.start() < start + _WINDOW:  # later matches belong to the next window
                yield match


def _name_ends(scan: Scan, end: str) -> Iterator[int]:
    if end not in _LONE:
        yield from scan.anchors(end)
    elif end in scan.low:
        yield from (match.start() for match in _in_windows(_LONE[end], scan.low))


class _Name(NamedTuple):
    """A name in a text, and how surely it marks a secret."""

    text: str
    start: int
    end: int
    name: str
    level: int


def _pair(scan: Scan, text: str, at: int, end: int) -> Span | None:
    """Return the span of the value that belongs to the name whose ending is `text[at:end]`."""
    start, word = _name(text, at, end)
    name = _Name(text, start, end, word, strength(word))
    needs_digits = name.level == WEAK or word.lower().endswith("pass")
    if name.level == NONE or (needs_digits and scan.digit_after(end) > end + _WEAK_REACH):
        return _value_before(name) if name.level == VARIABLE else None
    if (span := _assigned(name)) or name.level == WEAK:
        return span
    after = text[end : end + _REACH]
    if ("=" in after or ":" in after) and ('"' in after or "'" in after):
        span = _wrapped(name)
    if not span and any(bracket in after for bracket in "[({"):
        span = _numbers(name) or _items(name)
    return span or (_value_before(name) if scan.digit_after(max(0, start - _WEAK_REACH)) < start else None)


def _assigned(name: _Name) -> Span | None:
    text, start = name.text, name.start
    apart = _VALUE_FIELD.match(text, name.end)
    match = _PAIR.match(text, apart.end() if apart else name.end)
    if name.name.startswith("--") and (match is None or match["loose"]):
        match = _ARGUMENT.match(text, name.end)
    if match is None or (match["quote"] and _ends_quote(text, start, match)):
        return None
    if (match["sep"] or "")[:1] == ">" and text[max(0, start - 1) : start] != "<" and not match["close"]:
        return None
    first, last = _value(name, match)
    if not _is_secret_pair(name, match, text[first:last], last):
        return None
    rest = _REST.match(text, last) if match["bare"] else None
    return Span(first, rest.end() if rest else last, "named-secret")


def _wrapped(name: _Name) -> Span | None:
    """Return the span of a literal in an expression: `SecretStr("…")`, `getenv("API_KEY") or "…"`."""
    match = _WRAPPED.match(name.text, name.end)
    if match is None:
        return None
    first, last = match.end(), _quoted_end(name.text, match.end(), match["quote"])
    value = name.text[first:last]
    # The only argument of a call is often the name of a secret, not the secret: `vault.read("bot/key-2")`.
    is_literal = is_made(value) if match["call"] and not match["first"] else is_mixed(value) and not is_variable(value)
    return Span(first, last, "named-secret") if is_literal and is_secret(name.name, value) else None


def _value_before(name: _Name) -> Span | None:
    """Return the span of a machine-made value before its name: `… is my API key`."""
    text, start = name.text, name.start
    if (
        name.level != STRONG
        or text[start - 1 : start] not in (" ", "(", '"', "'")
        or not _AFTER_NAME.match(text, name.end)
    ):
        return None
    around = max(0, start - _WEAK_REACH)
    match = _BEFORE.search(text[around:start])
    if match is None or not is_made(match["value"]):
        return None
    return Span(around + match.start("value"), around + match.end("value"), "named-secret")


def _ends_quote(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether the quote that `match` found ends a string with the name in it, as in `getpass("Password: ", stream)`."""
    if match["close"]:  # the name has quotes of its own, as in `"Password" "…"`
        return False
    link, after = match["sep"] or match["loose"], text[match.end() : match.end() + 1]
    return text[max(0, start - 1) : start] == match["quote"] and link.endswith(" ") and after in ",);]+% "


def _name(text: str, at: int, end: int) -> tuple[int, str]:
    """Return the start and text of the name whose ending is `text[at:end]`; the name `API key` has two words."""
    last = text[at - 1 : at]
    if last in (" ", ":"):
        before = text[max(0, at - _LONGEST_NAME) : at - 1]
        owner = before.split()[-1] if before.strip() else ""
        owned = owner.lower() in HOSTS or (last == " " and before.lower().endswith(_SPACED_OWNERS))
        return at, f"{owner} {text[at:end]}" if owned else text[at:end]
    if last not in _TOKEN_LETTERS:
        return at, text[at:end]
    before = text[max(0, at - _LONGEST_NAME) : at]
    start = at - len(before) + len(before.rstrip(TOKEN_LETTERS))
    return start, text[start:end]


def _numbers(name: _Name) -> Span | None:
    """Return the span of a key written as bytes: `SECRET_KEY=[7, 31, …]`, `key := []byte{7, 31, …}`."""
    match = _NUMBERS.match(name.text, name.end) if name.level == STRONG else None
    return Span(match.start("numbers"), match.end(), "named-secret") if match else None


_LIST = regex(r"[sS]?(?:\\{0,15}[\"'`])?\s{0,4}[:=]\s{0,4}(?P<open>[\[({])\s{0,16}")
_STRING = r"\\{0,15}[\"'`](?P<value>[^\"'`\\\r\n]{1,512})\\{0,15}[\"'`]\s{0,16}"
_ITEM = regex(rf"{_STRING}(?:,\s{{0,16}}|[\])])")
_FIELD = regex(rf"\\{{0,15}}[\"'][^\"'\\]{{1,64}}\\{{0,15}}[\"']\s{{0,4}}:\s{{0,4}}{_STRING},?\s{{0,16}}")


def _items(name: _Name) -> Span | None:
    """Return one span from the first to the last secret in a list or dict.

    Examples: `"api_keys": ["…", "…"]`, `"secrets": {"binance": "…"}`.
    """
    match = _LIST.match(name.text, name.end)
    bounds: list[int] = []
    if match and match["open"] == "{":
        while holds_secrets(name.name) and (match := _FIELD.match(name.text, match.end())):
            bounds += match.span("value") if is_made(match["value"]) else ()
    else:
        while match and (match := _ITEM.match(name.text, match.end())):
            is_one = len(match["value"]) >= 4 and is_secret(name.name, match["value"])
            bounds += match.span("value") if is_one else ()
    return Span(bounds[0], bounds[-1], "named-secret") if bounds else None


def _value(name: _Name, match: re.Match[str]) -> tuple[int, int]:
    """Return the bounds of the value that `match` has found."""
    text, start = name.text, name.start
    if match["quote"]:
        return match.end(), _quoted_end(text, match.end(), match["quote"])
    begins_line = start == 0 or text[max(0, start - 8) : start].endswith(_LINE_STARTS)
    if (
        match["sep"] == "="
        and name.name.isupper()
        and begins_line
        and (line := _REST_OF_LINE.match(text, match.start("bare")))
    ):
        return line.span()
    return match.span("bare")


def _quoted_end(text: str, start: int, quote: str) -> int:
    """Return where a quoted value ends: at a closing quote escaped like the opening one, or at the end of the line."""
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
    """Return the offset of the first line break after `start`, or `end` if there is none before `end`."""
    return min(at if at >= 0 else end for at in (text.find("\n", start, end), text.find("\r", start, end)))


def _is_secret_pair(name: _Name, match: re.Match[str], value: str, last: int) -> bool:
    if name.level == WEAK:
        before = name.text[max(0, name.start - _WEAK_REACH) : name.start]
        beside = _SECRET_FOLLOWS.match(name.text, last) or _SECRET_PRECEDES.search(before)
        explicit = beside or name.name.startswith("--") or _OWNED.search(before[-6:])
        random = is_made(value) if explicit else looks_random(value)
        return random and is_value(value) and bool(beside or not match["loose"])
    if match["more"]:  # the name goes on: API_KEY_OF_THE_BOT
        return name.level == STRONG and is_made(value) and "pub" not in match["more"].lower()
    if match["loose"]:
        return _is_loose_secret(name, match, value)
    if match["quote"]:
        check = is_secret_item if match["sep"].strip() == "," else is_secret
        return len(value) >= 4 and check(name.name, value)
    return is_secret(name.name, value) and _is_bare_secret(name.name, match, value)


def _is_loose_secret(name: _Name, match: re.Match[str], value: str) -> bool:
    """Whether the value after one of `_LOOSE_LINKS` is a secret: `API key - …`, `password '…' rejected`.

    Only a value with letters and digits is a secret; anything else is taken for prose.
    """
    word, link = name.name, match["loose"].strip()
    if name.level != STRONG or not is_mixed(value) or value.startswith("0x") or not is_secret(word, value):
        return False
    if match["any"]:
        return is_made(value)
    if is_password(word):
        return True
    if (match["quote"] or link not in ("", "to") or "\t" in match["loose"]) and not match["aside"]:
        return True
    # A blockchain address also has 40 hex digits, but 40 digits without 0x are more often a key.
    return is_made(value) or (is_public(value) and (is_variable(word) or len(value) == 40))


def _is_bare_secret(name: str, match: re.Match[str], value: str) -> bool:
    """Whether a value without quotes is a secret, not code (`key = get_key()`) or prose (`API key: missing`)."""
    after = match.start("bare") + len(value)
    if (match.string[after : after + 1] in ("(", "[") and "@" not in value) or _CALL.fullmatch(value):
        return False
    by_word = match["sep"].strip() not in ("=", ":=", "==", "=>")  # true for a colon or words: "password: …"
    password = is_password(name)
    word = value.rstrip("!?")
    if IDENTIFIER.match(word) and not is_jumbled(word):
        stands_alone = not by_word or (match["sep"].strip(" *\t") == ":" and _stands_alone(word, match.string, after))
        return (
            password
            and stands_alone
            and "." not in word
            and "passw" not in word.lower()
            and strength(word) == NONE
            and len(word) >= 6
        )
    if value.isdigit() and not password:
        return len(value) >= 16
    if not by_word or is_jumbled(value):
        return len(value) >= 8
    return len(value) >= (6 if password else 8) and any(map(str.isdigit, value))


# Words that follow `password:` as a remark, not as the value. They are from messages of Django, Keycloak and PAM, and
# from labels of form fields.
_REMARKS = word_set(
    "required optional missing invalid incorrect expired protected changed rejected accepted failed disabled enabled "
    "mismatch mismatched hidden blank needed forgotten unchanged unset prompted verified correct strong stored saved "
    "default string hashed encrypted supplied provided unknown present absent always nothing please expires"
)


def _stands_alone(value: str, text: str, after: int) -> bool:
    """Whether the word after `password:` is the value: it is not a remark, and not followed by a space and a word."""
    goes_on = text[after : after + 1] == " " and text[after + 1 : after + 2].isalpha()
    return not goes_on and value.lower() not in _REMARKS


# Commands and calls that take a secret as an argument without naming the secret.
_COMMAND = regex(
    r"(?:\b(?:curl|wget|https?)\s(?:[^\n|;]{0,200}?\s)?(?:-u|--user)[ =]?[\"']?[^\s:\"'@]{1,64}:"
    r"|\b(?:docker login|twine|mongo(?:sh)?|az login|sshpass)\s(?:[^\n|;]{0,120}?\s)?-p\s?"
    r"|\bmysql(?:dump|admin)?\s(?:[^\n|;]{0,120}?\s)?-p|\bredis-cli\s(?:[^\n|;]{0,80}?\s)?-a\s"
    r"|\bvault (?:login|operator unseal)\s"
    r"|\b(?:requirepass|masterauth)\s|\b(?:(?-i:IDENTIFIED BY)|identified by\s(?=[\"']))\s?"
    r"|auth\s?=\s?\([\"'][^\"'\n]{1,64}[\"'],\s?(?=[\"'])|hmac\.new\(\s{0,16}b?(?=[\"']))"
    r"[\"']?(?P<value>(?!//)[^\s\"'|;]{6,128})",
    re.IGNORECASE,
)
COMMAND_HINT = (
    r"curl\s|wget\s|https?\s|docker login|twine\s|mongo(?:sh)?\s|az login|sshpass|mysql(?:dump|admin)?\s"
    r"|redis-cli|vault (?:login|operator unseal)|requirepass|masterauth|identified by|auth\s?=\s?\(|hmac\.new\("
)


def arguments(scan: Scan) -> Iterator[Span]:
    """Yield secrets in commands and calls that need no name: `curl -u trader:…`, `sshpass -p …`, `hmac.new(b"…")`."""
    for match in _in_windows(_COMMAND, scan.text):
        if is_mixed(match["value"]) and is_value(match["value"]):
            yield Span(*match.span("value"), "named-secret")


# Names of secrets in other languages. After the name of a key, the value must be machine-made; after the name of a
# password, it must have letters and digits.
_NAMES = sorted(FOREIGN_KEYS | FOREIGN_PASSWORDS)
_ANY_CASE = "|".join(form for name in _NAMES for form in dict.fromkeys((name, name.capitalize(), name.upper())))
_ADDITION = "(?: ?(?:de )?(?:api|acceso|acesso|secreta|secrète|segreta)| (?:für|pour|para|per|для) [a-z]{1,16})?"
# The prefilter's RE2 reads bytes and ignores case only for ASCII letters, so each name is listed with a small and a
# capital first letter. A name at the end of a line or text also counts, since its value may be in another field.
_IN_BYTES = "|".join(dict.fromkeys(form for name in _NAMES for form in (name, name[0].upper() + name[1:])))
FOREIGN_HINT = rf"(?:{_IN_BYTES})(?:{_ADDITION}[^a-z0-9]{{0,16}}(?:ist|lautet|est?)?[^a-z0-9]{{0,16}}[!-~]{{8}}|\n|\z)"
_FOREIGN = regex(
    rf"(?P<name>{_ANY_CASE})(?i:{_ADDITION})[\"'`*]{{0,3}}\s{{0,3}}"
    r"(?:[:：=＝→–—-]|は|が|是|为|為|는|은|이|가|ist|lautet|est?|é|è)?\s{0,3}[\"'`*「『“（(]{0,3}\s?"
    r"(?P<value>[!#-&*+\-./0-9:;=?@A-Z^_a-z~]{8,128})"
)


def foreign_names(scan: Scan) -> Iterator[Span]:
    """Yield values next to a secret's name in another language: `APIキーは「…」です`, `Mein Passwort lautet …`."""
    for match in _in_windows(_FOREIGN, scan.text):
        is_key = match["name"].lower() in FOREIGN_KEYS
        value = match["value"].rstrip(".;:?!") if is_key else match["value"]
        if is_value(value) and (is_made(value) if is_key else is_mixed(value)):
            yield Span(match.start("value"), match.start("value") + len(value), "named-secret")
