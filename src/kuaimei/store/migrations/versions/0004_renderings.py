"""Replies may be rendered a second time."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0004"
down_revision: str | Sequence[str] | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "renderings",
        sa.Column(
            "utterance_id", sa.Text, sa.ForeignKey("utterances.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("voice", sa.Text, nullable=False),
        sa.Column("speed", sa.Float, nullable=False),
        sa.Column("text_sha256", sa.Text, nullable=False),
        sa.Column("engine", sa.Text, nullable=False, server_default=""),
        sa.Column("spoken", postgresql.JSONB, nullable=False, server_default=sa.text("'[]'::jsonb")),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("took_s", sa.Float),
        sa.Column("duration_ms", sa.Float),
        sa.Column("sample_rate", sa.Integer),
        sa.Column("bytes", sa.BigInteger),
        sa.Column("sha256", sa.Text),
        sa.Column("clauses", postgresql.JSONB),
        sa.Column("error", sa.Text),
        sa.CheckConstraint(
            "state in ('queued', 'rendering', 'ready', 'failed', 'cancelled')", name="renderings_state"
        ),
    )


def downgrade() -> None:
    """Back: the second renderings are forgotten, their files are left to the deletion of their sessions."""
    op.drop_table("renderings")
