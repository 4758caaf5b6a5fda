"""A model of this repo that answers at once, at a known price: 0.01 USD per call."""

from types import SimpleNamespace
from typing import Any

from src.models.base_model import BaseModel

INPUT, OUTPUT = 1000, 750  # tokens of a call
USD = (INPUT * 2.5 + OUTPUT * 10) / 1e6  # at gpt-4o's price: 0.01


class PricedModel(BaseModel):
    """Answers as gpt-4o, whatever model is requested."""

    model_type = "openai"
    AVAILABLE_MODELS = {"gpt-4o": "", "gpt-4o-mini": "cheaper"}  # noqa: RUF012

    def __init__(self, model_name: str = "gpt-4o") -> None:
        self.model_name = model_name
        self.asked: list[str] = []
        super().__init__("key")

    def initialize_client(self, **_kwargs: Any) -> None:
        """No client is needed: `_send` answers."""
        self.client = object()

    def is_available(self) -> bool:
        """Always available."""
        return True

    def _send(self, request: dict[str, Any]) -> Any:
        self.asked.append(request["model"])
        choice = SimpleNamespace(message=SimpleNamespace(content="BUY", role="assistant"), finish_reason="stop")
        usage = {"prompt_tokens": INPUT, "completion_tokens": OUTPUT, "total_tokens": INPUT + OUTPUT}
        return SimpleNamespace(choices=[choice], model=request["model"], usage=usage)
