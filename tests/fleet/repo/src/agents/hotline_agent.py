"""An agent with two `async def` methods: one makes a blocking call, the other an awaited call."""

import asyncio
import os
import sys
from pathlib import Path

from openai import AsyncOpenAI, OpenAI

sys.path.append(str(Path(__file__).resolve().parents[2]))

from src.config import AI_MAX_TOKENS


class HotlineAgent:
    async def reply(self, question):
        client = OpenAI(api_key=os.environ["OPENAI_KEY"])
        response = client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": question}], max_tokens=AI_MAX_TOKENS
        )
        return response.choices[0].message.content

    async def follow_up(self, question):
        async with AsyncOpenAI(api_key=os.environ["OPENAI_KEY"]) as client:
            response = await client.chat.completions.create(
                model="gpt-5-mini", messages=[{"role": "user", "content": question}]
            )
        return response.choices[0].message.content


async def main():
    agent = HotlineAgent()
    print(await agent.reply("Where is the market?"))
    print(await agent.follow_up("And tomorrow?"))


if __name__ == "__main__":
    asyncio.run(main())
