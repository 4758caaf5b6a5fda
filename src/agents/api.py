"""
🌙 Moon Dev's Market Data API
Built with love by Moon Dev 🚀

Reads the files of the Moon Dev API into pandas frames. After an error, a `get_…` method prints the error with advice
and returns None; a `read_…` method raises the error, so that the agent's loop can record it.
"""

import io
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, NamedTuple, TypeVar
from urllib.parse import urlsplit

from src import config
from src.agents.errors import AgentError, MarketDataError
from src.agents.liquidations import Feed, parse_feed
from src.observability.terminal import echo

if TYPE_CHECKING:
    import pandas as pd

_TRIES = 3
_PAUSE_SECONDS = 1.0
_TIMEOUT_SECONDS = 30.0
_OI_COLUMNS = ("symbol", "time", "openInterest", "price")
_OI_NUMBERS = list(_OI_COLUMNS[1:])

_Result = TypeVar("_Result")


class _Answer(NamedTuple):
    """The result of one HTTP request: the response's text, or else the problem and whether a retry may help."""

    text: str = ""
    problem: str = ""
    may_retry: bool = False


class MoonDevAPI:
    """Reads the API's `liq_data.csv` and `oi.csv`. Key and address default to MOONDEV_API_KEY and MOONDEV_API_URL."""

    _warned: ClassVar[set[str]] = set()  # addresses for which the warning about plain http was already printed

    def __init__(self, api_key: str | None = None, base_url: str | None = None) -> None:
        self.api_key = api_key or config.MOONDEV_API_KEY
        self.base_url = (base_url or config.MOONDEV_API_URL).rstrip("/")
        self.headers = {"X-API-Key": self.api_key} if self.api_key else {}

    def get_liquidation_data(self, limit: int = 10_000) -> "pd.DataFrame | None":
        """The latest liquidations (forced orders): columns `symbol`, `side`, `time` (UTC), `usd`, `price` (USD)."""
        return _or_none(lambda: self.read_liquidations(limit).events)

    def get_oi_data(self) -> "pd.DataFrame | None":
        """Open interest with all columns of the file: `symbol`, `time`, `openInterest` (contracts), `price` (USD), …"""
        return _or_none(self.read_open_interest)

    def read_liquidations(self, limit: int = 10_000) -> Feed:
        """The latest liquidations (forced orders). Raises AgentError if they cannot be read."""
        feed = parse_feed(io.StringIO(self._fetch(f"/files/liq_data.csv?limit={limit}")), "liq_data.csv")
        _warn_skipped("liq_data.csv", feed.broken)
        return feed

    def read_open_interest(self) -> "pd.DataFrame":
        """Read the open interest, and drop rows with missing or unreadable values. Raises AgentError if this fails."""
        import pandas as pd

        text = self._fetch("/files/oi.csv")
        try:
            frame = pd.read_csv(io.StringIO(text), on_bad_lines="skip")
        except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise MarketDataError(f"oi.csv cannot be read ({error}): check MOONDEV_API_URL") from None
        if missing := [name for name in _OI_COLUMNS if name not in frame]:
            raise MarketDataError(f"oi.csv lacks the columns {', '.join(missing)}: check MOONDEV_API_URL")
        frame[_OI_NUMBERS] = frame[_OI_NUMBERS].apply(pd.to_numeric, errors="coerce")
        whole = frame.dropna(subset=list(_OI_COLUMNS))
        _warn_skipped("oi.csv", len(frame) - len(whole))
        return whole

    def _fetch(self, path: str) -> str:
        if not self.api_key:
            raise MarketDataError("Set MOONDEV_API_KEY in .env to read live market data")
        self._warn_plain_http()
        answer = self._try(path)
        for _ in range(_TRIES - 1):
            if not answer.may_retry:
                break
            time.sleep(_PAUSE_SECONDS)
            answer = self._try(path)
        if answer.problem:
            raise MarketDataError(answer.problem)
        return answer.text

    def _try(self, path: str) -> _Answer:
        import httpx

        try:
            answer = httpx.get(self.base_url + path, headers=self.headers, timeout=_TIMEOUT_SECONDS)
        except (httpx.UnsupportedProtocol, httpx.InvalidURL):
            return _Answer(problem="MOONDEV_API_URL must be an address like http://api.moondev.com:8000")
        except httpx.HTTPError as error:
            problem = f"{self.base_url} cannot be reached ({error}): check MOONDEV_API_URL and the network"
            return _Answer(problem=problem, may_retry=True)
        if answer.is_success:
            return _Answer(answer.text)
        cure, may_retry = _cure(answer.status_code)
        return _Answer(problem=f"{self.base_url} answers HTTP {answer.status_code}: {cure}", may_retry=may_retry)

    def _warn_plain_http(self) -> None:
        address = urlsplit(self.base_url)
        host = address.hostname or ""
        local = host in ("localhost", "::1") or host.startswith("127.")
        if address.scheme == "http" and not local and self.base_url not in self._warned:
            self._warned.add(self.base_url)
            echo(f"⚠️ MOONDEV_API_KEY is sent to {host} over plain http: use this key nowhere else", "yellow")


def _cure(status: int) -> tuple[str, bool]:
    """What the user should do about an HTTP error status, and whether a retry may help."""
    if status in (401, 403):
        return "correct MOONDEV_API_KEY in .env", False
    if status == 429 or status >= 500:
        return "try again later", True
    return "check MOONDEV_API_URL in .env", False


def _warn_skipped(name: str, rows: int) -> None:
    if rows:
        echo(f"⚠️ {name}: {rows} broken rows skipped", "yellow")


def _or_none(read: Callable[[], _Result]) -> _Result | None:
    try:
        return read()
    except AgentError as error:
        echo(f"❌ {error}", "red")
        return None
