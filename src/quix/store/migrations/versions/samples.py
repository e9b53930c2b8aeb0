"""Samples of telemetry, their roll-ups, and how far each backend's are kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "samples",
        sa.Column("id", _NUMBER, nullable=False),
        sa.Column("backend_id", sa.String(22), nullable=False),
        sa.Column("start", sa.Double, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        _of_backends("samples"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_samples")),
    )
    op.create_index(op.f("ix_samples_start"), "samples", ["start"])
    op.create_index(op.f("ix_samples_backend_id_start"), "samples", ["backend_id", "start"])
    op.create_table(
        "rollups",
        sa.Column("id", _NUMBER, nullable=False),
        sa.Column("backend_id", sa.String(22), nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("start", sa.BigInteger, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        _of_backends("rollups"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollups")),
        sa.UniqueConstraint("backend_id", "step", "start", name=op.f("uq_rollups_backend_id_step_start")),
    )
    op.create_index(op.f("ix_rollups_step_start"), "rollups", ["step", "start"])
    op.create_table(
        "sample_marks",
        sa.Column("backend_id", sa.String(22), nullable=False),
        sa.Column("series", sa.String(32), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        _of_backends("sample_marks"),
        sa.PrimaryKeyConstraint("backend_id", name=op.f("pk_sample_marks")),
    )


def _of_backends(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["backend_id"], ["backends.id"], name=op.f(f"fk_{table}_backend_id"), ondelete="CASCADE"
    )
