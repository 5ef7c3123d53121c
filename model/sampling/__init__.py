"""Random networks: blocks drawn from a Markov chain, in a skeleton. Nothing here knows how networks are measured."""
