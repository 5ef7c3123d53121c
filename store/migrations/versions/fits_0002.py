"""Background fits and the versions that they publish."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
_id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables; say of each task which version is served."""
    op.add_column("peephole_tasks", sa.Column("pinned", sa.String(64)))
    op.add_column("peephole_tasks", sa.Column("fitted", sa.String(64)))
    op.create_table(
        "peephole_fits",
        sa.Column("id", _id, primary_key=True),
        sa.Column("task_id", _id, sa.ForeignKey("peephole_tasks.id", ondelete="CASCADE"), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("once", sa.String(255)),
        sa.Column("claim", sa.String(64)),
        sa.Column("lease_until", sa.String(32)),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("progress", sa.Float(53), nullable=False),
        sa.Column("log", sa.Text, nullable=False),
        sa.Column("networks", sa.Integer, nullable=False),
        sa.Column("result", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("started_at", sa.String(32)),
        sa.Column("finished_at", sa.String(32)),
        sqlite_autoincrement=True,
    )
    op.create_index("peephole_fits_by_state", "peephole_fits", ["state", "id"])
    op.create_index("peephole_fits_by_task", "peephole_fits", ["task_id", "id"])
    op.create_table(
        "peephole_versions",
        sa.Column("id", _id, primary_key=True),
        sa.Column("task_id", _id, sa.ForeignKey("peephole_tasks.id", ondelete="CASCADE"), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("artifact", sa.LargeBinary, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("peephole_versions_by_name", "peephole_versions", ["task_id", "version"], unique=True)


def downgrade() -> None:
    """Remove fits and versions."""
    op.drop_table("peephole_versions")
    op.drop_table("peephole_fits")
    op.drop_column("peephole_tasks", "fitted")
    op.drop_column("peephole_tasks", "pinned")
