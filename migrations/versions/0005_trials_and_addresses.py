"""The one trial, a payment that waits for its owner, an address that Stripe does not know yet."""

from alembic import op
import sqlalchemy as sa

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('users', sa.Column('stripe_action_required', sa.Boolean(), nullable=True))
    op.add_column('users', sa.Column('stripe_address_due_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('users', sa.Column('trial_used_at', sa.DateTime(timezone=True), nullable=True))
    op.create_index('ix_users_stripe_address_due_at', 'users', ['stripe_address_due_at'], unique=False)


def downgrade():
    op.drop_index('ix_users_stripe_address_due_at', table_name='users')
    with op.batch_alter_table('users') as batch:
        batch.drop_column('trial_used_at')
        batch.drop_column('stripe_address_due_at')
        batch.drop_column('stripe_action_required')
