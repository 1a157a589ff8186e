"""People and their keys; whose a session is becomes a column; voices that are shared with all."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | Sequence[str] | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Forward: whoever owns something today becomes a person, ``local`` the operator."""
    op.create_table(
        "people",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("notice_version", sa.Text),
        sa.Column("notice_accepted_at", sa.DateTime(timezone=True)),
        sa.Column("forgetting", sa.Text),
        sa.Column("forgetting_since", sa.DateTime(timezone=True)),
        sa.UniqueConstraint("name", name="people_name"),
    )
    op.create_table(
        "keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("person", sa.Text, sa.ForeignKey("people.id", ondelete="CASCADE"), nullable=False),
        sa.Column("label", sa.Text, nullable=False, server_default=""),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("last_used_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.UniqueConstraint("sha256", name="keys_sha256"),
    )
    op.create_index("keys_of_person", "keys", ["person", "created_at", "id"])
    op.add_column("sessions", sa.Column("owner", sa.Text, nullable=False, server_default="local"))
    op.execute("update sessions set owner = client->>'owner' where coalesce(client->>'owner', '') <> ''")
    op.execute("update sessions set client = client - 'owner' where client ? 'owner'")
    op.execute(
        "insert into people (id, name, role) "
        "select owner, owner, case owner when 'local' then 'operator' else 'member' end from "
        "(select 'local' as owner union select owner from sessions union select owner from voices "
        "union select owner from ratings union select owner from preferences) as owners"
    )
    op.create_foreign_key(None, "sessions", "people", ["owner"], ["id"])
    op.create_foreign_key(None, "voices", "people", ["owner"], ["id"])
    op.create_foreign_key(None, "ratings", "people", ["owner"], ["id"], ondelete="CASCADE")
    op.create_foreign_key(None, "preferences", "people", ["owner"], ["id"], ondelete="CASCADE")
    op.create_index("sessions_of_owner", "sessions", ["owner", "started_at", "id"])
    op.create_index("ratings_of_owner", "ratings", ["owner"])
    op.add_column("voices", sa.Column("shared", sa.Boolean, nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Back: whose a session is stands in what its client said, as before; keys are gone."""
    op.drop_column("voices", "shared")
    op.drop_index("ratings_of_owner", "ratings")
    op.drop_index("sessions_of_owner", "sessions")
    for table in ("sessions", "voices", "ratings", "preferences"):
        op.drop_constraint(f"{table}_owner_fkey", table, type_="foreignkey")
    op.execute("update sessions set client = client || jsonb_build_object('owner', owner)")
    op.drop_column("sessions", "owner")
    op.drop_table("keys")
    op.drop_table("people")
