"""An index for the newest changes of subscriptions."""

from alembic import op

revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None


def upgrade():
    op.create_index('ix_subscription_changes_at', 'subscription_changes', ['at'])


def downgrade():
    op.drop_index('ix_subscription_changes_at', table_name='subscription_changes')
