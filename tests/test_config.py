"""Tests of settings: how they are parsed, when they are read, and which variables count as secrets."""

import importlib
import math
import threading
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from src import config
from src.observability import settings
from src.observability.redaction import environment
from tests.cases import cases


@cases(
    ("text", "value"),
    [("true", True), ("TRUE", True), (" 1 ", True), ("Yes", True), ("on", True), ("false", False), ("0", False),
     ("no", False), ("OFF", False)],
)  # fmt: skip
def test_a_boolean_is_true_or_false(text: str, value: bool) -> None:
    """Booleans are parsed in upper and lower case, with the usual synonyms."""
    assert settings.parse_bool("ENABLE_LANGFUSE", text) is value


@cases("text", ["ture", "2", "enabled", "sk-lf-a-secret", "None"])
def test_a_boolean_that_is_none_is_refused(text: str) -> None:
    """The message names the variable and the valid values. It never has the text, which may be a misplaced secret."""
    with pytest.raises(settings.SettingError, match="ENABLE_LANGFUSE must be true or false") as error:
        settings.parse_bool("ENABLE_LANGFUSE", text)
    assert text not in str(error.value)


@cases(
    ("name", "text", "taken"),
    [
        ("LANGFUSE_FLUSH_INTERVAL", "soon", 30), ("LANGFUSE_FLUSH_INTERVAL", "-1", 30),
        ("LANGFUSE_FLUSH_INTERVAL", "inf", 30), ("AI_MAX_RETRIES", "1.5", 2),
        ("LANGFUSE_CAPTURE_INPUT", "maybe", False), ("LANGFUSE_CAPTURE_OUTPUT", "maybe", False),
        ("LANGFUSE_HOST", "langfuse.example", None),
        ("LANGFUSE_HOST", "https://user:password@langfuse.example", None),
        ("OBSERVABILITY_DURABILITY", "always", "async"), ("LANGFUSE_TRACING_ENVIRONMENT", "langfuse-prod", None),
        ("LANGFUSE_TRACING_ENVIRONMENT", "Paper Trading", None), ("ENABLE_LANGFUSE", "maybe", False),
    ],
)  # fmt: skip
def test_a_malformed_setting_is_reported_once_and_takes_the_safe_value(
    name: str, text: str, taken: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A malformed setting raises nothing: one red line without its value is printed, and the safe value is used."""
    monkeypatch.setenv(name, text)
    of_config = name in config.__all__
    assert [getattr(config, name) if of_config else settings.setting(name) for _ in range(3)] == [taken] * 3
    out = capsys.readouterr().err
    assert out.count(f"❌ {name} must be") == 1
    assert text not in out.replace("between -1", "")


@cases("text", ["", "  ", "your_langfuse_secret_key_here", "YOUR_LANGFUSE_SECRET_KEY_HERE"])
def test_empty_values_and_placeholders_count_as_missing(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty value, or a placeholder of `.env_example`, does not count as a key."""
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", text)
    assert settings.setting("LANGFUSE_SECRET_KEY") is None
    assert settings.destination() is None


def test_settings_are_live_and_an_assigned_one_wins_until_reload(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings follow the environment at every read; a value assigned to `config` wins until `config` is reloaded."""
    monkeypatch.setenv("ENABLE_LANGFUSE", "false")
    assert config.ENABLE_LANGFUSE is False
    monkeypatch.setenv("ENABLE_LANGFUSE", "true")
    assert config.ENABLE_LANGFUSE is True
    config.ENABLE_LANGFUSE = False
    assert settings.tracing_on() is False
    importlib.reload(config)
    assert config.ENABLE_LANGFUSE is True


def test_the_host_goes_by_either_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host is `LANGFUSE_HOST`, else the SDK's newer `LANGFUSE_BASE_URL`, without a trailing slash."""
    assert settings.setting("LANGFUSE_HOST") == "https://cloud.langfuse.com"
    monkeypatch.setenv("LANGFUSE_BASE_URL", "https://eu.example/")
    assert settings.setting("LANGFUSE_HOST") == "https://eu.example"
    monkeypatch.setenv("LANGFUSE_HOST", "https://us.example")
    assert settings.setting("LANGFUSE_HOST") == "https://us.example"


def test_what_counts_as_a_secret(monkeypatch: pytest.MonkeyPatch, write_env_file: Any) -> None:
    """Values under secret names, and addresses with credentials, are secrets, also in `.env`. Short and public values
    are not."""
    for name, value in {
        "SOLANA_PRIVATE_KEY": "solana-private-0123", "RPC_ENDPOINT": "https://rpc.example/?api-key=abcdef012345",
        "TWITTER_PASSWORD": "correct horse battery", "SHORT_KEY": "1234567", "LANGFUSE_PUBLIC_KEY": "pk-lf-0123456789",
        "HARMLESS_URL": "https://example.com/path", "OPENAI_KEY": "your_openai_key_here",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    write_env_file("ONLY_IN_FILE_TOKEN=only-in-the-file-0123\n")
    secrets = environment.secret_values()
    for secret in ("solana-private-0123", "correct horse battery", "only-in-the-file-0123"):
        assert secret in secrets
    assert "https://rpc.example/?api-key=abcdef012345" in secrets
    assert not {"1234567", "pk-lf-0123456789", "https://example.com/path", "your_openai_key_here"} & set(secrets)
    assert list(secrets) == sorted(secrets, key=lambda text: (-len(text), text))


@pytest.mark.parametrize(
    "key", ["sk-lf-3b1f2c4d-5e6f-4a7b-8c9d-0e1f2a3b4c5d", "gsk_Ab3dEf6hIj9kLm2n", "AKIAIOSFODNN7EXAMPLE"]
)
def test_a_secret_key_where_the_public_one_belongs_ships_nothing(
    key: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A secret key in LANGFUSE_PUBLIC_KEY is reported once; nothing is sent, as rows would be labelled with the key."""
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", key)
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", "pk-lf-11111111-2222-3333-4444-555555555555")
    assert [settings.destination() for _ in range(3)] == [None] * 3
    assert settings.tracing_on()
    assert settings.missing_langfuse_keys() == []
    assert key in environment.secret_values()
    printed = capsys.readouterr().err
    assert printed.count("❌ LANGFUSE_PUBLIC_KEY holds a secret key: swap the secret and the public key in .env") == 1
    assert key not in printed


@cases(
    "host",
    ["https://lf.example/?token=abcdefgh", "https://lf.example?token=abcdefgh", "https://lf.example/#abcdefgh",
     "https://user:password@lf.example", "https://lf.example/7b5f18bebbce5aed6cd996991afeb6b9", "lf.example"],
)  # fmt: skip
@cases("name", ["LANGFUSE_HOST", "LANGFUSE_BASE_URL"])
def test_a_host_that_may_carry_a_credential_ships_nothing(
    name: str, host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A host that may hold a secret is refused, since hosts are printed; no other host is used instead."""
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", "pk-lf-1")
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", "sk-lf-1")
    monkeypatch.setenv(name, host)
    assert settings.destination() is None
    printed = capsys.readouterr().err
    assert f"{name} must be an address" in printed
    assert host not in printed
    monkeypatch.setenv(name, "https://lf.example/langfuse/")
    assert settings.destination() == settings.Destination("https://lf.example/langfuse", "pk-lf-1", "sk-lf-1")


SECRET_BY_NAME = (
    "SOLANA_PRIVATE_KEY", "API_KEY_1", "OPENAI_API_KEYS", "OPENAI_KEY_BACKUP", "DB_PASS", "PGPASSWORD", "WALLET_PK",
    "MNEMONIC_1", "RECOVERY_PHRASE", "SEED_WORDS", "X_BEARER", "SESSION_COOKIE", "SOLANA_KEYPAIR", "TARGET_TOKEN",
    "telegram_token", "AUTH_HEADER", "GROQ_KEY_2_OLD",
)  # fmt: skip


@cases("name", SECRET_BY_NAME)
def test_a_name_that_says_secret(name: str) -> None:
    """The name of a secret variable may be numbered, plural or abbreviated, or have a suffix."""
    assert environment.is_secret(name, "QwErTyUiOp112233")


SECRET_BY_VALUE = {
    "SOLANA_RPC": "https://rpc.other.xyz/v1/8c5f18bebbce5aed6cd996991afeb6b9",
    "HELIUS_RPC": "https://mainnet.helius.example/?cluster=mainnet&api-key=zzzz-9999-keyval",
    "RPC_NODE": "https://rpc.other.xyz/4f6a2b1c-0d3e-4f5a-8b9c-0d1e2f3a4b5c/",
    "REDIS": "redis://:rEdisPw99x@db", "BROKER": "amqp://trader:x1@mq:5672", "GIT": "https://ghp0123456789abcdef@host/x",
    "TG_HOOK": "https://api.foo.xyz/hook?token=zzTOKENVALUEzz99",
}  # fmt: skip


@cases("name", SECRET_BY_VALUE)
def test_an_address_with_credentials_whatever_its_name(name: str) -> None:
    """An address with credentials in its user, query or path is a secret, whatever its variable's name."""
    assert environment.is_secret(name, SECRET_BY_VALUE[name])


SHOWN = {
    "SOLANA_PUBLIC_KEY": "9BB6NFEcjBCtnNLFko2FqVQBq8HHM13kCyYcdQbgpump", "WALLET_PUBKEY": "anything-public-7",
    "TARGET_TOKEN": "9BB6NFEcjBCtnNLFko2FqVQBq8HHM13kCyYcdQbgpump",
    "TRADED_TOKENS": "So11111111111111111111111111111111111111112,0x" + "aB" * 20,
    "SSH_KEY": "/home/u/.ssh/id_ed25519", "GOOGLE_CREDENTIALS": "~/keys/service account.json",
    "TLS_KEY": r"C:\keys\id.pem",
    "A_KEY": "changeme", "B_KEY": "placeholder", "C_KEY": "your-groq-key", "D_KEY": "YOUR_API_KEY",
    "E_KEY": "<your key>",
    "F_KEY": "sk-your-key-here", "D_SECRET": "--------", "X_SECRET": "xxxxxxxxxxxx", "G_KEY": "${OPENAI_KEY}",
    "LOCAL_KEY": "not-needed", "H_KEY": "change-me", "I_KEY": "replace_this", "J_KEY": "no-key-needed",
    "K_KEY": "sk-no-key-required", "L_KEY": "{{vault.key}}", "M_KEY": "undefined", "DATA_KEY": "../keys/id_ed25519",
    "RANDOM_SEED": "20251124", "MAX_TOKENS": "16000000", "PWD": "/Projects/moon dev/agents",
    "OLDPWD": "/check/work/main", "STATUS_KEY": "/proc/self/status",
    "EXPLORER": "https://solscan.io/token/9BB6NFEcjBCtnNLFko2FqVQBq8HHM13kCyYcdQbgpump",
    "HOMEPAGE": "https://github.com/moondevonyt/moon-dev-ai-agents-for-trading", "GIT_URL": "ssh://host/x",
}  # fmt: skip


@cases("name", SHOWN)
def test_other_values_are_not_masked(name: str) -> None:
    """Wallet addresses, public keys, paths, placeholders and numbers are not masked."""
    assert not environment.is_secret(name, SHOWN[name])


def test_a_credential_is_no_address_by_its_letters() -> None:
    """Under names such as BOT_TOKEN, a value that looks like a wallet address is a secret."""
    assert environment.is_secret("BOT_TOKEN", "9BB6NFEcjBCtnNLFko2FqVQBq8HHM13kCyYcdQbgpump")
    assert environment.is_secret("TARGET_KEY", "9BB6NFEcjBCtnNLFko2FqVQBq8HHM13kCyYcdQbgpump")


def test_a_key_with_slashes_is_no_path() -> None:
    """A key with slashes is a secret, although it looks like a path."""
    assert environment.is_secret("SIGNING_KEY", "/kH7s9+sdK/" * 400)
    assert environment.is_secret("DB_PWD", "/kH7s9sdK/x")
    assert environment.is_secret("API_TOKEN", "src/models"), "whatever folder the process is in"


def test_a_number_is_finite_and_not_negative() -> None:
    """A finite number that is not negative is parsed; any other text is refused."""
    assert settings.parse_number("X", "2.5") == 2.5
    for text in ("nan", "-0.1", "1e999", "two"):
        with pytest.raises(settings.SettingError):
            settings.parse_number("X", text)
    assert math.isfinite(settings.parse_number("X", "1e300"))


@pytest.mark.parametrize("name", ["OBSERVABILITY_MAX_MB", "OBSERVABILITY_RETENTION_DAYS"])
def test_a_limit_of_0_deletes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of 0, which may be meant as "no limit", is reported as malformed, and the default applies."""
    monkeypatch.setenv(name, "0")
    assert settings.setting(name) == settings.SETTINGS[name][1]
    assert settings.malformed() == [f"{name} must be a number above 0"]


def test_an_endless_wait_overflows_no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A huge number of seconds, meant as "never", is lowered to one that Python's locks and clocks accept."""
    for name in ("LANGFUSE_FLUSH_INTERVAL", "OBSERVABILITY_EXIT_SECONDS"):
        monkeypatch.setenv(name, "1e99")
        assert time.gmtime(time.time() + settings.setting(name))
        assert settings.setting(name) < threading.TIMEOUT_MAX


def test_a_patched_flag_ends_with_its_patch() -> None:
    """Recording is off while `ENABLE_LANGFUSE` is patched to False, and on again afterwards."""
    with patch.object(config, "ENABLE_LANGFUSE", False):
        assert not settings.recording().on
    assert settings.recording().on


def test_a_relative_journal_is_relative_to_the_repo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A relative journal path starts at the repo's root, whatever the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OBSERVABILITY_JOURNAL", "src/data/x.db")
    assert settings.journal_path() == settings.REPO_ROOT / "src/data/x.db"
