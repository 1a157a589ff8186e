"""Sessions, utterances, turns, and the job queue of procrastinate 3.10.

The queue's schema is made by its own migrations in their order, up to the version this revision was
written for: they never change once published, so that every database takes the same path. A newer
procrastinate with newer migrations gets a revision of its own here.
"""

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from procrastinate.schema import SchemaManager
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | Sequence[str] | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_QUEUE_UNTIL = "03.04.00_50"


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "sessions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("client", postgresql.JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
    )
    op.create_index("sessions_newest", "sessions", ["started_at", "id"])
    op.create_table(
        "utterances",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("session_id", sa.Text, sa.ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
        sa.Column("turn", sa.Integer, nullable=False),
        sa.Column("speaker", sa.Text, nullable=False),
        sa.Column("is_turn", sa.Boolean, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration_ms", sa.Float),
        sa.Column("sample_rate", sa.Integer),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("blob_key", sa.Text),
        sa.Column("sha256", sa.Text),
        sa.Column("bytes", sa.BigInteger),
        sa.Column("transcript", sa.Text),
        sa.Column("language", sa.Text),
        sa.Column("heard_ms", sa.Float),
        sa.Column("heard_text", sa.Text),
        sa.Column("interrupted", sa.Boolean, nullable=False),
        sa.Column("voice", sa.Text, nullable=False),
        sa.Column("engine", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.CheckConstraint("speaker in ('user', 'assistant')", name="utterances_speaker"),
        sa.CheckConstraint("state in ('recording', 'stored', 'recovered', 'empty')", name="utterances_state"),
    )
    op.create_index("utterances_in_order", "utterances", ["session_id", "turn", "started_at", "id"])
    op.create_index("utterances_of_run", "utterances", ["run"])
    op.create_table(
        "turns",
        sa.Column("session_id", sa.Text, sa.ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("turn", sa.Integer, primary_key=True),
        sa.Column("timings", postgresql.JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
        sa.Column("failures", postgresql.JSONB, nullable=False, server_default=sa.text("'[]'::jsonb")),
    )
    for script in sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql")):
        if script.name.rsplit("_", 1)[0][: len(_QUEUE_UNTIL)] <= _QUEUE_UNTIL:
            # The driver takes a percent sign for a placeholder wherever parameters may come.
            op.get_bind().exec_driver_sql(script.read_text(encoding="utf-8").replace("%", "%%"))


def downgrade() -> None:
    """Back: there is nothing before the first revision."""
    raise NotImplementedError("the first revision cannot be undone; delete the database instead")
