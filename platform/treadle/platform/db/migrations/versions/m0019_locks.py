"""Which versions the `template:` nodes of a published text mean."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.execute("ALTER TABLE template_texts ADD COLUMN children json")
