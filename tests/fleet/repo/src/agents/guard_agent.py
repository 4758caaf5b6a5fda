"""A risk agent that swallows its models' exceptions, and goes on."""

import os
import sys
from pathlib import Path

from openai import BadRequestError, OpenAI

sys.path.append(str(Path(__file__).resolve().parents[2]))

from src.models import model_factory


class GuardAgent:
    def check(self, name):
        try:
            client = OpenAI(api_key=os.environ["OPENAI_KEY"])
            answer = client.chat.completions.create(model=name, messages=[{"role": "user", "content": "Close all?"}])
        except BadRequestError as error:
            print(f"❌ {type(error).__name__} {error.status_code}: {error}")
            return "keep"
        except Exception as error:
            print(f"❌ {type(error).__name__}: {error}")
            return "close"
        return answer.choices[0].message.content


if __name__ == "__main__":
    agent = GuardAgent()
    print([agent.check(name) for name in ("refused", "gpt-4o", "broken")])
    print(model_factory.get_model("groq", "llama-3.3-70b-versatile").generate_response("Words", "Close all?").content)
