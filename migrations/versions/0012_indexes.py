"""Indexes for the periodic tasks and for the question who administers."""

from alembic import op

revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None


def upgrade():
    op.create_index(
        'ix_users_status_period_end',
        'users',
        ['stripe_subscription_status', 'stripe_current_period_end'],
    )
    op.create_index(
        'ix_users_status_cancel_at', 'users', ['stripe_subscription_status', 'stripe_cancel_at']
    )
    op.create_index('ix_users_role', 'users', ['role'])


def downgrade():
    op.drop_index('ix_users_role', table_name='users')
    op.drop_index('ix_users_status_cancel_at', table_name='users')
    op.drop_index('ix_users_status_period_end', table_name='users')
