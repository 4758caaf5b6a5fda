"""Lets exceptions of the agent's own signal handlers (an alarm's TimeoutError) pass this package's error handling."""

import contextlib
import functools
import signal
from types import CodeType, TracebackType
from typing import Any


def is_interruption(error: BaseException) -> bool:
    """Whether the handler of a POSIX signal raised the error. Python may run such a handler between any two steps."""
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    codes = {code for handler in handlers if callable(handler) and (code := _code_of(handler)) is not None}
    traceback = error.__traceback__
    while traceback is not None:  # like `traceback.walk_tb`, without the import
        if traceback.tb_frame.f_code in codes:
            return True
        traceback = traceback.tb_next
    return False


class ignoring(contextlib.suppress):  # noqa: N801 - used as `contextlib.suppress` is
    """Like `contextlib.suppress`, but lets interruptions pass, even an alarm's TimeoutError, which is an OSError."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        suppressed = super().__exit__(kind, error, traceback)
        return bool(suppressed) and error is not None and not is_interruption(error)


def _code_of(handler: Any) -> CodeType | None:
    while isinstance(handler, functools.partial):
        handler = handler.func
    function = getattr(handler, "__func__", handler)
    code = getattr(function, "__code__", None) or getattr(type(handler).__call__, "__code__", None)
    return code if isinstance(code, CodeType) else None
