"""An index for the newest changes of subscriptions, and a list of breaking migrations."""

from alembic import op
import sqlalchemy as sa

revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None


def upgrade():
    op.create_index('ix_subscription_changes_at', 'subscription_changes', ['at'])
    op.create_table('breaking_revisions', sa.Column('revision', sa.String(), primary_key=True))


def downgrade():
    op.drop_table('breaking_revisions')
    op.drop_index('ix_subscription_changes_at', table_name='subscription_changes')
