"""Networks that are PyTorch modules, by `torch.export`."""

import operator
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.export.graph_signature import InputKind

from peephole.model.network.graph import costs, resolve
from peephole.model.network.shapes import Shape

from .aten import CREATORS, OPERATORS, VIEWS
from .graph import Constant, Graph, Request, Tensor, Value, constant, shape_of_value
from .unmapped import UNEXPECTED, ImportNote, Unmapped, reason_of

BATCH = 2  # of the traced images: 1 would not tell the batch from other dimensions of one element


def from_torch(module: nn.Module, input_shape: Sequence[int], *, name: str | None = None) -> Request:
    """Return the request of a module, as it is in eval mode, its final linear layer left out as the classifier.

    The module is traced, not run: its weights may be on the meta device.

    Args:
        module: of images [batch, channels, height, width]; it returns one tensor.
        input_shape: channels, height, width.
        name: the network's `id`.

    Raises:
        UnmappedError: when operators cannot be expressed; it lists all of them.
        ValueError: when the module cannot be traced, holds no network, or is beyond the limits of the form.
    """
    channels, height, width = input_shape
    image = Shape(channels, height, width)
    with _evaluating(module):
        program = _exported(module, image)
    reader = _Reader(program, image)
    output = reader.run()
    request = reader.graph.finish(output, name)
    _note_parameters(reader, request)
    return request


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into eval mode for a while."""
    was_training = [one for one in module.modules() if one.training]
    module.eval()
    try:
        yield
    finally:
        for one in was_training:
            one.training = True


def _exported(module: nn.Module, image: Shape) -> torch.export.ExportedProgram:
    """Export a module; where that fails, what symbolic tracing makes of it.

    Tracing goes into what export rejects, such as a scripted module within another.
    """
    weight = next((one for one in (*module.parameters(), *module.buffers()) if one.is_floating_point()), torch.empty(0))
    images = torch.zeros(BATCH, image.channels, image.height, image.width, device=weight.device, dtype=weight.dtype)
    try:
        return torch.export.export(module, (images,))
    except Exception as error:
        try:
            return torch.export.export(fx.symbolic_trace(module), (images,))
        except Exception:
            first = str(error).strip().splitlines()[0] if str(error).strip() else ""
            raise ValueError(f"the module cannot be exported: {type(error).__name__}: {first}") from error


class _Reader:
    """Reads the nodes of an exported program.

    Attributes:
        graph: the network.
        parameters: elements of each parameter that the network reads, by name.
    """

    def __init__(self, program: torch.export.ExportedProgram, image: Shape) -> None:
        self.graph = Graph(image, BATCH)
        self.parameters: dict[str, int] = {}
        self._program = program
        self._values: dict[fx.Node, Value] = {}
        self._order = {node: place for place, node in enumerate(program.graph.nodes)}

    def run(self) -> Value:
        """Read all nodes, and return the module's output."""
        specs = iter(self._program.graph_signature.input_specs)
        for node in self._program.graph.nodes:
            if node.op == "placeholder":
                self._values[node] = self._given(node, next(specs))
            elif node.op == "output":
                returned = [self._values[one] for one in node.all_input_nodes]
                if len(returned) != 1:
                    raise ValueError(f"the module returns {len(returned)} tensors, not one")
                return returned[0]
            else:
                self._values[node] = self._called(node)
        return None

    def _given(self, node: fx.Node, spec: Any) -> Value:
        if spec.kind is InputKind.USER_INPUT:
            return self.graph.input()
        shape = tuple(node.meta["val"].shape)
        if spec.kind is InputKind.PARAMETER:
            if node.users:
                self.parameters[spec.target] = node.meta["val"].numel()
            return Constant(shape, is_learned=True)
        known = self._program.state_dict if spec.target in self._program.state_dict else self._program.constants
        tensor = known.get(spec.target)
        is_known = isinstance(tensor, torch.Tensor) and tensor.numel() == 1 and tensor.device.type != "meta"
        return Constant(shape, array=tensor.detach().cpu().numpy() if is_known and tensor is not None else None)

    def _called(self, node: fx.Node) -> Value:
        name = _name(node)
        arguments = _arguments(node, self._values)
        inputs = [self._values[one] for one in node.all_input_nodes]
        shape = _shape(node)
        if not any(isinstance(value, Tensor) for value in _flat(inputs)):
            is_learned = any(isinstance(value, Constant) and value.is_learned for value in _flat(inputs))
            return _constants(node, is_learned=is_learned)
        stack = node.meta.get("nn_module_stack") or {"": ("", None)}
        self.graph.place = list(stack.values())[-1][0]
        handler = OPERATORS.get(name.rstrip("_"))
        try:
            if handler is None:
                raise Unmapped("no layer type says that")  # noqa: TRY301
            self._check_change(node, name)
            value = handler(self.graph, *arguments)
            _check_shape(name, value, shape)
        except (Unmapped, *UNEXPECTED) as error:
            value = self._unmapped(node, reason_of(error), inputs, is_known=handler is not None)
        if name.endswith("_") and node.all_input_nodes:
            self._values[node.all_input_nodes[0]] = value  # an operator in place
        return value

    def _unmapped(self, node: fx.Node, reason: str, inputs: list[Value], *, is_known: bool) -> Value:
        made = node.meta.get("val")
        name = f"aten.{_name(node)}"
        if not isinstance(made, list | tuple):
            return self.graph.report(name, reason, inputs, _shape(node), is_known=is_known)
        return [self.graph.report(name, reason, inputs, tuple(one.shape), is_known=is_known) for one in made]

    def _check_change(self, node: fx.Node, name: str) -> None:
        """Reject operators in place on a part of a tensor that is read later."""
        changed = node.all_input_nodes[0]
        while name.endswith("_") and _name(changed) in VIEWS:
            changed = changed.all_input_nodes[0]
            if any(self._order[user] > self._order[node] for user in changed.users):
                raise Unmapped("it changes a part of a tensor in place")


def _name(node: fx.Node) -> str:
    """Return an operator's name without its overload."""
    if node.target is operator.getitem:
        return "getitem"
    return str(getattr(node.target, "overloadpacket", node.target)).removeprefix("aten.")


def _arguments(node: fx.Node, values: dict[fx.Node, Value]) -> list[Value]:
    """Return all arguments in the order of the operator's schema, defaults filled in."""
    given = fx.node.map_arg(list(node.args), lambda one: values[one])
    named = fx.node.map_arg(dict(node.kwargs), lambda one: values[one])
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return list(given)
    rest = schema.arguments[len(given) :]
    return [*given, *(named.get(one.name, one.default_value) for one in rest)]


def _flat(values: Sequence[Value]) -> list[Value]:
    return [one for value in values for one in (_flat(value) if isinstance(value, list) else [value])]


def _shape(node: fx.Node) -> tuple[int, ...] | None:
    made = node.meta.get("val")
    return tuple(made.shape) if isinstance(made, torch.Tensor) else None


def _constants(node: fx.Node, *, is_learned: bool) -> Value:
    made = node.meta.get("val")
    if isinstance(made, list | tuple):
        return [Constant(tuple(one.shape), is_learned) for one in made]
    shape = _shape(node)
    if shape is None:
        return made
    name = _name(node)
    if name in CREATORS and CREATORS[name] is not None:
        return constant(np.full(shape, CREATORS[name]))
    return Constant(shape, is_learned)


def _check_shape(name: str, value: Value, shape: tuple[int, ...] | None) -> None:
    """Reject what the network form would compute in another shape than PyTorch."""
    if shape is not None and name not in {"expand", "expand_as"} and shape_of_value(value) != shape:
        raise Unmapped(f"it makes {list(shape)}, the form would make {list(shape_of_value(value))}")


def _note_parameters(reader: _Reader, request: Request) -> None:
    """Warn where the form counts other parameters than PyTorch."""
    graph = reader.graph
    nodes = resolve(request["architectures"][0]["layers"], graph.image)
    counted = costs(nodes).params + graph.classifier_params
    read = sum(reader.parameters.values())
    if counted != read:
        message = f"of the {read:,} parameters that the network reads, the form counts {counted:,}"
        warnings.warn(f"{message}, both with the classifier", ImportNote, stacklevel=4)
