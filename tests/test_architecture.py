"""Tests of the code's structure: layers, packages' `__init__`s, modules loaded at start-up, CLAUDE.md's file trees."""

import ast
import json
import re
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

from src import config
from src import observability as menu
from src.observability import settings
from tests.cases import cases

SRC = settings.REPO_ROOT / "src"
OBSERVABILITY = SRC / "observability"
MAP = settings.REPO_ROOT / "CLAUDE.md"
# Layer -> the layers that its modules may import. From the lowest layer up: observability, config, models, agents.
LAYERS = {
    "observability": {"observability"},
    "config": {"observability"},
    "models": {"config", "observability", "models"},
    "agents": {"config", "observability", "models", "agents"},
}
MAX_FILES = 13  # largest number of Python files in one folder of observability
# Library -> the only files that import it.
HOMES = {
    "langfuse": {"observability/langfuse_tracker.py"},
    "openai": {"models/openai_compatible.py"},
    "anthropic": {"models/claude_model.py"},
    "genai_prices": {"observability/recording/make_prices.py"},
    "xllamacpp": {"models/local_server.py"},
    "opentelemetry": {
        "observability/tracing/otel.py", "observability/langfuse_tracker.py",
    },
}  # fmt: skip
HEAVY = ("langfuse", "opentelemetry", "openai", "anthropic", "genai_prices", "pandas", "httpx", "sqlite3", "rich")


def module_of(file: Path) -> str:
    """Return the dotted name of a file: `src.a.b` for `src/a/b.py`, `src.a` for `src/a/__init__.py`."""
    return ".".join(file.relative_to(SRC.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(file): file for file in SRC.rglob("*.py")}


class _Imports(ast.NodeVisitor):
    """Collects the modules that a file imports, except under `if TYPE_CHECKING`."""

    def __init__(self, package: str) -> None:
        self.package, self.modules = package, set[str]()

    def visit_If(self, node: ast.If) -> None:
        if getattr(node.test, "id", None) != "TYPE_CHECKING":
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.modules.update(alias.name for alias in node.names)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = self.package.split(".")[: len(self.package.split(".")) - node.level + 1] if node.level else []
        module = ".".join([*base, *([node.module] if node.module else [])])
        face = getattr(import_module(module), "__all__", ()) if module in MODULES else ()
        names = {f"{module}.{alias.name}" for alias in node.names if alias.name not in face}
        self.modules.update(names & MODULES.keys() or {module})


@cache
def tree_of(file: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def imports(file: Path) -> frozenset[str]:
    """Return every module that a file imports, also inside functions."""
    module = module_of(file)
    visitor = _Imports(module if file.name == "__init__.py" else module.rpartition(".")[0])
    visitor.visit(tree_of(file))
    return frozenset(visitor.modules)


def package_of(module: str) -> str:
    """Return the third part of a dotted name: observability's package (`journal`) or top-level module (`settings`)."""
    return [*module.split("."), "", ""][2]


def cycle_in(graph: dict[str, set[str]]) -> list[str]:
    """Return a cycle in the graph, or an empty list if there is none."""
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def test_the_arrows_point_one_way() -> None:
    """Observability imports neither config, models nor agents; models import no agents."""
    for module, file in MODULES.items():
        layer = [*module.split("."), ""][1]
        for imported in imports(file):
            if layer and imported.startswith("src."):
                assert imported.split(".")[1] in LAYERS[layer], f"{file} imports {imported}"


def test_the_package_imports_itself_relatively() -> None:
    """The package imports its own modules by relative names, so that the operator may give it another name."""
    for file in OBSERVABILITY.rglob("*.py"):
        for node in ast.walk(tree_of(file)):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("src"), f"{file}:{node.lineno}"


def test_there_are_no_circles() -> None:
    """No modules import each other in a circle, nor do packages, not even inside functions."""
    modules = {module: set(imports(file) & MODULES.keys() - {module}) for module, file in MODULES.items()}
    for module, imported in modules.items():  # imports of the packages that contain the module do not count
        imported -= {parent for parent in MODULES if module.startswith(f"{parent}.")}
    assert cycle_in(modules) == []
    packages: dict[str, set[str]] = {}
    for module, imported in modules.items():
        if module.startswith("src.observability."):
            rooms = {package_of(name) for name in imported if name.startswith("src.observability.")}
            packages.setdefault(package_of(module), set()).update(rooms - {package_of(module)})
    assert cycle_in(packages) == []


def test_a_package_is_entered_by_its_face() -> None:
    """Other code imports a package only through its `__init__`; only the console's modules may be imported directly."""
    for module, file in MODULES.items():
        for imported in imports(file):
            room = package_of(imported)
            if imported.startswith("src.observability.") and (OBSERVABILITY / room).is_dir():
                own = module.startswith(f"src.observability.{room}")
                assert own or imported == f"src.observability.{room}" or room == "console", f"{module}: {imported}"


def test_a_folder_is_held_in_the_head() -> None:
    """No folder of observability has more than MAX_FILES Python files, `__init__` and `__main__` not counted."""
    for folder in (OBSERVABILITY, *filter(Path.is_dir, OBSERVABILITY.rglob("*"))):
        files = [file for file in folder.glob("*.py") if not file.name.startswith("__")]
        assert len(files) <= MAX_FILES, folder


@cases("library", HOMES)
def test_a_library_has_one_home(library: str) -> None:
    """Only the files that HOMES lists import the library, so that replacing it changes few files."""
    homes = {
        str(file.relative_to(SRC))
        for file in SRC.rglob("*.py")
        if any(module.split(".")[0] == library for module in imports(file))
    }
    assert homes == HOMES[library]


def files_of_map(root: str) -> dict[str, str]:
    """Return CLAUDE.md's line for each path in the tree of `root`; a folder's path ends with a slash."""
    tree = re.search(rf"^```\n{root}/\n(.*?)^```", MAP.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert tree, f"CLAUDE.md has no tree of {root}/"
    lines, folders = {}, [f"{root}/"]
    for line in tree[1].splitlines():
        branch, name = re.findall(r"^([│ ]*)[├└]── (\S+)", line)[0]
        path = folders[len(branch) // 4] + name
        folders[len(branch) // 4 + 1 :] = [path]
        lines[path] = line
    return lines


def paths_on_disk(root: str) -> set[str]:
    """Return the paths under `root` that CLAUDE.md must list: all but data, caches, `__init__.py` and `fleet/repo`."""
    paths = {f"{path.relative_to(settings.REPO_ROOT)}{'/' * path.is_dir()}" for path in (SRC.parent / root).rglob("*")}
    return {
        path
        for path in paths
        if not re.search(r"/__(pycache|init)__|^src/data/|^src/__init__|^tests/fleet/repo/", path)
    }


def assert_mapped(root: str, disk: set[str]) -> None:
    """Fail with the lines that must be added to CLAUDE.md, or removed from it."""
    lines = files_of_map(root)
    wrong = [f"add a line for {path}, with what it does" for path in sorted(disk - lines.keys())]
    wrong += [f"remove the line of {path}:  {lines[path].strip()}" for path in sorted(lines.keys() - disk)]
    if wrong:
        pytest.fail("The tree in CLAUDE.md is not the one on disk:\n" + "\n".join(wrong), pytrace=False)


def test_the_map_is_the_tree_on_disk() -> None:
    """CLAUDE.md lists every file of `src`, and every folder and top-level file of `tests`: no more, no less."""
    assert_mapped("src", paths_on_disk("src"))
    assert_mapped("tests", {path for path in paths_on_disk("tests") if path.endswith("/") or path.count("/") == 1})


def test_only_settings_reads_the_environment() -> None:
    """Only four files read the environment, so that a setting has one name, one parser and one default."""
    for file in SRC.rglob("*.py"):
        if file.name not in ("settings.py", "environment.py", "script.py", "sitecustomize.py"):
            assert not re.search(r"os\.(environ|getenv)", file.read_text(encoding="utf-8")), file


def test_the_package_is_a_menu() -> None:
    """The package exports three names, sorted."""
    assert menu.__all__ == ["LangFuseTracker", "ObservabilityContext", "observe_llm"]
    assert all(hasattr(menu, name) for name in menu.__all__)


def test_every_setting_is_in_env_example() -> None:
    """`.env_example` lists every setting, and the code reads every listed variable."""
    text = (settings.REPO_ROOT / ".env_example").read_text(encoding="utf-8")
    listed = set(re.findall(r"^(?:# )?([A-Z][A-Z_]+)=", text, re.MULTILINE))
    code = "".join(file.read_text(encoding="utf-8") for file in SRC.rglob("*.py"))
    assert {*settings.SETTINGS, *config._SETTINGS} <= listed
    assert {name for name in listed if f'"{name}"' not in code} == set()


def modules_after(code: str) -> set[str]:
    """Return the top-level modules that a new process has loaded after running `code`."""
    program = f"import sys, json\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=settings.REPO_ROOT, timeout=60
    )
    return {name.split(".")[0] for name in json.loads(ended.stdout.splitlines()[-1])}


@pytest.mark.slow
@pytest.mark.parametrize("flag", ["true", "false"])
def test_nothing_heavy_is_imported_before_it_is_needed(flag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing the factory, the decorator and the tracker loads no SDK, no database, no pandas."""
    monkeypatch.setenv("ENABLE_LANGFUSE", flag)
    loaded = modules_after(
        "from src.models.model_factory import ModelFactory\nfrom src.observability import observe_llm, LangFuseTracker"
    )
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.slow
def test_tracing_off_loads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ENABLE_LANGFUSE off, calls and signals load no heavy module, not even sqlite3."""
    monkeypatch.setenv("ENABLE_LANGFUSE", "false")
    code = (
        "from src.observability import observe_llm, ObservabilityContext\n"
        "observe_llm(lambda: 1)()\n"
        "with ObservabilityContext.agent_cycle('A'): ObservabilityContext.add_trading_signal('BUY', 1, 'x')\n"
    )
    assert modules_after(code).isdisjoint(HEAVY)


def test_what_is_printed_with_anything_put_into_it_is_redacted() -> None:
    """`cprint` prints only constant text; text with inserted values is printed by `echo`, which redacts it.

    Exempt are `settings`, since redaction imports it, and the console, since its rows are redacted already.
    """
    for file in (*SRC.glob("models/*.py"), *SRC.glob("agents/*.py"), *SRC.glob("observability/*.py")):
        if file.name in ("terminal.py", "settings.py", "printing.py"):
            continue
        for node in ast.walk(tree_of(file)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) in ("cprint", "print_now"):
                assert isinstance(node.args[0], ast.Constant), f"{file}:{node.lineno}: echo() it"


@pytest.mark.slow
def test_what_we_say_at_the_start_loads_no_redaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """If no keys are set, a constant line says so at start-up, so that redaction is not loaded to print it."""
    code = "from src.models.model_factory import ModelFactory\nassert 'src.observability.redaction' not in sys.modules"
    assert "termcolor" in modules_after(code)


@pytest.mark.slow
def test_a_command_loads_no_tracing() -> None:
    """A console command, which calls no model, loads neither hooks nor the recorder nor the checks of `doctor`."""
    command = [sys.executable, "-X", "importtime", "-m", "src.observability", "--version"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, cwd=settings.REPO_ROOT, timeout=60)
    loaded = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert "src.observability.console.app" in loaded
    ours = ("tracing", "instrumentation", "runtime", "console.checks.server")
    assert loaded.isdisjoint(f"src.observability.{name}" for name in ours)


def test_no_test_module_imports_from_another() -> None:
    """No test module imports another test module: helpers are in separate modules."""
    tests = settings.REPO_ROOT / "tests"
    imported = {
        (file.name, name)
        for file in tests.rglob("*.py")
        for name in re.findall(r"from (tests\.[\w.]*\btest_\w+) import", file.read_text(encoding="utf-8"))
    }
    assert imported == set()
