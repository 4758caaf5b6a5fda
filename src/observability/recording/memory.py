"""Returns the memory of a written backlog to the system: the C library would keep it for the next backlog."""

import ctypes


def return_freed_memory() -> None:
    """Return free pages to the system, if the C library can (glibc). Takes milliseconds, without the interpreter."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
