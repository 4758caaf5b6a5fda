"""The base class of the models that `model_factory` gives to agents."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any


@dataclass
class ModelResponse:
    content: str
    raw_response: Any
    model_name: str
    usage: Any = None


class BaseModel(ABC):
    def __init__(self, api_key, model_name, **kwargs):
        self.model_name = model_name
        self.api_key = api_key
        self.client = None
        self.initialize_client(**kwargs)

    @abstractmethod
    def initialize_client(self, **kwargs):
        """Create `self.client`."""

    @abstractmethod
    def generate_response(self, system_prompt, user_content, temperature=0.7, max_tokens=None):
        """Call the model once."""
