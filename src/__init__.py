"""🌙 Moon Dev's AI trading agents. Built with love by Moon Dev 🚀"""
