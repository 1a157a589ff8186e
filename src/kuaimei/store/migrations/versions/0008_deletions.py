"""Deletions that go on until nothing is left, and what is needed not to trust a clock that jumps."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0008"
down_revision: str | Sequence[str] | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "deletions",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("parts", JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("erased_at", sa.DateTime(timezone=True)),
    )
    op.create_table(
        "clocks",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("doubted_s", sa.Float, nullable=False, server_default="0"),
    )


def downgrade() -> None:
    """Back: what was not deleted by then is not known any more."""
    op.drop_table("clocks")
    op.drop_table("deletions")
