"""Returns memory to the system after a full queue was written; the C library would keep it for the next time."""

from collections.abc import Callable


def _find_trim() -> Callable[[int], int] | None:
    try:
        import ctypes  # fails if Python was built without libffi

        trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    except (ImportError, OSError, TypeError):
        return None
    return trim


_trim = _find_trim()


def return_freed_memory() -> None:
    """Return freed memory to the system, if the C library is able to (glibc).

    This takes milliseconds, but does not hold the GIL.
    """
    if _trim is not None:
        _trim(0)
