"""Search for networks: a described space, steps in it, and two searches that are asked and told.

```python
space = Space(input=(3, 16, 16), kind="paper", width=8, constraints={"flops": 5e6})
search = Evolution(space, seed=0)
for _ in range(15):
    networks = search.ask(100)
    search.tell(networks, [one.lower[-1] for one in predictor.predict(networks)])
best = search.best(5)
```
"""

from .crossover import crossover
from .evolution import Candidate, Evolution, RandomSearch
from .mutation import mutate
from .space import Space, hash, sample, validate  # noqa: A004 - the word for it

__all__ = ["Candidate", "Evolution", "RandomSearch", "Space", "crossover", "hash", "mutate", "sample", "validate"]
