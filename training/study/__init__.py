"""The paper's study on this project's tables: rivals, ceilings, learning-set size, regret, transfer, representations.

`refresh` computes what takes long or needs tables that are not committed, and keeps it as JSON; `page` writes
docs/results.md from that, the committed tables and the shipped predictors.
"""
