"""Evolution and random search: what they ask for, keep and return."""

import pickle
from math import inf, nan

import pytest

from peephole.search import Evolution, RandomSearch, Space, hash, sample  # noqa: A004
from tests.client.search.spaces import FAMILIES

TINY = Space((3, 16, 16), families=("vgg", "separable"), constraints={"flops": 2e7})
SEARCHES = [RandomSearch, Evolution]


def run(search, value, rounds=8, count=10):
    for _ in range(rounds):
        networks = search.ask(count)
        search.tell(networks, [value(one["layers"]) for one in networks])
    return search


def shallow(layers):
    """A toy objective: few layers."""
    return 1 / len(layers)


def test_evolution_finds_better_networks_than_random_search():
    options = {"seed": 1}
    evolved = run(Evolution(TINY, population=10, tournament=5, **options), len)
    drawn = run(RandomSearch(TINY, **options), len)
    assert len(evolved.history) == len(drawn.history) == 80
    assert evolved.best()[0].accuracy > drawn.best()[0].accuracy


def test_crossover_takes_part():
    assert run(Evolution(TINY, population=10, crossover=0.5), shallow, rounds=3).best()[0].accuracy > 0


@pytest.mark.parametrize("kind", SEARCHES)
def test_no_network_is_asked_for_twice(kind):
    search = run(kind(TINY), shallow, rounds=3)
    identities = [one.id for one in search.history]
    assert len(set(identities)) == 30
    assert identities[0] == hash(search.history[0].layers, TINY.input)


@pytest.mark.parametrize("kind", SEARCHES)
def test_a_pickled_search_goes_on_where_it_was(kind):
    search = run(kind(TINY), shallow, rounds=2)
    copy = pickle.loads(pickle.dumps(search))
    assert copy.ask(5) == search.ask(5)
    assert [one.id for one in copy.history] == [one.id for one in search.history]


def test_the_oldest_dies():
    search = Evolution(TINY, population=3, tournament=1)
    for accuracy in (0.9, 0.1, 0.2, 0.3):
        search.tell(search.ask(), [accuracy])
    assert [one.accuracy for one in search.population] == [0.1, 0.2, 0.3]
    assert search.best()[0].accuracy == 0.9


@pytest.mark.parametrize("failed", [nan, inf, -inf])
def test_a_network_that_fails_is_not_kept(failed):
    search = Evolution(TINY)
    networks = search.ask(2)
    search.tell(networks, [failed, 0.4])
    assert [one.id for one in search.best(5)] == [networks[1]["id"]]
    assert [one.id for one in search.population] == [networks[1]["id"]]


def test_networks_that_were_measured_before_are_told_and_not_asked_for():
    first = RandomSearch(TINY, seed=7).ask(3)
    search = RandomSearch(TINY, seed=7)
    search.tell([one["layers"] for one in first], [0.1, 0.2, 0.3])
    assert not {one["id"] for one in search.ask(10)} & {one["id"] for one in first}


def test_the_front_has_what_nothing_dominates_and_constraints_come_first():
    search = RandomSearch(FAMILIES, objectives=("accuracy", "latency_ms"), constraints={"latency_ms": 5})
    told = [(0.9, 9.0), (0.8, 4.0), (0.7, 2.0), (0.6, 3.0)]
    networks = search.ask(4)
    search.tell(networks, [one for one, _ in told], [{"latency_ms": cost} for _, cost in told])
    assert [one.accuracy for one in search.front()] == [0.8, 0.7]
    assert [one.accuracy for one in search.best(4)] == [0.8, 0.7, 0.6, 0.9]


def test_counted_costs_can_be_objectives():
    search = run(RandomSearch(FAMILIES, objectives=("accuracy", "params")), shallow, rounds=1)
    front = search.front()
    costs = [one.costs["params"] for one in front]
    assert costs == sorted(costs, reverse=True)
    assert min(one.costs["params"] for one in search.history) == costs[-1]


def test_what_is_missing_is_named():
    search = RandomSearch(FAMILIES, objectives=("accuracy", "latency_ms"))
    with pytest.raises(ValueError, match="costs lack latency_ms"):
        search.tell(sample(FAMILIES), [0.5])
    with pytest.raises(ValueError, match="argument 2"):
        search.tell(sample(FAMILIES), [])
    with pytest.raises(ValueError, match="population"):
        Evolution(FAMILIES, population=1)
