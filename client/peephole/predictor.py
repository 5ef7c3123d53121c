"""What a search asks a predictor, be it a service or in process."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from typing_extensions import Unpack

from . import exchange
from .errors import RequestError
from .exchange import Call, PredictOptions, Result, Steps
from .model.ranking import OutOfDistribution, RankBy
from .networks import Networks
from .predictions import Decision, Predictions, Task


class Predictor(ABC):
    """Predicts learning curves. Safe to use from several threads; it can be pickled."""

    def predict(
        self,
        networks: Networks,
        *,
        task: str | None = None,
        version: str | None = None,
        epochs: int | Sequence[int] | None = None,
        context: Sequence[Mapping[str, Any]] | None = None,
        prior: str | None = exchange.AUTO,
        input: Sequence[int] | None = None,  # noqa: A002 - the request's name for it
        rank_by: RankBy = "mean",
        out_of_distribution: OutOfDistribution = "keep",
        proxies: Literal["compute"] | None = None,
        constraints: Mapping[str, float] | None = None,
        objectives: Sequence[str] | None = None,
    ) -> Predictions:
        """Predict the learning curves of networks that were not trained yet.

        Args:
            networks: layer lists, architectures (`{"layers": [...], "id": ..., "observed": ..., "costs": ...}`), or
                what importers return; of any number.
            task: which predictor; optional where there is one.
            version: of the task: of a stored one, a published version or `"context"`; what it serves by default.
            epochs: 1-based epochs to predict; all of the task by default.
            context: networks measured so far, each `{"layers": [...], "accuracy": ...}` with the final accuracy or
                the curve, 3 to 1,000 of them: predictions are then for their data set; needs `input` and no `task`.
            prior: the task whose predictor those build on; `"auto"` is the best one, `None` is none.
            input: channels, height and width of an image; the task's by default.
            rank_by: what ranks compare: the predicted accuracy, or the lower or upper end of its interval.
            out_of_distribution: what networks of a distance above 1 get: nothing, the last ranks, or a penalty of
                (distance - 1) times the width of their interval.
            proxies: `"compute"` lets a service compute the zero-cost scores of networks that bring none; needs a task
                whose images it has.
            constraints: upper bounds of costs; they set `feasible` and leave `rank`.
            objectives: `accuracy` and costs to trade off; they set `pareto_rank`.

        Returns:
            Predictions in the order of the networks; ranks are of the whole population.

        Raises:
            RequestError: with a pointer to each fault.
            UnavailableError: when no answer comes in time.
            ServiceError: when the service fails.
        """
        options = PredictOptions(
            task=task,
            version=version,
            epochs=epochs,
            context=context,
            prior=prior,
            input=input,
            rank_by=rank_by,
            out_of_distribution=out_of_distribution,
            proxies=proxies,
            constraints=constraints,
            objectives=objectives,
        )
        return self._run(exchange.predict(networks, **options))

    def rank(self, networks: Networks, **options: Unpack[PredictOptions]) -> Predictions:
        """Predict networks and return the best first; with objectives, front by front. See `predict`."""
        return self.predict(networks, **options).ranked()

    def top(self, networks: Networks, count: int = 10, **options: Unpack[PredictOptions]) -> Predictions:
        """Return the best as in `rank`, without those that miss the constraints."""
        return self.predict(networks, **options).top(count)

    def stop(
        self,
        runs: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        *,
        best: float,
        task: str | None = None,
        confidence: float | None = None,
    ) -> list[Decision]:
        """Decide which training runs to stop, since they will hardly beat the best so far.

        Args:
            runs: one or many, each `{"observed": [accuracies after epochs 1, 2, ...]}`; with the network's `layers`
                decisions are better, most of all early.
            best: best final accuracy so far, 0 to 1.
            task: which predictor; optional where there is one.
            confidence: stop when a run ends at or below the best with at least this probability; 0.95 by default.

        Raises:
            RequestError, UnavailableError, ServiceError: as `predict`.
        """
        return self._run(exchange.stop(runs, best=best, task=task, confidence=confidence))

    def tasks(self) -> list[Task]:
        """Return the tasks that can be predicted."""
        return self._run(exchange.tasks())

    def _run(self, steps: Steps[Result]) -> Result:
        """Carry out calls until the result is there."""
        try:
            call = next(steps)
            while True:
                try:
                    document = self._send(call)
                except RequestError as error:  # some can be cured
                    call = steps.throw(error)
                else:
                    call = steps.send(document)
        except StopIteration as end:
            result: Result = end.value
            return result

    @abstractmethod
    def _send(self, call: Call) -> Any:
        """Return the JSON document that answers a call."""
