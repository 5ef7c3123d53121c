"""Adapters to searches: hopeless runs are stopped, candidates chosen before they are trained.

Each takes a predictor: a `Client`, or what `load` returns. A search never ends because of an adapter: without an answer
runs go on, and candidates are taken as they come. All adapters can be pickled. The packages that they adapt to are
imported by the adapters' own modules only.
"""
