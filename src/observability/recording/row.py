"""Turns an observation into its journal row, on the recorder's thread.

Arguments are bound, the answer is read, every field is redacted, tokens are counted and priced. A row is a dictionary
with one key for each column of the journal.
"""

import math
import time
from typing import Any

from .. import settings
from ..background import yielding
from ..internal_errors import guarded
from ..journal import OBSERVATION_COLUMNS, Kind, Row, columns_of, json_text, windows
from ..redaction import Redactor, redact
from ..tracing import ENVIRONMENT, IMMUTABLE, Observation, Reply, experiment_of, field_of, has_class, without_media
from . import cost
from .answer import Answer, calls_tools, read_answer
from .requests import complete, is_over_requests
from .usage import add_buckets, counts_thinking_beside, usage_buckets

# Maps arguments of `generate_response` to the roles of the messages that they become.
_MESSAGES = {"system_prompt": "system", "user_content": "user"}
_LONGEST_SECRET = 4096  # in characters; even the longest common secrets, private keys in PEM, are shorter
_MAX_PARAMETER = 200  # limit in characters: a longer argument is taken for a prompt, not a parameter


def row_of(observation: Observation) -> Row:
    """Return the journal row of an observation. The row of a running observation has no output and no end yet."""
    complete(observation)
    result = observation.output if _has_answer(observation) else _last(observation.replies)
    answer = read_answer(result)
    bound = _bound(observation)
    parameters = _parameters(observation, bound)
    requested = observation.model or _text_attribute(observation.owner, "model_name")
    model = answer.model or requested
    provider = observation.provider or _text_attribute(observation.owner, "model_type")
    row = {
        **_identity(observation),
        **_times(observation),
        **_circumstances(),
        **_UNLINKED,
        "provider": provider,
        "model": model,
        "model_requested": requested or model,
        "model_parameters": parameters,
        "input": without_media(_input_of(observation, bound, parameters)),
        "output": without_media(_output_of(observation, answer)),
        "metadata": _metadata_of(observation, answer),
        "tags": observation.tags,
        **_level(observation, answer),
        **_experiment_of(observation),
        **_prompt_of(observation),
    }
    if is_over_requests(observation):
        row |= {"provider": None, "model": None, "model_requested": None}  # only the requests' rows name the model
    _clean(row)
    if observation.type not in ("generation", "embedding"):
        return row | _NO_COST
    answers = [answer if paid is result else read_answer(paid) for paid in _paid_for(observation)]
    return row | _tokens_and_cost(answers, provider, model)


_NO_COST: Row = {"usage": None, "cost": None, "cost_usd": None, "cost_source": None}


_UNLINKED: Row = dict.fromkeys(("prompt_name", "prompt_version", "experiment"))


def placeholder_row(observation: Observation, error: Exception) -> Row:
    """Return a row for an observation that could not be read. It has the observation's ids and times, and the error."""
    nothing = dict.fromkeys(OBSERVATION_COLUMNS)
    why = f"[NOT RECORDED: {type(error).__name__}]"
    row = {**nothing, **_identity(observation), **_times(observation), **_circumstances()}
    row |= {"level": "WARNING", "status_message": why}
    _clean(row)
    return row


def scores_of(observation: Observation, row: Row) -> list[Row]:
    """Return the journal rows of a signal's scores.

    The confidence belongs to the generation that made the decision, the other scores to the signal itself.
    """
    if observation.type == "generation" and observation.ended is not None:
        observation.root.last_call = observation.hex_id
    places = {"signal_confidence": _decider_of(observation)} if observation.scores else {}
    return [_score_row(score, row, places.get(score.name) or row["id"]) for score in observation.scores]


def _decider_of(signal: Observation) -> str | None:
    """The id of the generation that led to a signal: the generation that contains the signal, else the last one.

    None if the trace has no generation.
    """
    around = signal.parent
    while around is not None and around.type != "generation" and not around.requests:
        around = around.parent
    if around is None:
        return signal.root.last_call
    requests = around.requests or ()
    # If there are several requests, each has its own row; a single request shares the row of its call.
    return requests[-1].hex_id if len(requests) > 1 else around.hex_id


def _score_row(score: Any, row: Row, place: str) -> Row:
    numeric = isinstance(score.value, int | float)
    return {
        "id": score.id,
        "trace_id": row["trace_id"],
        "observation_id": place,
        "name": score.name,
        "data_type": "NUMERIC" if numeric else "CATEGORICAL",
        "value": score.value if numeric else _encodable(redact(score.value)),
        "comment": _encodable(redact(score.comment)),
        "environment": row["environment"],
        "session_id": row["session_id"],
        "timestamp_ns": row["end_ns"],
    }


def _identity(observation: Observation) -> Row:
    root = observation.root
    return {
        "id": observation.hex_id,
        "trace_id": observation.hex_trace_id,
        "parent_id": observation.hex_parent_id,
        "is_root": int(observation.parent is None),
        "type": observation.type,
        "name": observation.name,
        "trace_name": root.agent or root.name,
        "agent": observation.agent,
    }


_CLOCK_STEP_NS = 1_000_000
_clock_offset = 0


def _times(observation: Observation) -> Row:
    """The times of an observation in Unix ns: the readings of the monotonic clock plus its offset to the wall clock."""
    global _clock_offset
    offset = time.time_ns() - time.perf_counter_ns()
    # A small change is ignored: with a changed offset, a child could seem to start before its parent.
    if abs(offset - _clock_offset) > _CLOCK_STEP_NS:
        _clock_offset = offset
    return {
        "start_ns": observation.started + _clock_offset,
        "first_token_ns": None if observation.first_token is None else observation.first_token + _clock_offset,
        "end_ns": None if observation.ended is None else observation.ended + _clock_offset,
    }


def _circumstances() -> Row:
    return {
        "session_id": settings.read("LANGFUSE_SESSION_ID"),
        "user_id": settings.read("LANGFUSE_USER_ID"),
        "environment": settings.read("LANGFUSE_TRACING_ENVIRONMENT") or "default",
        "release": settings.read("LANGFUSE_RELEASE"),
    }


def _bound(observation: Observation) -> dict[str, Any]:
    if observation.bind is None:
        return {}
    try:
        return observation.bind(observation.args, observation.kwargs)
    except TypeError:  # the arguments do not fit the function, so the call itself raised TypeError too
        return {"args": list(observation.args), "kwargs": observation.kwargs}


def _parameters(observation: Observation, bound: dict[str, Any]) -> dict[str, Any] | None:
    """The parameters that `src/models` reported; if none, the call's arguments of up to `_MAX_PARAMETER` characters."""
    if observation.model_parameters is not None:
        return observation.model_parameters
    if observation.type not in ("generation", "embedding"):
        return None
    return {
        name: value
        for name, value in bound.items()
        if name not in _MESSAGES and type(value) in IMMUTABLE and value is not None and _is_short(value)
    } or None


def _is_short(value: Any) -> bool:
    is_text = isinstance(value, str | bytes)
    return (not is_text or len(value) <= _MAX_PARAMETER) and len(str(value)) <= _MAX_PARAMETER


def _input_of(observation: Observation, bound: dict[str, Any], parameters: dict[str, Any] | None) -> Any:
    if observation.input is not None or not bound:
        return observation.input
    if observation.type != "generation" and not is_over_requests(observation):
        return bound
    if _MESSAGES.keys() & bound.keys():
        return [{"role": role, "content": bound[name]} for name, role in _MESSAGES.items() if name in bound]
    return {name: value for name, value in bound.items() if name not in (parameters or {})} or None


def _has_answer(observation: Observation) -> bool:
    return isinstance(observation.output, Reply) or not observation.replies


def _last(replies: tuple[Any, ...]) -> Any:
    return replies[-1] if replies else None


def _output_of(observation: Observation, answer: Answer) -> Any:
    if not observation.capture_output:
        return None
    if (called := _tool_calls_of(observation)) is not None:
        return called
    if observation.pieces:
        return _stream_of(observation.pieces, observation.pieces_left_out)
    if isinstance(observation.output, Reply) or observation.output is None:
        return answer.output
    return observation.output


def _tool_calls_of(observation: Observation) -> Any:
    """The content of the provider's answer, if it calls tools and the call returned only its text; else None."""
    request = observation.request
    answer = request.output if request is not None else None
    returns_text = observation.pieces or observation.output is None or isinstance(observation.output, Reply)
    return answer.content if returns_text and isinstance(answer, Reply) and calls_tools(answer.content) else None


def _stream_of(pieces: list[Any], left_out: int) -> Any:
    """The text of a stream.

    If pieces were left out, the last characters are removed too: half a secret at the end would not be masked.
    """
    rest = [f"[{left_out} more]"] if left_out else []
    if not all(isinstance(piece, str) for piece in pieces):
        return [*pieces, *rest]
    text = "".join(pieces)
    return "".join([text[:-_LONGEST_SECRET], *rest]) if left_out else text


def _metadata_of(observation: Observation, answer: Answer) -> dict[str, Any]:
    details = {"finish_reason": answer.finish_reason, "reasoning": answer.reasoning}
    if not observation.capture_output:
        details["reasoning"] = None
    return {**(observation.metadata or {}), **{name: value for name, value in details.items() if value is not None}}


def _experiment_of(observation: Observation) -> Row:
    """The columns `experiment` and `environment` if the trace is part of a Langfuse experiment; else no columns."""
    parent = observation.root.foreign_parent
    experiment = None if parent is None else experiment_of(parent)
    if not experiment or experiment.keys() == {ENVIRONMENT}:
        return {}
    environment = experiment.pop(ENVIRONMENT, None)
    return {"experiment": experiment, **({"environment": environment} if environment else {})}


def _prompt_of(observation: Observation) -> Row:
    """The columns of a call's prompt in Langfuse: the last prompt that was used in a scope containing the call."""
    prompt = observation.prompt if observation.type in ("generation", "embedding") else None
    while prompt is not None and prompt.scope is not None and not _is_inside(observation, prompt.scope):
        prompt = prompt.outer
    return {} if prompt is None else {"prompt_name": prompt.name, "prompt_version": prompt.version}


def _is_inside(observation: Observation | None, scope: Observation) -> bool:
    while observation is not None and observation is not scope:
        observation = observation.parent
    return observation is not None


def _level(observation: Observation, answer: Answer) -> Row:
    level, message = observation.level, observation.status_message
    if level is None and observation.failure is not None and observation.output is None:
        level, message = "ERROR", observation.failure
    is_answered = observation.type == "generation" and observation.ended is not None
    if level is None and is_answered and not observation.pieces and answer.output is None:
        level, message = "WARNING", "the model gave no answer"
    if observation.ended is not None and observation.type in ("generation", "agent"):
        _note_failure(observation, message if level == "ERROR" else None)
    return {"level": level or "DEFAULT", "status_message": message}


def _note_failure(observation: Observation, message: str | None) -> None:
    """Note in an agent's cycle how its latest call failed, or None if the call succeeded.

    A cycle without a result counts as failed if its last call failed.
    """
    cycle = observation.parent
    while cycle is not None and cycle.type != "agent":
        cycle = cycle.parent
    if cycle is not None:
        cycle.failure = message


def _tokens_and_cost(answers: list[Answer], provider: str | None, model: str | None) -> Row:
    buckets, reported = _usage_of(answers, provider)
    priced = None
    with guarded:
        if buckets is not None or reported is not None:
            priced = cost.price(provider, model, buckets, reported=reported)
    return {
        "usage": None if buckets is None else json_text(buckets),
        "cost": None if priced is None else json_text(priced.details),
        "cost_usd": None if priced is None else priced.details["total"],
        "cost_source": None if priced is None else priced.source,
    }


def _usage_of(answers: list[Answer], provider: str | None) -> tuple[dict[str, int] | None, float | None]:
    """The tokens and the cost that the provider reported, each summed over all answers that a call paid for."""
    buckets: dict[str, int] | None = None
    is_apart = counts_thinking_beside(provider)
    for answer in answers:
        tokens = usage_buckets(answer.usage, provider=provider) if is_apart else answer.buckets
        buckets = add_buckets(buckets, tokens) if buckets and tokens else tokens or buckets
    reported = [answer.reported_cost for answer in answers if answer.reported_cost is not None]
    return buckets, sum(reported) if reported else None


def _paid_for(observation: Observation) -> list[Any]:
    """The answers that a call paid for.

    If the call's request was observed, this is only the answer to the request. Otherwise, these are the answers of the
    calls inside this call. This call's own answer is added if there are no others, or if they do not report its usage.
    """
    if observation.request is not None:
        return [observation.request.output]
    own, inner = observation.output, list(observation.replies)
    if not isinstance(own, Reply):
        return inner or [own]
    handed_on = any(own.usage is None or own.usage == reply.usage for reply in inner if isinstance(reply, Reply))
    return inner if handed_on else [*inner, own]


def _text_attribute(owner: Any, name: str) -> str | None:
    if owner is None:
        return None
    value = field_of(owner, name)
    if value is None and has_class(type(owner), "models.base_model", "BaseModel"):
        with guarded:
            value = getattr(owner, name, None)  # reads properties such as `model_type` too, unlike `field_of`
    return value if isinstance(value, str) else None


_NAMES, _JSON_COLUMNS = columns_of(Kind.NAME), columns_of(Kind.JSON)
_MADE_HERE = columns_of(Kind.ID) | {"is_root", "start_ns", "first_token_ns", "end_ns"}
_MAX_NAME = 200  # limit in characters of a column that holds a name


def _clean(row: Row) -> None:
    """Redact all values of a row except ids and times, together in one search. Then encode the JSON columns."""
    read = [name for name, value in row.items() if value is not None and name not in _MADE_HERE]
    clean = Redactor().redact_all([row[name] for name in read])
    for name, value in zip(read, clean, strict=True):
        if name in _JSON_COLUMNS:
            value = _json(value)
        elif name in _NAMES:
            value = value[:_MAX_NAME]
        row[name] = value if type(value) is str and value.isascii() else _encodable(value)


def _encodable(value: Any) -> Any:
    """Make a text valid for SQLite and protobuf by joining surrogate pairs and replacing lone surrogates by U+FFFD."""
    if not isinstance(value, str) or value.isascii():
        return value
    found = [*windows(value)]
    clean = [*yielding(map(_without_surrogates, found))]
    return value if clean == found else "".join(clean)


def _without_surrogates(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _json(value: Any) -> str | None:
    if value is None:
        return None
    try:
        return json_text(value)
    except ValueError:  # the value contains NaN or infinity, which JSON does not allow
        return json_text(_finite(value))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
