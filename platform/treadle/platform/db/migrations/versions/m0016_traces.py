"""The trace that a run belongs to; joins what was made at the same time."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.execute("ALTER TABLE runs ADD COLUMN traceparent text")
