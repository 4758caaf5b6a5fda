"""The dashboard "Trading agents" in Langfuse: its widgets, and the API that creates them."""
