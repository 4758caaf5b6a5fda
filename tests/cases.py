"""Many small cases in one test, which reports every case that fails.

Pytest takes about five milliseconds for a test, which is more than most of these cases take.
"""

import functools
import inspect
import reprlib
from collections.abc import Callable, Iterable
from typing import Any

import pytest

_Test = Callable[..., None]
_short = reprlib.Repr()
_short.maxstring = _short.maxother = 100


def cases(names: str | tuple[str, ...], values: Iterable[Any]) -> Callable[[_Test], _Test]:
    """Call the test once for each value, as `pytest.mark.parametrize` does, but as one test. The cases share their
    fixtures, so a case must not change them. Changes by `monkeypatch` are undone after each case."""
    arguments = (names,) if isinstance(names, str) else names
    rows = ((value,) if isinstance(names, str) else value for value in values)
    table = [dict(zip(arguments, row, strict=True)) for row in rows]

    def decorate(test: _Test) -> _Test:
        @functools.wraps(test)
        def run(**fixtures: Any) -> None:
            errors = [(case, error) for case in table if (error := _error_of(test, case, fixtures)) is not None]
            if errors:
                lines = [f"{_named(case)}: {type(error).__name__}: {error}" for case, error in errors]
                raise AssertionError("\n".join([f"{len(errors)} of {len(table)} cases fail", *lines])) from errors[0][1]

        parameters = inspect.signature(test).parameters.values()
        run.__signature__ = inspect.Signature([item for item in parameters if item.name not in arguments])  # type: ignore[attr-defined]
        return run

    return decorate


def _error_of(test: _Test, case: dict[str, Any], fixtures: dict[str, Any]) -> Exception | None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        try:
            test(**fixtures | case | ({"monkeypatch": monkeypatch} if "monkeypatch" in fixtures else {}))
        except Exception as error:  # noqa: BLE001 - reported with the case
            return error
    return None


def _named(case: dict[str, Any]) -> str:
    return ", ".join(f"{name}={_short.repr(value)}" for name, value in case.items())
