"""Masks secrets before anything reaches disk, network or screen."""

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .environment import is_secret, secret_values
    from .redactor import Redactor, redact, redact_line, redact_text
    from .rules import check_patterns

__all__ = [
    "Redactor",
    "check_patterns",
    "is_secret",
    "redact",
    "redact_line",
    "redact_text",
    "secret_values",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "redactor": "Redactor redact redact_line redact_text",
        "rules": "check_patterns",
        "environment": "is_secret secret_values",
    },
)
