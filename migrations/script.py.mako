"""${message}

Revision: ${up_revision}, after: ${down_revision | comma,n}, made: ${create_date}
"""

from alembic import op
import sqlalchemy as sa
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


# If code from before this revision cannot run on the new schema, insert it into breaking_revisions
# (docs/building.md).
def upgrade():
    ${upgrades if upgrades else "pass"}


def downgrade():
    ${downgrades if downgrades else "pass"}
