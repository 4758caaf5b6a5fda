"""Estimates of a call's cost: the mean cost of this agent's recent calls of this model, plus their mean deviation.

A call's own limit (`max_tokens`) is not used: answers stay far below it.
"""

from typing import NamedTuple

from .limits import Budget

_WEIGHT = 0.1  # weight of the newest call in the running means
_FEWEST = 3  # after this many calls of a model by an agent, the prompt's size no longer counts in the estimate
_CHARACTERS_PER_TOKEN = 4
_FIRST_ANSWER = 500  # tokens assumed for the answer to an agent's first call of a model
# Amounts assumed for an agent's first call of a model, until `Keeper` has estimated it (after about 15 ms).
_GUESS_USD, _GUESS_TOKENS = 0.01, 1500.0
_USD_PER_TOKEN = 5e-6  # assumed for a model that is not in the price table, until a call of a priced model is counted
_LARGEST_GUESS = 0.01  # a guess is at most this share of the budget


class Usual(NamedTuple):
    """The amounts that one call will probably cost."""

    usd: float = 0.0
    tokens: float = 0.0
    is_known: bool = False

    def amount(self, unit: str) -> float:
        """The call's amount in the unit of a budget."""
        return 1.0 if unit == "calls" else self.usd if unit == "USD" else self.tokens

    def or_guess(self, budget: Budget) -> float:
        """The amount of a call in the budget's unit; a guess if no estimate is known."""
        if self.is_known or budget.unit == "calls":
            return self.amount(budget.unit)
        return min(_GUESS_USD if budget.unit == "USD" else _GUESS_TOKENS, budget.amount * _LARGEST_GUESS)


class _Running:
    """The running mean and mean absolute deviation of one figure, such as the tokens of a call."""

    __slots__ = ("count", "mean", "spread")

    def __init__(self) -> None:
        self.count, self.mean, self.spread = 0, 0.0, 0.0

    def add(self, value: float) -> None:
        self.count += 1
        weight = max(_WEIGHT, 1 / self.count)  # the first ten values have equal weights
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
        return Usual(self.usd.probable, self.tokens.probable, is_known=True)


class Estimates:
    """The estimates of all agents and models. `Keeper` updates them on the recorder's thread; callers read them."""

    def __init__(self) -> None:
        self._by_call: dict[tuple[str | None, str | None], _Figures] = {}
        self._by_model: dict[str | None, _Figures] = {}
        self._first: dict[tuple[str | None, str | None], Usual] = {}
        self._usd = self._tokens = 0.0  # sums over all priced calls, for the mean price per token

    def of(self, agent: str | None, model: str | None) -> Usual:
        """The probable amounts of an agent's call of a model; zero, with `is_known` false, if nothing is known yet."""
        own = self._by_call.get((agent, model))
        if own is not None and own.usd.count >= _FEWEST:
            return own.usual()
        figures = own or (self._by_model.get(model) if model is not None else None)
        if figures is None:
            return self._first.get((agent, model), Usual())
        usual = figures.usual()
        first = self._first.get((agent, model), usual)
        return Usual(max(usual.usd, first.usd), max(usual.tokens, first.tokens), is_known=True)

    def learn(self, agent: str | None, model: str | None, usd: float, tokens: float) -> None:
        """Add the actual amounts of a finished call to the means."""
        own = self._by_call.setdefault((agent, model), _Figures())
        for figures in (own, self._by_model.setdefault(model, _Figures())):
            figures.usd.add(usd)
            figures.tokens.add(tokens)

    def note_price(self, usd: float, tokens: float) -> None:
        """Include a priced call in the mean price per token; any process may have made the call."""
        self._usd += usd
        self._tokens += tokens

    @property
    def usd_per_token(self) -> float:
        """The mean price (USD) per token of all priced calls so far; `_USD_PER_TOKEN` before the first."""
        return self._usd / self._tokens if self._usd and self._tokens else _USD_PER_TOKEN

    def set_first_estimate(self, agent: str | None, model: str | None, size: int, usd: float | None) -> None:
        """Estimate an agent's first call of a model from the size of its prompt.

        Args:
            agent: the agent.
            model: the requested model.
            size: characters of the prompt.
            usd: cost by the price table; None if the model has no price.
        """
        tokens = size / _CHARACTERS_PER_TOKEN + _FIRST_ANSWER
        usd = tokens * self.usd_per_token if usd is None else usd
        self._first[agent, model] = Usual(usd, tokens, is_known=True)


def first_buckets(size: int) -> dict[str, int]:
    """The tokens assumed for an agent's first call of a model, by kind of token as `recording.price` expects them."""
    return {"input": size // _CHARACTERS_PER_TOKEN, "output": _FIRST_ANSWER}
