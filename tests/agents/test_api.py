"""The Moon Dev API on loopback: good files, bad files, and errors."""

from collections.abc import Iterator

import pytest
from pytest_httpserver import HTTPServer

from src.agents.api import MoonDevAPI
from tests.agents.feed import row

KEY = "moondev-key-0123456789"


@pytest.fixture
def api(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> MoonDevAPI:
    """A client of the API, with address and key from the environment, and 10 ms between retries."""
    monkeypatch.setenv("MOONDEV_API_KEY", KEY)
    monkeypatch.setenv("MOONDEV_API_URL", httpserver.url_for(""))
    monkeypatch.setattr("src.agents.api._PAUSE_SECONDS", 0.01)
    return MoonDevAPI()


def test_liquidations_are_a_frame(api: MoonDevAPI, httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    """A request for liquidations has the key as a header and the limit as a parameter; broken rows are reported."""
    httpserver.expect_request(
        "/files/liq_data.csv", query_string="limit=7", headers={"X-API-Key": KEY}
    ).respond_with_data(f'{row(1, 500, "BUY")}\r\n{row(0)}\r\n"a",b\r\n')
    frame = api.get_liquidation_data(limit=7)
    assert frame is not None
    assert list(frame["usd"]) == [1000, 500]
    assert "⚠️ liq_data.csv: 1 broken rows skipped" in capsys.readouterr().out


def test_open_interest_is_a_frame(api: MoonDevAPI, httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows of open interest that lack a number are skipped and reported."""
    httpserver.expect_request("/files/oi.csv").respond_with_data(
        "symbol,time,openInterest,price\nBTCUSDT,1,10,90000\nETHUSDT,1,oops,3000\n"
    )
    frame = api.get_oi_data()
    assert frame is not None
    assert frame.to_dict("records") == [{"symbol": "BTCUSDT", "time": 1, "openInterest": 10.0, "price": 90000}]
    assert "⚠️ oi.csv: 1 broken rows skipped" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("status", "message", "tries"),
    [
        (401, "HTTP 401: correct MOONDEV_API_KEY in .env", 1),
        (302, "HTTP 302: check MOONDEV_API_URL in .env", 1),
        (404, "HTTP 404: check MOONDEV_API_URL in .env", 1),
        (429, "HTTP 429: try again later", 3),
        (500, "HTTP 500: try again later", 3),
    ],
)
def test_a_refusal_names_its_cure(
    status: int, message: str, tries: int, api: MoonDevAPI, httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """A request is sent three times if errors are temporary, once if permanent; the printed line never has the key."""
    httpserver.expect_request("/files/oi.csv").respond_with_data(KEY, status)
    assert api.get_oi_data() is None
    out = capsys.readouterr().out
    assert f"❌ {httpserver.url_for('').rstrip('/')} answers {message}" in out
    assert KEY not in out
    assert len(httpserver.log) == tries


def test_the_third_try_may_bring_it(api: MoonDevAPI, httpserver: HTTPServer) -> None:
    """If the third try succeeds after two failures, the rows are returned."""
    for status in (503, 500):
        httpserver.expect_ordered_request("/files/liq_data.csv").respond_with_data("", status)
    httpserver.expect_ordered_request("/files/liq_data.csv").respond_with_data(row(0))
    frame = api.get_liquidation_data()
    assert frame is not None
    assert len(frame) == 1


@pytest.mark.parametrize("text", ["", "<html>Bad gateway</html>", "a,b\n1,2\n", "\0\1\2", '"'])
def test_unusable_data_is_reported(
    text: str, api: MoonDevAPI, httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """If the API serves an unusable file, one printed line names the file."""
    for name in ("liq_data.csv", "oi.csv"):
        httpserver.expect_request(f"/files/{name}").respond_with_data(text)
    assert api.get_liquidation_data() is None
    assert api.get_oi_data() is None
    out = capsys.readouterr().out
    assert "❌ liq_data.csv holds no liquidation" in out
    assert "❌ oi.csv" in out


def test_nobody_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """If the connection is refused, a printed line names the address."""
    monkeypatch.setattr("src.agents.api._PAUSE_SECONDS", 0.01)
    assert MoonDevAPI(KEY, "http://127.0.0.1:9").get_oi_data() is None
    assert "❌ http://127.0.0.1:9 cannot be reached" in capsys.readouterr().out


@pytest.mark.parametrize("address", ["api.moondev.com", "ftp://api.moondev.com", "http://"])
def test_an_address_that_is_none(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    """For a malformed address, a printed line shows a valid one, and no request is sent."""
    assert MoonDevAPI(KEY, address).get_oi_data() is None
    assert "❌ MOONDEV_API_URL must be an address like http://api.moondev.com:8000" in capsys.readouterr().out


def test_without_a_key_it_is_named(httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a key no request is sent, and a printed line names the variable to set."""
    assert MoonDevAPI(base_url=httpserver.url_for("")).get_liquidation_data() is None
    assert "❌ Set MOONDEV_API_KEY in .env to read live market data" in capsys.readouterr().out
    assert httpserver.log == []


@pytest.fixture
def _nothing_warned() -> Iterator[None]:
    MoonDevAPI._warned.clear()
    yield
    MoonDevAPI._warned.clear()


@pytest.mark.usefixtures("_nothing_warned")
def test_a_key_over_plain_http_is_warned_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key sent over plain http gives one warning per address, and none for an address of this machine."""
    monkeypatch.setattr("src.agents.api._PAUSE_SECONDS", 0.01)
    for address in ("http://market.invalid:8000", "http://market.invalid:8000", "http://127.0.0.1:9", "http://[::1]:9"):
        MoonDevAPI(KEY, address).get_oi_data()
    out = capsys.readouterr().out
    assert out.count("over plain http") == 1
    assert "⚠️ MOONDEV_API_KEY is sent to market.invalid over plain http" in out
