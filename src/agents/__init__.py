"""
🌙 Moon Dev's Agents
Built with love by Moon Dev 🚀
"""
