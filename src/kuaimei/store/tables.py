"""Table definitions for queries; the tables are created by ``migrations``."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

__all__ = [
    "analyses",
    "clocks",
    "deletions",
    "erased_voices",
    "keys",
    "metadata",
    "people",
    "preferences",
    "ratings",
    "renderings",
    "sessions",
    "turns",
    "utterances",
    "voices",
]

metadata = MetaData()

people = Table(
    "people",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("notice_version", Text),
    Column("notice_accepted_at", DateTime(timezone=True)),
    Column("forgetting", Text),
    Column("forgetting_since", DateTime(timezone=True)),
    UniqueConstraint("name", name="people_name"),
)
"""People. ``forgetting`` is what is being deleted of a person: ``things`` that existed at that time, or
``all`` with the person; it stays until nothing of that is left. All data of a person refers to the row, so
that nothing can be written for a deleted person."""

keys = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("person", Text, ForeignKey("people.id", ondelete="CASCADE"), nullable=False),
    Column("label", Text, nullable=False, server_default=""),
    Column("sha256", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("last_used_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    UniqueConstraint("sha256", name="keys_sha256"),
    Index("keys_of_person", "person", "created_at", "id"),
)
"""API keys. A key itself is not stored; it is 160 random bits, so that a plain digest cannot be reversed."""

sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("client", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("title", Text),
    Column("owner", Text, ForeignKey("people.id"), nullable=False, server_default="local"),
    Index("sessions_newest", "started_at", "id"),
    Index("sessions_of_owner", "owner", "started_at", "id"),
)

utterances = Table(
    "utterances",
    metadata,
    Column("id", Text, primary_key=True),
    Column("session_id", Text, ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    Column("turn", Integer, nullable=False),
    Column("speaker", Text, nullable=False),
    Column("is_turn", Boolean, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("duration_ms", Float),
    Column("sample_rate", Integer),
    Column("state", Text, nullable=False),
    Column("blob_key", Text),
    Column("sha256", Text),
    Column("bytes", BigInteger),
    Column("transcript", Text),
    Column("language", Text),
    Column("heard_ms", Float),
    Column("heard_text", Text),
    Column("interrupted", Boolean, nullable=False),
    Column("voice", Text, nullable=False),
    Column("engine", Text, nullable=False),
    Column("run", Text, nullable=False),
    Index("utterances_in_order", "session_id", "turn", "started_at", "id"),
    Index("utterances_of_run", "run"),
    Index("utterances_of_voice", "voice"),
)
"""Utterances. ``run`` names the process that wrote the row; when it is dead, its rows are recovered."""

turns = Table(
    "turns",
    metadata,
    Column("session_id", Text, ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("turn", Integer, primary_key=True),
    Column("timings", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("failures", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
)

renderings = Table(
    "renderings",
    metadata,
    Column("utterance_id", Text, ForeignKey("utterances.id", ondelete="CASCADE"), primary_key=True),
    Column("voice", Text, nullable=False),
    Column("speed", Float, nullable=False),
    Column("text_sha256", Text, nullable=False),
    Column("engine", Text, nullable=False, server_default=""),
    Column("spoken", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("asked_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("took_s", Float),
    Column("duration_ms", Float),
    Column("sample_rate", Integer),
    Column("bytes", BigInteger),
    Column("sha256", Text),
    Column("clauses", JSONB(none_as_null=True)),
    Column("error", Text),
)
"""HQ renderings. ``spoken`` are the clauses of the fast tier, ``clauses`` their places in the rendering."""

analyses = Table(
    "analyses",
    metadata,
    Column("utterance_id", Text, ForeignKey("utterances.id", ondelete="CASCADE"), primary_key=True),
    Column("extractor", Text, nullable=False, server_default=""),
    Column("head", Text, nullable=False, server_default=""),
    Column("text_sha256", Text),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("features", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("scores", JSONB(none_as_null=True)),
    Column("contours", JSONB(none_as_null=True)),
    Column("took_ms", Float),
    Column("analysed_at", DateTime(timezone=True)),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("outdated", Boolean, nullable=False, server_default=text("false")),
)
"""Analyses. ``extractor``, ``head`` and ``text_sha256`` (of the transcript) are what it was made with; if any
differs now, a new one is due. ``attempts`` counts attempts that were begun and not finished."""

ratings = Table(
    "ratings",
    metadata,
    Column("utterance_id", Text, ForeignKey("utterances.id", ondelete="CASCADE"), primary_key=True),
    Column("owner", Text, ForeignKey("people.id", ondelete="CASCADE"), primary_key=True),
    Column("rater", Text, primary_key=True),
    Column("confidence", SmallInteger),
    Column("stability", SmallInteger),
    Column("affability", SmallInteger),
    Column("rated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("ratings_of_owner", "owner"),
)
"""Ratings, 1 to 5 each; null: the rater could not tell."""

voices = Table(
    "voices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner", Text, ForeignKey("people.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("language", Text),
    Column("state", Text, nullable=False),
    Column("stage", Text, nullable=False, server_default=""),
    Column("error", Text),
    Column("transcript", Text),
    Column("duration_s", Float, nullable=False),
    Column("checks", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    Column("pitch", JSONB),
    Column("consent", JSONB, nullable=False),
    Column("learning", JSONB, nullable=False),
    Column("similarity", Float),
    Column("shared", Boolean, nullable=False, server_default=text("false")),
    Index("voices_newest", "owner", "created_at", "id"),
)
"""Cloned voices. ``similarity`` is the last value measured of the finished voice, not during training; a
``shared`` voice may be used by everyone."""

erased_voices = Table(
    "erased_voices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("erased_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
"""Deleted voices: only their ids are stored, to find and delete the audio of replies spoken in them."""

deletions = Table(
    "deletions",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("parts", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("asked_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("erased_at", DateTime(timezone=True)),
)
"""Deletions in progress: the rows are deleted, files may be left. ``parts`` are the ids by which those are
found (``session``, ``utterances``); ``erased_at`` is the time since when only this row is left."""

clocks = Table(
    "clocks",
    metadata,
    Column("name", Text, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("doubted_s", Float, nullable=False, server_default="0"),
)
"""Trusted times, see `kuaimei.store.retention`."""

preferences = Table(
    "preferences",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner", Text, ForeignKey("people.id", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("first", Text, nullable=False),
    Column("second", Text, nullable=False),
    Column("swapped", Boolean, nullable=False),
    Column("utterance_id", Text, ForeignKey("utterances.id", ondelete="CASCADE")),
    Column("first_voice", Text, ForeignKey("voices.id", ondelete="CASCADE")),
    Column("second_voice", Text, ForeignKey("voices.id", ondelete="CASCADE")),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("choice", Text),
    Column("remark", Text, nullable=False, server_default=""),
    Column("judged_at", DateTime(timezone=True)),
    Index("preferences_newest", "owner", "created_at", "id"),
    Index("preferences_of_utterance", "utterance_id"),
)
"""Listening tests. ``first`` and ``second`` name what was compared; cloned voices among them are also in
``first_voice`` and ``second_voice``, so that a judgement is deleted with its voice."""
