"""
🌙 Moon Dev's Observability Command
Built with love by Moon Dev 🚀
"""

from .console.app import app

app(prog_name="python -m src.observability")
