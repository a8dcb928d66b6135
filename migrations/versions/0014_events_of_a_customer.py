"""An index for the events of a customer, which the export of a user reads."""

from alembic import op

revision = '0014'
down_revision = '0013'
branch_labels = None
depends_on = None


def upgrade():
    op.create_index('ix_stripe_events_customer_id', 'stripe_events', ['customer_id'])


def downgrade():
    op.drop_index('ix_stripe_events_customer_id', table_name='stripe_events')
