"""One-time purchases, as copied from Stripe."""

import sqlalchemy as sa
from alembic import op

revision = '0016'
down_revision = '0015'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('users', sa.Column('stripe_purchases', sa.JSON(), nullable=True))


def downgrade():
    op.drop_column('users', 'stripe_purchases')
