"""Models of the desk."""

from .model_factory import ModelFactory, model_factory

__all__ = ["ModelFactory", "model_factory"]
