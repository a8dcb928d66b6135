"""What a promised mail is about, and for a while whom it goes to."""

from alembic import op
import sqlalchemy as sa

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('outbox_messages', sa.Column('about', sa.JSON(), nullable=True))
    op.add_column('outbox_messages', sa.Column('to_address', sa.String(), nullable=True))
    op.create_index('ix_outbox_messages_subject_id', 'outbox_messages', ['subject_id'], unique=False)


def downgrade():
    op.drop_index('ix_outbox_messages_subject_id', table_name='outbox_messages')
    with op.batch_alter_table('outbox_messages') as batch:
        batch.drop_column('to_address')
        batch.drop_column('about')
