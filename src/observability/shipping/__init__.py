"""Sends journal rows to Langfuse and to an OTLP endpoint."""

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .client import (
        PROJECTS,
        ExportResult,
        LangfuseClient,
        OtlpClient,
        ServerReply,
        is_page,
        is_refused_plain_http,
        project_id_of,
    )
    from .connection import Answer
    from .delivery import Delivery
    from .otlp import json_of
    from .shipper import Shipper

__all__ = [
    "PROJECTS",
    "Answer",
    "Delivery",
    "ExportResult",
    "LangfuseClient",
    "OtlpClient",
    "ServerReply",
    "Shipper",
    "is_page",
    "is_refused_plain_http",
    "json_of",
    "project_id_of",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "shipper": "Shipper",
        "delivery": "Delivery",
        "client": "ExportResult LangfuseClient OtlpClient ServerReply is_page is_refused_plain_http"
        " PROJECTS project_id_of",
        "connection": "Answer",
        "otlp": "json_of",
    },
)
