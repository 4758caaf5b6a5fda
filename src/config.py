"""
🌙 Moon Dev's Configuration
Built with love by Moon Dev 🚀

Every setting of the repo, and the only reader of the environment.

Constants stand at the top. Names in `_SETTINGS` are *live*: they follow the environment (and `.env`) at every
read. A value that is assigned or patched onto this module wins until `importlib.reload(config)` clears it.
Empty values and the placeholders of `.env_example` (`your_..._here`) count as missing.
"""

import math
import os
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from dotenv import dotenv_values, load_dotenv
from termcolor import cprint

REPO_ROOT = Path(__file__).resolve().parent.parent
ENV_FILE = REPO_ROOT / ".env"

load_dotenv(ENV_FILE)

# 🏦 Exchange and tokens
EXCHANGE = "solana"
MONITORED_TOKENS = ["9BB6NFEcjBCtnNLFko2FqVQBq8HHM13kCyYcdQbgpump"]
HYPERLIQUID_SYMBOLS = ["BTC", "ETH", "SOL"]

# 🛡️ Risk and run loop
MAX_LOSS_USD = 25
SLEEP_BETWEEN_RUNS_MINUTES = 15

# 🤖 AI models
AI_MODEL = "claude-haiku-4-5"
AI_MAX_TOKENS = 1024
AI_TEMPERATURE = 0.7

# Live settings: read through `__getattr__` below, declared here for type checkers and readers.
AI_MODEL_TYPE: str  # provider that `ModelFactory.create_model()` takes when none is named
AI_TIMEOUT_SECONDS: float  # per request to a provider
AI_MAX_RETRIES: int  # the SDKs' own retries of 408, 409, 429, 5xx and connection errors

# 🔍 LangFuse observability
ENABLE_LANGFUSE: bool
LANGFUSE_SECRET_KEY: str | None
LANGFUSE_PUBLIC_KEY: str | None
LANGFUSE_HOST: str
LANGFUSE_FLUSH_INTERVAL: float  # seconds between batches
LANGFUSE_CAPTURE_INPUT: bool  # prompts
LANGFUSE_CAPTURE_OUTPUT: bool  # answers
LANGFUSE_ALLOW_HTTP: bool  # plain http to a host other than loopback
LANGFUSE_SESSION_ID: str
LANGFUSE_USER_ID: str | None
LANGFUSE_TRACING_ENVIRONMENT: str | None
LANGFUSE_RELEASE: str | None
OBSERVABILITY_JOURNAL: str  # relative to the repo, not to the working directory
OBSERVABILITY_DURABILITY: str  # "async" (on disk within 50 ms) or "sync" (part of the call)
OBSERVABILITY_RETENTION_DAYS: float
OBSERVABILITY_MAX_MB: float
OBSERVABILITY_EXIT_SECONDS: float  # what a process may spend on the network when it ends
OBSERVABILITY_REDACT_PATTERNS: str | None  # the operator's own regular expressions, one a line
OBSERVABILITY_REDACT_ALLOW: str | None  # strings that are never redacted, comma-separated

# 🌙 Market data
MOONDEV_API_KEY: str | None
MOONDEV_API_URL: str

_PROCESS_SESSION = f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%SZ}-{secrets.token_hex(2)}"


class SettingError(ValueError):
    """A setting's text cannot be read; the message names the variable and what it takes."""


class Destination(NamedTuple):
    """Where a recorded observation is delivered: a Langfuse host and the project its keys belong to."""

    host: str
    public_key: str
    secret_key: str

    @property
    def label(self) -> str:
        """What the journal keeps of it: host and public key, never the secret."""
        return f"{self.host}|{self.public_key}"


def parse_bool(name: str, text: str) -> bool:
    """`text` as a boolean: true/false, 1/0, yes/no, on/off in any case.

    Raises:
        SettingError: on anything else. The text is not quoted: it may be a secret set under the wrong name.
    """
    value = text.strip().lower()
    if value in ("true", "1", "yes", "on"):
        return True
    if value in ("false", "0", "no", "off"):
        return False
    raise SettingError(f"{name} must be true or false (or 1/0, yes/no, on/off)")


def parse_number(name: str, text: str) -> float:
    """`text` as a finite number of at least 0. Raises SettingError on anything else."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise SettingError(f"{name} must be a number of at least 0")
    return value


def parse_count(name: str, text: str) -> int:
    """`text` as a whole number of at least 0. Raises SettingError on anything else."""
    value = parse_number(name, text)
    if not value.is_integer():
        raise SettingError(f"{name} must be a whole number")
    return int(value)


def parse_durability(name: str, text: str) -> str:
    """`text` as `async` or `sync`. Raises SettingError on anything else."""
    value = text.strip().lower()
    if value not in ("async", "sync"):
        raise SettingError(f"{name} must be async or sync")
    return value


def parse_host(name: str, text: str) -> str:
    """`text` as an http(s) address without a trailing slash. Raises SettingError on anything else."""
    value = text.strip().rstrip("/")
    if not re.match(r"https?://[^/\s@]+(/\S*)?$", value):
        raise SettingError(f"{name} must be an address like https://cloud.langfuse.com, without credentials")
    return value


def parse_environment(name: str, text: str) -> str:
    """`text` as a Langfuse environment. Raises SettingError on what the server would file under `default` instead."""
    value = text.strip()
    if not re.fullmatch(r"(?!langfuse)[a-z0-9_-]{1,40}", value):
        raise SettingError(f"{name} must be 1 to 40 of a-z, 0-9, _ and -, and not begin with langfuse")
    return value


def parse_text(_name: str, text: str) -> str:
    """`text` without the white space around it."""
    return text.strip()


# name -> (how to read it, its value when the environment has none). A malformed value takes `_SAFE`, else the default.
_SETTINGS: dict[str, tuple[Callable[[str, str], Any], Any]] = {
    "AI_MODEL_TYPE": (parse_text, "claude"),
    "AI_TIMEOUT_SECONDS": (parse_number, 60.0),
    "AI_MAX_RETRIES": (parse_count, 2),
    "ENABLE_LANGFUSE": (parse_bool, True),
    "LANGFUSE_SECRET_KEY": (parse_text, None),
    "LANGFUSE_PUBLIC_KEY": (parse_text, None),
    "LANGFUSE_BASE_URL": (parse_host, None),
    "LANGFUSE_HOST": (parse_host, None),
    "LANGFUSE_FLUSH_INTERVAL": (parse_number, 30),
    "LANGFUSE_CAPTURE_INPUT": (parse_bool, True),
    "LANGFUSE_CAPTURE_OUTPUT": (parse_bool, True),
    "LANGFUSE_ALLOW_HTTP": (parse_bool, False),
    "LANGFUSE_SESSION_ID": (parse_text, _PROCESS_SESSION),
    "LANGFUSE_USER_ID": (parse_text, None),
    "LANGFUSE_TRACING_ENVIRONMENT": (parse_environment, None),
    "LANGFUSE_RELEASE": (parse_text, None),
    "OBSERVABILITY_JOURNAL": (parse_text, "src/data/observability/journal.db"),
    "OBSERVABILITY_DURABILITY": (parse_durability, "async"),
    "OBSERVABILITY_RETENTION_DAYS": (parse_number, 30.0),
    "OBSERVABILITY_MAX_MB": (parse_number, 1024.0),
    "OBSERVABILITY_EXIT_SECONDS": (parse_number, 2.0),
    "OBSERVABILITY_REDACT_PATTERNS": (parse_text, None),
    "OBSERVABILITY_REDACT_ALLOW": (parse_text, None),
    "MOONDEV_API_KEY": (parse_text, None),
    "MOONDEV_API_URL": (parse_host, "http://api.moondev.com:8000"),
}
# What a malformed text counts as, and what that means; None for the flag is neither on nor off: journal, do not ship.
_SAFE: dict[str, tuple[Any, str]] = {
    "ENABLE_LANGFUSE": (None, "calls are recorded here and nothing is sent"),
    "LANGFUSE_CAPTURE_INPUT": (False, "prompts are not recorded"),
    "LANGFUSE_CAPTURE_OUTPUT": (False, "answers are not recorded"),
}
_DEFAULT_HOST = "https://cloud.langfuse.com"
_PLACEHOLDER = re.compile(r"your_\w*_here$", re.IGNORECASE)
_complained: set[tuple[str, str]] = set()

for _name in _SETTINGS:
    globals().pop(_name, None)  # importlib.reload clears what was assigned or patched


# `os.environ.get` encodes its key and decodes its value each time, which would cost more than the rest of a traced
# call's path. The dict behind it does not, and gives the same object as long as a variable is unchanged.
_raw_environ: Any = getattr(os.environ, "_data", os.environ)
_encode: Callable[[str], Any] = getattr(os.environ, "encodekey", str)
_raw_name = {name: _encode(name) for name in _SETTINGS}
_assigned = globals()  # a setting that stands among the module's names was assigned or patched there
_seen: dict[str, tuple[Any, Any]] = {}  # name -> (raw text, the value read from it)


def __getattr__(name: str) -> Any:
    if name == "LANGFUSE_HOST":
        return _read("LANGFUSE_HOST") or _read("LANGFUSE_BASE_URL") or _DEFAULT_HOST
    if name in _SETTINGS:
        return bool(_read(name)) if name == "ENABLE_LANGFUSE" else _read(name)
    raise AttributeError(f"module {__name__!r} has no setting {name!r}")


def env(name: str) -> str | None:
    """The environment variable `name`; None where it is unset, empty or still a placeholder of `.env_example`."""
    text = (os.environ.get(name) or "").strip()
    return None if not text or _PLACEHOLDER.match(text) else text


def setting(name: str) -> Any:
    """The live setting `name`: what was assigned to this module, else what the environment says. Cheap."""
    value = _assigned.get(name, _assigned)
    return _read(name) if value is _assigned else value


def _read(name: str) -> Any:
    raw = _raw_environ.get(_raw_name[name])
    seen = _seen.get(name)
    if seen is None or seen[0] is not raw:
        seen = _seen[name] = (raw, _parsed(name))
    return seen[1]


def _parsed(name: str) -> Any:
    parse, default = _SETTINGS[name]
    text = env(name)
    if text is None:
        return default
    try:
        return parse(name, text)
    except SettingError as error:
        _complain(name, text, error)
        return _SAFE[name][0] if name in _SAFE else default


def _complain(name: str, text: str, error: SettingError) -> None:
    if (name, text) not in _complained:
        _complained.add((name, text))
        meanwhile = _SAFE[name][1] if name in _SAFE else "the default holds"
        cprint(f"❌ {error}. Correct it in .env; until then {meanwhile}.", "red")


def tracing_on() -> bool:
    """Whether calls are recorded in the journal: unless ENABLE_LANGFUSE says no in so many words.

    A malformed flag stops shipping, not recording.
    """
    flag = setting("ENABLE_LANGFUSE")
    return bool(flag) or flag is None


def destination() -> Destination | None:
    """The Langfuse project that observations recorded now go to; None where the flag is off or a key is missing."""
    secret_key, public_key = setting("LANGFUSE_SECRET_KEY"), setting("LANGFUSE_PUBLIC_KEY")
    if not setting("ENABLE_LANGFUSE") or not secret_key or not public_key:
        return None
    return Destination(_assigned.get("LANGFUSE_HOST") or __getattr__("LANGFUSE_HOST"), public_key, secret_key)


def missing_langfuse_keys() -> list[str]:
    """Names of the Langfuse keys that are not set, in the order in which `.env_example` lists them."""
    return [name for name in ("LANGFUSE_SECRET_KEY", "LANGFUSE_PUBLIC_KEY") if not setting(name)]


def journal_path() -> Path:
    """Where the journal lies; a relative OBSERVABILITY_JOURNAL is relative to the repo."""
    return REPO_ROOT / Path(setting("OBSERVABILITY_JOURNAL")).expanduser()


def base_url(provider: str, default: str | None) -> str | None:
    """The provider's endpoint: `{PROVIDER}_BASE_URL` from the environment, else `default`."""
    return env(f"{provider.upper()}_BASE_URL") or default


_SECRET_NAME = re.compile(
    r"(KEY|SECRET|TOKEN|PASSWORD|PASSWD|PASSPHRASE|MNEMONIC|SEED|SEED_PHRASE|DSN|CREDENTIALS?|SID)$", re.IGNORECASE
)
_ADDRESS_NAME = re.compile(r"(URL|URI|ENDPOINT|WEBHOOK)$", re.IGNORECASE)
_ADDRESS_WITH_SECRET = re.compile(
    r"://[^/\s]*@|[?&][\w-]*(key|token|secret|password)[\w-]*=|/[\w-]{24,}", re.IGNORECASE
)
_NOT_SECRET = frozenset({"LANGFUSE_PUBLIC_KEY"})  # how the server knows us; journalled as part of the destination
_MIN_SECRET_LENGTH = 8
_secrets_seen: tuple[dict[Any, Any], tuple[str, ...]] = ({}, ())


def is_secret_name(name: str) -> bool:
    """Whether a variable of this name holds a secret: `*_KEY`, `*_SECRET`, `*_TOKEN`, `*_PASSWORD`, ... ."""
    return name not in _NOT_SECRET and _SECRET_NAME.search(name) is not None


def secret_values() -> tuple[str, ...]:
    """The values that must never be on disk or wire: of secret-looking variables, and of RPC and webhook addresses
    that carry credentials, in the environment and in `.env`; eight characters or more, longest first.

    The same tuple object as long as the environment is unchanged.
    """
    global _secrets_seen
    if _secrets_seen[0] != _raw_environ:
        known = {**dotenv_values(ENV_FILE), **os.environ}
        found = {text.strip() for name, text in known.items() if text and _holds_secret(name, text)}
        _secrets_seen = (dict(_raw_environ), tuple(sorted(found, key=lambda text: (-len(text), text))))
    return _secrets_seen[1]


def _holds_secret(name: str, text: str) -> bool:
    text = text.strip()
    if len(text) < _MIN_SECRET_LENGTH or _PLACEHOLDER.match(text):
        return False
    return is_secret_name(name) or (_ADDRESS_NAME.search(name) is not None and bool(_ADDRESS_WITH_SECRET.search(text)))


def get_active_tokens() -> list[str]:
    """The tokens to trade: Hyperliquid symbols on that exchange, Solana addresses elsewhere."""
    return HYPERLIQUID_SYMBOLS if EXCHANGE == "hyperliquid" else MONITORED_TOKENS
