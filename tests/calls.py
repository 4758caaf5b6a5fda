"""A traced function for tests, which stands for a model call and answers at once."""

from src.observability import observe_llm


@observe_llm(name="llm_generation")
def ask(prompt: str) -> str:
    """Stand for a model call that answers BUY at once."""
    return "BUY"
