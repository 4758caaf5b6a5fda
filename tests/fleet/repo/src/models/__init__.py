"""The models that `model_factory` gives to agents."""

from .model_factory import ModelFactory, model_factory

__all__ = ["ModelFactory", "model_factory"]
