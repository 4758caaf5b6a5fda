"""Install the hooks for the SDKs that OBSERVABILITY_INSTRUMENT names; report which of their methods are observed."""

import contextlib
import warnings
from importlib import import_module
from itertools import groupby

from ..settings import setting
from . import cycles, hooks
from .sdks import ANTHROPIC, ELEVENLABS, GOOGLE, GROQ, HTTP, OLLAMA, OPENAI

# To be observed, an SDK must also be named in `settings.INSTRUMENTS`.
SDKS = (OPENAI, ANTHROPIC, GROQ, GOOGLE, OLLAMA, ELEVENLABS, HTTP)


def install() -> None:
    """Observe the chosen SDKs' methods from now on, even if an SDK is imported later. This function imports no SDK."""
    chosen = setting("OBSERVABILITY_INSTRUMENT")
    patches: dict[str, list[hooks.Patch]] = {}
    for sdk in SDKS:
        if sdk.name in chosen:
            for module, patch in sdk.patches():
                patches.setdefault(module, []).append(patch)
    hooks.install(lambda module: patches.get(module) or cycles.patches_of(module))


uninstall = hooks.uninstall


def observed(*, importing: bool = False) -> dict[str, list[str]]:
    """Return, for each SDK, the methods that are observed now, such as `chat.completions.create`.

    An asynchronous method is listed under the name of the synchronous method.

    Args:
        importing: first install the hooks (commands start without them) and import every SDK that is present, since an
            SDK that is not imported is not listed. `doctor` uses this.
    """
    if importing:
        install()
        _import_sdks()
    requests = {name for sdk in SDKS for name in sdk.names}
    by_sdk: dict[str, set[str]] = {}
    for cls, name in hooks.replaced():
        sdk, *path = cls.__module__.split(".")
        if name in requests:
            parts = [part for part, _ in groupby(path)]  # drop repeated parts, as in `chat.completions.completions`
            home = [part for part in parts if part not in ("resources", "client") and part[0] != "_"]
            by_sdk.setdefault(sdk, set()).add(".".join([*home, name]))
    return {sdk: sorted(methods) for sdk, methods in by_sdk.items()}


def _import_sdks() -> None:
    modules = dict.fromkeys(module for sdk in SDKS for method in sdk.methods for module in method.modules)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SDKs warn that Python is old, or that they themselves are deprecated
        for module in modules:
            with contextlib.suppress(Exception):  # the SDK is missing, broken, or of another version
                import_module(module)
