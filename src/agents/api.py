"""
🌙 Moon Dev's Market Data API
Built with love by Moon Dev 🚀

Market data in: the Moon Dev API's files as pandas frames. What cannot be had is printed with its cure, and is None.
"""

import io
import time
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from termcolor import cprint

from src import config
from src.agents.feed import Feed, FeedError, parse_feed
from src.observability.redaction import redact

if TYPE_CHECKING:
    import pandas as pd

_TRIES = 3
_PAUSE_SECONDS = 1.0
_TIMEOUT_SECONDS = 30.0
_OI_COLUMNS = {"symbol", "time", "openInterest", "price"}


class MoonDevAPI:
    """Reads `liq_data.csv` and `oi.csv`; key and address from the environment unless given."""

    _said: ClassVar[set[str]] = set()

    def __init__(self, api_key: str | None = None, base_url: str | None = None) -> None:
        self.api_key = api_key or config.MOONDEV_API_KEY
        self.base_url = (base_url or config.MOONDEV_API_URL).rstrip("/")
        self.headers = {"X-API-Key": self.api_key} if self.api_key else {}

    def get_liquidation_data(self, limit: int = 10_000) -> "pd.DataFrame | None":
        """The latest forced orders: columns `symbol`, `side`, `time` (UTC), `usd`."""
        feed = self.get_liquidation_feed(limit)
        return None if feed is None else feed.events

    def get_liquidation_feed(self, limit: int = 10_000) -> Feed | None:
        """The same, with the number of rows that could not be read."""
        text = self._fetch(f"/files/liq_data.csv?limit={limit}")
        if text is None:
            return None
        try:
            return parse_feed(io.StringIO(text), "liq_data.csv")
        except FeedError as error:
            cprint(f"❌ {error}", "red")
            return None

    def get_oi_data(self) -> "pd.DataFrame | None":
        """Open interest: columns `symbol`, `time`, `openInterest` (contracts), `price` (USD) and what comes along."""
        import pandas as pd

        text = self._fetch("/files/oi.csv")
        if text is None:
            return None
        try:
            frame = pd.read_csv(io.StringIO(text))
        except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            cprint(f"❌ oi.csv cannot be read: {error}", "red")
            return None
        if missing := _OI_COLUMNS - set(frame.columns):
            cprint(f"❌ oi.csv lacks the columns {', '.join(sorted(missing))}", "red")
            return None
        return frame

    def _fetch(self, path: str) -> str | None:
        if not self.api_key:
            cprint("⚠️ Set MOONDEV_API_KEY in .env to read live market data", "yellow")
            return None
        self._say_plain_http()
        for left in reversed(range(_TRIES)):
            text, why, again = self._try(path)
            if text is not None:
                return text
            if not again or not left:
                cprint(f"❌ {redact(why)}", "red")
                return None
            time.sleep(_PAUSE_SECONDS)
        return None

    def _try(self, path: str) -> tuple[str | None, str, bool]:
        """The text, or why there is none and whether to try again."""
        import httpx

        try:
            answer = httpx.get(self.base_url + path, headers=self.headers, timeout=_TIMEOUT_SECONDS)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return None, f"{self.base_url} cannot be reached ({error}): check MOONDEV_API_URL and the network", True
        if answer.is_success:
            return answer.text, "", False
        if answer.status_code in (401, 403):
            return None, f"{self.base_url} refuses MOONDEV_API_KEY (HTTP {answer.status_code}): correct it", False
        return None, f"{self.base_url}{path} answers HTTP {answer.status_code}: try again later", True

    def _say_plain_http(self) -> None:
        address = urlsplit(self.base_url)
        local = address.hostname in ("localhost", "127.0.0.1", "::1")
        if address.scheme == "http" and not local and self.base_url not in self._said:
            self._said.add(self.base_url)
            cprint(f"⚠️ MOONDEV_API_KEY goes to {address.hostname} over plain http: use it for nothing else", "yellow")
