"""
🌙 Moon Dev's Observability Command
Built with love by Moon Dev 🚀
"""

from src.observability.cli import app

app(prog_name="python -m src.observability")
