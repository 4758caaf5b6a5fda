"""
🌙 Moon Dev's LangFuse Tracker
Built with love by Moon Dev 🚀

`LangFuseTracker` is the interface for agents and operators; `runtime.py` does the work.
"""

import functools
from collections.abc import Callable
from typing import Any, Optional

from . import runtime, settings
from .context import ObservabilityContext
from .internal_errors import guarded
from .printing import print_now
from .terminal import warn
from .tracing import observe_llm

__all__ = ["LangFuseTracker", "Langfuse", "observe_llm"]


class Langfuse:
    """A handle of one Langfuse project; the SDK's client is created on first use."""

    def __init__(self, secret_key: str, public_key: str, host: str, flush_interval: float) -> None:
        self._secret_key, self._public_key = secret_key, public_key
        self.host = host
        self.flush_interval = flush_interval  # seconds
        self._client: Any = None

    @property
    def client(self) -> Any:
        """The SDK's `langfuse.Langfuse`. Use it for prompts, `auth_check()` and the REST API, not for spans and scores.

        If the SDK is not installed, print a line on stderr and return None.
        """
        if self._client is None:
            try:
                from langfuse import Langfuse as Client
                from opentelemetry.sdk.trace import TracerProvider
            except ImportError:
                warn("❌ LangFuseTracker().client needs the Langfuse SDK: pip install 'langfuse>=4.12'", "red")
                return None
            # The client gets a tracer provider of its own, since the SDK would otherwise replace the process-wide one.
            client: Any = Client(
                secret_key=self._secret_key,
                public_key=self._public_key,
                base_url=self.host,
                flush_interval=self.flush_interval,
                tracer_provider=TracerProvider(),
            )
            client.get_prompt = _linking(client.get_prompt)
            self._client = client
        return self._client


def _linking(get_prompt: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `get_prompt`, so that later model calls are linked to the prompt that was last fetched or compiled."""

    @functools.wraps(get_prompt)
    def linked(*args: Any, **kwargs: Any) -> Any:
        prompt = get_prompt(*args, **kwargs)
        with guarded:
            _link(prompt)
            if not hasattr(prompt.compile, "__wrapped__"):  # the SDK's cache may return a wrapped prompt
                prompt.compile = _linking_compile(prompt, prompt.compile)
        return prompt

    return linked


def _linking_compile(prompt: Any, compile: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(compile)
    def linked(*args: Any, **kwargs: Any) -> Any:
        with guarded:
            _link(prompt)
        return compile(*args, **kwargs)

    return linked


def _link(prompt: Any) -> None:
    """Link later calls to the prompt. If it is a fallback (the agent's own text), later calls are not linked."""
    is_version = not getattr(prompt, "is_fallback", False)
    ObservabilityContext.use_prompt(prompt.name if is_version else None, prompt.version)


class LangFuseTracker:
    """The public handle of this process's observability; there is only one instance."""

    _instance: Optional["LangFuseTracker"] = None
    _client: Langfuse | None = None
    _warned = False

    def __new__(cls) -> "LangFuseTracker":  # noqa: D102
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def __init__(self) -> None:
        with guarded:
            if self._client is None and settings.setting("ENABLE_LANGFUSE"):
                self._connect(settings.destination())

    def _connect(self, to: settings.Destination | None) -> None:
        if to is None:
            self._warn_once()
            return
        type(self)._client = Langfuse(
            secret_key=to.secret_key,
            public_key=to.public_key,
            host=to.host,
            flush_interval=settings.setting("LANGFUSE_FLUSH_INTERVAL"),
        )
        print_now("✅ LangFuse observability initialized!", "green")

    def _warn_once(self) -> None:
        has_other = settings.otlp_destination() is not None
        # Malformed keys need no warning here: the module `settings` reports them.
        if not self._warned and not has_other and settings.missing_langfuse_keys():
            self._warned = True
            print_now(
                "⚠️ LangFuse keys not found in .env: calls are recorded in the local journal only. To send them to"
                " LangFuse, set LANGFUSE_SECRET_KEY and LANGFUSE_PUBLIC_KEY",
                "yellow",
            )

    @property
    def enabled(self) -> bool:
        """Whether traces are sent to Langfuse: ENABLE_LANGFUSE is on, and host and keys are set."""
        return settings.destination() is not None

    @property
    def client(self) -> Any:
        """The Langfuse SDK's client, for prompts and the REST API; None if `enabled` is false or the SDK is missing."""
        if not self.enabled:
            return None
        handle = type(self)._client
        return None if handle is None else handle.client

    def flush(self, timeout: float | None = None) -> bool:
        """Journal the queued observations and ship the pending rows; return whether all were shipped in time.

        `timeout` is in seconds. With None, shipping may take a minute after the queue has been journalled.
        """
        return runtime.flush(timeout)

    def health(self) -> dict[str, Any]:
        """Return the state of tracing; `health.report` explains each entry."""
        return runtime.health()
