"""Reports."""

import sqlalchemy as sa
from alembic import op

revision = "bb30f85affb8"
down_revision = None
branch_labels = ("product",)
depends_on = "0009"


def upgrade():
    op.create_table(
        "reports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_reports_user_id_users", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_reports"),
    )
    op.create_index("ix_reports_user_id", "reports", ["user_id"])


def downgrade():
    op.drop_index("ix_reports_user_id", "reports")
    op.drop_table("reports")
