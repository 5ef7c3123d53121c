"""Asks a predictor so that a search does not depend on it: little waiting, pauses after failures, one warning."""

import logging
from collections.abc import Callable
from copy import copy
from threading import Lock
from time import monotonic
from typing import Any, TypeVar

from ..client import Client
from ..errors import RequestError
from ..predictor import Predictor

SECONDS = 4.0  # that a call may take
PROBE_SECONDS = 1.0  # the same, while the predictor was not reachable last time
FIRST_PAUSE, LONGEST_PAUSE = 60.0, 3600.0
OF_THE_REQUEST = {400, 413, 422}  # another request may be answered
Answer = TypeVar("Answer")
_log = logging.getLogger("peephole.adapters")


class Guard:
    """A predictor that answers or returns `None`, and never raises.

    After a failure nothing is asked for 60 seconds, a pause that doubles with each further failure up to an hour.
    Safe to use from several threads. A pickled guard has its predictor and knows what it warned of.

    Args:
        predictor: a `Client`, of which a copy with short timeouts is used, or any other predictor.
        requests: that one call may send.
    """

    def __init__(self, predictor: Predictor, *, requests: int = 1) -> None:
        self._predictor, self._requests = copy(predictor) if isinstance(predictor, Client) else predictor, requests
        self._timeout = getattr(predictor, "timeout", SECONDS)
        self._warned: set[str] = set()
        self._start()

    def _start(self) -> None:
        self._lock = Lock()
        self._failures, self._resumes = 0, 0.0

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in {"_lock", "_failures", "_resumes"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    def ask(self, call: Callable[[Any], Answer]) -> Answer | None:
        """Return what a call with the predictor returns; `None` when it fails, or during a pause."""
        if monotonic() < self._resumes:
            return None
        if isinstance(self._predictor, Client):
            most = PROBE_SECONDS if self._failures else SECONDS
            self._predictor.timeout = min(self._timeout, most / self._requests)
        try:
            answer = call(self._predictor)
        except Exception as error:  # whatever it is, the search goes on
            if isinstance(error, RequestError) and error.status in OF_THE_REQUEST:
                self.warn("rejected", f"a request was rejected, the search goes on without an answer: {error}")
            else:
                self._pause(error)
            return None
        self._failures = 0
        return answer

    def warn(self, kind: str, message: str) -> None:
        """Log a warning, the first of its kind."""
        with self._lock:
            is_new = kind not in self._warned
            self._warned.add(kind)
        if is_new:
            _log.warning("Peephole: %s", message)

    def _pause(self, error: Exception) -> None:
        with self._lock:
            if monotonic() < self._resumes:  # another thread failed at the same time
                return
            seconds = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**self._failures)
            self._failures += 1
            self._resumes = monotonic() + seconds
        self.warn("failed", f"no prediction, the search goes on without and asks again in {seconds:.0f} s: {error}")
