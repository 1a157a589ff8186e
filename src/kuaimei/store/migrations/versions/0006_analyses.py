"""How people spoke, and how listeners rated it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0006"
down_revision: str | Sequence[str] | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "analyses",
        sa.Column(
            "utterance_id", sa.Text, sa.ForeignKey("utterances.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("extractor", sa.Text, nullable=False, server_default=""),
        sa.Column("head", sa.Text, nullable=False, server_default=""),
        sa.Column("text_sha256", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("features", postgresql.JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
        sa.Column("scores", postgresql.JSONB),
        sa.Column("contours", postgresql.JSONB),
        sa.Column("took_ms", sa.Float),
        sa.Column("analysed_at", sa.DateTime(timezone=True)),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("outdated", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.CheckConstraint("state in ('waiting', 'scored', 'unscored')", name="analyses_state"),
        sa.CheckConstraint("(state = 'scored') = (scores is not null)", name="analyses_scores"),
        sa.CheckConstraint("(state = 'unscored') = (reason is not null)", name="analyses_reason"),
        sa.CheckConstraint("(state = 'waiting') = (analysed_at is null)", name="analyses_at"),
    )
    op.create_table(
        "ratings",
        sa.Column(
            "utterance_id", sa.Text, sa.ForeignKey("utterances.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("owner", sa.Text, primary_key=True),
        sa.Column("rater", sa.Text, primary_key=True),
        sa.Column("confidence", sa.SmallInteger),
        sa.Column("stability", sa.SmallInteger),
        sa.Column("affability", sa.SmallInteger),
        sa.Column("rated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.CheckConstraint("confidence between 1 and 5", name="ratings_confidence"),
        sa.CheckConstraint("stability between 1 and 5", name="ratings_stability"),
        sa.CheckConstraint("affability between 1 and 5", name="ratings_affability"),
        sa.CheckConstraint("coalesce(confidence, stability, affability) is not null", name="ratings_any"),
    )


def downgrade() -> None:
    """Back: analyses and ratings are lost; the recordings they came from are not."""
    op.drop_table("ratings")
    op.drop_table("analyses")
