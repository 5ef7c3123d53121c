"""What the metrics say of stored tasks, read from the database when they are scraped."""

from time import monotonic

from service.errors import Problem
from service.observability.metrics import FIT_AGES, FIT_STATES, Metrics
from service.tasks.threads import StoreThreads
from store import Key, Store

REFRESH_SECONDS = 5.0  # the figures are read at most so often
LONGEST_SECONDS = 2.0  # a scrape does not wait longer for them


class StoreFigures:
    """Sets the gauges of stored tasks; while the database is not there, they keep their last values."""

    def __init__(self, store: Store, threads: StoreThreads, metrics: Metrics) -> None:
        self._store = store
        self._threads = threads
        self._metrics = metrics
        self._fresh_until = 0.0
        self._taus: dict[Key, float] = {}

    def note_tau(self, owner: str, task: str, tau: float) -> None:
        """Keep the tau of a stored task's context for the next scrape."""
        self._taus[Key(owner, task)] = tau

    async def refresh(self) -> None:
        """Read the figures, unless they are fresh."""
        now = monotonic()
        if now < self._fresh_until:
            return
        self._fresh_until = now + REFRESH_SECONDS
        try:
            figures = await self._threads.run(now + LONGEST_SECONDS, self._store.figures)
        except (Problem, TimeoutError):
            return
        metrics = self._metrics
        self._taus = {key: tau for key, tau in self._taus.items() if key in figures.observations}
        for gauge, values in (
            (metrics.observations, figures.observations),
            (metrics.context_tau, self._taus),
            (metrics.fitted_at, figures.fitted_at),
        ):
            gauge.clear()
            for (owner, task), value in values.items():
                gauge.labels(owner, task).set(value)
        for state in FIT_STATES:
            metrics.fit_jobs.labels(state).set(figures.jobs.get(state, 0))
        for state in FIT_AGES:
            metrics.fit_age.labels(state).set(figures.oldest.get(state, 0.0))
