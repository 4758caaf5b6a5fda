"""Rows of a liquidation feed, in the format of the API and of the recorded sample."""

from pathlib import Path

SAMPLE = Path(__file__).parents[2] / "src/data/samples/liquidations_2025-12-11.csv"
ROW = "BTC,SELL,LIMIT,IOC,1,100,101,FILLED,1,1,{time},{usd}"
HEADER = "symbol,side,type,time_in_force,quantity,price,average_price,status,filled_qty,total_qty,timestamp,usd_value"


def row(minute: float, usd: float = 1000, side: str = "SELL") -> str:
    """Return the feed's row of one forced order, `minute` minutes after the start of 2025."""
    return ROW.format(time=1_735_689_600_000 + int(minute * 60_000), usd=usd).replace("SELL", side)
