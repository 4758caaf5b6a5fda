"""The agents' settings. The addresses are plain http, because the test's proxy answers for every host."""

import re

DEEPSEEK_URL = "http://api.deepseek.com"
XAI_URL = "http://api.x.ai/v1"
OPENROUTER_URL = "http://openrouter.ai/api/v1"
AI_MAX_TOKENS = 128
AI_TEMPERATURE = 0.7
