"""`peephole worker`: background fits of stored tasks. Here alone the store and training meet."""

import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from cli.console import silence_libraries

if TYPE_CHECKING:
    from model.loaded import Model
    from service.settings import Settings
    from store import Claim, Store
    from training.observations.observation import Observation

NEWEST = 20_000  # observations that a fit learns from, at most
NEURAL = 500  # networks from which on neural members are fitted too: with fewer they gain nothing, and take minutes
BEATS = 3  # signs of life in a lease
RETRY_SECONDS = 2.0  # while the database is not there


class Outcome(NamedTuple):
    """What a fit gave: its result for the store, and a version to publish if it predicts better."""

    result: dict[str, Any]
    version: str
    artifact: bytes


def worker(
    once: Annotated[bool, typer.Option("--once", help="Carry out the fits that wait, then end.")] = False,
    poll_seconds: Annotated[float, typer.Option(min=0.1, help="How often to look for a fit.")] = 5.0,
) -> None:
    """Fit predictors to stored tasks in the background, one at a time, as POST /tasks/{name}/fits queues them.

    It reads the settings of the service: PEEPHOLE_DATABASE_URL or PEEPHOLE_STATE, and PEEPHOLE_MODELS for the priors. A
    fit is published only when it predicts better, out of fold, than the context model of the same networks. A worker
    that is stopped gives its fit back; what a killed one held is taken up again after a minute.

    Example: `PEEPHOLE_STATE=state peephole worker --once`
    """
    from service.settings import from_environment
    from store import Store, StoreUnavailableError

    silence_libraries()
    settings = from_environment()
    store = Store(settings.database_url.get_secret_value(), settings.state, max_tasks=0, max_observations=0)
    models = priors(settings)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    typer.echo(f"ready; priors: {', '.join(models)}", err=True)
    try:
        while True:
            try:
                claim = store.fits.claim()
            except StoreUnavailableError as error:
                typer.echo(f"the database is not available: {error}", err=True)
                claim = None
                if once:
                    raise RuntimeError("no fit was carried out") from error
            if claim is not None:
                carry_out(store, claim, lambda claim, step: fit_task(store, claim, models, step))
            elif once:
                return
            else:
                time.sleep(poll_seconds)
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
    finally:
        store.close()


def priors(settings: "Settings") -> dict[str, "Model"]:
    """Load the predictors that the service has, by task: any may be the prior of a context."""
    from model.loaded import load_model
    from service.inference.registry import read_sources

    return {artifact.card.task: load_model(artifact, weights=False) for artifact in read_sources(settings)}


def carry_out(store: "Store", claim: "Claim", fit: "Callable[[Claim, Callable[[float, str], None]], Outcome]") -> None:
    """Carry out a fit and write what became of it into the store; whatever goes wrong in it is its error.

    Raises:
        KeyboardInterrupt: when the worker is stopped; the fit was given back.
    """
    from store import ClaimLostError, StoreUnavailableError

    fits, title = store.fits, f"fit {claim.fit} of {claim.key.name}"

    def on_step(progress: float, line: str) -> None:
        typer.echo(f"{title}: {line}", err=True)
        try:
            fits.report(claim, progress=progress, line=line)
        except StoreUnavailableError as error:  # the fit goes on; its end is written when the database is back
            typer.echo(f"{title}: the database is not available: {error}", err=True)

    try:
        with _heartbeat(store, claim):
            try:
                found = fit(claim, on_step)
            except (KeyboardInterrupt, ClaimLostError):
                raise
            except Exception as error:
                traceback.print_exc()
                reason = str(error) or type(error).__name__
                _write(title, lambda: fits.fail(claim, reason))
                typer.echo(f"{title}: failed: {reason}", err=True)
                return
            if found.result["published"]:
                from model.artifact import digest

                sha256 = digest(found.artifact)
                _write(title, lambda: fits.publish(claim, found.version, found.artifact, sha256, found.result))
            else:
                _write(title, lambda: fits.finish(claim, found.result))
        better = f"published as {found.version}" if found.result["published"] else "not published: no better"
        taus = {name: found.result[name]["tau"] for name in ("artifact", "context")}
        typer.echo(f"{title}: {better}; tau {taus['artifact']:.3f}, of the context {taus['context']:.3f}", err=True)
    except ClaimLostError as error:
        typer.echo(f"{title}: dropped: {error}", err=True)
    except KeyboardInterrupt:
        with suppress(ClaimLostError, StoreUnavailableError):  # then its lease ends
            fits.release(claim)
        raise


def fit_task(
    store: "Store",
    claim: "Claim",
    models: "Mapping[str, Model]",
    on_step: Callable[[float, str], None],
) -> Outcome:
    """Fit a predictor to what a task holds, and compare it with the context model.

    Both read the zero-cost scores of the networks, where most have them.

    Raises:
        ValueError: when there is too little to learn from, or the task cannot be fitted.
    """
    from model.artifact import pack_artifact, read_artifact
    from model.loaded import load_model
    from model.proxy_reader import PROXIES_CARD_FILE, PROXIES_FILE
    from training.fitting.calibrate import FOLDS
    from training.fitting.compare import compare_with_context
    from training.fitting.ensemble_config import PROCESS_ALONE
    from training.fitting.fit import fit
    from training.fitting.fit_proxies import MIN_NETWORKS, fit_proxies
    from training.fitting.out_of_fold import read_out_of_fold

    began, task = time.monotonic(), claim.task
    if task.image.height != task.image.width:
        raise ValueError(f"predictors are fitted to square images; those of {task.name} are {task.image}")
    rows = observations(store, claim)
    networks = len({row.network_id for row in rows})
    with_scores = len({row.network_id for row in rows if row.proxies})
    is_scored = with_scores >= MIN_NETWORKS and 2 * with_scores > networks
    steps, done = 2 * FOLDS + 2 + is_scored, 0

    def on_fit(step: str) -> None:
        nonlocal done
        on_step(min(done / steps, 1.0), step)
        done += 1

    config = None if networks >= NEURAL else PROCESS_ALONE
    with tempfile.TemporaryDirectory(prefix="peephole-fit-") as name:
        folder = Path(name)
        card = fit(rows, folder, config=config, description=task.description, on_fit=on_fit).card
        kept = read_out_of_fold(folder, card)
        if is_scored:
            on_fit(f"zero-cost scores of {with_scores} networks")
            kept = fit_proxies(folder, load_model(read_artifact(folder), weights=False), rows, kept).kept
        found = compare_with_context(rows, kept, task.image, models, prior=task.prior, scored=is_scored, on_fold=on_fit)
        packed = pack_artifact(folder, beside=(PROXIES_CARD_FILE, PROXIES_FILE) if is_scored else ())
    result = {
        "published": found.artifact_is_better,
        "version": card.version if found.artifact_is_better else None,
        "networks": networks,
        "observations": len(rows),
        "artifact": found.artifact,
        "context": found.context,
        "seconds": round(time.monotonic() - began, 1),
    }
    return Outcome(result, card.version, packed)


def observations(store: "Store", claim: "Claim") -> "list[Observation]":
    """Return what a task holds, the newest `NEWEST`, oldest first."""
    from training.observations.observation import Observation

    image, stored = claim.task.image, store.context(claim.key, limit=NEWEST).observations
    return [
        Observation(
            id=one.id,
            task=claim.task.name,
            layers=one.layers,
            accuracy=one.accuracy if isinstance(one.accuracy, list) else [one.accuracy],
            final_only=not isinstance(one.accuracy, list),
            seed=one.seed,
            proxies=dict(one.proxies) if one.proxies else None,
            network_id=one.network,
            in_channels=image.channels,
            resolution=image.height,
        )
        for one in stored
    ]


@contextmanager
def _heartbeat(store: "Store", claim: "Claim") -> Iterator[None]:
    """Renew the lease of a claim in a thread until the block ends."""
    from store import ClaimLostError, StoreUnavailableError
    from store.fits import LEASE_SECONDS

    ended = Event()

    def beat() -> None:
        while not ended.wait(LEASE_SECONDS / BEATS):
            try:
                store.fits.report(claim)
            except ClaimLostError:  # the next step of the fit notices
                return
            except StoreUnavailableError:
                continue

    thread = Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _write(title: str, call: Callable[[], None]) -> None:
    """Write the end of a fit; wait for the database as long as it takes.

    Raises:
        ClaimLostError: when the fit is another's by then.
    """
    from store import StoreUnavailableError

    while True:
        try:
            return call()
        except StoreUnavailableError as error:
            typer.echo(f"{title}: the database is not available: {error}", err=True)
            time.sleep(RETRY_SECONDS)
