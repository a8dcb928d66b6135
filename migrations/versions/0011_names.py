"""Columns and tables under the names that the code uses."""

from alembic import op
import sqlalchemy as sa

revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None

_TABLES = (('sweep_turns', 'task_leases'), ('started_sign_ins', 'pending_sign_ins'))
_COLUMNS = (
    ('users', 'stripe_customer_epoch', 'stripe_customer_generation'),
    ('users', 'stripe_address_due_at', 'stripe_email_stale_since'),
    ('closed_accounts', 'person_id', 'user_id'),
    ('outbox_messages', 'about', 'context'),
    ('pending_sign_ins', 'way', 'method'),
)
_EMAILS = (('way_in', 'sign_in_method'), ('second_refunded', 'duplicate_refunded'))
_CONSTRAINTS = (  # on SQLite only the unique one: the names of its other keys are never compared
    ('task_leases', 'pk_sweep_turns', 'pk_task_leases'),
    ('pending_sign_ins', 'pk_started_sign_ins', 'pk_pending_sign_ins'),
    ('pending_sign_ins', 'fk_started_sign_ins_user_id_users', 'fk_pending_sign_ins_user_id_users'),
    ('closed_accounts', 'uq_closed_accounts_person_id', 'uq_closed_accounts_user_id'),
)


def upgrade():
    for old, new in _TABLES:
        op.rename_table(old, new)
    for table, old, new in _COLUMNS:
        op.alter_column(table, old, new_column_name=new)
    _rename_index('users', 'ix_users_stripe_address_due_at', 'stripe_email_stale_since')
    _rename_index('pending_sign_ins', 'ix_started_sign_ins_user_id', 'user_id')
    _rename_index('pending_sign_ins', 'ix_started_sign_ins_expires_at', 'expires_at')
    _rename_constraints(_CONSTRAINTS)
    _rename_emails(_EMAILS)
    _rename_in_context('sign_in_method', 'way', 'method')


def downgrade():
    _rename_in_context('sign_in_method', 'method', 'way')
    _rename_emails((new, old) for old, new in _EMAILS)
    _rename_constraints((table, new, old) for table, old, new in _CONSTRAINTS)
    for table, old, new in _COLUMNS:
        op.alter_column(table, new, new_column_name=old)
    for old, new in _TABLES:
        op.rename_table(new, old)
    _rename_index('users', 'ix_users_stripe_email_stale_since', 'stripe_address_due_at')
    _rename_index('started_sign_ins', 'ix_pending_sign_ins_user_id', 'user_id')
    _rename_index('started_sign_ins', 'ix_pending_sign_ins_expires_at', 'expires_at')


def _rename_index(table, old, column):
    op.drop_index(old, table_name=table)
    op.create_index(f'ix_{table}_{column}', table, [column])


def _rename_constraints(names):
    if op.get_bind().dialect.name == 'postgresql':
        for table, old, new in names:
            op.execute(sa.text(f'ALTER TABLE {table} RENAME CONSTRAINT {old} TO {new}'))
        return
    for table, old, new in names:
        if old.startswith('uq_'):
            with op.batch_alter_table(table) as batch:
                batch.drop_constraint(old, type_='unique')
                batch.create_unique_constraint(new, ['user_id'])


def _rename_emails(names):
    outbox = sa.table('outbox_messages', sa.column('kind', sa.String), sa.column('key', sa.String))
    for old, new in names:
        key = sa.func.replace(outbox.c.key, old, new)
        op.execute(outbox.update().where(outbox.c.kind == old).values(kind=new, key=key))


def _rename_in_context(kind, old, new):
    outbox = sa.table(
        'outbox_messages',
        sa.column('id', sa.Uuid), sa.column('kind', sa.String), sa.column('context', sa.JSON),
    )
    connection = op.get_bind()
    for id_, context in connection.execute(
        sa.select(outbox.c.id, outbox.c.context).where(outbox.c.kind == kind)
    ).all():
        renamed = {new if name == old else name: value for name, value in (context or {}).items()}
        connection.execute(outbox.update().where(outbox.c.id == id_).values(context=renamed))
