"""Telemetry leaves the process here: rows are sent to Langfuse."""

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .client import Wire, is_page, is_refused_plain_http
    from .delivery import Delivery
    from .otlp import json_of
    from .server_reply import ServerReply, Verdict
    from .shipper import Shipper

__all__ = [
    "Delivery",
    "ServerReply",
    "Shipper",
    "Verdict",
    "Wire",
    "is_page",
    "is_refused_plain_http",
    "json_of",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "shipper": "Shipper",
        "delivery": "Delivery",
        "client": "Wire is_page is_refused_plain_http",
        "server_reply": "ServerReply Verdict",
        "otlp": "json_of",
    },
)
