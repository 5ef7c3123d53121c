"""The example of ranking rules: by the mean a search leaves what the predictor knows, with a rule it stays."""

import peephole
from examples.rank_rules import search


def test_a_rule_keeps_a_search_in_distribution():
    predictor = peephole.load("cifar10-mini")
    shares = {
        name: search(predictor, rule, generations=3, size=80)[0]
        for name, rule in {
            "keep": {},
            "last": {"out_of_distribution": "last"},
            "penalise": {"out_of_distribution": "penalise"},
        }.items()
    }
    assert [found[0] for found in shares.values()] == [20, 20, 20], "all begin with sampled networks"
    assert shares["last"][-1] == 20
    assert shares["penalise"][-1] > 10 > shares["keep"][-1]
