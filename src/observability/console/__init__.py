"""
🌙 Moon Dev's Operator Console
Built with love by Moon Dev 🚀

What `python -m src.observability` shows: `queries.py` asks the journal, the other files draw what it says.
"""
