"""Returns the memory of a backlog to the system: the C library would keep all of it for the next one."""

import ctypes


def return_freed_memory() -> None:
    """Return whole free pages, where the C library can (glibc). Takes some milliseconds, without the interpreter."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
