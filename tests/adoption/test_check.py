"""`adopt --check` lists every LLM call of a repo, and states how the call is observed."""

from pathlib import Path

import pytest

from src.observability.adoption import call_sites


def sites_of(root: Path, source: str, name: str = "src/agents/bot.py") -> list[tuple[int, str, str | None]]:
    """Return (line, call, how the call is observed) of each call site in a repo with only this file."""
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source, encoding="utf-8")
    return [(site.line, site.call, site.observed) for site in call_sites(root)]


@pytest.mark.parametrize(
    ("imports", "observed"),
    [
        ("from src.config import *", "by the line"),
        ("import src.config as config", "by the line"),
        ("from .base_agent import BaseAgent", "by the line"),
        ("try:\n    from src import config\nexcept ImportError:\n    pass", "by the line"),
        ("def late():\n    from src import config", "only under run"),
        ("import source", "only under run"),
    ],
)
def test_the_line_reaches_what_imports_src(tmp_path: Path, imports: str, observed: str) -> None:
    """Calls in a file that imports `src` at its top level are observed; other calls only under the command `run`."""
    source = f"{imports}\nimport openai\nopenai.chat.completions.create(model='m')"
    assert [site[2] for site in sites_of(tmp_path, source)] == [observed]


@pytest.mark.parametrize(
    ("call", "observed"),
    [
        ("client.chat.completions.create(model='m', messages=[])", True),
        ("self.client.responses.create(model='m', input='x')", True),
        ("client.messages.create(model='m', messages=[])", True),
        ("client.messages.create(**request)", True),
        ("client.messages.stream(model='m', messages=[])", True),
        ("model.generate_response('system', 'user')", True),
        ("client.messages.create(to='+1', body='SELL')", None),  # Twilio
        ("super().generate_response('system', 'user')", None),
        ("requests.post('https://example.com/orders', json={})", None),
        ("aiohttp_session.post('https://x/v1/chat/completions')", False),
        ("urllib.request.urlopen('https://x/v1/messages', data)", False),
        ("litellm.completion(model='m')", False),
        ("url = 'https://x/api/chat'; requests.post(f'{url}?a=1', json={})", True),
        ("requests.url = 'https://x'; requests.url = '/api/chat'; requests.post(url=requests.url)", True),
        ("requests.get('https://x/api/chat')", None),
    ],
)
def test_a_call_is_known_by_its_name(tmp_path: Path, call: str, observed: bool | None) -> None:
    """A model call is recognised by its name; other calls (here `observed` is None) are not listed."""
    library = call.split(".")[0].split("_")[0]
    imports = (
        f"import src\nimport {library}\n" if library in ("requests", "aiohttp", "urllib", "litellm") else "import src\n"
    )
    rows = sites_of(tmp_path, imports + call)
    assert [row[2] is not None for row in rows] == ([] if observed is None else [observed])


def test_a_route_of_a_server_is_not_a_call(tmp_path: Path) -> None:
    """The decorator `@app.post("/api/chat")` of a web server is not listed as a model call."""
    assert sites_of(tmp_path, "import src, requests\n@app.post('/api/chat')\ndef chat(): ...") == []


def test_a_model_that_its_package_imports_is_reached(tmp_path: Path) -> None:
    """Calls in `src/models/base_model.py` are observed without an import: Python imports `src` before the file."""
    face = tmp_path / "src" / "models" / "__init__.py"
    face.parent.mkdir(parents=True)
    face.write_text("from .base_model import BaseModel\n", encoding="utf-8")
    source = "class BaseModel:\n    def ask(self): return self.client.chat.completions.create()"
    assert sites_of(tmp_path, source, "src/models/base_model.py") == [
        (2, "self.client.chat.completions.create", "by the line")
    ]


def test_other_peoples_code_is_left_out(tmp_path: Path) -> None:
    """Files in virtual environments, in this package, or with a syntax error are not searched for calls."""
    call = "import openai\nopenai.chat.completions.create()"
    for name in ("venv/a.py", ".venv/a.py", "x/site-packages/a.py", "src/observability/a.py"):
        assert sites_of(tmp_path, call, name) == []
    assert sites_of(tmp_path, f"{call}\nprint 1") == []
