"""What listeners preferred, in memory."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from kuaimei.errors import NotFound
from kuaimei.store.listening_tests import Choice, Kind, Tally, Trial

__all__ = ["MemoryPreferences"]


@dataclass
class MemoryPreferences:
    """Trials as they are made.

    Args:
        comparable: Id of a reply with both tiers, of the owner it is given.
    """

    comparable: Callable[[str], str | None] = lambda owner: None
    trials: dict[str, Trial] = field(default_factory=dict)

    async def comparable_reply(self, owner: str) -> str | None:
        return self.comparable(owner)

    async def begin(
        self, owner: str, kind: Kind, first: str, second: str, *, swapped: bool, utterance: str | None = None
    ) -> Trial:
        if kind == "voices" and first > second:
            first, second, swapped = second, first, not swapped
        name = f"trial_{len(self.trials) + 1}"
        self.trials[name] = Trial(name, owner, kind, first, second, swapped, utterance, None, "", None)
        return self.trials[name]

    async def trial(self, trial: str, owner: str) -> Trial:
        found = self.trials.get(trial)
        if found is None or found.owner != owner:
            raise NotFound(f"there is no comparison {trial}")
        return found

    async def judge(self, trial: str, owner: str, choice: Choice, remark: str = "") -> Trial | None:
        found = await self.trial(trial, owner)
        if found.choice is not None:
            return None
        at = datetime(2026, 3, 1, tzinfo=UTC)
        self.trials[trial] = replace(found, choice=choice, remark=remark.strip(), judged_at=at)
        return self.trials[trial]

    async def judged(self, owner: str) -> Sequence[Trial]:
        return [trial for trial in self.trials.values() if trial.owner == owner and trial.choice]

    async def tallies(self, owner: str) -> Sequence[Tally]:
        counts: dict[tuple[Kind, str, str], Counter[str | None]] = {}
        for trial in await self.judged(owner):
            counts.setdefault((trial.kind, trial.first, trial.second), Counter())[trial.preferred] += 1
        return [
            Tally(kind, first, second, found[first], found[second], found[None])
            for (kind, first, second), found in sorted(counts.items())
        ]

    async def forget(self, owner: str) -> None:
        for trial in [trial for trial in self.trials.values() if trial.owner == owner]:
            del self.trials[trial.id]
