"""The most probable cost of a call: what this agent's recent calls of this model did cost, plus their usual spread.

The limit that a call sets (`max_tokens`) is no estimate: answers stay far below it.
"""

from typing import NamedTuple

from .limits import Budget

_WEIGHT = 0.1  # of the newest call in the running means
_FEWEST = 3  # calls, before an agent's own mean stands for itself
_CHARACTERS_PER_TOKEN = 4
_FIRST_ANSWER = 500  # tokens of a first answer, of which nothing is known
# A call until the keeper has priced it, some 15 ms after the first of its kind.
_GUESS_USD, _GUESS_TOKENS, _LARGEST_GUESS = 0.01, 1500.0, 0.01  # the last one: share of a budget


class Usual(NamedTuple):
    """The probable amounts of one call."""

    usd: float = 0.0
    tokens: float = 0.0
    is_known: bool = False

    def amount(self, unit: str) -> float:
        """The amount in a budget's unit."""
        return 1.0 if unit == "calls" else self.usd if unit == "USD" else self.tokens

    def or_guess(self, budget: Budget) -> float:
        """The amount of a call in the budget's unit, also where nothing is known of such calls yet."""
        if self.is_known or budget.unit == "calls":
            return self.amount(budget.unit)
        return min(_GUESS_USD if budget.unit == "USD" else _GUESS_TOKENS, budget.amount * _LARGEST_GUESS)


class _Running:
    """A running mean and mean deviation of one figure."""

    __slots__ = ("count", "mean", "spread")

    def __init__(self) -> None:
        self.count, self.mean, self.spread = 0, 0.0, 0.0

    def add(self, value: float) -> None:
        self.count += 1
        weight = max(_WEIGHT, 1 / self.count)  # the first ones count alike
        deviation = value - self.mean
        self.spread += weight * (abs(deviation if self.count > 1 else 0.0) - self.spread)
        self.mean += weight * deviation

    @property
    def probable(self) -> float:
        return self.mean + self.spread


class _Figures:
    __slots__ = ("tokens", "usd")

    def __init__(self) -> None:
        self.usd, self.tokens = _Running(), _Running()

    def usual(self) -> Usual:
        return Usual(self.usd.probable, self.tokens.probable, is_known=self.usd.count > 0)


class Estimates:
    """Learns on the keeper's thread; read on the callers'."""

    def __init__(self) -> None:
        self._by_call: dict[tuple[str | None, str | None], _Figures] = {}
        self._by_model: dict[str | None, _Figures] = {}
        self._first: dict[tuple[str | None, str | None], Usual] = {}
        self._usd = self._tokens = 0.0  # of all priced calls

    def of(self, agent: str | None, model: str | None) -> Usual:
        """The probable amounts of a call; zero and unknown before the first one is priced."""
        own = self._by_call.get((agent, model))
        if own is not None and own.usd.count >= _FEWEST:
            return own.usual()
        others = self._by_model.get(model) if model is not None else None
        if own is None and others is None:
            return self._first.get((agent, model), Usual())
        usual = (own or others or _Figures()).usual()
        first = self._first.get((agent, model), usual)
        return Usual(max(usual.usd, first.usd), max(usual.tokens, first.tokens), is_known=True)

    def learn(self, agent: str | None, model: str | None, usd: float, tokens: float) -> None:
        """Take a call's real amounts into the means."""
        own = self._by_call.setdefault((agent, model), _Figures())
        for figures in (own, self._by_model.setdefault(model, _Figures())):
            figures.usd.add(usd)
            figures.tokens.add(tokens)

    def note_price(self, usd: float, tokens: float) -> None:
        """Take a priced call of any process into the mean price."""
        self._usd += usd
        self._tokens += tokens

    @property
    def usd_per_token(self) -> float | None:
        """The mean price of the calls so far; None before a priced one."""
        return self._usd / self._tokens if self._usd and self._tokens else None

    def suppose(self, agent: str | None, model: str | None, size: int, usd: float | None) -> None:
        """Suppose the amounts of an agent's first call of a model.

        Args:
            agent: the agent.
            model: the requested model.
            size: characters of the prompt.
            usd: by the price table; None where it has no price.
        """
        tokens = size / _CHARACTERS_PER_TOKEN + _FIRST_ANSWER
        self._first[agent, model] = Usual(usd or 0.0, tokens, is_known=True)


def first_buckets(size: int) -> dict[str, int]:
    """The supposed tokens of a first call, as `recording.price` takes them."""
    return {"input": size // _CHARACTERS_PER_TOKEN, "output": _FIRST_ANSWER}
