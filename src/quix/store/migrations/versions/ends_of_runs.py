"""How a run was started and how it ended; those of before are untracked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for column in (
        sa.Column("options", sa.Text, nullable=False, server_default="{}"),
        sa.Column("state", sa.String(16), nullable=False, server_default="untracked"),
        sa.Column("request_key", sa.String(64)),
        sa.Column("ended_at", sa.Double),
        sa.Column("outcome", sa.String(64)),
        sa.Column("exit_code", sa.BigInteger),
        sa.Column("exit_signal", sa.String(16)),
        sa.Column("restarts", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("stdout", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("stderr", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("detail", sa.Text, nullable=False, server_default=""),
    ):
        op.add_column("runs", column)
    op.create_index(op.f("ix_runs_state"), "runs", ["state"])
    op.create_index("ix_runs_started_by_request_key", "runs", ["started_by", "request_key"], unique=True)
