"""The answer, model, usage and reasoning that are read from the result of a model call."""

from types import SimpleNamespace
from typing import Any

from openai.types.chat import ChatCompletion

from src.models.base_model import ModelResponse
from src.observability.recording.answer import calls_tools, read_answer, split_reasoning, text_in
from src.observability.tracing.snapshot import reply_of
from tests.cases import cases
from tests.providers.wire import ANSWER, PROVIDERS, Provider


@cases("name", PROVIDERS)
def test_a_model_response_is_read_with_its_raw_response(name: str) -> None:
    """If a ModelResponse has no `usage`, its model, tokens and finish reason are read from its raw response."""
    provider = Provider(name)
    response = ModelResponse(ANSWER, provider.recorded["answer"], "asked-for", None)
    answer = read_answer(reply_of(response))
    assert (answer.output, answer.model) == (ANSWER, provider.expected["model"])
    assert answer.finish_reason == provider.expected["finish_reason"]
    assert answer.usage == provider.recorded["answer"]["usage"]
    assert answer.reasoning == provider.expected.get("reasoning")
    assert answer.reported_cost == provider.recorded["answer"]["usage"].get("cost")


def test_an_sdk_s_objects_are_read_like_their_json() -> None:
    """A response of OpenAI's SDK gives the same answer, whether a call returns it or a ModelResponse holds it."""
    completion = ChatCompletion.model_validate(Provider("openai").recorded["answer"])
    for result in (reply_of(ModelResponse(ANSWER, completion, "gpt-5-mini")), completion):
        answer = read_answer(result)
        assert (answer.model, answer.finish_reason) == ("gpt-5-mini-2025-08-07", "stop")
        assert answer.usage.prompt_tokens == 1200


def test_an_sdk_s_message_is_its_content() -> None:
    """If a subclass of BaseModel returns `response.choices[0].message`, the output is the message's content."""
    completion = ChatCompletion.model_validate(Provider("openai").recorded["answer"])
    assert read_answer(reply_of(completion.choices[0].message)).output == ANSWER


def test_a_part_of_the_usage_gives_way_to_the_whole() -> None:
    """If a ModelResponse's usage has only `completion_tokens`, the usage of its raw response is taken instead."""
    raw = Provider("claude").recorded["answer"]
    answer = read_answer(ModelResponse(ANSWER, raw, "claude-haiku-4-5", {"completion_tokens": 31}))
    assert answer.usage == raw["usage"]


def test_a_sum_over_several_requests_is_kept() -> None:
    """If a subclass makes two requests and adds up their usage, this sum is kept, not the last raw response's usage."""
    own = {"prompt_tokens": 5000, "completion_tokens": 400, "total_tokens": 5400}
    assert read_answer(ModelResponse(ANSWER, Provider("groq").recorded["answer"], "m", own)).usage == own


def test_ollama_s_own_api_counts_beside_the_message() -> None:
    """If a ModelResponse of Ollama has no usage, as in moon-dev-ai-agents, tokens are read from its raw JSON."""
    message = {"role": "assistant", "content": "hello", "thinking": "greet"}
    counts = {"prompt_eval_count": 26, "eval_count": 290}
    raw = {"model": "llama3.2", "done_reason": "stop", "message": message, **counts}
    answer = read_answer(ModelResponse("hello", raw, "llama3.2"))
    assert (answer.usage, answer.finish_reason, answer.reasoning) == (raw, "stop", "greet")


def test_gemini_s_own_sdk_is_read() -> None:
    """If a ModelResponse of Gemini has no usage, as in moon-dev-ai-agents, tokens are read from the SDK's response."""
    raw = SimpleNamespace(
        usage_metadata=SimpleNamespace(prompt_token_count=20, candidates_token_count=5),
        candidates=[SimpleNamespace(finish_reason=SimpleNamespace(name="STOP"))],
        model_version="gemini-2.5-flash",
    )
    answer = read_answer(ModelResponse("hello", raw, "gemini-2.5-flash"))
    assert (answer.usage.prompt_token_count, answer.finish_reason) == (20, "STOP")


PLAIN: dict[str, Any] = {
    "text": "BUY",
    "a number": 85,
    "a dict": {"action": "BUY", "model": "Tesla"},
    "a list": [1, 2],
    "nothing": None,
}


@cases("case", PLAIN)
def test_a_plain_value_is_the_answer_itself(case: str) -> None:
    """A plain value returned by a decorated function is the output; model and usage are unknown."""
    answer = read_answer(PLAIN[case])
    assert answer.output == PLAIN[case]
    assert (answer.model, answer.usage, answer.finish_reason, answer.reported_cost) == (None, None, None, None)


def test_nothing_is_raised_by_a_hostile_result() -> None:
    """If some attributes of a result raise, only these are unknown; the readable attributes are recorded."""

    class Hostile:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

    assert read_answer(Hostile()).output is None
    assert read_answer(ModelResponse("hi", Hostile(), "m")).output == "hi"


REASONING = {
    "thinking first": ("<think>\nlongs are squeezed\n</think>\n\nBUY", "BUY", "longs are squeezed"),
    "no thinking": ("BUY", "BUY", None),
    "cut off while thinking": ("<think>longs are", "", "longs are"),
    "empty thinking": ("<think>\n\n</think>\nBUY", "BUY", None),
    "the word in the answer": ("Use <think> tags", "Use <think> tags", None),
}


@cases("case", REASONING)
def test_thinking_is_kept_out_of_the_answer(case: str) -> None:
    """Thinking is recorded as reasoning, not as output."""
    text, output, reasoning = REASONING[case]
    assert split_reasoning(text) == (output, reasoning)
    answer = read_answer(ModelResponse(text, None, "m"))
    assert (answer.output, answer.reasoning) == (output, reasoning)


def test_anthropic_s_thinking_blocks_are_reasoning() -> None:
    """Blocks of type `thinking` in the raw response are the reasoning."""
    raw = {"content": [{"type": "thinking", "thinking": "squeezed"}, {"type": "text", "text": "BUY"}]}
    assert read_answer(ModelResponse("BUY", raw, "claude-haiku-4-5")).reasoning == "squeezed"


# Name of a case -> (content of an answer, whether the answer calls a tool, the answer's text).
CONTENTS: dict[str, tuple[Any, bool, str | None]] = {
    "text": ("BUY", False, "BUY"),
    "no text": ("", False, None),
    "a message": ({"role": "assistant", "content": "BUY"}, False, "BUY"),
    "blocks of text": ([{"type": "text", "text": "BU"}, {"type": "text", "text": "Y"}], False, "BUY"),
    "anthropic: a block": ([{"type": "text", "text": "BUY"}, {"type": "tool_use", "name": "order"}], True, "BUY"),
    "openai: in the message": ({"content": None, "tool_calls": [{"id": "1"}]}, True, None),
    "openai: no calls": ({"content": "BUY", "tool_calls": []}, False, "BUY"),
    "openai, as it once was": ({"content": None, "function_call": {"name": "order"}}, True, None),
    "openai responses": ([{"type": "function_call", "name": "order"}], True, None),
    "gemini: in a part": ([{"functionCall": {"name": "order"}}], True, None),
    "nothing": (None, False, None),
}


@cases("case", CONTENTS)
def test_text_and_tool_calls_are_found_in_any_providers_form(case: str) -> None:
    """An answer's text and its tool calls are found whether its content is a text, a message or a list of blocks."""
    content, calls, text = CONTENTS[case]
    assert (calls_tools(content), text_in(content)) == (calls, text)
