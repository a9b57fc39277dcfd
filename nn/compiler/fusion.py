"""Decides which nodes of a graph the hardware computes together: one step each."""

from holdfast.base.errors import HoldfastError
from holdfast.gen.config import AcceleratorConfig
from holdfast.nn.graph.graph import AddNode, ConcatNode, ConvNode, Graph, InputNode, ShortcutNode

from .lanes import is_straight
from .program import Step


def fuse(graph: Graph, config: AcceleratorConfig) -> tuple[Step, ...]:
    """Returns the steps in order, without their descriptors.

    An add is computed with the later of its operands, if that is a convolution that nothing else
    reads. A shortcut that only such adds read takes no step: they read its source.

    Raises
    ------
    HoldfastError
        An add has operands that the accelerator cannot add.
    """
    users: dict[str, list[str]] = {node.name: [] for node in graph.nodes}
    for node in graph.nodes:
        for name in node.inputs:
            users[name].append(node.name)
    order = {node.name: index for index, node in enumerate(graph.nodes)}
    main: dict[str, str] = {}
    for node in graph.nodes:
        if isinstance(node, AddNode):
            for name in sorted(node.inputs, key=lambda name: -order[name]):
                if users[name] == [node.name] and _is_fusable(graph, config, name, node):
                    main[node.name] = name
                    break
    fused = set(main.values())
    views = {
        node.name: node.inputs[0]
        for node in graph.nodes[:-1]
        if isinstance(node, ShortcutNode) and all(user in main for user in users[node.name])
    }
    steps: list[Step] = []
    for node in graph.nodes:
        if isinstance(node, InputNode) or node.name in fused or node.name in views:
            continue
        if isinstance(node, ConcatNode):
            steps += [
                Step(f"{node.name}.{index}", (node.name,), name, "", (name,), node.name, 0, index)
                for index, name in enumerate(node.inputs)
            ]
            continue
        nodes: tuple[str, ...] = (node.name,)
        residual = ""
        if node.name in main:
            conv = graph[main[node.name]]
            nodes, source = (conv.name, node.name), conv.inputs[0]
            residual = next(name for name in node.inputs if name != conv.name)
        elif isinstance(node, AddNode):
            source, residual = _operands(graph, config, node)
        else:
            source = node.inputs[0]
        reads = tuple(views.get(name, name) for name in (source, residual) if name)
        macs = graph[nodes[0]].macs
        steps.append(Step(node.name, nodes, source, residual, reads, node.name, macs))
    return tuple(steps)


def _is_fusable(graph: Graph, config: AcceleratorConfig, name: str, add: AddNode) -> bool:
    """Returns whether an add can take its other operand while it is computed with this one.

    The other one has to lie in another bank than this one's input.
    """
    conv = graph[name]
    other = graph[next(operand for operand in add.inputs if operand != name)]
    behind = other.inputs[0] if isinstance(other, ShortcutNode) else other.name
    if not isinstance(conv, ConvNode) or conv.inputs[0] in (other.name, behind):
        return False
    return is_straight(graph, config, other.name) and is_straight(graph, config, behind)


def _operands(graph: Graph, config: AcceleratorConfig, add: AddNode) -> list[str]:
    """Returns source and residual of an add that is a step of its own."""
    operands = sorted(add.inputs, key=lambda name: is_straight(graph, config, name))
    if operands[0] == operands[1] or not is_straight(graph, config, operands[1]):
        raise HoldfastError(
            f"layer {add.name} adds {operands[0]} and {operands[1]}, "
            "the accelerator adds two tensors of which one is no concatenation."
        )
    return operands
