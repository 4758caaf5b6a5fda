"""The base class of some agents in this made-up repo."""


class BaseAgent:
    def __init__(self, agent_type):
        self.type = agent_type

    def run(self):
        raise NotImplementedError
