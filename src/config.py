"""
🌙 Moon Dev's Configuration
Built with love by Moon Dev 🚀

Every setting of the repo, and the only reader of the environment.

Constants stand at the top. Names in `_SETTINGS` are *live*: they follow the environment (and `.env`) at every
read. A value that is assigned or patched onto this module wins until `importlib.reload(config)` clears it.
Empty values and the placeholders of `.env_example` (`your_..._here`) count as missing.
"""

import contextlib
import math
import os
import re
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import ModuleType
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
    """`text` as an http(s) address without a trailing slash. Raises SettingError on anything else.

    It is printed, journalled and part of error texts: what may carry a credential (a user, a query, a part of the path
    of 20 characters or more) is refused.
    """
    value = text.strip().rstrip("/")
    if not _HOST.fullmatch(value):
        raise SettingError(f"{name} must be an address like https://cloud.langfuse.com, without credentials")
    return value


def parse_public_key(name: str, text: str) -> str:
    """`text` as a public key, which is sent and journalled in clear. Raises SettingError on a secret one."""
    value = text.strip()
    if _SECRET_KEY.match(value):
        raise SettingError(f"{name} holds a secret key: swap the two in .env")
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
    "LANGFUSE_PUBLIC_KEY": (parse_public_key, None),
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
_NOTHING_SENT = (None, "calls are recorded here and nothing is sent")
_SAFE: dict[str, tuple[Any, str]] = {
    "ENABLE_LANGFUSE": _NOTHING_SENT,
    "LANGFUSE_PUBLIC_KEY": _NOTHING_SENT,
    "LANGFUSE_BASE_URL": _NOTHING_SENT,  # a typing error must not send a self-hosted server's traces to the cloud
    "LANGFUSE_HOST": _NOTHING_SENT,
    "LANGFUSE_CAPTURE_INPUT": (False, "prompts are not recorded"),
    "LANGFUSE_CAPTURE_OUTPUT": (False, "answers are not recorded"),
}
_DEFAULT_HOST = "https://cloud.langfuse.com"
_HOST = re.compile(r"https?://[^/\s@?#]+(?:/[^/\s@?#]{0,19})*")
# How secret keys begin (Langfuse and OpenAI, Groq, xAI, GitHub, AWS, Google, JWTs), if one is set as a public one.
_SECRET_KEY = re.compile(r"(?:sk|gsk|xai|ghp|hf|rk)[-_]|AKIA|AIza|eyJ", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"your_\w*_here$", re.IGNORECASE)
_complained: set[tuple[str, str]] = set()

for _name in _SETTINGS:
    globals().pop(_name, None)  # importlib.reload clears what was assigned or patched


# `os.environ.get` encodes its key and decodes its value each time, which would cost more than the rest of a traced
# call's path. The dict behind it does not, and gives the same object as long as a variable is unchanged.
_raw_environ: Any = getattr(os.environ, "_data", os.environ)
_encode: Callable[[str], Any] = getattr(os.environ, "encodekey", str)
_raw_name = {name: _encode(name) for name in _SETTINGS}
_assigned: dict[str, Any] = {}  # settings that were assigned to this module, or patched
_seen: dict[str, tuple[Any, Any]] = dict.fromkeys(_SETTINGS, (_SETTINGS, None))  # (raw text, value read from it)


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
    if _assigned and name in _assigned:
        return _assigned[name]
    seen = _seen[name]
    return seen[1] if seen[0] is _raw_environ.get(_raw_name[name]) else _read(name)


def _read(name: str) -> Any:
    raw = _raw_environ.get(_raw_name[name])
    if _seen[name][0] is not raw:
        _seen[name] = (raw, _parsed(name))
    return _seen[name][1]


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
        cure = "" if "in .env" in str(error) else " Correct it in .env;"
        with contextlib.suppress(OSError, ValueError):  # a stderr that cannot be written is no error of the agent's
            cprint(f"❌ {error}{'.' if cure else ';'}{cure} until then {meanwhile}.", "red", file=sys.stderr)


def origin(name: str) -> str:
    """Where the setting `name` comes from: `the environment`, `.env`, or `the default`."""
    text = env(name)
    if text is None:
        return "the default"
    return ".env" if (dotenv_values(ENV_FILE).get(name) or "").strip() == text else "the environment"


def malformed() -> list[str]:
    """What is wrong with settings whose text cannot be read, one message each."""
    return [str(error) for name in _SETTINGS if (error := _error_in(name)) is not None]


def _error_in(name: str) -> SettingError | None:
    try:
        _SETTINGS[name][0](name, env(name) or "")
    except SettingError as error:
        return error if env(name) is not None else None
    return None


@dataclass(frozen=True, slots=True)
class Recording:
    """What the settings say of recording at one moment."""

    on: bool
    capture_input: bool
    capture_output: bool
    durable: bool  # an append is part of the call


_RECORDING = ("ENABLE_LANGFUSE", "LANGFUSE_CAPTURE_INPUT", "LANGFUSE_CAPTURE_OUTPUT", "OBSERVABILITY_DURABILITY")
_FLAG, _INPUT, _OUTPUT, _DURABILITY = (_raw_name[name] for name in _RECORDING)
_UNREAD = object()
_recording = (_UNREAD, _UNREAD, _UNREAD, _UNREAD, Recording(False, False, False, False))  # raw texts; what they say


def recording() -> Recording:
    """Every traced call asks this once: one look at the four variables, and what they said when they last changed."""
    flag, captured_input, captured_output, durability, said = _recording
    raw = _raw_environ.get
    if (
        raw(_FLAG) is flag
        and raw(_INPUT) is captured_input
        and raw(_OUTPUT) is captured_output
        and raw(_DURABILITY) is durability
        and not _assigned
    ):
        return said
    return _read_recording()


def _read_recording() -> Recording:
    global _recording
    if _assigned:
        return _recording_of(*map(setting, _RECORDING))
    flag, captured_input, captured_output, durability = map(_raw_environ.get, (_FLAG, _INPUT, _OUTPUT, _DURABILITY))
    said = _recording_of(*map(_read, _RECORDING))
    _recording = (flag, captured_input, captured_output, durability, said)
    return said


def _recording_of(flag: bool | None, capture_input: bool, capture_output: bool, durability: str) -> Recording:
    on = bool(flag) or flag is None  # a malformed flag stops shipping, not recording
    return Recording(on, bool(capture_input), bool(capture_output), durability == "sync")


def tracing_on() -> bool:
    """Whether calls are recorded in the journal: unless ENABLE_LANGFUSE says no in so many words."""
    return recording().on


def destination() -> Destination | None:
    """The Langfuse project that observations recorded now go to; None where the flag is off or a key is missing."""
    secret_key, public_key = setting("LANGFUSE_SECRET_KEY"), setting("LANGFUSE_PUBLIC_KEY")
    host = _assigned.get("LANGFUSE_HOST") or _host()
    if not setting("ENABLE_LANGFUSE") or not secret_key or not public_key or not host:
        return None
    if _SECRET_KEY.match(public_key) or not _HOST.fullmatch(host):  # what is assigned to this module is not parsed
        return None
    return Destination(host, public_key, secret_key)


def _host() -> str | None:
    """The server's address; None where the one that is set is malformed."""
    name = next((name for name in ("LANGFUSE_HOST", "LANGFUSE_BASE_URL") if env(name)), None)
    return _DEFAULT_HOST if name is None else _read(name)


def missing_langfuse_keys() -> list[str]:
    """Names of the Langfuse keys that are not set, in the order in which `.env_example` lists them."""
    keys = ("LANGFUSE_SECRET_KEY", "LANGFUSE_PUBLIC_KEY")
    return [name for name in keys if not setting(name) and _error_in(name) is None]  # a malformed one is said elsewhere


def journal_path() -> Path:
    """Where the journal lies; a relative OBSERVABILITY_JOURNAL is relative to the repo."""
    return _under_repo(setting("OBSERVABILITY_JOURNAL"), os.environ.get("HOME"))


@lru_cache(maxsize=8)  # every batch of the recorder asks
def _under_repo(path: str, _home: str | None) -> Path:
    return REPO_ROOT / Path(path).expanduser()


def base_url(provider: str, default: str | None) -> str | None:
    """The provider's endpoint: `{PROVIDER}_BASE_URL` from the environment, else `default`."""
    return env(f"{provider.upper()}_BASE_URL") or default


# What a variable's name ends with, a number or `_BACKUP` and the like left out, where its value is a secret.
_SECRET_NAME = re.compile(
    r"(?:(?:KEY|SECRET|TOKEN|CREDENTIAL|PASSWORD|MNEMONIC|KEYPAIR|COOKIE)S?|PASSWD|PASSPHRASE|PHRASE|SEED|DSN|SID|BEARER"
    r"|AUTHORIZATION|AUTH_HEADER|(?:SEED|RECOVERY|BACKUP|MNEMONIC)_WORDS|(?:^|_)(?:PASS|PWD|PW|PK|JWT))"
    r"(?:_?\d+|_(?:BACKUP|OLD|NEW|PROD|LIVE|TEST|DEV|MAIN|VALUE|BASE64|B64|HEX|JSON))*$",
    re.IGNORECASE,
)
_PUBLIC_KEY = re.compile(r"(?:lf[-_])?pk[-_]lf[-_]|lf_pk_", re.IGNORECASE)  # Langfuse's, in every row's destination
_PUBLIC_NAME = re.compile(r"(?:^|_)(?:PUBLIC|PUB|PUBLISHABLE)(?:_|KEY|$)", re.IGNORECASE)
_NUMBER_NAME = re.compile(r"SEED$|TOKENS$", re.IGNORECASE)  # RANDOM_SEED, MAX_TOKENS
_TRADED_TOKEN = re.compile(r"TOKENS?(?:_?\d+)?$", re.IGNORECASE)
_CREDENTIAL_TOKEN = re.compile(
    r"(?:API|ACCESS|AUTH|BEARER|BOT|REFRESH|SESSION|SECRET|PRIVATE|ID|USER|APP|LOGIN)_?TOKENS?", re.IGNORECASE
)
_ADDRESS_NAME = re.compile(r"(URL|URI|ENDPOINT|WEBHOOK)S?(?:_?\d+)?$", re.IGNORECASE)
_ADDRESS_WITH_SECRET = re.compile(
    r"://[^/\s]*@|[?&][\w-]*(key|token|secret|password)[\w-]*=|/[\w-]{24,}", re.IGNORECASE
)
# An address's credentials, sure enough to go by whatever the variable is called.
_ADDRESS_CREDENTIAL = re.compile(
    r"://[^/\s@]*:[^/\s@]+@|://[^/\s@:]{16,}@|[?&][\w-]*(?:key|token|secret|password|auth|sig)[\w-]*=[^&\s]{4,}"
    r"|/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![\w-])"
    r"|/(?=(?:[a-z_-]{0,99}\d){3})(?=[\d_-]{0,99}[a-z])[\w-]{0,99}?[a-z\d]{16}",
    re.IGNORECASE,
)
_PATH = re.compile(
    r"(?:~|\.{1,2}|/(?:home|Users|root|etc|var|opt|tmp|mnt|run|usr|srv|app|data|media|work|workspace|secrets|Volumes))/"
    r"[\w./ @-]*|[A-Za-z]:\\.*"
)
_STANDS_FOR_A_VALUE = re.compile(
    r"(?:[a-z]{2,5}[-_])?your(?:[-_][a-z0-9]{1,20}){0,6}[-_](?:key|token|secret|password|passphrase|phrase|seed|here|value)"
    r"|<[^<>]*>|\$\{\w+\}|\{\{.*\}\}|(?:change|replace|fill)[-_ ]?(?:me|this|it)|placeholder|undefined"
    r"|not[-_ ]?(?:set|needed)|(?:sk-)?no[-_]key[-_](?:needed|required)|[-=*_.#~+ ]+|(.)\1*",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]{0,20}://", re.IGNORECASE)
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_EVM_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_MIN_SECRET_LENGTH = 8
_secrets_seen: tuple[dict[Any, Any], tuple[str, ...]] = ({}, ())


def secret_values() -> tuple[str, ...]:
    """The values that must never be on disk or wire: of secret-looking variables, and addresses (of RPC nodes,
    webhooks, databases) that carry credentials, in the environment and in `.env`; eight characters or more, longest
    first.

    The same tuple object as long as the environment is unchanged.
    """
    global _secrets_seen
    if _secrets_seen[0] != _raw_environ:
        known = {**dotenv_values(ENV_FILE), **os.environ}
        found = {text.strip() for name, text in known.items() if text and is_secret(name, text.strip())}
        found -= {text for text in found if _PUBLIC_KEY.match(text)}  # under another name
        _secrets_seen = (dict(_raw_environ), tuple(sorted(found, key=lambda text: (-len(text), text))))
    return _secrets_seen[1]


def is_secret(name: str, value: str) -> bool:
    """Whether a variable's value is a secret: by its name (`*_KEY`, `*_SECRET`, ...), or an address by what it carries.

    Not what is shorter than eight characters, stands for a value (`your_key_here`, `changeme`), or is public: a public
    key, a path, a token's address.
    """
    if len(value) < _MIN_SECRET_LENGTH or _PLACEHOLDER.match(value) or _STANDS_FOR_A_VALUE.fullmatch(value):
        return False
    if _ADDRESS.match(value):
        return _is_secret_address(name, value)
    return _SECRET_NAME.search(name) is not None and not _is_public(name, value)


def _is_secret_address(name: str, value: str) -> bool:
    if _SECRET_NAME.search(name):
        return True
    value = re.sub(r"[0-9A-Za-z]{32,44}", lambda part: "" if is_address(part[0]) else part[0], value)  # of a token
    by_name = _ADDRESS_NAME.search(name) and _ADDRESS_WITH_SECRET.search(value)
    return bool(by_name) or _ADDRESS_CREDENTIAL.search(value) is not None


def _is_public(name: str, value: str) -> bool:
    if _PUBLIC_NAME.search(name) and not re.search("SECRET|PRIVATE", name, re.IGNORECASE):
        return not _SECRET_KEY.match(value)
    traded = _TRADED_TOKEN.search(name) and not _CREDENTIAL_TOKEN.search(name)
    if traded and all(is_address(each.strip()) for each in value.split(",")):
        return True
    is_setting = _NUMBER_NAME.search(name) and value.isdecimal()
    return bool(is_setting) or _is_path(name, value)


def _is_path(name: str, value: str) -> bool:
    """Whether it is where something lies: by its root, as the shell's own `PWD`, or because something lies there."""
    if _PATH.fullmatch(value) or (name == "PWD" and value.startswith("/")):
        return True
    # Not by Path, whose `exists` raises on a key that is too long for a name.
    return os.path.isabs(value) and os.path.exists(value)  # noqa: PTH110, PTH117


def is_address(text: str) -> bool:
    """Whether `text` is an address: of Solana (32 bytes in base58) or of an EVM chain (0x and 40 hex digits)."""
    if _EVM_ADDRESS.fullmatch(text):
        return True
    if not 32 <= len(text) <= 44 or not all(map(_BASE58.__contains__, text)):
        return False
    number = 0
    for letter in text:
        number = number * 58 + _BASE58.index(letter)
    zeros = len(text) - len(text.lstrip("1"))
    return zeros + (number.bit_length() + 7) // 8 == 32


def get_active_tokens() -> list[str]:
    """The tokens to trade: Hyperliquid symbols on that exchange, Solana addresses elsewhere."""
    return HYPERLIQUID_SYMBOLS if EXCHANGE == "hyperliquid" else MONITORED_TOKENS


class _Config(ModuleType):
    """This module; it remembers which settings were assigned to it, so that no read need look for them."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _SETTINGS:
            _assigned[name] = value
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        _assigned.pop(name, None)


sys.modules[__name__].__class__ = _Config
