"""What listeners preferred, not knowing what they heard."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | Sequence[str] | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "preferences",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("first", sa.Text, nullable=False),
        sa.Column("second", sa.Text, nullable=False),
        sa.Column("swapped", sa.Boolean, nullable=False),
        sa.Column("utterance_id", sa.Text, sa.ForeignKey("utterances.id", ondelete="CASCADE")),
        sa.Column("first_voice", sa.Text, sa.ForeignKey("voices.id", ondelete="CASCADE")),
        sa.Column("second_voice", sa.Text, sa.ForeignKey("voices.id", ondelete="CASCADE")),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("choice", sa.Text),
        sa.Column("remark", sa.Text, nullable=False, server_default=""),
        sa.Column("judged_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("kind in ('tiers', 'voices')", name="preferences_kind"),
        sa.CheckConstraint("choice in ('a', 'b', 'same')", name="preferences_choice"),
        sa.CheckConstraint("(choice is null) = (judged_at is null)", name="preferences_judged"),
        sa.CheckConstraint("(kind = 'tiers') = (utterance_id is not null)", name="preferences_reply"),
    )
    op.create_index("preferences_newest", "preferences", ["owner", "created_at", "id"])
    op.create_index("preferences_of_utterance", "preferences", ["utterance_id"])


def downgrade() -> None:
    """Back: the judgements are lost."""
    op.drop_table("preferences")
