"""List every LLM call in a repo's source, and whether it is observed; if not, why."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ..settings import INSTRUMENTS

# Methods that call a model: the end of the method's name -> the SDKs that have such a method.
_METHODS = {
    "chat.completions.create": ("openai", "groq"),
    "chat.completions.parse": ("openai",),
    "chat.completions.stream": ("openai",),
    "responses.create": ("openai",),
    "responses.parse": ("openai",),
    "responses.stream": ("openai",),
    "messages.create": ("anthropic",),
    "messages.stream": ("anthropic",),
    "generate_content": ("google",),
    "generate_content_async": ("google",),
    "generate_content_stream": ("google",),
    "ollama.chat": ("ollama",),
    "ollama.generate": ("ollama",),
}
_WRAPPED = "generate_response"  # a method of `src/models`, observed through the SDK that it calls
_CLIENTS = ("requests", "httpx", "aiohttp", "urllib")
_HOOKED = {*INSTRUMENTS, _WRAPPED, "requests", "httpx"}
_CHAT_API = re.compile(
    r"/chat/completions|/v1/messages|/responses|:generateContent|:streamGenerateContent|/api/chat|/api/generate"
)
# Libraries for which this package has no hooks -> their methods that call a model.
_WITHOUT_HOOKS = {
    "boto3": ("invoke_model", "converse"),
    "cohere": ("chat", "chat_stream"),
    "huggingface_hub": ("chat_completion", "text_generation"),
    "litellm": ("completion", "acompletion"),
    "mistralai": ("chat.complete", "chat.stream"),
    "replicate": ("replicate.run",),
    "together": ("chat.completions.create",),
}
_HINT = re.compile(
    r"\.completions\.|\.responses\.|\.messages\.|generate_content|generate_response|ollama\.|"
    rf"{_CHAT_API.pattern}|\b(?:{'|'.join(_WITHOUT_HOOKS)})\b"
)
_SKIPPED = {"__pycache__", "node_modules", "site-packages", "venv"}


class CallSite(NamedTuple):
    """One call of a model in the source."""

    file: Path  # relative to the repo
    line: int
    call: str  # the call's name in the source: `client.chat.completions.create`
    # "by the line": the package's line in `src/__init__.py` observes the call. "only under run": it is observed only if
    # the command `run` starts the script. None: it is not observed.
    observed: str | None
    reason: str  # why the line in `src/__init__.py` does not observe the call; empty if it does


def call_sites(root: Path) -> Iterator[CallSite]:
    """The call sites of the repo at `root`, file by file; this package's files are left out."""
    for file in sorted(root.rglob("*.py")):
        parts = file.relative_to(root).parts
        skipped = any(part in _SKIPPED or part.startswith(".") for part in parts[:-1])
        if not skipped and parts[:2] != ("src", "observability"):
            yield from _of_file(file, file.relative_to(root))


def _of_file(file: Path, name: Path) -> Iterator[CallSite]:
    text = file.read_text(encoding="utf-8", errors="replace")
    if not _HINT.search(text):
        return
    try:
        source = _Source(ast.parse(text), _is_imported_by_its_package(file))
    except (SyntaxError, ValueError):
        return  # Python could not run this file either
    for call in source.calls:
        if (hook := source.hook_of(call)) is not None:
            observed, reason = source.observation_by(hook)
            yield CallSite(name, call.lineno, ast.unparse(call.func), observed, reason)


def _is_imported_by_its_package(file: Path) -> bool:
    """Whether the `__init__.py` beside the file imports it: then `src/__init__.py` has run before the file does."""
    face = file.parent / "__init__.py"
    return face.exists() and f".{file.stem} " in face.read_text(encoding="utf-8", errors="replace")


class _Source:
    """One source file: its imports, its calls, and the source text assigned to each name."""

    def __init__(self, tree: ast.Module, is_imported: bool) -> None:
        nodes = list(ast.walk(tree))
        self.libraries = {name.split(".")[0] for name in _imported(nodes)}
        self.imports_src = is_imported or "src" in {name.split(".")[0] for name in _imported(_at_import(tree.body))}
        routes = {decorator for node in nodes for decorator in getattr(node, "decorator_list", ())}
        calls = (node for node in nodes if isinstance(node, ast.Call) and node not in routes)  # @app.post calls no LLM
        self.calls = sorted(calls, key=lambda call: call.lineno)
        self._texts: dict[str, str] = {}
        for node in nodes:
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    name = ast.unparse(target)
                    self._texts[name] = self._texts.get(name, "") + ast.unparse(node.value)

    def hook_of(self, call: ast.Call) -> str | None:
        """The SDK or HTTP client through which a call reaches a model; None if the call is not for a model."""
        name = ast.unparse(call.func) if isinstance(call.func, ast.Attribute | ast.Name) else ""
        if not name or name.startswith("super()"):
            return None
        if name.endswith(f".{_WRAPPED}"):
            return _WRAPPED
        for library in self.libraries & _WITHOUT_HOOKS.keys():
            if any(f".{name}".endswith(f".{method}") for method in _WITHOUT_HOOKS[library]):
                return library
        return self._sdk(call, name) or self._post(call, name)

    def observation_by(self, hook: str) -> tuple[str | None, str]:
        """How a call is observed, and the reason if the line in `src/__init__.py` does not observe the call."""
        if hook not in _HOOKED:
            return None, f"this package cannot observe {hook}"
        return ("by the line", "") if self.imports_src else ("only under run", "the file imports nothing from src")

    def _sdk(self, call: ast.Call, name: str) -> str | None:
        sdks = next((sdks for method, sdks in _METHODS.items() if f".{name}".endswith(f".{method}")), ())
        if "messages.create" in name and not {"model", None} & {keyword.arg for keyword in call.keywords}:
            return None  # Twilio's method for text messages has the same name
        return next((sdk for sdk in sdks if sdk in self.libraries), sdks[0] if sdks else None)

    def _post(self, call: ast.Call, name: str) -> str | None:
        if name.split(".")[-1] not in ("post", "request", "urlopen", "Request"):
            return None
        arguments = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "url")]
        address = "".join(self._text(argument) for argument in arguments)
        return self._client(name) if _CHAT_API.search(address) else None

    def _client(self, name: str) -> str:
        named = [library for library in _CLIENTS if name.startswith(library)]
        imported = [library for library in _CLIENTS if library in self.libraries]
        return (named or imported or ["its HTTP client"])[0]

    def _text(self, node: ast.expr) -> str:
        """The source text of an expression, followed by the source texts assigned to the names in it."""
        names = [ast.unparse(part) for part in ast.walk(node) if isinstance(part, ast.Name | ast.Attribute)]
        return ast.unparse(node) + "".join(self._texts.get(name, "") for name in names)


def _imported(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """The modules that these statements import; a relative import counts as `src`."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "src" if node.level else node.module or ""


def _at_import(body: Iterable[ast.stmt]) -> Iterator[ast.AST]:
    """The statements that run when the file is imported or run: all but those inside functions."""
    for node in body:
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _at_import(_children(node))


def _children(node: ast.AST) -> Iterator[ast.stmt]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child
        elif isinstance(child, ast.ExceptHandler):
            yield from child.body
