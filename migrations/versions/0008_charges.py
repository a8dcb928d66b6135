"""What a subscription costs, and the next invoice, are kept beside its status."""

from alembic import op
import sqlalchemy as sa

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None

COLUMNS = ('stripe_recurring', 'stripe_next_invoice')


def upgrade():
    for name in COLUMNS:
        op.add_column('users', sa.Column(name, sa.JSON(), nullable=True))


def downgrade():
    for name in COLUMNS:
        op.drop_column('users', name)
