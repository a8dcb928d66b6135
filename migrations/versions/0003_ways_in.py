"""Google, GitHub and passkeys; and who has proven that their address is theirs."""

from alembic import op
import sqlalchemy as sa

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('users', sa.Column('verified_at', sa.DateTime(timezone=True), nullable=True))
    # A session began with a mailed link, which is the proof.
    op.execute('UPDATE users SET verified_at = created_at WHERE id IN (SELECT user_id FROM sessions)')
    op.create_table(
        'identities',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('user_id', sa.Uuid(), nullable=False),
        sa.Column('provider', sa.String(), nullable=False),
        sa.Column('issuer', sa.String(), nullable=False),
        sa.Column('subject', sa.String(), nullable=False),
        sa.Column('email', sa.String(), nullable=True),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('last_used_at', sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(['user_id'], ['users.id'], name='fk_identities_user_id_users', ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id', name='pk_identities'),
        sa.UniqueConstraint('issuer', 'subject', name='uq_identities_issuer_subject'),
    )
    op.create_index('ix_identities_user_id', 'identities', ['user_id'], unique=False)
    op.create_table(
        'passkeys',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('user_id', sa.Uuid(), nullable=False),
        sa.Column('name', sa.String(), nullable=False),
        sa.Column('credential_id', sa.LargeBinary(), nullable=False),
        sa.Column('public_key', sa.LargeBinary(), nullable=False),
        sa.Column('sign_count', sa.Integer(), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('last_used_at', sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(['user_id'], ['users.id'], name='fk_passkeys_user_id_users', ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id', name='pk_passkeys'),
        sa.UniqueConstraint('credential_id', name='uq_passkeys_credential_id'),
    )
    op.create_index('ix_passkeys_user_id', 'passkeys', ['user_id'], unique=False)
    op.create_table(
        'started_sign_ins',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('way', sa.String(), nullable=False),
        sa.Column('purpose', sa.String(), nullable=False),
        sa.Column('user_id', sa.Uuid(), nullable=True),
        sa.Column('next_path', sa.String(), nullable=False),
        sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(['user_id'], ['users.id'], name='fk_started_sign_ins_user_id_users', ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id', name='pk_started_sign_ins'),
    )
    op.create_index('ix_started_sign_ins_user_id', 'started_sign_ins', ['user_id'], unique=False)
    op.create_index('ix_started_sign_ins_expires_at', 'started_sign_ins', ['expires_at'], unique=False)


def downgrade():
    op.drop_table('started_sign_ins')
    op.drop_table('passkeys')
    op.drop_table('identities')
    with op.batch_alter_table('users') as batch:
        batch.drop_column('verified_at')
