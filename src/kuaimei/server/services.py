"""What the server needs of the server it opens to the world; the wiring provides it."""

from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol

from kuaimei.analysis.service import AnalysisService
from kuaimei.dialogue.conversation import Conversation
from kuaimei.dialogue.engines import Engines
from kuaimei.dialogue.events import Observer
from kuaimei.dialogue.reply_options import ReplyOptions
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import Message
from kuaimei.models.source import EngineSource
from kuaimei.rendering.hq_tier import HqTier
from kuaimei.server.owners import ClonedVoices, KeyStore, PeopleStore
from kuaimei.settings import Settings
from kuaimei.store import ratings
from kuaimei.store.analyses import Analysis
from kuaimei.store.deletions import Deletion, DeletionKind
from kuaimei.store.erasure_check import Leftover
from kuaimei.store.listening_tests import Choice, Kind, Tally, Trial
from kuaimei.store.rows import Audio, Health, SessionRow, Statistics, TurnRow, UtteranceRow
from kuaimei.store.score_history import NEWEST, Cohort, ScoreCursor, ScorePoint
from kuaimei.store.utterance_record import LOCAL, Tier
from kuaimei.system.supervision import Supervisor
from kuaimei.voices.library import VoiceLibrary

__all__ = [
    "Analyses",
    "AppRuntime",
    "ClonedVoices",
    "ConversationStore",
    "KeyStore",
    "ListeningTestStore",
    "PeopleStore",
    "RatingStore",
    "ScoreHistoryReader",
]


class ListeningTestStore(Protocol):
    """What listeners preferred (`kuaimei.store.listening_tests.ListeningTests`, whose words apply)."""

    async def comparable_reply(self, owner: str) -> str | None:
        """A reply of which both tiers are there whole."""
        ...

    async def begin(
        self, owner: str, kind: Kind, first: str, second: str, *, swapped: bool, utterance: str | None = None
    ) -> Trial:
        """A new trial; `NotFound` if what it is about is gone."""
        ...

    async def trial(self, trial: str, owner: str) -> Trial:
        """One of this owner's; `NotFound` if there is none."""
        ...

    async def judge(self, trial: str, owner: str, choice: Choice, remark: str = "") -> Trial | None:
        """Note what was chosen; None: that was done already."""
        ...

    async def judged(self, owner: str) -> Sequence[Trial]:
        """All judgements, oldest first."""
        ...

    async def tallies(self, owner: str) -> Sequence[Tally]:
        """Judgements by pair."""
        ...

    async def forget(self, owner: str) -> None:
        """All of the owner's are gone."""
        ...


class Analyses(Protocol):
    """How people spoke (`kuaimei.store.analyses.AnalysisRepository`, whose words apply)."""

    async def get(self, utterance: str) -> Analysis:
        """Of one utterance; `NotFound` if it is not analysed (yet)."""
        ...

    async def of(self, ids: Collection[str], *, contours: bool = False) -> Sequence[Analysis]:
        """Of those of the utterances that are analysed, in no order."""
        ...


class ScoreHistoryReader(Protocol):
    """Earlier scores (`kuaimei.store.score_history.ScoreHistory`, whose words apply)."""

    async def newest(
        self, group: Cohort, *, before: ScoreCursor | None = None, limit: int = NEWEST
    ) -> Sequence[ScorePoint]:
        """The newest of a group, in the order in which they were said."""
        ...


class RatingStore(Protocol):
    """How listeners rated what people said (`kuaimei.store.ratings.RatingStore`, whose words apply)."""

    async def next(self, owner: str, rater: str, *, skipped: Sequence[str] = ()) -> str | None:
        """An utterance that the rater has not rated; None: all are."""
        ...

    async def rate(self, utterance: str, owner: str, rater: str, marks: ratings.RatingScores) -> None:
        """Note what the rater says; `NotFound` if the utterance is gone."""
        ...

    async def tally(self, owner: str, rater: str) -> ratings.RatingProgress:
        """How far the rater is."""
        ...

    async def all(self, owner: str) -> Sequence[ratings.Rating]:
        """Every rating."""
        ...

    async def forget(self, owner: str) -> None:
        """All of the owner's are gone."""
        ...


class ConversationStore(Protocol):
    """What is kept of earlier conversations (`kuaimei.store.Store`, whose words apply)."""

    @property
    def preferences(self) -> ListeningTestStore:
        """What listeners preferred."""
        ...

    @property
    def analyses(self) -> Analyses:
        """How people spoke."""
        ...

    @property
    def peers(self) -> ScoreHistoryReader:
        """The earlier scores of the same person or voice."""
        ...

    @property
    def ratings(self) -> RatingStore:
        """How listeners rated it."""
        ...

    @property
    def voices(self) -> ClonedVoices:
        """Which are cloned, as they are kept."""
        ...

    @property
    def people(self) -> PeopleStore:
        """To whom it belongs."""
        ...

    @property
    def keys(self) -> KeyStore:
        """By which they come in."""
        ...

    async def health(self) -> Health:
        """Whether database and recordings can be used now."""
        ...

    async def statistics(self) -> Statistics:
        """How much is kept."""
        ...

    async def ensure_session(
        self, session: str, client: dict[str, Any] | None = None, *, owner: str = LOCAL
    ) -> None:
        """Make the session unless it is there."""
        ...

    async def sessions(
        self, limit: int = 50, *, before: str | None = None, search: str = "", owner: str | None = None
    ) -> Sequence[SessionRow]:
        """The newest first."""
        ...

    async def session(self, session: str) -> SessionRow:
        """One of them; `NotFound` if there is none."""
        ...

    async def utterances(
        self, session: str, limit: int | None = None, *, after: UtteranceRow | None = None
    ) -> Sequence[UtteranceRow]:
        """What was said in a session, in order."""
        ...

    async def latest(self, session: str, limit: int) -> Sequence[UtteranceRow]:
        """The last that were said in a session, in order."""
        ...

    async def utterance(self, utterance: str) -> UtteranceRow:
        """One of them; `NotFound` if there is none."""
        ...

    async def turns(self, session: str, limit: int | None = None, *, after: int = -1) -> Sequence[TurnRow]:
        """Timings and failures, in order."""
        ...

    async def history(self, session: str) -> Sequence[Message]:
        """What was said and really heard."""
        ...

    async def last_turn(self, session: str) -> int:
        """Number of the latest turn; 0 if there is none."""
        ...

    async def open_audio(
        self, utterance: str, start: int = 0, end: int | None = None, *, tier: Tier = "fast"
    ) -> Audio:
        """The recording as FLAC, or a part of its bytes; `NotFound` if there is none."""
        ...

    async def rename_session(self, session: str, title: str) -> None:
        """Give it a title; `NotFound` if there is none."""
        ...

    async def retry_rendering(self, utterance: str) -> None:
        """Have a reply rendered a second time by what renders now; `NotFound` if it is none."""
        ...

    async def delete_session(self, session: str) -> bool:
        """Delete all of it; False: that goes on, out of sight. `NotFound` if there is none."""
        ...

    async def renew_statistics(self) -> None:
        """What the database remembers of what was in it is forgotten."""
        ...

    async def unfinished_deletions(self, owner: str) -> int:
        """How many deletions of what was this person's go on."""
        ...

    async def forget_waiting(self, owner: str) -> None:
        """What waits to be kept for a person is dropped."""
        ...

    async def leftovers(self, names: Sequence[str], sentences: Sequence[str]) -> Sequence[Leftover]:
        """Where in the database and among the recordings something is still named or said."""
        ...

    async def sentences_of(
        self, owner: str, until: datetime | None = None, limit: int = 200
    ) -> Sequence[str]:
        """Sentences that only this person's sessions hold."""
        ...

    async def names_of(self, owner: str, until: datetime | None = None) -> Sequence[str]:
        """Ids of everything that belongs to the person."""
        ...

    async def delete_utterance(self, utterance: str) -> bool:
        """Delete all of it; False: that goes on, out of sight. `NotFound` if there is none."""
        ...

    async def deletion(self, kind: DeletionKind, subject: str) -> Deletion | None:
        """The deletion of that id that goes on; None: there is none."""
        ...


class AppRuntime(Protocol):
    """Settings, engines, archive, and the way to begin a conversation."""

    @property
    def settings(self) -> Settings:
        """Everything configured."""
        ...

    @property
    def engines(self) -> Engines:
        """Open and warm."""
        ...

    @property
    def store(self) -> ConversationStore | None:
        """None if nothing is kept."""
        ...

    @property
    def hq(self) -> HqTier | None:
        """The second tier; None: replies are rendered once."""
        ...

    @property
    def voices(self) -> VoiceLibrary | None:
        """The cloned ones; None if nothing is kept."""
        ...

    @property
    def analysis(self) -> AnalysisService | None:
        """What analyses how people speak; None: nothing does."""
        ...

    @property
    def tasks(self) -> Supervisor:
        """What goes on by itself in the background."""
        ...

    @property
    def loaded(self) -> Sequence[EngineSource]:
        """What plays each role."""
        ...

    @property
    def schedulers(self) -> Sequence[Scheduler]:
        """The engines' queues."""
        ...

    def open_conversation(
        self,
        session: str,
        observers: Sequence[Observer] = (),
        *,
        reply_options: ReplyOptions | None = None,
        earlier: Sequence[Message] = (),
        first_turn: int = 1,
        owner: str = LOCAL,
        client: dict[str, Any] | None = None,
    ) -> AbstractAsyncContextManager[Conversation]:
        """One conversation, recorded if there is a store; closed with the block.

        It is ``owner``'s, and ``client`` is noted with the session, should that not be there yet.
        """
        ...
