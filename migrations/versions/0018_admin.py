"""What the admin pages need: movements of revenue, reasons in the audit log, and indexes."""

import sqlalchemy as sa
from alembic import op

revision = '0018'
down_revision = '0017'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        'revenue_movements',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('user_id', sa.Uuid(), nullable=True),
        sa.Column('kind', sa.String(), nullable=False),
        sa.Column('plan', sa.String(), nullable=True),
        sa.Column('amount', sa.BigInteger(), nullable=False),
        sa.Column('currency', sa.String(), nullable=False),
        sa.ForeignKeyConstraint(['user_id'], ['users.id'], ondelete='SET NULL'),
        sa.PrimaryKeyConstraint('id'),
    )
    op.create_index('ix_revenue_movements_at', 'revenue_movements', ['at'])
    op.create_index('ix_revenue_movements_user_id', 'revenue_movements', ['user_id'])


def downgrade():
    op.drop_index('ix_revenue_movements_user_id', table_name='revenue_movements')
    op.drop_index('ix_revenue_movements_at', table_name='revenue_movements')
    op.drop_table('revenue_movements')
