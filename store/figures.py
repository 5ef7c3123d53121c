"""Figures of the store for the metrics: how much is stored, how the fits stand."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import func, select

from store.database import Database
from store.records import Figures, Key
from store.rows import from_time_text, served
from store.tables import fits, observations, tasks, versions


def read_figures(database: Database, clock: Callable[[], datetime]) -> Figures:
    """Return the figures of all owners, in one transaction."""
    if database.is_new:
        return Figures({}, {}, {}, {})
    with database.begin() as connection:
        known = {row.id: row for row in connection.execute(select(tasks))}
        counted = select(observations.c.task_id, func.count().label("held")).group_by(observations.c.task_id)
        held = {row.task_id: row.held for row in connection.execute(counted)}
        oldest = func.min(fits.c.created_at).label("queued"), func.min(fits.c.started_at).label("running")
        grouped = select(fits.c.state, func.count().label("jobs"), *oldest).group_by(fits.c.state)
        states = {row.state: row for row in connection.execute(grouped)}
        listed = select(versions.c.task_id, versions.c.version, versions.c.created_at)
        published = {(row.task_id, row.version): row.created_at for row in connection.execute(listed)}
    keys = {task: Key(row.owner, row.name) for task, row in known.items()}
    fitted = {keys[task]: published.get((task, served(row))) for task, row in known.items()}
    since = {state: from_time_text(getattr(states[state], state)) for state in ("queued", "running") if state in states}
    return Figures(
        {key: held.get(task, 0) for task, key in keys.items()},
        {state: row.jobs for state, row in states.items()},
        {state: max(0.0, (clock() - moment).total_seconds()) for state, moment in since.items()},
        {key: from_time_text(moment).timestamp() for key, moment in fitted.items() if moment is not None},
    )
