"""The manifests: valid against Kubernetes' published schemas, and consistent with the service and with each other."""

from typing import Any

import kubernetes_validate
import pytest
import yaml

from service.app import create_app
from service.observability.metrics import Metrics
from service.settings import Settings
from tests.deploy.compose import ROOT

FOLDER = ROOT / "docker/kubernetes"
VERSIONS = ("1.30", "1.37")  # the oldest that knows `preStop: sleep`, and the newest
MANIFESTS = {path.stem: yaml.safe_load(path.read_text()) for path in FOLDER.glob("*.yaml")}
RESOURCES = [name.removesuffix(".yaml") for name in MANIFESTS["kustomization"]["resources"]]
LEARNING = {
    (part["kind"], part["metadata"]["name"]): part
    for name in ("worker", "postgres", "egress")
    for part in yaml.safe_load_all((FOLDER / f"learning/{name}.yaml").read_text())
}
WORKER, POSTGRES = LEARNING["Deployment", "peephole-worker"], LEARNING["StatefulSet", "peephole-postgres"]
POD: dict[str, Any] = MANIFESTS["deployment"]["spec"]["template"]
KSERVE: dict[str, Any] = MANIFESTS["kserve"]["spec"]["predictor"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", RESOURCES)
def test_a_manifest_is_valid(name: str, version: str) -> None:
    kubernetes_validate.validate(MANIFESTS[name], version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("part", sorted(set(LEARNING) - {("NetworkPolicy", "peephole")}), ids="-".join)
def test_a_manifest_of_background_fits_is_valid(part: tuple[str, str], version: str) -> None:
    kubernetes_validate.validate(LEARNING[part], version, strict=True)


def test_worker_and_service_share_a_database_that_both_can_reach() -> None:
    """Each policy names the labels of the other side; the worker's settings are known, and need no route."""
    labels = {kind: part["spec"]["template"]["metadata"]["labels"] for kind, part in (
        ("worker", WORKER), ("postgres", POSTGRES), ("service", MANIFESTS["deployment"]))}  # fmt: skip
    for name in ("peephole", "peephole-worker"):
        egress = LEARNING["NetworkPolicy", name]["spec"]["egress"]
        assert egress[0]["to"] == [{"podSelector": {"matchLabels": labels["postgres"]}}]
    allowed = LEARNING["NetworkPolicy", "peephole-postgres"]["spec"]["ingress"][0]["from"]
    assert [one["podSelector"]["matchLabels"] for one in allowed] == [labels["service"], labels["worker"]]
    assert LEARNING["Service", "peephole-postgres"]["spec"]["selector"] == labels["postgres"]
    (variable,) = WORKER["spec"]["template"]["spec"]["containers"][0]["env"]
    assert variable in [
        one | {"valueFrom": {"secretKeyRef": {"name": "peephole-database", "key": "url"}}}
        for one in POD["spec"]["containers"][0]["env"]
    ]
    for part in (WORKER, POSTGRES):
        spec = part["spec"]["template"]["spec"]
        assert spec["securityContext"]["runAsNonRoot"]
        assert spec["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"]


def test_an_invalid_manifest_would_be_noticed() -> None:
    broken = {**MANIFESTS["service"], "spec": {"selecter": {}}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_pod_inside_the_inference_service_is_valid(version: str) -> None:
    own = {"minReplicas", "maxReplicas", "timeout"}  # what KServe adds to a pod's specification
    spec = {key: value for key, value in KSERVE.items() if key not in own}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "peephole"}, "spec": spec}
    kubernetes_validate.validate(pod, version, strict=True)


@pytest.mark.parametrize("spec", [POD["spec"], KSERVE], ids=["deployment", "kserve"])
def test_a_pod_is_confined_and_has_time_to_drain(spec: dict[str, Any]) -> None:
    container = spec["containers"][0]
    assert spec["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    asleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert spec["terminationGracePeriodSeconds"] > asleep + Settings.model_fields["drain_seconds"].default


@pytest.mark.parametrize("spec", [POD["spec"], KSERVE], ids=["deployment", "kserve"])
def test_probes_use_existing_routes_and_every_setting_is_known(spec: dict[str, Any]) -> None:
    container = spec["containers"][0]
    routes = set(create_app(Settings(shipped=False)).openapi()["paths"])
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] in routes
    for variable in container["env"]:
        assert variable["name"].removeprefix("PEEPHOLE_").lower() in Settings.model_fields


def test_the_parts_find_each_other() -> None:
    labels = POD["metadata"]["labels"]
    assert MANIFESTS["service"]["spec"]["selector"] == labels
    for name in ("deployment", "pdb"):
        assert MANIFESTS[name]["spec"]["selector"]["matchLabels"] == labels
    assert MANIFESTS["networkpolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    assert MANIFESTS["hpa"]["spec"]["scaleTargetRef"]["name"] == MANIFESTS["deployment"]["metadata"]["name"]


def test_the_autoscaler_follows_a_metric_that_the_service_has_and_the_adapter_offers() -> None:
    metric = MANIFESTS["hpa"]["spec"]["metrics"][0]["pods"]["metric"]["name"]
    assert metric in {family.name for family in Metrics().registry.collect()}
    assert metric in {rule["name"]["matches"] for rule in MANIFESTS["prometheus-adapter"]["rules"]["custom"]}
