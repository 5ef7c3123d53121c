"""Alembic's environment: the caller's connection and transaction."""

from alembic import context

from store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="peephole_alembic_version",
    transactional_ddl=True,  # on SQLite too, where `store.database` begins transactions itself
)
with context.begin_transaction():
    context.run_migrations()
