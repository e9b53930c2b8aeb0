"""Names and labels that backends are given, and their end; labels of users, and tokens with names."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    _backends()
    _labels()
    _credentials()


def _backends() -> None:
    op.add_column("backends", sa.Column("given_name", sa.Text))
    op.add_column("backends", sa.Column("given_labels", sa.Text, nullable=False, server_default="{}"))
    op.add_column("backends", sa.Column("revoked_at", sa.Double))
    # Those that run no agent were given the name that they have.
    op.execute("UPDATE backends SET given_name = name WHERE facts IS NULL AND name <> id")


def _labels() -> None:
    labels = op.create_table(
        "labels",
        sa.Column("backend_id", sa.String(22), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("value", sa.String(253), nullable=False),
        sa.ForeignKeyConstraint(["backend_id"], ["backends.id"], name=op.f("fk_labels_backend_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("backend_id", "name", name=op.f("pk_labels")),
    )
    op.create_index(op.f("ix_labels_name_value_backend_id"), "labels", ["name", "value", "backend_id"])
    # Agents that tell nothing new are not written again, so what they told before has to be found here.
    told = op.get_bind().execute(sa.text("SELECT id, facts FROM backends WHERE facts IS NOT NULL")).all()
    rows = [
        {"backend_id": backend_id, "name": name, "value": value}
        for backend_id, facts in told
        for name, value in msgspec.json.decode(facts).get("labels", {}).items()
    ]
    if rows:
        op.bulk_insert(labels, rows)


def _credentials() -> None:
    op.add_column("users", sa.Column("labels", sa.Text, nullable=False, server_default="{}"))
    with op.batch_alter_table("tokens") as tokens:
        tokens.add_column(sa.Column("id", sa.String(22)))
        tokens.add_column(sa.Column("name", sa.String(64)))
        tokens.add_column(sa.Column("role", sa.String(16)))
        tokens.add_column(sa.Column("sight", sa.Text))
        tokens.add_column(sa.Column("created_at", sa.Double))
        tokens.add_column(sa.Column("used_at", sa.Double))
        tokens.add_column(sa.Column("address", sa.Text))
        tokens.add_column(sa.Column("user_agent", sa.Text))
        tokens.create_unique_constraint(op.f("uq_tokens_id"), ["id"])
