"""The model class for Anthropic's Claude."""

from anthropic import Anthropic

from .base_model import BaseModel, ModelResponse


class ClaudeModel(BaseModel):
    def initialize_client(self, **kwargs):
        self.client = Anthropic(api_key=self.api_key, **kwargs)

    def generate_response(self, system_prompt, user_content, temperature=0.7, max_tokens=1024):
        response = self.client.messages.create(
            model=self.model_name,
            max_tokens=max_tokens,
            system=system_prompt,
            messages=[{"role": "user", "content": user_content}],
            extra_body={"temperature": temperature},  # not an argument: the newest SDK has no `temperature`
        )
        return ModelResponse(response.content[0].text.strip(), response, self.model_name, response.usage)
