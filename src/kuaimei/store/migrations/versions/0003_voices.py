"""Cloned voices; jobs are for any subject, not for utterances only."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0003"
down_revision: str | Sequence[str] | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "voices",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("language", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("stage", sa.Text, nullable=False, server_default=""),
        sa.Column("error", sa.Text),
        sa.Column("transcript", sa.Text),
        sa.Column("duration_s", sa.Float, nullable=False),
        sa.Column("checks", postgresql.JSONB, nullable=False, server_default=sa.text("'[]'::jsonb")),
        sa.Column("pitch", postgresql.JSONB),
        sa.Column("consent", postgresql.JSONB, nullable=False),
        sa.Column("learning", postgresql.JSONB, nullable=False),
        sa.Column("similarity", sa.Float),
        sa.CheckConstraint("state in ('preparing', 'ready', 'failed')", name="voices_state"),
    )
    op.create_index("voices_newest", "voices", ["owner", "created_at", "id"])
    op.execute(
        "update procrastinate_jobs set args = jsonb_build_object('subject', args->>'utterance') "
        "where args ? 'utterance'"
    )


def downgrade() -> None:
    """Back: the voices are lost; what lies of them among the recordings is to be deleted by hand."""
    op.execute(
        "update procrastinate_jobs set args = jsonb_build_object('utterance', args->>'subject') "
        "where args ? 'subject'"
    )
    op.drop_table("voices")
