"""A traced call for tests, of a model that answers at once."""

from src.observability import observe_llm


@observe_llm(name="llm_generation")
def ask(prompt: str) -> str:
    """Make a model call that answers at once."""
    return "BUY"
