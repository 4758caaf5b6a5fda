"""An agent that imports nothing of `src`, so that it is observed only if it is started with `run`."""

import os

import openai

client = openai.OpenAI(api_key=os.environ["OPENAI_KEY"])


class AloneAgent:
    def run_once(self):
        response = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Buy?"}])
        print("📞", response.choices[0].message.content)


if __name__ == "__main__":
    AloneAgent().run_once()
