"""Collecting on a local cluster of two raylets, one of which is killed in the middle."""

from functools import partial

import pytest

pytest.importorskip("ray", reason="needs Ray: pip install 'peephole-service[cluster]'")

import ray
from ray.cluster_utils import Cluster

from training.measuring.collect import collect, plan
from training.measuring.ray_cluster import ray_cluster
from training.observations.read import read
from training.protocols import PROTOCOLS

NETWORKS = 8
PROTOCOL = PROTOCOLS["digits-mini"]


def test_a_machine_that_dies_in_the_middle_costs_no_network_and_repeats_none(tmp_path) -> None:
    out = tmp_path / "digits.parquet"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    other = cluster.add_node(num_cpus=1)
    rows = []

    def on_row(row) -> None:
        rows.append(row)
        if len(rows) == 2:
            cluster.remove_node(other, allow_graceful=False)

    try:
        ray.init(address=cluster.address, log_to_driver=False)
        cluster.wait_for_nodes()
        assert ray.cluster_resources()["CPU"] == 2
        backend = partial(ray_cluster, address=cluster.address)
        added = collect(PROTOCOL, out, plan(PROTOCOL, NETWORKS), backend, on_row=on_row)
        assert ray.cluster_resources()["CPU"] == 1, "the machine is gone"
        again = collect(PROTOCOL, out, plan(PROTOCOL, NETWORKS), backend)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert added == NETWORKS
    assert again == 0, "what is measured is not measured again"
    table = read(out)
    assert len(table) == len({row.network_id for row in table}) == NETWORKS
    assert all(row.weight_stats for row in table)
