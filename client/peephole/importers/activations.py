"""Activations that are written as arithmetic: what `x * sigmoid(x)` and the like become."""

from math import isclose, sqrt
from typing import NamedTuple

from .graph import Graph, Tensor
from .layout import Layout
from .unmapped import Unmapped


class _Affine(NamedTuple):
    """A layer's output, times a factor, plus a term; `None` where these are unknown or no single number."""

    layer: int
    factor: float | None
    term: float | None


def _read(graph: Graph, layer: int) -> _Affine:
    operation = graph.operation(layer)
    if operation is None or operation.type != "_affine":
        return _Affine(layer, 1.0, 0.0)
    return _Affine(operation.sources[0], operation.fields["factor"], operation.fields["term"])


def affine(graph: Graph, value: Tensor, factor: float | None, term: float | None) -> Tensor:
    """Return factor * value + term. A constant factor is no layer; it is left out with a note where it remains."""
    inner = _read(graph, value.layer)
    if factor is None or term is None or inner.factor is None or inner.term is None:
        factor = term = None
    else:
        factor, term = factor * inner.factor, factor * inner.term + term
    layer = inner.layer
    if factor is not None and term is not None:
        before = graph.operation(layer)
        shifted = _shifted_by_3(graph, layer) if before is not None and before.type == "relu6" else None
        if shifted is not None and isclose(factor, 1 / 6, rel_tol=1e-4) and term == 0:  # relu6(x + 3) / 6
            return Tensor(graph.emit("hard_sigmoid", shifted), value.layout)
        if isclose(factor, 1.0, rel_tol=1e-6) and abs(term) < 1e-9:
            return Tensor(layer, value.layout)
    return Tensor(graph.emit("_affine", layer, factor=factor, term=term), value.layout)


def _shifted_by_3(graph: Graph, relu6: int) -> int | None:
    """Return x of relu6(x + 3)."""
    operation = graph.operation(relu6)
    if operation is None or operation.type != "relu6":
        return None
    inner = _read(graph, operation.sources[0])
    return inner.layer if (inner.factor, inner.term) == (1.0, 3.0) else None


def clamp(graph: Graph, value: Tensor, low: float | None, high: float | None = None) -> Tensor:
    """Limit values: a rectifier, or hard sigmoid written as arithmetic."""
    if (low, high) == (0.0, None) or (low, high) == (0.0, float("inf")):
        return Tensor(graph.emit("relu", value.layer), value.layout)
    if (low, high) == (0.0, 6.0):
        return Tensor(graph.emit("relu6", value.layer), value.layout)
    inner = _read(graph, value.layer)
    factor, term = inner.factor or 0.0, inner.term or 0.0
    if (low, high) == (0.0, 1.0) and isclose(factor, 1 / 6, rel_tol=1e-4) and isclose(term, 0.5, rel_tol=1e-4):
        return Tensor(graph.emit("hard_sigmoid", inner.layer), value.layout)
    raise Unmapped(f"limits of {low} and {high} are none of relu and relu6")


def gated(graph: Graph, left: Tensor, right: Tensor, layout: Layout) -> Tensor:
    """Multiply tensors; x times a function of x can be an activation."""
    for value, gate in ((left, right), (right, left)):
        found = _activation(graph, value.layer, gate.layer) if value.layout == gate.layout else None
        if found is not None:
            kind, source, factor = found
            return affine(graph, Tensor(graph.emit(kind, source), layout), factor, 0.0)
    return Tensor(graph.emit("mul", left.layer, right.layer), layout)


def _activation(graph: Graph, value: int, gate: int) -> tuple[str, int, float] | None:
    """Return the activation that value * gate is, what it reads and a factor; `None` if it is none."""
    x, g = _read(graph, value), _read(graph, gate)
    operation = graph.operation(g.layer)
    if operation is None or None in (*x, *g) or x.term != 0:
        return None
    assert x.factor is not None and g.factor is not None and g.term is not None  # noqa: S101, PT018 - checked above
    factor = x.factor * g.factor
    source = operation.sources[0] if operation.sources else None
    if source == x.layer and g.term == 0 and operation.type in {"sigmoid", "hard_sigmoid"}:
        return {"sigmoid": "silu", "hard_sigmoid": "hard_swish"}[operation.type], x.layer, factor
    if g.term == 0 and _shifted_by_3(graph, g.layer) == x.layer:
        return "hard_swish", x.layer, 6 * factor
    if operation.type == "_erf" and isclose(g.factor, g.term):  # x * (1 + erf(x / sqrt(2)))
        inner = _read(graph, operation.sources[0])
        if inner.layer == x.layer and inner.factor is not None and isclose(inner.factor, 1 / sqrt(2), rel_tol=1e-4):
            return "gelu", x.layer, 2 * factor
    return None
