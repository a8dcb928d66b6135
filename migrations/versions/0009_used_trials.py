"""Mailboxes whose trial was used by an account that is gone, as keyed hashes."""

from alembic import op
import sqlalchemy as sa

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        'used_trials',
        sa.Column('hash', sa.LargeBinary(), nullable=False),
        sa.Column('used_at', sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('hash', name=op.f('pk_used_trials')),
    )


def downgrade():
    op.drop_table('used_trials')
