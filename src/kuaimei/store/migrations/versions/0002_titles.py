"""Sessions may be given a title."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | Sequence[str] | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Forward."""
    op.add_column("sessions", sa.Column("title", sa.Text))


def downgrade() -> None:
    """Back: the titles are lost."""
    op.drop_column("sessions", "title")
