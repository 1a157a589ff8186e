"""Protocols of what the server needs from the runtime; `kuaimei.runtime` implements them."""

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
    """Trials and judgements of listening tests. See `kuaimei.store.listening_tests.ListeningTests`."""

    async def comparable_reply(self, owner: str) -> str | None:
        """Return a reply that is complete in both tiers; None if there is none."""
        ...

    async def begin(
        self, owner: str, kind: Kind, first: str, second: str, *, swapped: bool, utterance: str | None = None
    ) -> Trial:
        """Create a trial; `NotFound` if its reply or a voice is gone."""
        ...

    async def trial(self, trial: str, owner: str) -> Trial:
        """Return a trial of this owner; `NotFound` if there is none."""
        ...

    async def judge(self, trial: str, owner: str, choice: Choice, remark: str = "") -> Trial | None:
        """Record the choice; None if the trial was judged before."""
        ...

    async def judged(self, owner: str) -> Sequence[Trial]:
        """Return all judgements, oldest first."""
        ...

    async def tallies(self, owner: str) -> Sequence[Tally]:
        """Return the number of judgements by pair."""
        ...

    async def forget(self, owner: str) -> None:
        """Delete all trials and judgements of the owner."""
        ...


class Analyses(Protocol):
    """Speech analyses of utterances. See `kuaimei.store.analyses.AnalysisRepository`."""

    async def get(self, utterance: str) -> Analysis:
        """Return the analysis of one utterance; `NotFound` if it is not analysed (yet)."""
        ...

    async def of(self, ids: Collection[str], *, contours: bool = False) -> Sequence[Analysis]:
        """Return the analyses of those utterances that have one, unordered."""
        ...


class ScoreHistoryReader(Protocol):
    """Earlier scores. See `kuaimei.store.score_history.ScoreHistory`."""

    async def newest(
        self, group: Cohort, *, before: ScoreCursor | None = None, limit: int = NEWEST
    ) -> Sequence[ScorePoint]:
        """Return the newest scores of a cohort, in the order of the utterances."""
        ...


class RatingStore(Protocol):
    """Listeners' ratings of utterances. See `kuaimei.store.ratings.Ratings`."""

    async def next(self, owner: str, rater: str, *, skipped: Sequence[str] = ()) -> str | None:
        """Return an utterance that the rater has not rated; None if there is none."""
        ...

    async def rate(self, utterance: str, owner: str, rater: str, marks: ratings.RatingScores) -> None:
        """Record the rater's scores; `NotFound` if the utterance is gone."""
        ...

    async def tally(self, owner: str, rater: str) -> ratings.RatingProgress:
        """Return the rater's progress."""
        ...

    async def all(self, owner: str) -> Sequence[ratings.Rating]:
        """Return every rating."""
        ...

    async def forget(self, owner: str) -> None:
        """Delete all ratings of the owner's utterances."""
        ...


class ConversationStore(Protocol):
    """Stored conversations and what belongs to them. See `kuaimei.store.Store`."""

    @property
    def preferences(self) -> ListeningTestStore:
        """Trials and judgements of listening tests."""
        ...

    @property
    def analyses(self) -> Analyses:
        """Speech analyses of utterances."""
        ...

    @property
    def peers(self) -> ScoreHistoryReader:
        """Earlier scores of the same person or voice."""
        ...

    @property
    def ratings(self) -> RatingStore:
        """Listeners' ratings of utterances."""
        ...

    @property
    def voices(self) -> ClonedVoices:
        """Cloned voices."""
        ...

    @property
    def people(self) -> PeopleStore:
        """People, who own everything that is stored."""
        ...

    @property
    def keys(self) -> KeyStore:
        """API keys of people."""
        ...

    async def health(self) -> Health:
        """Check whether the database and the recordings can be used now."""
        ...

    async def statistics(self) -> Statistics:
        """Count what is stored."""
        ...

    async def ensure_session(
        self, session: str, client: dict[str, Any] | None = None, *, owner: str = LOCAL
    ) -> None:
        """Create the session unless it exists."""
        ...

    async def sessions(
        self, limit: int = 50, *, before: str | None = None, search: str = "", owner: str | None = None
    ) -> Sequence[SessionRow]:
        """Return sessions, newest first."""
        ...

    async def session(self, session: str) -> SessionRow:
        """Return one session; `NotFound` if there is none."""
        ...

    async def utterances(
        self, session: str, limit: int | None = None, *, after: UtteranceRow | None = None
    ) -> Sequence[UtteranceRow]:
        """Return the utterances of a session, in order."""
        ...

    async def latest(self, session: str, limit: int) -> Sequence[UtteranceRow]:
        """Return the last utterances of a session, in order."""
        ...

    async def utterance(self, utterance: str) -> UtteranceRow:
        """Return one utterance; `NotFound` if there is none."""
        ...

    async def turns(self, session: str, limit: int | None = None, *, after: int = -1) -> Sequence[TurnRow]:
        """Return timings and failures of turns, in order."""
        ...

    async def history(self, session: str) -> Sequence[Message]:
        """Return the messages of a session; of a reply that was interrupted, only the text that was heard."""
        ...

    async def last_turn(self, session: str) -> int:
        """Return the number of the latest turn; 0 if there is none."""
        ...

    async def open_audio(
        self, utterance: str, start: int = 0, end: int | None = None, *, tier: Tier = "fast"
    ) -> Audio:
        """Open the recording as FLAC, or a range of its bytes; `NotFound` if there is none."""
        ...

    async def rename_session(self, session: str, title: str) -> None:
        """Set the session's title; `NotFound` if there is no such session."""
        ...

    async def retry_rendering(self, utterance: str) -> None:
        """Queue another high-quality rendering with the current engine; `NotFound` if it is not a reply."""
        ...

    async def delete_session(self, session: str) -> bool:
        """Delete the session; False: deletion continues in the background. `NotFound` if there is none."""
        ...

    async def renew_statistics(self) -> None:
        """Discard the samples of deleted rows that the database keeps for its planner."""
        ...

    async def unfinished_deletions(self, owner: str) -> int:
        """Return how many deletions of this person's data are still running."""
        ...

    async def forget_waiting(self, owner: str) -> None:
        """Drop data of the person that waits to be stored."""
        ...

    async def leftovers(self, names: Sequence[str], sentences: Sequence[str]) -> Sequence[Leftover]:
        """Search database and recordings for remaining ids or sentences."""
        ...

    async def sentences_of(
        self, owner: str, until: datetime | None = None, limit: int = 200
    ) -> Sequence[str]:
        """Return sentences that occur only in this person's sessions."""
        ...

    async def names_of(self, owner: str, until: datetime | None = None) -> Sequence[str]:
        """Return the ids of everything that belongs to the person."""
        ...

    async def delete_utterance(self, utterance: str) -> bool:
        """Delete the utterance; False: deletion continues in the background. `NotFound` if there is none."""
        ...

    async def deletion(self, kind: DeletionKind, subject: str) -> Deletion | None:
        """Return the running deletion of that subject; None if there is none."""
        ...


class AppRuntime(Protocol):
    """Settings, engines and store, and the means to open a conversation."""

    @property
    def settings(self) -> Settings:
        """The complete configuration."""
        ...

    @property
    def engines(self) -> Engines:
        """Open and warm engines."""
        ...

    @property
    def store(self) -> ConversationStore | None:
        """Stored conversations; None if nothing is stored."""
        ...

    @property
    def hq(self) -> HqTier | None:
        """The high-quality tier; None: replies are rendered only once."""
        ...

    @property
    def voices(self) -> VoiceLibrary | None:
        """Cloned voices; None if nothing is stored."""
        ...

    @property
    def analysis(self) -> AnalysisService | None:
        """Speech analysis; None: there is none."""
        ...

    @property
    def tasks(self) -> Supervisor:
        """Supervisor of the background tasks."""
        ...

    @property
    def loaded(self) -> Sequence[EngineSource]:
        """Source of the engine loaded for each role."""
        ...

    @property
    def schedulers(self) -> Sequence[Scheduler]:
        """Schedulers of the engines."""
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
        """Open a conversation for the length of the block; it is recorded if there is a store.

        Args:
            session: Id.
            observers: Receive every event.
            reply_options: None: the defaults.
            earlier: Messages of the session so far.
            first_turn: Number of the first turn.
            owner: Id of the person who owns the session if it does not exist yet.
            client: Stored with the session if it does not exist yet.
        """
        ...
