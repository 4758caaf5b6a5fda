"""
🌙 Moon Dev's Redaction Rules
Built with love by Moon Dev 🚀

Keys that are known by their shape: those of AI providers, data services and messengers. Each rule names its source.
Secrets that are known by their name stand in `redaction_pairs.py`, by their place in `redaction_headers.py` and
`redaction_urls.py`, wallets in `redaction_wallets.py`, the values of our own environment in `redaction_own.py`.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from .scan import Scan, Span, marker, regex

_END = r"(?![A-Za-z0-9])"
_HEX = r"[0-9a-fA-F]"
_KINDS = "(?:proj|svcacct|admin|None|service|org)"
_JUMBLED = r"(?=[A-Za-z_-]{0,60}\d)(?=[a-z0-9_-]{0,60}[A-Z])"  # digits and capitals, which `risk-service-…` lacks


def _free(prefix: str) -> str:
    """A prefix that no letter or digit stands before. Its literal comes first: by that `re` dismisses it at once."""
    return f"{prefix}(?<![A-Za-z0-9]{prefix})"


# Rule -> its expression. Every one begins with a literal, so that `re` skips to it, and none has anything after an
# open-ended repetition, so that no text takes more than linear time. The order matters where prefixes overlap. Where a
# key may be glued to letters before it (`tokenghp_…`), a second form asks for more of it than words have.
SHAPES: dict[str, str] = {
    # sk-ant-api03-…, -admin01-, -oat01- (OAuth): gitleaks rules/anthropic.go; github.com/anthropics claude-code docs
    "anthropic-key": rf"{_free('sk-ant-')}[A-Za-z0-9_-]{{20,}}|sk-ant-[a-z]{{3,8}}\d\d-[A-Za-z0-9_-]{{20,}}",
    # sk-or-v1- and 64 hex: openrouter.ai/docs/api-reference/authentication
    "openrouter-key": rf"{_free('sk-or-')}[A-Za-z0-9]{{20,}}|sk-or-v\d-[A-Za-z0-9]{{20,}}",
    # sk-lf- and a UUID: langfuse.com/docs (API keys). pk-lf- is the public key: how the server knows us, kept
    "langfuse-key": rf"sk-lf-{_HEX}{{8}}-[0-9a-fA-F-]{{20,}}",
    # sk-proj-, sk-svcacct-, sk-admin-, sk-None-, sk-service-: gitleaks rules/openai.go; help.openai.com 9186755
    "openai-key": rf"{_free('sk-')}{_KINDS}-[A-Za-z0-9_-]{{20,}}|sk-{_KINDS}-{_JUMBLED}[A-Za-z0-9_-]{{40,}}"
    # sess- (dashboard sessions): platform.openai.com
    rf"|{_free('sess-')}[A-Za-z0-9]{{40}}{_END}"
    # the first form, sk- and 48 letters, is also what many compatible servers issue; DeepSeek's is taken out first
    rf"|{_free('sk-')}(?!{_HEX}{{32}}{_END})(?=[A-Za-z]{{0,40}}\d)[A-Za-z0-9]{{20,}}"
    r"|sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}",
    # sk- and 32 hex: api-docs.deepseek.com; trufflehog detectors/deepseek
    "deepseek-key": rf"{_free('sk-')}{_HEX}{{32}}{_END}",
    # gsk_ and 52: kingfisher.groq.1; console.groq.com/docs/quickstart
    "groq-key": rf"{_free('gsk_')}[A-Za-z0-9]{{20,}}|gsk_[A-Za-z0-9]{{40,}}",
    # xai- and 80: trufflehog detectors/xai
    "xai-key": rf"{_free('xai-')}[A-Za-z0-9_]{{40,}}|xai-[A-Za-z0-9]{{60,}}",
    # AIza and 35: gitleaks rules/gcp.go; AQ. replaced it in 2026: discuss.ai.google.dev/t/171575; ya29. and GOCSPX- are
    # OAuth's token and client secret: developers.google.com/identity/protocols/oauth2
    "google-key": rf"(?:{_free('AIza')}[A-Za-z0-9_-]{{2}}|AIzaSy)[A-Za-z0-9_-]{{33}}{_END}"
    rf"|(?:{_free('AQ[.]')}|AQ\.Ab8R)[A-Za-z0-9_-]{{30,}}|(?:{_free('ya29[.]')}|ya29\.a0)[A-Za-z0-9_-]{{20,}}"
    r"|GOCSPX-[A-Za-z0-9_-]{20,}",
    # hf_ and 34: huggingface.co/docs/hub/security-tokens; api_org_: gitleaks rules/huggingface.go
    "huggingface-key": rf"(?:{_free('hf_')}|{_free('api_org_')})[A-Za-z0-9]{{30,}}"
    rf"|hf_(?=[a-z0-9]{{0,33}}[A-Z])[A-Za-z0-9]{{34}}{_END}",
    # AKIA, ASIA, ABIA, ACCA and 16: docs.aws.amazon.com/IAM reference_identifiers; the secret half: `_beside`
    "aws-key": rf"(?:AKIA|ASIA|ABIA|ACCA)(?<![A-Z0-9]....)[A-Z0-9]{{16}}{_END}",
    # ghp_ gho_ ghu_ ghs_ ghr_: github.blog/changelog/2021-03-31; github_pat_: docs.github.com fine-grained tokens
    "github-token": rf"{_free('gh')}[pousr]_[A-Za-z0-9_]{{30,255}}|gh[pousr]_[A-Za-z0-9]{{36,255}}"
    r"|github_pat_[A-Za-z0-9_]{40,255}",
    # glpat- and 20: docs.gitlab.com/security/tokens; gitleaks rules/gitlab.go
    "gitlab-token": r"glpat-[A-Za-z0-9_-]{20,255}",
    # xoxb- xoxp- xoxa- xoxr- xoxs- xoxo- xoxe- xapp-: api.slack.com/authentication/token-types; gitleaks rules/slack.go
    "slack-token": r"xox(?:[abeprs][.-](?=[A-Za-z-]{0,40}\d)|o-\d)[A-Za-z0-9.-]{10,}|xapp-\d-[A-Za-z0-9-]{20,}",
    # 8 to 10 digits, ":" and 35: core.telegram.org/bots/api#authorizing-your-bot
    "telegram-token": r"\d{6,16}:[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])",
    # base64 of the user id, ".", six for the time, "." and the HMAC: discord.py docs/token.rst; mfa. tokens likewise
    "discord-token": rf"[MNO](?<![A-Za-z0-9].)[A-Za-z0-9_-]{{22,28}}\.[A-Za-z0-9_-]{{6}}\.[A-Za-z0-9_-]{{27,45}}"
    rf"|{_free('mfa[.]')}[A-Za-z0-9_-]{{80,}}",
    # SK (API key) and AC (account), 32 hex: twilio.com/docs/glossary/what-is-a-sid; the token of AC: `_beside`
    "twilio-key": rf"(?:SK|AC)(?<![A-Za-z0-9]..)[0-9a-f]{{32}}{_END}",
    # sk_ and 48 hex: elevenlabs.io/docs/api-reference/authentication; detectors of kingfisher
    "elevenlabs-key": rf"{_free('sk_')}[0-9a-f]{{40,64}}{_END}",
    # three base64url parts, the first a JSON object ({" is eyJ): RFC 7519
    "jwt": r"eyJ(?<![A-Z0-9]eyJ)[A-Za-z0-9_-]{8,512}\.eyJ[A-Za-z0-9_-]{8,16384}\.[A-Za-z0-9_-]{0,1024}",
}

_TELEGRAM_ID = 17  # "1234567890:" stands before the long run
# What any of the above begins with (or has inside, where it begins with no fixed letter). `re` turns an alternation of
# literals into one set of first letters; an address is dismissed in a fraction of a microsecond.
_HEAD = regex(
    r"sk-|sk_|sess-|gsk_|xai-|AIza|AQ\.|ya29\.|GOCSPX-|hf_|api_org_|AKIA|ASIA|ABIA|ACCA|gh[pousr]_|github_pat_|glpat-|xox|xapp-"
    r"|:[A-Za-z0-9_-]{35}|\.[A-Za-z0-9_-]{6}\.|mfa\.|SK[0-9a-f]{32}|AC[0-9a-f]{32}|eyJ"
)
# What those of letters and digits alone begin with: a run without any other sign is nothing else, if no id of a bot
# stands before it. A page of signatures or addresses is dismissed so.
_ALNUM_HEADS = (b"AIza", b"AKIA", b"ASIA", b"ABIA", b"ACCA", b"SK", b"AC")
_GLUED_HEADS = (b"AIzaSy", b"AKIA", b"ASIA")  # of these also where letters stand before: no hex and no base58 has an I
_COLON = ord(":")
_FIRST = r"(?=[sgxAyGhakSMNOme\d])"  # letters of the above: of a run of base58 half are passed over by it
_NAMED = "|".join(f"(?P<{name.replace('-', '_')}>{shape})" for name, shape in SHAPES.items())
_ANY_SHAPE = regex(f"{_FIRST}(?:{_NAMED})")


def shapes(scan: Scan) -> Iterator[Span]:
    """Keys of providers: searched only around long runs of key letters, which most prompts lack."""
    plain = scan.plain_ascii
    glued = bool(scan.runs) and b"I" in plain and any(head in plain for head in _GLUED_HEADS)
    for start, end in scan.runs:
        known = glued or plain.startswith(_ALNUM_HEADS, start) or plain[start - 1] == _COLON
        if not known and plain[start:end].isalnum():
            continue
        if not _HEAD.search(scan.plain, start := max(0, start - _TELEGRAM_ID), end):
            continue
        for match in _ANY_SHAPE.finditer(scan.plain, start, end):
            yield Span(match.start(), match.end(), (match.lastgroup or "").replace("_", "-"))
            yield from _beside(match)


# An AWS key's secret half, 40 letters of base64, and a Twilio account's token, 32 of hex, have no shape of their own;
# beside the public half they have: docs.aws.amazon.com/IAM (access keys), twilio.com/docs/iam/access-tokens.
_AWS_SECRET = regex(
    r"(?<![A-Za-z0-9+/])(?=[a-z0-9+/]{0,39}[A-Z])(?=[A-Z0-9+/]{0,39}[a-z])[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/=])"
)
_AWS_REACH = 200  # characters
_WORDY = regex("[a-z]{3,}|/")  # of 40 letters of a path 29 or more are in these; of random ones 9
_MOST_WORDY = 26
_TWILIO_TOKEN = regex(r"[\\\"'\s,:]{1,24}([0-9a-f]{32})(?![A-Za-z0-9])")


def _beside(match: re.Match[str]) -> Iterator[Span]:
    """The secret halves of two keys, which only the other half gives away."""
    if match.lastgroup == "aws_key":
        around = max(0, match.start() - _AWS_REACH), match.end() + _AWS_REACH
        for secret in _AWS_SECRET.finditer(match.string, *around):
            if sum(max(3, len(part)) for part in _WORDY.findall(secret.group())) <= _MOST_WORDY:
                yield Span(*secret.span(), "aws-key")
    elif match.lastgroup == "twilio_key" and (token := _TWILIO_TOKEN.match(match.string, match.end())):
        yield Span(*token.span(1), "twilio-key")


# PEM: RFC 7468; PGP's armor: RFC 9580 section 6.2; SSH2's: RFC 4716. Form encoding makes a space a plus.
_PEM_EDGE = regex(r"-{4,5} ?(?P<edge>BEGIN|END)[ +](?:[A-Z0-9]{1,20}[ +]){0,4}PRIVATE[ +]KEY(?:[ +]BLOCK)? ?-{4,5}")
_PEM_LONGEST = 20_000  # characters; a key of 16,384 bits has 12,700
_PEM_GAP = 200  # characters without base64 that the body may hold: its headers, and what wraps its lines
_PEM_RUN = regex(r"[A-Za-z0-9+/=]{16,}")
_PEM_REST = regex(  # its last line may be short
    r"[^\w+/=\n]{0,8}(?:\\{0,4}n|\n)?[^\w+/=\n]{0,8}[A-Za-z0-9+/=]{1,15}(?![A-Za-z0-9+/=])"
)


def pem_keys(scan: Scan) -> Iterator[Span]:
    """Private keys between `-----BEGIN … PRIVATE KEY-----` and its end, whatever its lines are wrapped in.

    One whose end is cut off is masked as far as base64 goes on; one whose beginning is, back to where it begins.
    """
    if not scan.said(("private",)) or "----" not in scan.low:
        return
    done = 0
    edges = list(_PEM_EDGE.finditer(scan.text))
    for edge, after in zip(edges, [*edges, None][1:], strict=True):
        if edge.end() > done:
            start = _body_start(scan.text, done, edge.start()) if edge["edge"] == "END" else edge.start()
            done = edge.end() if edge["edge"] == "END" else _body_end(scan.text, edge.end(), after)
            yield Span(start, done, "pem-private-key")


def without_pem_lines(items: list[Any]) -> list[Any]:
    """`items` with a marker for each line of a private key, as `readlines` gives them."""
    lines = [item if type(item) is str else "" for item in items]
    begins = list(accumulate((len(line) + 1 for line in lines), initial=0))
    done = list(items)
    for start, end, rule in pem_keys(Scan("\n".join(lines))):
        for at in range(bisect_right(begins, start) - 1, bisect_left(begins, end)):
            done[at] = marker(rule) if lines[at] else items[at]
    return done


def _body_end(text: str, start: int, after: re.Match[str] | None) -> int:
    """Where a body ends: with its last line, or else as far as base64 goes on."""
    limit = min(start + _PEM_LONGEST, after.start() if after else len(text))
    if after and after["edge"] == "END" and after.start() == limit:
        return after.end()
    end = start
    while run := _PEM_RUN.search(text, end, min(limit, end + _PEM_GAP)):
        end = run.end()
    rest = _PEM_REST.match(text, end, limit) if end > start else None
    return rest.end() if rest else end


def _body_start(text: str, done: int, end: int) -> int:
    """Where a body begins that has no first line."""
    start = end
    for run in reversed(list(_PEM_RUN.finditer(text, max(done, end - _PEM_LONGEST), end))):
        if start - run.end() > _PEM_GAP:
            break
        start = run.start()
    return start
