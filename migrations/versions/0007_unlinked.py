"""Identities that were unlinked are remembered, and do not join their account again by address."""

from alembic import op
import sqlalchemy as sa

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column(
        'identities', sa.Column('unlinked_at', sa.DateTime(timezone=True), nullable=True)
    )


def downgrade():
    # Without the column they would be links again.
    op.execute('DELETE FROM identities WHERE unlinked_at IS NOT NULL')
    op.drop_column('identities', 'unlinked_at')
