"""Import hooks patch a module right after its own loader has run, and leave its spec and loader unchanged."""

import importlib
import importlib.util
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from src.observability.instrumentation import hooks, install
from src.observability.instrumentation.install import SDKS
from src.observability.settings import INSTRUMENTS

NAME = "moondev_fake_sdk"


@pytest.fixture(autouse=True)
def _real_hooks_afterwards() -> Iterator[None]:
    yield
    sys.modules.pop(NAME, None)
    sys.modules.pop(f"{NAME}.resources", None)
    install()


@pytest.fixture(autouse=True)
def _sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # An importable package, whose module `resources` has a class `Chat` with a method.
    package = tmp_path / NAME
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "resources.py").write_text("class Chat:\n    def create(self): return 1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))


def patched(module: ModuleType) -> None:
    """Make `Chat.create` return one more than before."""
    hooks.replace(module, "Chat", "create", lambda method: lambda self: method(self) + 1)


def patches_of(patches: dict[str, list[hooks.Patch]]) -> hooks.PatchesOf:
    """Return a function that takes a module's name and returns the patches for that module."""
    return lambda module: patches.get(module, [])


def created() -> int:
    """Return the current result of `Chat.create`."""
    result: int = importlib.import_module(f"{NAME}.resources").Chat().create()
    return result


def test_a_module_that_is_imported_later_is_patched() -> None:
    """The hooks patch the module once it is imported, and do not import it."""
    hooks.install(patches_of({f"{NAME}.resources": [patched]}))
    assert NAME not in sys.modules
    assert created() == 2


def test_a_module_that_is_imported_already_is_patched() -> None:
    """If a class was imported before the hooks are installed, it is patched in place, so that old references see it."""
    chat = importlib.import_module(f"{NAME}.resources").Chat
    hooks.install(patches_of({f"{NAME}.resources": [patched]}))
    assert chat().create() == 2


def test_spec_and_loader_are_the_modules_own() -> None:
    """A patched module has its original spec and loader, through which tools read its source and resources."""
    without = importlib.import_module(f"{NAME}.resources")
    kind, origin = type(without.__loader__), without.__spec__.origin  # type: ignore[union-attr]
    del sys.modules[f"{NAME}.resources"]
    hooks.install(patches_of({f"{NAME}.resources": [patched]}))
    module = importlib.import_module(f"{NAME}.resources")
    assert module is not without
    assert module.__spec__ is not None
    assert (type(module.__loader__), type(module.__spec__.loader), module.__spec__.origin) == (kind, kind, origin)
    assert module.__loader__.get_source(module.__name__).startswith("class Chat")  # type: ignore[union-attr]


def test_a_module_that_is_only_found_has_its_source() -> None:
    """`inspect` and `pkgutil` can get the source of a module that is not imported, although hooks are installed."""
    hooks.install(patches_of({f"{NAME}.resources": [patched]}))
    spec = importlib.util.find_spec(f"{NAME}.resources")
    assert spec is not None
    assert spec.loader.get_source(spec.name).startswith("class Chat")  # type: ignore[union-attr]
    assert f"{NAME}.resources" not in sys.modules


def test_a_module_can_be_run_as_a_script() -> None:
    """Under the hooks, `python -m` gets the module's code from its own loader, and runs the module unpatched."""
    hooks.install(patches_of({f"{NAME}.resources": [patched]}))
    names = runpy.run_module(f"{NAME}.resources", run_name="__main__")
    assert names["__name__"] == "__main__"
    assert names["Chat"]().create() == 1


def test_a_reloaded_module_is_patched_again() -> None:
    """After a reload, a module is patched again, and only once."""
    hooks.install(patches_of({f"{NAME}.resources": [patched]}))
    assert created() == 2
    importlib.reload(sys.modules[f"{NAME}.resources"])
    assert created() == 2


def test_uninstalling_leaves_nothing() -> None:
    """Uninstalling the hooks removes the patches and the import finder."""
    finders = list(sys.meta_path)
    hooks.install(patches_of({f"{NAME}.resources": [patched]}))
    assert created() == 2
    hooks.uninstall()
    assert created() == 1
    assert [finder for finder in sys.meta_path if finder not in finders] == []


def test_installing_twice_patches_once() -> None:
    """Hooks may be installed twice, by `src/__init__.py` and by a test: the module is patched once."""
    for _ in range(2):
        hooks.install(patches_of({f"{NAME}.resources": [patched]}))
    assert created() == 2


def test_what_a_version_lacks_is_skipped() -> None:
    """A class, method or module that is missing in the installed version is skipped."""
    hooks.install(
        patches_of(
            {
                f"{NAME}.resources": [lambda module: hooks.replace(module, "Other", "create", lambda method: method)],
                f"{NAME}.other": [patched],
            }
        )
    )
    assert created() == 1
    with pytest.raises(ModuleNotFoundError, match=f"No module named '{NAME}.other'"):
        importlib.import_module(f"{NAME}.other")


def test_a_module_that_fails_fails_as_before(tmp_path: Path) -> None:
    """A module whose import fails raises its own error, and does not stay in `sys.modules`."""
    broken = tmp_path / NAME / "broken.py"
    broken.write_text("raise ValueError('half')", encoding="utf-8")
    hooks.install(patches_of({f"{NAME}.broken": [patched]}))
    with pytest.raises(ValueError, match="half"):
        importlib.import_module(f"{NAME}.broken")
    assert f"{NAME}.broken" not in sys.modules


def test_every_sdk_has_a_name_in_the_setting() -> None:
    """Each observed SDK has a name in `settings.INSTRUMENTS`, without which it would never be observed."""
    assert sorted(sdk.name for sdk in SDKS) == sorted(INSTRUMENTS)
