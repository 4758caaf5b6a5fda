"""The calls under test: through a model, a decorated function and an SDK's client; plain, and traced by each library.

A call takes a prompt and answers at once, so that the measured time is the library's.
"""

import os
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

from src.models.base_model import BaseModel, ModelResponse
from src.observability import ObservabilityContext, instrumentation, observe_llm

Call = Callable[[Any], Any]

PLAIN, OURS, SPAN, LANGFUSE = "plain", "ours", "OpenTelemetry span", "Langfuse @observe"
LIBRARIES = (PLAIN, OURS, SPAN, LANGFUSE)
KINDS = ("model", "function", "SDK")
PROMPT = "Longs liquidated: 12,345,678 USD in fifteen minutes. " * 40  # 2 KB
SYSTEM = "You are a liquidation analyst. Answer BUY, SELL or NOTHING, a reason, and a confidence."
TEXT = "Longs were flushed out; wait for the next hour.\nConfidence: 72%"  # not a decision, so that one call is one row
USAGE = {"prompt_tokens": 812, "completion_tokens": 14, "total_tokens": 826}
MODEL, TEMPERATURE, MAX_TOKENS = "gpt-4o-mini", 0.3, 1_000


_MESSAGE = SimpleNamespace(role="assistant", content=TEXT)
RESPONSE = SimpleNamespace(  # a provider's own response
    model=MODEL, usage=SimpleNamespace(**USAGE), choices=[SimpleNamespace(finish_reason="stop", message=_MESSAGE)]
)


def configure(address: str, folder: str) -> None:
    """Set the environment so that all libraries export to the sink at `address`, and our journal is in `folder`."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # otherwise each process would compile its modules again
    os.environ.update(
        PYTHON_DOTENV_DISABLED="1", ENABLE_LANGFUSE="true", LANGFUSE_HOST=address, LANGFUSE_PUBLIC_KEY="pk-lf-bench",
        LANGFUSE_SECRET_KEY="sk-lf-bench-0123456789", OBSERVABILITY_JOURNAL=f"{folder}/journal.db",
        LANGFUSE_FLUSH_INTERVAL="5",
    )  # fmt: skip


def call_of(kind: str, library: str, address: str) -> Call:
    """Return a function that makes a call of this kind, traced by the library, which exports to `address`."""
    if library == OURS:
        return {"model": our_model, "function": our_function, "SDK": our_client}[kind]()
    plain = {"model": plain_model, "function": lambda: answer, "SDK": plain_client}[kind]()
    return plain if library == PLAIN else {SPAN: in_span, LANGFUSE: in_langfuse}[library](plain, address)


def answer(prompt: Any) -> str:  # noqa: ARG001 - a model has this parameter
    """Answer at once; the libraries trace this function."""
    return TEXT


def our_function() -> Call:
    """Return `answer`, decorated with `@observe_llm`."""
    return observe_llm(name="llm_generation")(answer)


class PlainModel:
    """A provider's model without tracing."""

    model_name, model_type = MODEL, "openai"

    def generate_response(
        self,
        system_prompt: str,  # noqa: ARG002 - a model has these parameters
        user_content: Any,  # noqa: ARG002
        temperature: float = 0.7,  # noqa: ARG002
        max_tokens: int | None = None,  # noqa: ARG002
    ) -> ModelResponse:
        """Answer at once."""
        return ModelResponse(TEXT, RESPONSE, MODEL, USAGE)


class OurModel(BaseModel):
    """`PlainModel` as a subclass of `BaseModel`, which records metadata in every call."""

    model_type = "openai"  # type: ignore[assignment]

    def initialize_client(self, **_: Any) -> None:
        """Set the model's name; no client is needed."""
        self.model_name = MODEL

    def is_available(self) -> bool:
        """Return True: the model is always available."""
        return True

    def generate_response(
        self,
        system_prompt: str,  # noqa: ARG002 - as above
        user_content: Any,  # noqa: ARG002
        temperature: float = 0.7,
        max_tokens: int | None = None,
    ) -> ModelResponse:
        """Record the call's metadata and answer at once."""
        ObservabilityContext.add_agent_metadata(
            agent_type="model",
            agent_name=self.model_type,
            model_name=self.model_name,
            temperature=temperature,
            max_tokens=max_tokens,
        )
        return ModelResponse(TEXT, RESPONSE, MODEL, USAGE)


def _through(model: Any) -> Call:
    return lambda prompt: model.generate_response(SYSTEM, prompt, temperature=TEMPERATURE, max_tokens=MAX_TOKENS)


def plain_model() -> Call:
    """Return a function that calls the model without tracing."""
    return _through(PlainModel())


def our_model() -> Call:
    """Return a function that calls `OurModel`."""
    return _through(OurModel(None))


def _completions() -> Any:
    """Return the OpenAI SDK's completions object, whose `create` answers without sending a request."""
    import openai
    from openai.types.chat import ChatCompletion

    message = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": TEXT}}
    completion = ChatCompletion.model_validate(
        {"id": "1", "created": 1, "object": "chat.completion", "model": MODEL, "choices": [message], "usage": USAGE}
    )
    completions = openai.OpenAI(api_key="bench", base_url="http://127.0.0.1:9").chat.completions
    completions._post = lambda *_, **__: completion  # type: ignore[method-assign]
    return completions


def _asking(create: Call) -> Call:
    return lambda prompt: create(
        model=MODEL,
        messages=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": prompt}],
        temperature=TEMPERATURE,
        max_tokens=MAX_TOKENS,
    )


def plain_client() -> Call:
    """Return a function that calls an SDK's method without the hooks."""
    return _asking(partial(original_create(), _completions()))


def our_client() -> Call:
    """Return a function that calls an SDK's method with the hooks."""
    return _asking(_completions().create)


def original_create() -> Callable[..., Any]:
    """Return the SDK's `create` without the hook, and install the hook again."""
    from openai.resources.chat.completions import Completions

    instrumentation.uninstall()
    create = Completions.create
    instrumentation.install()
    assert Completions.create is not create, "the method is not hooked"
    return create


def empty_method() -> dict[str, Call]:
    """Return functions that call an empty method without and with the hook: a real one's time would hide the hook's."""
    from src.observability.instrumentation.calls import sync_method
    from src.observability.instrumentation.sdks.openai import CHAT

    def create(**_: Any) -> None:
        """Do nothing, in place of the SDK's method."""

    return {PLAIN: _asking(create), OURS: _asking(sync_method(CHAT)(create))}


def in_span(plain: Call, address: str) -> Call:
    """Return a function that calls `plain` in an OpenTelemetry span with our attributes, exported in batches (OTLP)."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{address}/v1/traces")))
    tracer = provider.get_tracer("bench")

    def call(prompt: Any) -> Any:
        with tracer.start_as_current_span("llm_generation") as span:
            result = plain(prompt)
            span.set_attribute("input", prompt if isinstance(prompt, str) else str(prompt))
            span.set_attribute("system", SYSTEM)
            span.set_attribute("output", TEXT)
            for name, value in USAGE.items():
                span.set_attribute(f"usage.{name}", value)
            span.set_attribute("metadata.model_type", "openai")
            span.set_attribute("metadata.model_name", MODEL)
            span.set_attribute("metadata.temperature", TEMPERATURE)
            span.set_attribute("metadata.max_tokens", MAX_TOKENS)
            return result

    call.flush = provider.force_flush  # type: ignore[attr-defined]
    return call


def in_langfuse(plain: Call, address: str) -> Call:
    """Return a function that calls `plain` under Langfuse's `@observe`, which has a tracer provider of its own."""
    from langfuse import Langfuse, observe
    from opentelemetry.sdk.trace import TracerProvider

    Langfuse(public_key="pk-lf-bench", secret_key="sk-lf-bench", base_url=address, tracer_provider=TracerProvider())

    def traced(prompt: Any) -> Any:
        return plain(prompt)

    decorated: Call = observe(name="llm_generation", as_type="generation")(traced)
    return decorated
