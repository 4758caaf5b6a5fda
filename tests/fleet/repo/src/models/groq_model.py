"""Groq's model, which sends a greeting to its provider when it is built."""

from groq import Groq

from .base_model import BaseModel, ModelResponse


class GroqModel(BaseModel):
    def initialize_client(self, **kwargs):
        self.client = Groq(api_key=self.api_key, **kwargs)
        self.client.chat.completions.create(
            model=self.model_name, messages=[{"role": "user", "content": "Hello"}], max_tokens=10
        )

    def generate_response(self, system_prompt, user_content, temperature=0.7, max_tokens=None):
        response = self.client.chat.completions.create(
            model=self.model_name,
            messages=[{"role": "system", "content": system_prompt}, {"role": "user", "content": user_content}],
            temperature=temperature,
            max_tokens=max_tokens,
        )
        return ModelResponse(response.choices[0].message.content.strip(), response, self.model_name, response.usage)
