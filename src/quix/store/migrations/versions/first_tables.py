"""The first tables: users, backends, tokens, runs and leases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _people_and_backends()
    _tokens()
    _runs()
    _leases()


def _people_and_backends() -> None:
    op.create_table(
        "users",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_users")),
    )
    op.create_table(
        "backends",
        sa.Column("id", sa.String(22), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("enrolled_by", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("last_seen", sa.Double, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("facts", sa.Text),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backends")),
    )
    op.create_index(op.f("ix_backends_name"), "backends", ["name"])


def _tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("lineage", sa.LargeBinary(32), nullable=False),
        sa.Column("pending", sa.Boolean, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_tokens")),
    )
    op.create_index(op.f("ix_tokens_expires_at"), "tokens", ["expires_at"])
    op.create_index(op.f("ix_tokens_kind_subject"), "tokens", ["kind", "subject"])
    op.create_index(op.f("ix_tokens_lineage"), "tokens", ["lineage"])


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.String(22), nullable=False),
        sa.Column("backend_id", sa.String(22), nullable=False),
        sa.Column("cmd", sa.Text, nullable=False),
        sa.Column("proc_id", sa.BigInteger, nullable=False),
        sa.Column("started_by", sa.String(64), nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.ForeignKeyConstraint(["backend_id"], ["backends.id"], name=op.f("fk_runs_backend_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    op.create_index(op.f("ix_runs_backend_id_id"), "runs", ["backend_id", "id"])


def _leases() -> None:
    op.create_table(
        "leases",
        sa.Column("address4", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("address6", sa.String(39), nullable=False),
        sa.Column("backend_id", sa.String(22)),
        sa.Column("conf_type", sa.String(16), nullable=False),
        sa.Column("public_key", sa.String(64)),
        sa.Column("issued_at", sa.Double, nullable=False),
        sa.Column("revoked_at", sa.Double),
        sa.Column("released_at", sa.Double),
        sa.ForeignKeyConstraint(["backend_id"], ["backends.id"], name=op.f("fk_leases_backend_id")),
        sa.PrimaryKeyConstraint("address4", name=op.f("pk_leases")),
        sa.UniqueConstraint("address6", name=op.f("uq_leases_address6")),
        sa.UniqueConstraint("backend_id", "conf_type", name=op.f("uq_leases_backend_id_conf_type")),
    )
    op.create_index(op.f("ix_leases_released_at"), "leases", ["released_at"])
