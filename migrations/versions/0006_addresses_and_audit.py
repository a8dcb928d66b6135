"""Changes of address, and what administrators and operators did."""

from alembic import op
import sqlalchemy as sa

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        'email_changes',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('user_id', sa.Uuid(), nullable=False),
        sa.Column('old_email', sa.String(), nullable=False),
        sa.Column('new_email', sa.String(), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('confirmed_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ['user_id'], ['users.id'], name='fk_email_changes_user_id_users', ondelete='CASCADE'
        ),
        sa.PrimaryKeyConstraint('id', name='pk_email_changes'),
    )
    op.create_index('ix_email_changes_user_id', 'email_changes', ['user_id'], unique=False)
    op.create_index('ix_email_changes_expires_at', 'email_changes', ['expires_at'], unique=False)
    op.create_table(
        'audit_entries',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('actor', sa.String(), nullable=False),
        sa.Column('action', sa.String(), nullable=False),
        sa.Column('subject_id', sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint('id', name='pk_audit_entries'),
    )
    op.create_index('ix_audit_entries_subject_id', 'audit_entries', ['subject_id'], unique=False)


def downgrade():
    op.drop_table('audit_entries')
    op.drop_table('email_changes')
