"""Install the hooks for the SDKs that OBSERVABILITY_INSTRUMENT names; report which of their methods are observed."""

from ..settings import setting
from . import cycles, hooks
from .anthropic import ANTHROPIC
from .openai import GROQ, OPENAI

SDKS = (OPENAI, ANTHROPIC, GROQ)


def install() -> None:
    """Observe SDKs' methods from now on, whether an SDK is imported already or later; imports none itself."""
    chosen = setting("OBSERVABILITY_INSTRUMENT")
    patches: dict[str, list[hooks.Patch]] = {}
    for sdk in SDKS:
        if sdk.name in chosen:
            for module, patch in sdk.patches():
                patches.setdefault(module, []).append(patch)
    hooks.install(lambda module: patches.get(module) or cycles.patches_of(module))


uninstall = hooks.uninstall


def observed() -> dict[str, list[str]]:
    """SDK -> its methods that are observed now, as `chat.completions.Completions.create`; an SDK that is not imported
    has none."""
    requests = {method.name for sdk in SDKS for method in sdk.methods}
    found: dict[str, list[str]] = {}
    for cls, name in hooks.replaced():
        sdk, _, home = cls.__module__.partition(".")
        if name in requests:
            found.setdefault(sdk, []).append(f"{home.removeprefix('resources.')}.{cls.__name__}.{name}")
    return {sdk: sorted(methods) for sdk, methods in found.items()}
