"""OpenAI's model: after an empty answer it sends a second request, without the system message."""

from openai import OpenAI

from .base_model import BaseModel, ModelResponse


class OpenAIModel(BaseModel):
    base_url = None

    def initialize_client(self, **kwargs):
        self.client = OpenAI(api_key=self.api_key, base_url=self.base_url, **kwargs)

    def generate_response(self, system_prompt, user_content, temperature=0.7, max_tokens=None, **kwargs):
        messages = [{"role": "system", "content": system_prompt}, {"role": "user", "content": user_content}]
        response = self._ask(messages, temperature, max_tokens, **kwargs)
        if not response.choices[0].message.content:
            again = [{"role": "user", "content": f"Instructions: {system_prompt}\n\nInput: {user_content}"}]
            response = self._ask(again, temperature, max_tokens, **kwargs)
        content = (response.choices[0].message.content or "").strip()
        return ModelResponse(content, response, self.model_name, response.usage.model_dump())

    def _ask(self, messages, temperature, max_tokens, **kwargs):
        return self.client.chat.completions.create(
            model=self.model_name, messages=messages, temperature=temperature, max_tokens=max_tokens or 256, **kwargs
        )
