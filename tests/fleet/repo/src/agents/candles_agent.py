"""An agent that gets a model from `model_factory`, and sends an image through the model's SDK client."""

import base64
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from src.models import model_factory

PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(64)).decode()


class CandlesAgent:
    def look(self):
        model = model_factory.get_model("openai", "gpt-4o")
        response = model.client.chat.completions.create(
            model=model.model_name,
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Which pattern is this?"},
                        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
                    ],
                }
            ],
            max_tokens=300,
        )
        print(response.choices[0].message.content)


if __name__ == "__main__":
    CandlesAgent().look()
