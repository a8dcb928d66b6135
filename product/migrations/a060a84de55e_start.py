"""Start the branch of your product's migrations; `flask db migrate` adds the next one here."""

revision = "a060a84de55e"
down_revision = None
branch_labels = ("product",)
depends_on = "0009"


def upgrade():
    pass


def downgrade():
    pass
