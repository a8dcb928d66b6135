"""What the admin pages need: movements of revenue, reasons in the audit log, and indexes."""

import sqlalchemy as sa
from alembic import op

revision = '0018'
down_revision = '0017'
branch_labels = None
depends_on = None


def upgrade():
    # First, because the changes below lock tables until the end of the transaction.
    op.create_index('ix_users_status_id', 'users', ['stripe_subscription_status', 'id'])
    op.create_index('ix_users_price_id', 'users', ['stripe_price_id', 'id'])
    op.create_index('ix_users_granted_plan_id', 'users', ['granted_plan', 'id'])
    op.create_index('ix_users_disabled_at', 'users', ['disabled_at'])
    for column in ('email', 'name'):
        op.create_index(
            f'ix_users_{column}_prefix', 'users', [column],
            postgresql_ops={column: 'text_pattern_ops'},
        )
    op.create_index('ix_stripe_events_type_received_at', 'stripe_events', ['type', 'received_at'])
    op.create_index('ix_outbox_messages_kind_id', 'outbox_messages', ['kind', 'id'])
    failed = sa.text('last_error IS NOT NULL')
    op.create_index(
        'ix_outbox_messages_failed', 'outbox_messages', ['id'],
        postgresql_where=failed, sqlite_where=failed,
    )
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
    op.create_table(
        'stored_reports',
        sa.Column('name', sa.String(), nullable=False),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('content', sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint('name'),
    )
    op.create_index('ix_revenue_movements_at', 'revenue_movements', ['at'])
    op.create_index('ix_revenue_movements_user_id', 'revenue_movements', ['user_id'])
    op.add_column('users', sa.Column('stripe_monthly_amount', sa.BigInteger(), nullable=True))
    op.create_index('ix_users_monthly_amount_id', 'users', ['stripe_monthly_amount', 'id'])
    op.add_column('audit_entries', sa.Column('reason', sa.String(), nullable=True))
    op.add_column('sessions', sa.Column('viewed_user_id', sa.Uuid(), nullable=True))
    op.add_column('sessions', sa.Column('viewing_until', sa.DateTime(timezone=True), nullable=True))


def downgrade():
    op.drop_index('ix_outbox_messages_failed', table_name='outbox_messages')
    op.drop_index('ix_outbox_messages_kind_id', table_name='outbox_messages')
    op.drop_index('ix_stripe_events_type_received_at', table_name='stripe_events')
    for name in ('name_prefix', 'email_prefix', 'disabled_at', 'granted_plan_id', 'price_id', 'status_id'):
        op.drop_index(f'ix_users_{name}', table_name='users')
    op.drop_column('sessions', 'viewing_until')
    op.drop_column('sessions', 'viewed_user_id')
    op.drop_column('audit_entries', 'reason')
    op.drop_index('ix_users_monthly_amount_id', table_name='users')
    op.drop_column('users', 'stripe_monthly_amount')
    op.drop_index('ix_revenue_movements_user_id', table_name='revenue_movements')
    op.drop_index('ix_revenue_movements_at', table_name='revenue_movements')
    op.drop_table('revenue_movements')
    op.drop_table('stored_reports')
