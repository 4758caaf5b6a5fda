"""
🌙 Moon Dev's Configuration Tests
Built with love by Moon Dev 🚀
"""

import importlib
import math
from pathlib import Path

import pytest

from src import config


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("TRUE", True), (" 1 ", True), ("Yes", True), ("on", True), ("false", False), ("0", False),
     ("no", False), ("OFF", False)],
)  # fmt: skip
def test_a_boolean_is_true_or_false(text: str, value: bool) -> None:
    """In any case, and with the usual synonyms."""
    assert config.parse_bool("ENABLE_LANGFUSE", text) is value


@pytest.mark.parametrize("text", ["ture", "2", "enabled", "sk-lf-a-secret", "None"])
def test_a_boolean_that_is_none_is_refused(text: str) -> None:
    """The message names the variable and what it takes, never the text: it may be a secret in the wrong place."""
    with pytest.raises(config.SettingError, match="ENABLE_LANGFUSE must be true or false") as error:
        config.parse_bool("ENABLE_LANGFUSE", text)
    assert text not in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "taken"),
    [
        ("LANGFUSE_FLUSH_INTERVAL", "soon", 30), ("LANGFUSE_FLUSH_INTERVAL", "-1", 30),
        ("LANGFUSE_FLUSH_INTERVAL", "inf", 30), ("AI_MAX_RETRIES", "1.5", 2),
        ("LANGFUSE_CAPTURE_INPUT", "maybe", False), ("LANGFUSE_CAPTURE_OUTPUT", "maybe", False),
        ("LANGFUSE_HOST", "langfuse.example", "https://cloud.langfuse.com"),
        ("LANGFUSE_HOST", "https://user:password@langfuse.example", "https://cloud.langfuse.com"),
        ("OBSERVABILITY_DURABILITY", "always", "async"), ("LANGFUSE_TRACING_ENVIRONMENT", "langfuse-prod", None),
        ("LANGFUSE_TRACING_ENVIRONMENT", "Paper Trading", None), ("ENABLE_LANGFUSE", "maybe", False),
    ],
)  # fmt: skip
def test_a_malformed_setting_is_said_once_and_takes_the_safe_value(
    name: str, text: str, taken: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One red line with the variable's name; no text of it, and no exception into the agent."""
    monkeypatch.setenv(name, text)
    assert [getattr(config, name) for _ in range(3)] == [taken] * 3
    out = capsys.readouterr().out
    assert out.count(f"❌ {name} must be") == 1
    assert text not in out.replace("between -1", "")


@pytest.mark.parametrize("text", ["", "  ", "your_langfuse_secret_key_here", "YOUR_LANGFUSE_SECRET_KEY_HERE"])
def test_empty_values_and_placeholders_count_as_missing(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copied `.env_example` is no key."""
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", text)
    assert config.LANGFUSE_SECRET_KEY is None
    assert config.destination() is None


def test_settings_are_live_and_an_assigned_one_wins_until_reload(monkeypatch: pytest.MonkeyPatch) -> None:
    """They follow the environment at every read; `importlib.reload` clears what was assigned."""
    monkeypatch.setenv("ENABLE_LANGFUSE", "false")
    assert config.ENABLE_LANGFUSE is False
    monkeypatch.setenv("ENABLE_LANGFUSE", "true")
    assert config.ENABLE_LANGFUSE is True
    config.ENABLE_LANGFUSE = False
    assert config.tracing_on() is False
    importlib.reload(config)
    assert config.ENABLE_LANGFUSE is True


def test_the_host_goes_by_either_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """`LANGFUSE_HOST` first, then the SDK's newer `LANGFUSE_BASE_URL`, without a trailing slash."""
    assert config.LANGFUSE_HOST == "https://cloud.langfuse.com"
    monkeypatch.setenv("LANGFUSE_BASE_URL", "https://eu.example/")
    assert config.LANGFUSE_HOST == "https://eu.example"
    monkeypatch.setenv("LANGFUSE_HOST", "https://us.example")
    assert config.LANGFUSE_HOST == "https://us.example"


def test_what_counts_as_a_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Secret-looking names, and addresses with credentials, also in `.env`; not what is short or public."""
    for name, value in {
        "SOLANA_PRIVATE_KEY": "solana-private-0123", "RPC_ENDPOINT": "https://rpc.example/?api-key=abcdef012345",
        "TWITTER_PASSWORD": "correct horse battery", "SHORT_KEY": "1234567", "LANGFUSE_PUBLIC_KEY": "pk-lf-0123456789",
        "HARMLESS_URL": "https://example.com/path", "OPENAI_KEY": "your_openai_key_here",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    (tmp_path / "no.env").write_text("ONLY_IN_FILE_TOKEN=only-in-the-file-0123\n")
    found = config.secret_values()
    for secret in ("solana-private-0123", "correct horse battery", "only-in-the-file-0123"):
        assert secret in found
    assert "https://rpc.example/?api-key=abcdef012345" in found
    assert not {"1234567", "pk-lf-0123456789", "https://example.com/path", "your_openai_key_here"} & set(found)
    assert list(found) == sorted(found, key=lambda text: (-len(text), text))


def test_a_number_is_finite_and_not_negative() -> None:
    """And comes as it is."""
    assert config.parse_number("X", "2.5") == 2.5
    for text in ("nan", "-0.1", "1e999", "two"):
        with pytest.raises(config.SettingError):
            config.parse_number("X", text)
    assert math.isfinite(config.parse_number("X", "1e300"))


def test_a_relative_journal_is_relative_to_the_repo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not to the folder in which an agent happens to be started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OBSERVABILITY_JOURNAL", "src/data/x.db")
    assert config.journal_path() == config.REPO_ROOT / "src/data/x.db"
