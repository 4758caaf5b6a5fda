"""One call, traced by each library: ours, a bare OpenTelemetry SDK span, Langfuse's `@observe`."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

Call = Callable[[Any], Any]

PROMPT = "Longs liquidated: 12,345,678 USD in fifteen minutes. " * 40  # 2 KB


def answer(prompt: Any) -> str:  # noqa: ARG001 - the prompt of a model
    """The function under test: does as little as possible."""
    return "BUY\nLongs flushed out\nConfidence: 72%"


def named(address: str) -> dict[str, Callable[[], Call]]:
    """The traced call, by library; each imports its own. All export to the sink at `address`."""
    return {
        "plain": lambda: answer,
        "ours": ours,
        "OpenTelemetry span": partial(bare_span, address),
        "Langfuse @observe": partial(langfuse_observe, address),
    }


def configure(address: str, folder: str) -> None:
    """Settings that make all libraries export to the sink at `address`; our journal is in `folder`."""
    os.environ.update(
        PYTHON_DOTENV_DISABLED="1", ENABLE_LANGFUSE="true", LANGFUSE_HOST=address, LANGFUSE_PUBLIC_KEY="pk-lf-bench",
        LANGFUSE_SECRET_KEY="sk-lf-bench-0123456789", OBSERVABILITY_JOURNAL=f"{folder}/journal.db",
        LANGFUSE_FLUSH_INTERVAL="5",
    )  # fmt: skip


def ours() -> Call:
    """`@observe_llm`."""
    from src.observability import observe_llm

    return observe_llm(name="llm_generation")(answer)


def bare_span(address: str) -> Call:
    """A span of the OpenTelemetry SDK with ten attributes, batched and exported as OTLP."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{address}/v1/traces")))
    tracer = provider.get_tracer("bench")

    def call(prompt: Any) -> Any:
        with tracer.start_as_current_span("llm_generation") as span:
            result = answer(prompt)
            span.set_attribute("input", prompt if isinstance(prompt, str) else str(prompt))
            span.set_attribute("output", result)
            for number in range(8):
                span.set_attribute(f"attribute.{number}", number)
            return result

    return call


def langfuse_observe(address: str) -> Call:
    """Langfuse's `@observe`, with a tracer provider of its own."""
    from langfuse import Langfuse, observe
    from opentelemetry.sdk.trace import TracerProvider

    Langfuse(public_key="pk-lf-bench", secret_key="sk-lf-bench", base_url=address, tracer_provider=TracerProvider())
    decorated: Call = observe(name="llm_generation", as_type="generation")(answer)
    return decorated
