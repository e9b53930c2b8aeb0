"""Names that are used by others than our own code: frameworks call them, or peers read them."""

revision  # noqa: B018, F821 - Alembic
down_revision  # noqa: B018, F821 - Alembic
upgrade  # noqa: B018, F821 - Alembic
