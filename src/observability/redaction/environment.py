"""Finds the secrets among the variables of the environment and `.env`: by name, or by credentials in an address."""

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

# Langfuse's public key. It is not a secret, and every row contains it.
_PUBLIC_KEY = regex(r"(?:lf[-_])?pk[-_]lf[-_]|lf_pk_", re.IGNORECASE)
_HEADERS = regex(r"_HEADERS$", re.IGNORECASE)  # such as OTEL_EXPORTER_OTLP_HEADERS
_ADDRESS_NAME = regex(r"(URL|URI|ENDPOINT|WEBHOOK)S?(?:_?\d+)?$", re.IGNORECASE)
_ADDRESS_WITH_SECRET = regex(r"://[^/\s]*@|[?&][\w-]*(key|token|secret|password)[\w-]*=|/[\w-]{24,}", re.IGNORECASE)
# Credentials in an address that are unmistakable, whatever the name of the variable.
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
_SHORTEST = 8  # minimum length of a secret in characters: shorter values would mask ordinary words
_MOST_REMEMBERED = 64  # maximum number of remembered secrets: every text is searched for thirty forms of each

_environ: dict[Any, Any] = {}  # the environment at the last call of `secret_values`
_remembered: list[str] = []  # all secrets found so far, the newest last
_secrets: tuple[str, ...] = ()


def secret_values() -> tuple[str, ...]:
    """Return the secrets of the environment and of `.env`, longest first.

    Secrets have eight characters or more: the values of variables with a secret's name, and addresses (of RPC nodes,
    webhooks, databases) with credentials. A value removed from the environment stays a secret: agents pop their keys
    before their texts are redacted.

    Returns the same tuple object while the secrets are unchanged.
    """
    global _environ, _secrets
    if _environ != settings.raw_environ:
        _environ = dict(settings.raw_environ)
        variables = {**settings.env_file(), **os.environ}
        values = {text.strip() for name, text in variables.items() if text and is_secret(name, text.strip())}
        values |= {part for name, text in variables.items() if text and _HEADERS.search(name) for part in _parts(text)}
        _remember(text for text in values if not _PUBLIC_KEY.match(text))
        secrets = tuple(sorted(_remembered, key=lambda text: (-len(text), text)))
        # If the secrets are unchanged, the same object is kept, so that `current_rules` keeps its compiled rules.
        _secrets = _secrets if secrets == _secrets else secrets
    return _secrets


def _remember(values: Iterable[str]) -> None:
    global _remembered
    current = [*values]
    older = [text for text in _remembered if text not in current]
    _remembered = (older + current)[-max(len(current), _MOST_REMEMBERED) :]


def _parts(headers: str) -> Iterator[str]:
    """Yield the values of headers in the form `name=value,name=value`, as written and URL-decoded.

    Short values and words such as `Bearer` are left out.
    """
    for pair in headers.split(","):
        value = pair.partition("=")[2].strip()
        for part in (value, *unquote(value).split()):
            if len(part) >= _SHORTEST and not part.isalpha():
                yield part


def forget() -> None:
    """Forget every remembered secret, as in a new process."""
    global _environ, _remembered
    _environ, _remembered = {}, []


def is_secret(name: str, value: str) -> bool:
    """Whether a variable holds a secret: its name is a secret's (`*_KEY`, ...), or it is an address with credentials.

    Values under eight characters, placeholders (`your_key_here`, `changeme`) and public values (a public key, a path, a
    token's address) are not secrets.
    """
    if len(value) < _SHORTEST or _STANDS_FOR_A_VALUE.fullmatch(value):
        return False
    if _ADDRESS.match(value):
        return _is_secret_address(name, value)
    # A secret key is a secret even if it was set as LANGFUSE_PUBLIC_KEY by mistake.
    if settings.SECRET_KEY.match(value) and name_parts(name)[-1:] == ["key"]:
        return True
    return is_secret_variable(name) and not _is_harmless(name, value)


def _is_secret_address(name: str, value: str) -> bool:
    if is_secret_variable(name):
        return True
    # Remove token addresses, which look like keys.
    value = re.sub(r"[0-9A-Za-z]{32,44}", lambda part: "" if is_address(part[0]) else part[0], value)
    by_name = _ADDRESS_NAME.search(name) and _ADDRESS_WITH_SECRET.search(value)
    return bool(by_name) or _ADDRESS_CREDENTIAL.search(value) is not None


def _is_harmless(name: str, value: str) -> bool:
    """Whether the value is a number (as in RANDOM_SEED and MAX_TOKENS), a token that is traded, or a path."""
    is_number = name_parts(name)[-1:] in (["seed"], ["tokens"]) and value.isdecimal()
    return is_number or is_traded_token(name, value) or _is_path(name, value)


def _is_path(name: str, value: str) -> bool:
    """Whether the value is a path: it has a form such as `~/keys`, is an absolute path in `PWD`, or exists on disk."""
    if _PATH.fullmatch(value) or (name == "PWD" and value.startswith("/")):
        return True
    # `Path.exists` would raise on a key that is too long for a file name.
    return os.path.isabs(value) and os.path.exists(value)  # noqa: PTH110, PTH117


# Called at import, since an agent may pop a key from the environment before the first text is redacted.
secret_values()
