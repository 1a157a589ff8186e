"""Voices that were deleted, so that whatever is said in them goes with them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | Sequence[str] | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "erased_voices",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.create_index("utterances_of_voice", "utterances", ["voice"])


def downgrade() -> None:
    """Back: what was deleted stays deleted."""
    op.drop_index("utterances_of_voice", "utterances")
    op.drop_table("erased_voices")
