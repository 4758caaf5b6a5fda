"""
🌙 Moon Dev's Redaction Rules
Built with love by Moon Dev 🚀

Keys that are known by their shape: those of AI providers, data services and messengers. Each rule names its source.
Secrets that are known by their name or place stand in `redaction_names.py`, wallets in `redaction_wallets.py`, the
values of our own environment in `redaction_own.py`.
"""

import re
from collections.abc import Iterator

from src.observability.redaction_scan import Scan, Span

_START = r"(?<![A-Za-z0-9])"
_END = r"(?![A-Za-z0-9])"
_HEX = r"[0-9a-fA-F]"

# Rule -> its expression. Every one begins with a literal, so that `re` skips to it, and none has anything after an
# open-ended repetition, so that no text takes more than linear time. The order matters where prefixes overlap.
SHAPES: dict[str, str] = {
    # sk-ant-api03-…, -admin01-, -oat01- (OAuth): gitleaks rules/anthropic.go; github.com/anthropics claude-code docs
    "anthropic-key": r"sk-ant-[A-Za-z0-9_-]{20,}",
    # sk-or-v1- and 64 hex: openrouter.ai/docs/api-reference/authentication
    "openrouter-key": r"sk-or-(?:v\d-)?[A-Za-z0-9]{20,}",
    # sk-lf- and a UUID: langfuse.com/docs (API keys). pk-lf- is the public key: how the server knows us, kept
    "langfuse-key": rf"sk-lf-{_HEX}{{8}}-[0-9a-fA-F-]{{20,}}",
    # sk-proj-, sk-svcacct-, sk-admin-, sk-None-, sk-service-: gitleaks rules/openai.go; help.openai.com 9186755
    "openai-key": r"sk-(?:proj|svcacct|admin|None|service|org)-[A-Za-z0-9_-]{20,}"
    # sess- (dashboard sessions): platform.openai.com
    rf"|{_START}sess-[A-Za-z0-9]{{40}}{_END}"
    # the first form, sk- and 48 letters, is also what many compatible servers issue; DeepSeek's is taken out first
    rf"|{_START}sk-(?!{_HEX}{{32}}{_END})(?=[A-Za-z]{{0,40}}\d)[A-Za-z0-9]{{20,}}",
    # sk- and 32 hex: api-docs.deepseek.com; trufflehog detectors/deepseek
    "deepseek-key": rf"{_START}sk-{_HEX}{{32}}{_END}",
    # gsk_ and 52: kingfisher.groq.1; console.groq.com/docs/quickstart
    "groq-key": r"gsk_[A-Za-z0-9]{20,}",
    # xai- and 80: trufflehog detectors/xai
    "xai-key": rf"{_START}xai-[A-Za-z0-9_]{{40,}}",
    # AIza and 35: gitleaks rules/gcp.go; AQ. replaced it in 2026: discuss.ai.google.dev/t/171575; ya29. and GOCSPX- are
    # OAuth's token and client secret: developers.google.com/identity/protocols/oauth2
    "google-key": rf"{_START}AIza[A-Za-z0-9_-]{{35}}{_END}|{_START}AQ\.[A-Za-z0-9_-]{{30,}}"
    rf"|{_START}ya29\.[A-Za-z0-9_-]{{20,}}|GOCSPX-[A-Za-z0-9_-]{{20,}}",
    # hf_ and 34: huggingface.co/docs/hub/security-tokens; api_org_: gitleaks rules/huggingface.go
    "huggingface-key": rf"{_START}(?:hf_|api_org_)[A-Za-z0-9]{{30,}}",
    # AKIA, ASIA, ABIA, ACCA and 16: docs.aws.amazon.com/IAM reference_identifiers; the secret key goes by its name
    "aws-key": rf"{_START}(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{{16}}{_END}",
    # ghp_ gho_ ghu_ ghs_ ghr_: github.blog/changelog/2021-03-31; github_pat_: docs.github.com fine-grained tokens
    "github-token": r"gh[pousr]_[A-Za-z0-9_]{30,255}|github_pat_[A-Za-z0-9_]{40,255}",
    # xoxb- xoxp- xoxa- xoxr- xoxs- xoxo- xoxe- xapp-: api.slack.com/authentication/token-types; gitleaks rules/slack.go
    "slack-token": r"xox[abeoprs][.-](?=[A-Za-z-]{0,40}\d)[A-Za-z0-9.-]{10,}|xapp-\d-[A-Za-z0-9-]{20,}",
    # 8 to 10 digits, ":" and 35: core.telegram.org/bots/api#authorizing-your-bot
    "telegram-token": r"\d{6,16}:[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])",
    # base64 of the user id, ".", six for the time, "." and the HMAC: discord.py docs/token.rst; mfa. tokens likewise
    "discord-token": rf"{_START}[MNO][A-Za-z0-9_-]{{22,28}}\.[A-Za-z0-9_-]{{6}}\.[A-Za-z0-9_-]{{27,45}}"
    rf"|{_START}mfa\.[A-Za-z0-9_-]{{80,}}",
    # SK (API key) and AC (account), 32 hex: twilio.com/docs/glossary/what-is-a-sid; the auth token goes by its name
    "twilio-key": rf"{_START}(?:SK|AC)[0-9a-f]{{32}}{_END}",
    # sk_ and 48 hex: elevenlabs.io/docs/api-reference/authentication; detectors of kingfisher
    "elevenlabs-key": rf"{_START}sk_[0-9a-f]{{40,64}}{_END}",
    # three base64url parts, the first a JSON object ({" is eyJ): RFC 7519
    "jwt": r"(?<![A-Za-z0-9_.-])eyJ[A-Za-z0-9_-]{8,4096}\.eyJ[A-Za-z0-9_-]{8,16384}\.[A-Za-z0-9_-]{0,1024}",
}

_TELEGRAM_ID = 17  # "1234567890:" stands before the long run
# What any of the above begins with (or has inside, where it begins with no fixed letter). `re` turns an alternation of
# literals into one set of first letters; an address is dismissed in a fraction of a microsecond.
_HEAD = re.compile(
    r"sk-|sk_|sess-|gsk_|xai-|AIza|AQ\.|ya29\.|GOCSPX-|hf_|api_org_|AKIA|ASIA|ABIA|ACCA|gh[pousr]_|github_pat_|xox|xapp-"
    r"|:[A-Za-z0-9_-]{35}|\.[A-Za-z0-9_-]{6}\.|mfa\.|SK[0-9a-f]{32}|AC[0-9a-f]{32}|eyJ"
)
_ANY_SHAPE = re.compile("|".join(f"(?P<{name.replace('-', '_')}>{shape})" for name, shape in SHAPES.items()))


def shapes(scan: Scan) -> Iterator[Span]:
    """Keys of providers: searched only around long runs of key letters, which most prompts lack."""
    for start, end in scan.runs:
        if not _HEAD.search(scan.plain, start := max(0, start - _TELEGRAM_ID), end):
            continue
        for match in _ANY_SHAPE.finditer(scan.plain, start, end):
            yield Span(match.start(), match.end(), (match.lastgroup or "").replace("_", "-"))


# PEM: RFC 7468. The body may be cut off, JSON-escaped or re-wrapped; what stands under the header goes in any case.
_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----[^-]{0,20000}"
    r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?"
)


def pem_keys(scan: Scan) -> Iterator[Span]:
    """Private keys between `-----BEGIN … PRIVATE KEY-----` and its end."""
    if b"-----begin " in scan.low:
        for match in _PEM.finditer(scan.text):
            yield Span(match.start(), match.end(), "pem-private-key")
