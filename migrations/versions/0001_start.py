"""People, sign-in, subscriptions, mail, jobs, limits: everything that the start needs."""

from alembic import op
import sqlalchemy as sa

revision = '0001'
down_revision = None
branch_labels = ('saas',)
depends_on = None


def upgrade():
    op.create_table('closed_accounts',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('person_id', sa.Uuid(), nullable=False),
    sa.Column('stripe_customer_id', sa.String(), nullable=True),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name='pk_closed_accounts'),
    sa.UniqueConstraint('person_id', name='uq_closed_accounts_person_id')
    )
    op.create_index('ix_closed_accounts_stripe_customer_id', 'closed_accounts', ['stripe_customer_id'], unique=False)
    op.create_table('installations',
    sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('key', sa.Uuid(), nullable=False),
    sa.PrimaryKeyConstraint('id', name='pk_installations')
    )
    op.create_table('outbox_messages',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('key', sa.String(), nullable=False),
    sa.Column('kind', sa.String(), nullable=False),
    sa.Column('subject_id', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('handed_over_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_error', sa.String(), nullable=True),
    sa.PrimaryKeyConstraint('id', name='pk_outbox_messages'),
    sa.UniqueConstraint('key', name='uq_outbox_messages_key')
    )
    op.create_index('ix_outbox_messages_due_at', 'outbox_messages', ['due_at'], unique=False)
    op.create_table('rate_limits',
    sa.Column('key', sa.String(), nullable=False),
    sa.Column('count', sa.Integer(), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('key', name='pk_rate_limits')
    )
    op.create_index('ix_rate_limits_expires_at', 'rate_limits', ['expires_at'], unique=False)
    op.create_table('sign_in_links',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('email', sa.String(), nullable=False),
    sa.Column('next_path', sa.String(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('used_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name='pk_sign_in_links')
    )
    op.create_index('ix_sign_in_links_email', 'sign_in_links', ['email'], unique=False)
    op.create_index('ix_sign_in_links_expires_at', 'sign_in_links', ['expires_at'], unique=False)
    op.create_table('stripe_events',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('type', sa.String(), nullable=False),
    sa.Column('created', sa.DateTime(timezone=True), nullable=False),
    sa.Column('livemode', sa.Boolean(), nullable=False),
    sa.Column('api_version', sa.String(), nullable=True),
    sa.Column('customer_id', sa.String(), nullable=True),
    sa.Column('object_id', sa.String(), nullable=True),
    sa.Column('received_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('processed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('last_error', sa.String(), nullable=True),
    sa.PrimaryKeyConstraint('id', name='pk_stripe_events')
    )
    op.create_index('ix_stripe_events_processed_at', 'stripe_events', ['processed_at'], unique=False)
    op.create_index('ix_stripe_events_received_at', 'stripe_events', ['received_at'], unique=False)
    op.create_table('sweep_turns',
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('name', name='pk_sweep_turns')
    )
    op.create_table('users',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('email', sa.String(), nullable=False),
    sa.Column('name', sa.String(), nullable=True),
    sa.Column('role', sa.String(), server_default='user', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('disabled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('closing_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('stripe_customer_id', sa.String(), nullable=True),
    sa.Column('stripe_customer_epoch', sa.Integer(), server_default='0', nullable=False),
    sa.Column('stripe_subscription_id', sa.String(), nullable=True),
    sa.Column('stripe_subscription_status', sa.String(), nullable=True),
    sa.Column('stripe_price_id', sa.String(), nullable=True),
    sa.Column('stripe_sync_counter', sa.Integer(), server_default='0', nullable=False),
    sa.Column('stripe_current_period_end', sa.DateTime(timezone=True), nullable=True),
    sa.Column('stripe_cancel_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('stripe_past_due_since', sa.DateTime(timezone=True), nullable=True),
    sa.Column('stripe_synced_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("role IN ('user', 'admin')", name='ck_users_role'),
    sa.PrimaryKeyConstraint('id', name='pk_users'),
    sa.UniqueConstraint('email', name='uq_users_email'),
    sa.UniqueConstraint('stripe_customer_id', name='uq_users_stripe_customer_id'),
    sa.UniqueConstraint('stripe_subscription_id', name='uq_users_stripe_subscription_id')
    )
    op.create_index('ix_users_closing_at', 'users', ['closing_at'], unique=False)
    op.create_table('feature_uses',
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('feature', sa.String(), nullable=False),
    sa.Column('month', sa.String(), nullable=False),
    sa.Column('used', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name='fk_feature_uses_user_id_users', ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('user_id', 'feature', 'month', name='pk_feature_uses')
    )
    op.create_table('sessions',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('token_hash', sa.LargeBinary(), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('last_seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('user_agent', sa.String(), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name='fk_sessions_user_id_users', ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name='pk_sessions'),
    sa.UniqueConstraint('token_hash', name='uq_sessions_token_hash')
    )
    op.create_index('ix_sessions_expires_at', 'sessions', ['expires_at'], unique=False)
    op.create_index('ix_sessions_user_id', 'sessions', ['user_id'], unique=False)
    op.create_table('subscription_changes',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('counter', sa.Integer(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('cause', sa.String(), nullable=False),
    sa.Column('before', sa.JSON(), nullable=False),
    sa.Column('after', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name='fk_subscription_changes_user_id_users', ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name='pk_subscription_changes')
    )
    op.create_index('ix_subscription_changes_user_id_at', 'subscription_changes', ['user_id', 'at'], unique=False)


def downgrade():
    op.drop_index('ix_subscription_changes_user_id_at', table_name='subscription_changes')
    op.drop_table('subscription_changes')
    op.drop_index('ix_sessions_user_id', table_name='sessions')
    op.drop_index('ix_sessions_expires_at', table_name='sessions')
    op.drop_table('sessions')
    op.drop_table('feature_uses')
    op.drop_index('ix_users_closing_at', table_name='users')
    op.drop_table('users')
    op.drop_table('sweep_turns')
    op.drop_index('ix_stripe_events_received_at', table_name='stripe_events')
    op.drop_index('ix_stripe_events_processed_at', table_name='stripe_events')
    op.drop_table('stripe_events')
    op.drop_index('ix_sign_in_links_expires_at', table_name='sign_in_links')
    op.drop_index('ix_sign_in_links_email', table_name='sign_in_links')
    op.drop_table('sign_in_links')
    op.drop_index('ix_rate_limits_expires_at', table_name='rate_limits')
    op.drop_table('rate_limits')
    op.drop_index('ix_outbox_messages_due_at', table_name='outbox_messages')
    op.drop_table('outbox_messages')
    op.drop_table('installations')
    op.drop_index('ix_closed_accounts_stripe_customer_id', table_name='closed_accounts')
    op.drop_table('closed_accounts')
