"""Which variables of the environment and `.env` hold secrets: by their name, or addresses by what they carry."""

import os
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote

from .. import settings
from .names import is_secret_variable, name_parts
from .scan import regex
from .values import PLACEHOLDER, is_traded_token
from .wallets import is_address

_PUBLIC_KEY = regex(r"(?:lf[-_])?pk[-_]lf[-_]|lf_pk_", re.IGNORECASE)  # Langfuse's, in every row's destination
_HEADERS = regex(r"_HEADERS$", re.IGNORECASE)  # OBSERVABILITY_OTLP_HEADERS, OTEL_EXPORTER_OTLP_HEADERS
_ADDRESS_NAME = regex(r"(URL|URI|ENDPOINT|WEBHOOK)S?(?:_?\d+)?$", re.IGNORECASE)
_ADDRESS_WITH_SECRET = regex(r"://[^/\s]*@|[?&][\w-]*(key|token|secret|password)[\w-]*=|/[\w-]{24,}", re.IGNORECASE)
# An address's credentials, sure enough to go by whatever the variable is called.
_ADDRESS_CREDENTIAL = regex(
    r"://[^/\s@]*:[^/\s@]+@|://[^/\s@:]{16,}@|[?&][\w-]*(?:key|token|secret|password|auth|sig)[\w-]*=[^&\s]{4,}"
    r"|/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![\w-])"
    r"|/(?=(?:[a-z_-]{0,99}\d){3})(?=[\d_-]{0,99}[a-z])[\w-]{0,99}?[a-z\d]{16}",
    re.IGNORECASE,
)
_PATH = regex(
    r"(?:~|\.{1,2}|/(?:home|Users|root|etc|var|opt|tmp|mnt|run|usr|srv|app|data|media|work|workspace|secrets|Volumes))/"
    r"[\w./ @-]*|[A-Za-z]:\\.*"
)
_STANDS_FOR_A_VALUE = regex(rf"{PLACEHOLDER}|<[^<>]*>|[-=*_.#~+ ]+|(.)\1*", re.IGNORECASE)
_ADDRESS = regex(r"[a-z][a-z0-9+.-]{0,20}://", re.IGNORECASE)
_SHORTEST = 8  # characters: shorter values would mask ordinary words
_MOST_REMEMBERED = 64  # values; each is searched for in thirty forms

_environ: dict[Any, Any] = {}  # the environment that was read last
_remembered: dict[str, None] = {}  # every secret that was read, the newest last
_secrets: tuple[str, ...] = ()


def secret_values() -> tuple[str, ...]:
    """Return the values that must never be on disk or wire, longest first.

    These are the values of secret-looking variables, and addresses (of RPC nodes, webhooks, databases) that carry
    credentials, in the environment and in `.env`; eight characters or more. A value that was removed from the
    environment stays a secret: agents pop their keys, and what they recorded is redacted later.

    The same tuple object as long as the environment is unchanged.
    """
    global _environ, _secrets
    if _environ != settings.raw_environ:
        _environ = dict(settings.raw_environ)
        variables = {**settings.env_file(), **os.environ}
        values = {text.strip() for name, text in variables.items() if text and is_secret(name, text.strip())}
        values |= {part for name, text in variables.items() if text and _HEADERS.search(name) for part in _parts(text)}
        _remember(text for text in values if not _PUBLIC_KEY.match(text))
        _secrets = tuple(sorted(_remembered, key=lambda text: (-len(text), text)))
    return _secrets


def _remember(values: Iterable[str]) -> None:
    current = dict.fromkeys(values)
    for text in current:
        _remembered.pop(text, None)
    old = list(_remembered)
    for text in old[: max(0, len(old) + len(current) - max(len(current), _MOST_REMEMBERED))]:
        del _remembered[text]
    _remembered.update(current)


def _parts(headers: str) -> Iterator[str]:
    """Yield the credentials in `name=value,name=value`, as sent and as written; a plain word is none."""
    for pair in headers.split(","):
        value = pair.partition("=")[2].strip()
        for part in (value, *unquote(value).split()):
            if len(part) >= _SHORTEST and not part.isalpha():
                yield part


def forget() -> None:
    """Drop every remembered secret, as in a new process."""
    global _environ
    _environ = {}
    _remembered.clear()


def is_secret(name: str, value: str) -> bool:
    """Whether a variable's value is a secret: by its name (`*_KEY`, `*_SECRET`, ...), or an address by what it carries.

    Not what is shorter than eight characters, stands for a value (`your_key_here`, `changeme`), or is public: a public
    key, a path, a token's address.
    """
    if len(value) < _SHORTEST or _STANDS_FOR_A_VALUE.fullmatch(value):
        return False
    if _ADDRESS.match(value):
        return _is_secret_address(name, value)
    if settings.SECRET_KEY.match(value) and name_parts(name)[-1:] == ["key"]:  # even as LANGFUSE_PUBLIC_KEY
        return True
    return is_secret_variable(name) and not _is_harmless(name, value)


def _is_secret_address(name: str, value: str) -> bool:
    if is_secret_variable(name):
        return True
    value = re.sub(r"[0-9A-Za-z]{32,44}", lambda part: "" if is_address(part[0]) else part[0], value)  # of a token
    by_name = _ADDRESS_NAME.search(name) and _ADDRESS_WITH_SECRET.search(value)
    return bool(by_name) or _ADDRESS_CREDENTIAL.search(value) is not None


def _is_harmless(name: str, value: str) -> bool:
    """Whether the value is a number (RANDOM_SEED, MAX_TOKENS), a traded token or a path."""
    is_number = name_parts(name)[-1:] in (["seed"], ["tokens"]) and value.isdecimal()
    return is_number or is_traded_token(name, value) or _is_path(name, value)


def _is_path(name: str, value: str) -> bool:
    """Whether it is where something lies: by its root, as the shell's own `PWD`, or because something lies there."""
    if _PATH.fullmatch(value) or (name == "PWD" and value.startswith("/")):
        return True
    # Not by Path, whose `exists` raises on a key that is too long for a name.
    return os.path.isabs(value) and os.path.exists(value)  # noqa: PTH110, PTH117


secret_values()  # now: a key may be popped from the environment before the first text is redacted
