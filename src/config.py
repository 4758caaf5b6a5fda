"""
🌙 Moon Dev's Configuration
Built with love by Moon Dev 🚀

Settings of this repo's models and agents. Those in `_SETTINGS` are read from the environment at each access, the others
are constants. The observability package has its own `settings.py`; four of those settings (`CONFIG_NAMES`) can be read
here too. A value set on this module at run time overrides the environment until `importlib.reload(config)`.
"""

from typing import Any

from dotenv import load_dotenv

from src.observability import settings as _settings

REPO_ROOT = _settings.REPO_ROOT

load_dotenv(_settings.ENV_FILE)

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
AI_MODEL_TYPE: str  # default provider of `ModelFactory.create_model()`
AI_TIMEOUT_SECONDS: float  # timeout of one request to a provider
AI_MAX_RETRIES: int  # how many times the SDKs retry a request after HTTP 408, 409, 429, 5xx and connection errors

# 🔍 LangFuse observability
ENABLE_LANGFUSE: bool
LANGFUSE_FLUSH_INTERVAL: float  # seconds between two batches sent to Langfuse
LANGFUSE_CAPTURE_INPUT: bool  # prompts
LANGFUSE_CAPTURE_OUTPUT: bool  # answers

# 🌙 Market data
MOONDEV_API_KEY: str | None
MOONDEV_API_URL: str

_SETTINGS: dict[str, tuple[_settings.Parser, Any]] = {
    "AI_MODEL_TYPE": (_settings.parse_text, "claude"),
    "AI_TIMEOUT_SECONDS": (_settings.parse_seconds, 60.0),
    "AI_MAX_RETRIES": (_settings.parse_count, 2),
    "MOONDEV_API_KEY": (_settings.parse_text, None),
    "MOONDEV_API_URL": (_settings.parse_host, "http://api.moondev.com:8000"),
}
_read = _settings.Reader(_SETTINGS, {})
_LIVE = (*_SETTINGS, *_settings.CONFIG_NAMES)

for _name in _LIVE:
    globals().pop(_name, None)  # importlib.reload removes values that were assigned or patched


def __getattr__(name: str) -> Any:
    if name in _SETTINGS:
        return _read(name)
    if name in _settings.CONFIG_NAMES:
        return bool(_settings.read(name)) if name == "ENABLE_LANGFUSE" else _settings.read(name)
    raise AttributeError(f"module {__name__!r} has no setting {name!r}")


env = _settings.env


def base_url(provider: str, default: str | None) -> str | None:
    """The provider's endpoint: `{PROVIDER}_BASE_URL` from the environment or `.env`, else `default`."""
    return env(f"{provider.upper()}_BASE_URL") or default


def get_active_tokens() -> list[str]:
    """The tokens to trade: symbols on the exchange Hyperliquid, Solana addresses elsewhere."""
    return HYPERLIQUID_SYMBOLS if EXCHANGE == "hyperliquid" else MONITORED_TOKENS


__all__ = [
    *(name for name in (*globals(), *_LIVE) if name.isupper() and not name.startswith("_")),
    "base_url",
    "env",
    "get_active_tokens",
]
