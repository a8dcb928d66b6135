"""Codes beside sign-in links: which browser asked, how many codes it tried, what replaced a link."""

from alembic import op
import sqlalchemy as sa

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('sign_in_links', sa.Column('browser_hash', sa.LargeBinary(), nullable=True))
    op.add_column(
        'sign_in_links', sa.Column('tries', sa.Integer(), nullable=False, server_default='0')
    )
    op.add_column('sign_in_links', sa.Column('replaced_at', sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        'ix_sign_in_links_browser_hash', 'sign_in_links', ['browser_hash'], unique=False
    )


def downgrade():
    op.drop_index('ix_sign_in_links_browser_hash', table_name='sign_in_links')
    with op.batch_alter_table('sign_in_links') as batch:
        batch.drop_column('replaced_at')
        batch.drop_column('tries')
        batch.drop_column('browser_hash')
