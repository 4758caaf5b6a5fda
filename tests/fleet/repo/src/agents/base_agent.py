"""The base class of the desk's agents."""


class BaseAgent:
    def __init__(self, agent_type):
        self.type = agent_type

    def run(self):
        raise NotImplementedError
