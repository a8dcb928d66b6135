"""Plans given by hand."""

import sqlalchemy as sa
from alembic import op

revision = '0015'
down_revision = '0014'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        'granted_plans',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('user_id', sa.Uuid(), nullable=False),
        sa.Column('plan', sa.String(), nullable=False),
        sa.Column('reason', sa.String(), nullable=False),
        sa.Column('granted_by', sa.String(), nullable=False),
        sa.Column('granted_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('until', sa.DateTime(timezone=True), nullable=True),
        sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('ended_by', sa.String(), nullable=True),
        sa.Column('end_reason', sa.String(), nullable=True),
        sa.ForeignKeyConstraint(['user_id'], ['users.id'], ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id'),
    )
    op.create_index('ix_granted_plans_user_id', 'granted_plans', ['user_id'])
    op.add_column('users', sa.Column('granted_plan', sa.String(), nullable=True))
    op.add_column('users', sa.Column('granted_until', sa.DateTime(timezone=True), nullable=True))


def downgrade():
    op.drop_column('users', 'granted_until')
    op.drop_column('users', 'granted_plan')
    op.drop_index('ix_granted_plans_user_id', table_name='granted_plans')
    op.drop_table('granted_plans')
