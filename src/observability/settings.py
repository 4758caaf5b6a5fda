"""All settings of the package; no other module reads the environment.

A setting comes from, in this order: the sibling `config` module (only the four names of `CONFIG_NAMES`), the
environment, `.env`, the default. Settings are *live*: each read sees the current environment. `.env` is read once, into
a dictionary of this module and not into `os.environ`, so that other code does not see its variables.
Empty values and the placeholders of `.env_example` (`your_..._here`) count as missing. A new setting needs a line in
`SETTINGS` and a line in `.env_example`.
"""

import math
import os
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from sys import modules
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from urllib.parse import unquote

from .printing import print_now

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

REPO_ROOT = Path(__file__).resolve().parents[2]
ENV_FILE = REPO_ROOT / ".env"

# Settings that an operator may also set in `config.py` beside this package. Its values win over the environment.
CONFIG_NAMES = ("ENABLE_LANGFUSE", "LANGFUSE_FLUSH_INTERVAL", "LANGFUSE_CAPTURE_INPUT", "LANGFUSE_CAPTURE_OUTPUT")
_LONGEST_WAIT = 1e8  # seconds (three years); a longer wait would overflow Python's clocks and locks
_CONFIG_MODULE = ".".join([*(__package__ or "").split(".")[:-1], "config"])


class SettingError(ValueError):
    """A setting is malformed; the message names the variable and the accepted values."""


class _Keys(NamedTuple):
    host: str
    public_key: str
    secret_key: str


class Destination(_Keys):
    """A Langfuse project that observations are sent to: the server's address and the project's keys."""

    __slots__ = ()
    service: ClassVar = "Langfuse"
    host_setting: ClassVar = "LANGFUSE_HOST"
    label_settings: ClassVar = "LANGFUSE_HOST or LANGFUSE_PUBLIC_KEY"
    key_settings: ClassVar = "LANGFUSE_PUBLIC_KEY, LANGFUSE_SECRET_KEY or LANGFUSE_HOST"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.label!r})"  # without the secret key

    @property
    def label(self) -> str:
        """The destination's name in the journal: host and public key, never the secret key."""
        return f"{self.host}|{self.public_key}"

    @property
    def credential(self) -> str:
        """The credential's name in messages, without the secret key."""
        return f"the key {self.public_key}"


class _Endpoint(NamedTuple):
    host: str  # the endpoint, without /v1/traces
    headers: dict[str, str]  # credentials


class OtlpDestination(_Endpoint):
    """A backend for OpenTelemetry traces, to which observations are sent besides Langfuse or instead of it."""

    __slots__ = ()
    service: ClassVar = "the OTLP endpoint"
    host_setting: ClassVar = "OBSERVABILITY_OTLP_ENDPOINT"
    label_settings: ClassVar = "OBSERVABILITY_OTLP_ENDPOINT"
    key_settings: ClassVar = "OBSERVABILITY_OTLP_HEADERS or OBSERVABILITY_OTLP_ENDPOINT"
    credential: ClassVar = "the headers"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.label!r})"  # without the headers, which are credentials

    @property
    def label(self) -> str:
        """The destination's name in the journal: the endpoint, never a header."""
        return self.host


def parse_bool(name: str, text: str) -> bool:
    """Return `text` as a boolean: true/false, 1/0, yes/no, on/off, in upper or lower case.

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
    """Return `text` as a finite number of at least 0. Raises SettingError on anything else."""
    value = _number(text)
    if not 0 <= value < math.inf:
        raise SettingError(f"{name} must be a number of at least 0")
    return value


def parse_limit(name: str, text: str) -> float:
    """Return `text` as a finite number above 0. Raises SettingError on anything else.

    0 is refused because an operator may mean "no limit" by it: as a limit, it deletes the whole journal.
    """
    value = _number(text)
    if not 0 < value < math.inf:
        raise SettingError(f"{name} must be a number above 0")
    return value


def parse_seconds(name: str, text: str) -> float:
    """Return `text` as a number of at least 0 and at most `_LONGEST_WAIT`. Raises SettingError like `parse_number`."""
    return min(parse_number(name, text), _LONGEST_WAIT)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def parse_count(name: str, text: str) -> int:
    """Return `text` as a whole number of at least 0. Raises SettingError on anything else."""
    value = parse_number(name, text)
    if not value.is_integer():
        raise SettingError(f"{name} must be a whole number")
    return int(value)


def parse_durability(name: str, text: str) -> str:
    """Return `text` as `async` or `sync`. Raises SettingError on anything else."""
    value = text.strip().lower()
    if value not in ("async", "sync"):
        raise SettingError(f"{name} must be async or sync")
    return value


def parse_host(name: str, text: str) -> str:
    """Return `text` as an http(s) address without a trailing slash. Raises SettingError on anything else.

    The address is printed, journalled and quoted in errors. An address that may contain a credential (a user, a query,
    a path part of 20 characters or more) is therefore rejected.
    """
    value = text.strip().rstrip("/")
    if not _HOST.fullmatch(value):
        raise SettingError(
            f"{name} must be an address like https://cloud.langfuse.com, without user name or ?query,"
            " and with at most 19 characters between two slashes of the path"
        )
    return value


def parse_endpoint(name: str, text: str) -> str:
    """Return `text` as `parse_host` does, but without a final `/v1/traces`, which each request appends again."""
    return parse_host(name, text.strip().rstrip("/").removesuffix("/v1/traces"))


def parse_headers(name: str, text: str) -> dict[str, str]:
    """Return the HTTP headers in `text`, which has the format of OTEL_EXPORTER_OTLP_HEADERS.

    The format is `name=value` for each header, separated by commas, with URL-encoded values.

    Raises:
        SettingError: on anything else, without quoting it: the values are credentials.
    """
    headers = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        header, _, value = pair.partition("=")
        header, value = header.strip(), unquote(value.strip())
        if not _HEADER_NAME.fullmatch(header) or not value or not value.isprintable():
            raise SettingError(f"{name} must be headers like api-key=...,x-scope=..., with URL-encoded values")
        headers[header] = value
    return headers


def parse_public_key(name: str, text: str) -> str:
    """Return the public key `text`. Raises SettingError on a secret key.

    The journal stores the public key unmasked, so a secret key must not be set in its place.
    """
    value = text.strip()
    if SECRET_KEY.match(value):
        raise SettingError(f"{name} holds a secret key: swap the secret and the public key in .env")
    return value


def parse_environment(name: str, text: str) -> str:
    """Return `text` as a Langfuse environment. Raises SettingError on names that the server replaces by `default`."""
    value = text.strip()
    if not re.fullmatch(r"(?!langfuse)[a-z0-9_-]{1,40}", value):
        raise SettingError(f"{name} must be 1 to 40 characters of a-z, 0-9, _ and -, and must not begin with langfuse")
    return value


def parse_text(_name: str, text: str) -> str:
    """Return `text` without surrounding white space."""
    return text.strip()


# The SDKs whose calls can be observed, named as in `instrumentation.install.SDKS`. `http` stands for POST requests by
# the libraries requests, httpx and httpx2.
INSTRUMENTS = ("openai", "anthropic", "groq", "google", "ollama", "elevenlabs", "http")


def parse_instruments(name: str, text: str) -> frozenset[str]:
    """Return the SDKs that `text` selects: true selects all, false none, and a comma-separated list the named SDKs.

    Raises SettingError if the list has any other name.
    """
    try:
        return frozenset(INSTRUMENTS if parse_bool(name, text) else ())
    except SettingError:
        chosen = frozenset(item for part in text.lower().split(",") if (item := part.strip()))
    if not chosen <= set(INSTRUMENTS):
        raise SettingError(f"{name} must be true, false, or a comma-separated list of some of {', '.join(INSTRUMENTS)}")
    return chosen


def parse_names(_name: str, text: str) -> tuple[str, ...]:
    """Return the comma-separated names in `text`."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


class QuietHours(NamedTuple):
    """The hours of each day in which no alert is sent, from minute `since` until minute `until` of the day.

    They are in the time zone `zone`, or in this machine's time zone if `zone` is None.
    """

    since: int
    until: int
    zone: "ZoneInfo | None"


def parse_quiet_hours(name: str, text: str) -> QuietHours:
    """Parse `22:00-07:00`, optionally followed by a time zone. Raises SettingError on anything else."""
    from zoneinfo import ZoneInfo  # imported only here, since agents do not need it

    hours = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)\s*-\s*([01]?\d|2[0-3]):([0-5]\d)(?:\s+(\S+))?", text.strip())
    if hours is None:
        raise SettingError(f"{name} must be hours like 22:00-07:00 or 22:00-07:00 Europe/Berlin")
    try:
        zone = ZoneInfo(hours[5]) if hours[5] else None
    except (KeyError, OSError, ValueError):  # KeyError includes ZoneInfoNotFoundError
        raise SettingError(f"{name} names an unknown time zone: use one like Europe/Berlin") from None
    return QuietHours(int(hours[1]) * 60 + int(hours[2]), int(hours[3]) * 60 + int(hours[4]), zone)


def parse_urls(name: str, text: str) -> tuple[str, ...]:
    """Return the addresses in `text`, separated by white space or commas. Raises SettingError on anything else.

    Errors do not quote the text, since addresses of messengers contain tokens.
    """
    urls = tuple(filter(None, re.split(r"[\s,]+(?=[a-z][a-z0-9+.-]*://)|\s+|,$", text.strip(), flags=re.IGNORECASE)))
    if not all(re.match(r"[a-z][a-z0-9+.-]*://", url, re.IGNORECASE) for url in urls):
        raise SettingError(f"{name} must be notification addresses like tgram://TOKEN/CHAT, separated by commas")
    return urls


# The methods in the repo moondevonyt/moon-dev-ai-agents that run one round of an agent's loop.
CYCLES = (
    "SwarmAgent.query", "run_monitoring_cycle", "run_analysis_cycle", "analysis_cycle", "run_trading_cycle",
    "run_scan_cycle", "run_conversation_cycle", "run_once", "process_question", "process_transcript",
)  # fmt: skip
Parser = Callable[[str, str], Any]
_PROCESS_SESSION = f"{datetime.now(timezone.utc):%Y-%m-%dT%H-%M-%SZ}-{os.urandom(2).hex()}"

# Setting's name -> (parser, default). A malformed value is replaced by the setting's fallback in `_SAFE`, or by the
# default if it has no fallback.
SETTINGS: dict[str, tuple[Parser, Any]] = {
    "ENABLE_LANGFUSE": (parse_bool, True),
    "LANGFUSE_SECRET_KEY": (parse_text, None),
    "LANGFUSE_PUBLIC_KEY": (parse_public_key, None),
    "LANGFUSE_BASE_URL": (parse_host, None),  # the newer name of LANGFUSE_HOST in Langfuse's SDK
    "LANGFUSE_HOST": (parse_host, None),
    "LANGFUSE_FLUSH_INTERVAL": (parse_seconds, 30),  # seconds between two attempts to send pending rows
    "LANGFUSE_CAPTURE_INPUT": (parse_bool, True),  # prompts
    "LANGFUSE_CAPTURE_OUTPUT": (parse_bool, True),  # answers
    "LANGFUSE_ALLOW_HTTP": (parse_bool, False),  # whether keys may be sent by plain http to another machine
    "LANGFUSE_SESSION_ID": (parse_text, _PROCESS_SESSION),
    "LANGFUSE_USER_ID": (parse_text, None),
    "LANGFUSE_TRACING_ENVIRONMENT": (parse_environment, None),
    "LANGFUSE_RELEASE": (parse_text, None),
    "OBSERVABILITY_OTLP_ENDPOINT": (parse_endpoint, None),  # a destination besides Langfuse, or instead of it
    "OBSERVABILITY_OTLP_HEADERS": (parse_headers, {}),  # credentials for the OTLP endpoint
    "OBSERVABILITY_CATCH_UP_RATE": (parse_number, 100),  # backlog rows sent per second and destination; 0: no limit
    "OBSERVABILITY_JOURNAL": (parse_text, "src/data/observability/journal.db"),
    "OBSERVABILITY_DURABILITY": (parse_durability, "async"),  # sync: a call returns only once it is on disk
    "OBSERVABILITY_RETENTION_DAYS": (parse_limit, 30.0),
    "OBSERVABILITY_MAX_MB": (parse_limit, 1024.0),
    "OBSERVABILITY_SEARCH": (parse_bool, True),  # whether searches keep an index of words beside the journal
    "OBSERVABILITY_EXIT_SECONDS": (parse_seconds, 2.0),  # seconds that writing and sending may take at exit
    "OBSERVABILITY_INSTRUMENT": (parse_instruments, frozenset(INSTRUMENTS)),  # SDKs whose calls are observed
    "OBSERVABILITY_CYCLES": (parse_names, CYCLES),  # each call of one of these methods becomes a trace
    # whether an answer that begins with BUY, SELL or NOTHING is recorded as a trading signal
    "OBSERVABILITY_INFER_SIGNALS": (parse_bool, True),
    "OBSERVABILITY_ALERT_URLS": (parse_urls, ()),  # apprise addresses that the command `watch` sends alerts to
    "OBSERVABILITY_ALERT_QUIET": (parse_quiet_hours, None),  # hours without alerts
    # alert rules to switch off: `slow` for all agents, `WhaleAgent slow` for one agent
    "OBSERVABILITY_ALERT_OFF": (parse_names, ()),
    "OBSERVABILITY_BUDGETS": (parse_text, None),  # parsed later, by budgets/limits.py
    "OBSERVABILITY_EXEMPT": (parse_names, ("*risk*", "*exit*")),  # patterns of names of agents that budgets never stop
    "OBSERVABILITY_REDACT_PATTERNS": (parse_text, None),  # regular expressions of further secrets, one per line
    "OBSERVABILITY_REDACT_ALLOW": (parse_text, None),  # strings that are never redacted, comma-separated
}
# Setting's name -> (the value that replaces a malformed one, its description for messages). If ENABLE_LANGFUSE is None,
# calls are recorded in the journal but not sent.
_NOTHING_SENT = (None, "calls are recorded in the local journal and nothing is sent")
_SAFE: dict[str, tuple[Any, str]] = {
    "ENABLE_LANGFUSE": _NOTHING_SENT,
    "LANGFUSE_PUBLIC_KEY": _NOTHING_SENT,
    # a mistyped host is not replaced by the default host, since Langfuse's cloud would then receive the traces
    "LANGFUSE_BASE_URL": _NOTHING_SENT,
    "LANGFUSE_HOST": _NOTHING_SENT,
    "OBSERVABILITY_OTLP_ENDPOINT": (None, "nothing is sent to this endpoint"),
    "OBSERVABILITY_OTLP_HEADERS": (None, "nothing is sent to the OTLP endpoint"),
    "LANGFUSE_CAPTURE_INPUT": (False, "prompts are not recorded"),
    "LANGFUSE_CAPTURE_OUTPUT": (False, "answers are not recorded"),
}
_DEFAULT_HOST = "https://cloud.langfuse.com"
_HOST = re.compile(r"https?://[^/\s@?#]+(?:/[^/\s@?#]{0,19})*")
# Names of HTTP headers (RFC 9110, 5.1), except headers about the message itself, such as Host and Content-Length.
_HEADER_NAME = re.compile(r"(?!host$|content-|transfer-|connection$)[\w!#$%&'*+.^`|~-]+", re.IGNORECASE | re.ASCII)
# Prefixes of secret keys (Langfuse, OpenAI, Groq, xAI, GitHub, AWS, Google and others) and of JWTs. A public key with
# such a prefix is rejected.
SECRET_KEY = re.compile(r"(?:sk|gsk|xai|ghp|hf|rk)[-_]|AKIA|AIza|eyJ", re.IGNORECASE)
PLACEHOLDER = re.compile(r"your_\w*_here$", re.IGNORECASE)
reported: set[tuple[str, str]] = set()  # (name, text) of the malformed settings that were reported

# The dictionary inside `os.environ`. It returns the same object for a variable until the variable changes.
# `os.environ.get` encodes the name and decodes the value at each read, which takes longer than the rest of a traced
# call.
raw_environ: Any = getattr(os.environ, "_data", os.environ)
_encode: Callable[[str], Any] = getattr(os.environ, "encodekey", str)


def env_file() -> Mapping[str, str | None]:
    """The variables of `.env`, read once."""
    return _variables_of(ENV_FILE)


@lru_cache(maxsize=2)
def _variables_of(file: Path) -> Mapping[str, str | None]:
    if not file.exists():
        return {}
    from dotenv import dotenv_values  # imported only here, since most reads find the variable in the environment

    # PYTHON_DOTENV_DISABLED is python-dotenv's own switch, and these are the values that python-dotenv accepts.
    disabled = os.environ.get("PYTHON_DOTENV_DISABLED", "").lower() in ("1", "true", "t", "yes", "y")
    return {} if disabled else dotenv_values(file)


def env(name: str) -> str | None:
    """The variable `name` of the environment or `.env`; None if it is unset, empty or a placeholder."""
    text = os.environ.get(name)
    if text is None:
        text = env_file().get(name)
    text = (text or "").strip()
    return None if not text or PLACEHOLDER.match(text) else text


class Reader:
    """Reads the settings in `table`, and parses a setting again only after its text has changed.

    `table` has a parser and a default for each name. `fallbacks` has values that replace malformed settings, each with
    its description for messages.
    """

    def __init__(self, table: dict[str, tuple[Parser, Any]], fallbacks: dict[str, tuple[Any, str]]) -> None:
        self.table = table
        self._fallbacks = fallbacks
        self._keys = {name: _encode(name) for name in table}
        # Name -> (raw text, parsed value). Before the first read, `table` stands in place of the raw text. It differs
        # from every text, so the first read parses the setting.
        self._parsed: dict[str, tuple[Any, Any]] = dict.fromkeys(table, (table, None))

    def __call__(self, name: str) -> Any:
        """The value of the setting `name`."""
        raw = raw_environ.get(self._keys[name])
        parsed = self._parsed[name]
        if parsed[0] is not raw:
            self._parsed[name] = parsed = (raw, self._parse(name))
        return parsed[1]

    def forget(self) -> None:
        """Parse every setting again at its next read."""
        self._parsed = dict.fromkeys(self.table, (self.table, None))

    def malformed(self) -> list[str]:
        """One message for each malformed setting."""
        return [str(error) for name in self.table if (error := self.error_in(name)) is not None]

    def error_in(self, name: str) -> SettingError | None:
        """The error in the setting `name`. None if the setting is well-formed or not set."""
        text = env(name)
        try:
            if text is not None:
                self.table[name][0](name, text)
        except SettingError as error:
            return error
        return None

    def _parse(self, name: str) -> Any:
        parse, default = self.table[name]
        text = env(name)
        if text is None:
            return default
        try:
            return parse(name, text)
        except SettingError as error:
            value, meanwhile = self._fallbacks.get(name, (default, "the default is used"))
            _report(name, text, error, meanwhile)
            return value


def _report(name: str, text: str, error: SettingError, meanwhile: str) -> None:
    if (name, text) not in reported:
        reported.add((name, text))
        cure = "" if "in .env" in str(error) else " Correct it in .env or the environment;"
        print_now(f"❌ {error}{'.' if cure else ';'}{cure} until then {meanwhile}.", "red", to_stderr=True)


read = Reader(SETTINGS, _SAFE)
malformed = read.malformed
_MISSING = object()


def forget() -> None:
    """Let the next read of a setting read `.env` and parse the setting again. Only tests call this."""
    global _capture
    _variables_of.cache_clear()
    read.forget()
    _capture = _NEVER_READ


def setting(name: str) -> Any:
    """The value of the setting `name`. It is parsed again only after its text has changed.

    LANGFUSE_BASE_URL is an alias of LANGFUSE_HOST. The host is None if the variable that gives it is malformed.
    """
    if name in CONFIG_NAMES and (value := _config().get(name, _MISSING)) is not _MISSING:
        return value
    return _host() if name == "LANGFUSE_HOST" else read(name)


def _config() -> dict[str, Any]:
    """The names in the `config` module beside this package, and their values. Empty if that module is not imported.

    The names are read from the module's dict, since the module's `__getattr__` must not run.
    """
    module = modules.get(_CONFIG_MODULE)
    return _NOTHING if module is None else vars(module)


def _host() -> str | None:
    name = next((name for name in ("LANGFUSE_HOST", "LANGFUSE_BASE_URL") if env(name)), None)
    host: str | None = _DEFAULT_HOST if name is None else read(name)
    return host


_NOTHING: dict[str, Any] = {}


def origin(name: str) -> str:
    """The source of the setting `name`: `config.py`, `the environment`, `.env`, or `the default`."""
    if name in CONFIG_NAMES and name in _config():
        return "config.py"
    text = env(name)
    if text is None:
        return "the default"
    return ".env" if (env_file().get(name) or "").strip() == text else "the environment"


class CaptureSettings:
    """The settings that every traced call reads.

    The class has slots, since Python reads a slot faster than a field of a named tuple.
    """

    __slots__ = ("capture_input", "capture_output", "durable", "on")

    def __init__(self, on: bool, capture_input: bool, capture_output: bool, durable: bool) -> None:
        self.on = on
        self.capture_input = capture_input
        self.capture_output = capture_output
        self.durable = durable  # whether a call returns only once its row is on disk


_CAPTURE = ("ENABLE_LANGFUSE", "LANGFUSE_CAPTURE_INPUT", "LANGFUSE_CAPTURE_OUTPUT", "OBSERVABILITY_DURABILITY")
_FLAG_KEY, _INPUT_KEY, _OUTPUT_KEY, _DURABILITY_KEY = map(_encode, _CAPTURE)
_FLAG, _INPUT, _OUTPUT, _ = _CAPTURE
_UNREAD = object()
_raw = raw_environ.get
_NEVER_READ = (*[_UNREAD] * 5, _NOTHING, CaptureSettings(False, False, False, False))
# The raw texts of the four variables in `_CAPTURE`, the `config` module and its names, and the `CaptureSettings` that
# were parsed from these texts.
_capture: tuple[Any, ...] = _NEVER_READ


def recording() -> CaptureSettings:
    """The current `CaptureSettings`. Every traced call reads them, so they are parsed again only after a change."""
    parsed: CaptureSettings
    flag, captured_input, captured_output, durability, config, names, parsed = _capture
    if (
        _raw(_FLAG_KEY) is flag
        and modules.get(_CONFIG_MODULE) is config
        and _FLAG not in names
        and (
            not parsed.on  # while recording is off, the other settings have no effect
            or (
                _raw(_INPUT_KEY) is captured_input
                and _raw(_OUTPUT_KEY) is captured_output
                and _raw(_DURABILITY_KEY) is durability
                and not (_INPUT in names or _OUTPUT in names)
            )
        )
    ):
        return parsed
    return _read_recording()


def _read_recording() -> CaptureSettings:
    global _capture
    texts = tuple(map(_raw, (_FLAG_KEY, _INPUT_KEY, _OUTPUT_KEY, _DURABILITY_KEY)))
    config, names = modules.get(_CONFIG_MODULE), _config()
    parsed = _recording_of(*map(setting, _CAPTURE))
    if names.keys().isdisjoint(_CAPTURE):
        _capture = (*texts, config, names, parsed)
    return parsed


def _recording_of(flag: bool | None, capture_input: bool, capture_output: bool, durability: str) -> CaptureSettings:
    on = bool(flag) or flag is None  # a malformed flag is None: calls are recorded but not sent
    return CaptureSettings(on, bool(capture_input), bool(capture_output), durability == "sync")


def tracing_on() -> bool:
    """Whether calls are recorded in the journal. False only if ENABLE_LANGFUSE is set to false."""
    return recording().on


def destination() -> Destination | None:
    """The Langfuse project for new observations. None if ENABLE_LANGFUSE is off, or the host or a key is missing."""
    host, public_key, secret_key = map(setting, ("LANGFUSE_HOST", "LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"))
    if not setting("ENABLE_LANGFUSE") or not secret_key or not public_key or not host:
        return None
    return Destination(host, public_key, secret_key)


def otlp_destination() -> OtlpDestination | None:
    """The OTLP destination of new observations. None if ENABLE_LANGFUSE is off, no endpoint is set, or a setting is
    malformed."""
    endpoint, headers = setting("OBSERVABILITY_OTLP_ENDPOINT"), setting("OBSERVABILITY_OTLP_HEADERS")
    if not setting("ENABLE_LANGFUSE") or not endpoint or headers is None:
        return None
    return OtlpDestination(endpoint, headers)


AnyDestination = Destination | OtlpDestination


def destinations() -> list[AnyDestination]:
    """The destinations of new observations: Langfuse, the OTLP endpoint, both or none."""
    return [to for to in (destination(), otlp_destination()) if to is not None]


def https_proxy(host: str) -> str | None:
    """The proxy for https requests to `host`: HTTPS_PROXY if it is set, else ALL_PROXY.

    None if neither is set, or if NO_PROXY names the host or its domain. As in curl, a variable whose name is in lower
    case wins over the same name in upper case.
    """
    if any(_is_in_domain(host, domain.strip()) for domain in _proxy_variable("no_proxy").split(",")):
        return None
    return _proxy_variable("https_proxy") or _proxy_variable("all_proxy") or None


def _proxy_variable(name: str) -> str:
    return os.environ.get(name) or os.environ.get(name.upper()) or ""


def _is_in_domain(host: str, domain: str) -> bool:
    domain = domain.partition(":")[0].lstrip(".").lower()
    return domain == "*" or (domain != "" and f".{host.lower()}".endswith(f".{domain}"))


def missing_langfuse_keys() -> list[str]:
    """Names of the Langfuse keys that are not set, in the order in which `.env_example` lists them."""
    keys = ("LANGFUSE_SECRET_KEY", "LANGFUSE_PUBLIC_KEY")
    return [name for name in keys if not setting(name) and read.error_in(name) is None]


def journal_path() -> Path:
    """The path of the journal; a relative OBSERVABILITY_JOURNAL is relative to the repo."""
    return _under_repo(setting("OBSERVABILITY_JOURNAL"), os.environ.get("HOME"))


def journal_of(root: Path) -> Path:
    """The path of the journal of the repo at `root`.

    For this repo, the settings give it. For another repo, the file `.env` in `root` gives it.
    """
    if root == REPO_ROOT:
        return journal_path()
    path = _variables_of(root / ".env").get("OBSERVABILITY_JOURNAL") or SETTINGS["OBSERVABILITY_JOURNAL"][1]
    return root / Path(path).expanduser()


@lru_cache(maxsize=8)  # cached, since it is called for every batch that is recorded
def _under_repo(path: str, _home: str | None) -> Path:
    return REPO_ROOT / Path(path).expanduser()
