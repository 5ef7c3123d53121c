"""Tasks, observations and idempotency keys."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
_id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "peephole_tasks",
        sa.Column("id", _id, primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("input", sa.Text, nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("prior", sa.Text),
        sa.Column("created_at", sa.String(32), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("peephole_tasks_by_name", "peephole_tasks", ["owner", "name"], unique=True)
    op.create_table(
        "peephole_observations",
        sa.Column("id", _id, primary_key=True),
        sa.Column("task_id", _id, sa.ForeignKey("peephole_tasks.id", ondelete="CASCADE"), nullable=False),
        sa.Column("network", sa.String(16), nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("client_id", sa.Text),
        sa.Column("layers", sa.Text, nullable=False),
        sa.Column("accuracy", sa.Text, nullable=False),
        sa.Column("final_accuracy", sa.Float(53), nullable=False),
        sa.Column("proxies", sa.Text),
        sa.Column("added_at", sa.String(32), nullable=False),
        sqlite_autoincrement=True,
    )
    table = "peephole_observations"
    op.create_index("peephole_observations_by_network", table, ["task_id", "network", "seed"], unique=True)
    op.create_index("peephole_observations_in_order", table, ["task_id", "id"])
    op.create_index("peephole_observations_by_accuracy", table, ["task_id", "final_accuracy"])
    op.create_table(
        "peephole_idempotency_keys",
        sa.Column("owner", sa.String(64), primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("task_id", _id, sa.ForeignKey("peephole_tasks.id", ondelete="CASCADE"), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("added", sa.Integer, nullable=False),
        sa.Column("repeated", sa.Integer, nullable=False),
        sa.Column("networks", sa.Integer, nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
    )


def downgrade() -> None:
    """Remove the tables and all that is stored."""
    for table in ("peephole_idempotency_keys", "peephole_observations", "peephole_tasks"):
        op.drop_table(table)
