"""The purchases that were paid when an account was deleted."""

import sqlalchemy as sa
from alembic import op

revision = '0017'
down_revision = '0016'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('closed_accounts', sa.Column('purchases', sa.JSON(), nullable=True))


def downgrade():
    op.drop_column('closed_accounts', 'purchases')
