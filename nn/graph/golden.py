"""The golden model: runs an integer graph in PyTorch, exactly as the contract says.

PyTorch is imported when something is computed: what others ask of the model needs no PyTorch.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from .graph import AvgPoolNode, ConvNode, Graph, Node
from .rounding import round_shift

if TYPE_CHECKING:
    from torch import Tensor
else:
    Tensor = Any

GuardMode = Literal["bound", "zero"]


@dataclass
class GoldenOutputs:
    """Holds what a run computed.

    Attributes
    ----------
    outputs : dict of int8 [N, C, H, W]
        Output codes of the nodes that were kept.
    output_violations, input_violations : dict of int64 [N]
        Values outside the bounds of each guard that is on, by layer that ran and image.
    """

    outputs: dict[str, Tensor] = field(default_factory=dict)
    output_violations: dict[str, Tensor] = field(default_factory=dict)
    input_violations: dict[str, Tensor] = field(default_factory=dict)


class Golden:
    """Runs a graph on the CPU.

    Parameters
    ----------
    graph : Graph
    output_guard, input_guard : "bound", "zero" or None
        What each check of the range guard puts in place of a value outside its bounds; None: off.
    fixed_bound : int, optional
        The output guard's bounds are not learnt: values ``v - zero_point`` from the negative of
        this on and below it pass, in average poolings too.

    Attributes
    ----------
    observe : function of node, input codes and v before the output guard, or None
        Called for every convolution and dense layer that runs.
    disturb : function of node and v before the output guard, or None
        Returns what takes v's place.
    disturb_output : function of node and its output codes, or None
        Returns what takes the codes' place.
    """

    def __init__(
        self,
        graph: Graph,
        output_guard: GuardMode | None = None,
        input_guard: GuardMode | None = None,
        fixed_bound: int | None = None,
    ) -> None:
        self.graph = graph
        self.output_guard = output_guard
        self.input_guard = input_guard
        self.fixed_bound = fixed_bound
        self.observe: Callable[[ConvNode, Tensor, Tensor], None] | None = None
        self.disturb: Callable[[ConvNode, Tensor], Tensor] | None = None
        self.disturb_output: Callable[[Node, Tensor], Tensor] | None = None
        self._nodes = {node.name: node for node in graph.nodes}

    @cached_property
    def _weights(self) -> dict[str, tuple[Tensor, Tensor]]:
        graph = self.graph
        return {node.name: node.prepared(graph.act_bits) for node in graph.weighted()}

    def run(self, codes: Tensor, keep: Collection[str] | None = None) -> GoldenOutputs:
        """Runs the whole graph on input codes, int8 [N, C, H, W]; keeps all nodes by default."""
        result = GoldenOutputs()
        self._run(self.graph.nodes, {self.graph.nodes[0].name: codes}, result, keep)
        return result

    def run_from(
        self,
        name: str,
        output: Tensor,
        cached: Mapping[str, Tensor],
        images: Tensor | None = None,
        keep: Collection[str] | None = None,
    ) -> GoldenOutputs:
        """Puts another output in a node's place and recomputes only what depends on it.

        Parameters
        ----------
        name : str
            The node whose output is replaced.
        output : int8 [F, C, H, W]
            The replacements, one for each of F faults.
        cached : dict of int8 [N, C, H, W]
            Outputs of a fault-free run; of the nodes that do not depend on ``name``, those that
            are read beside it are needed.
        images : int64 [F], optional
            Which of the N images each fault belongs to. By default F = N, or N = 1.

        Returns
        -------
        GoldenOutputs
            ``name`` and the nodes that depend on it, or those of them in ``keep``.
        """
        changed = {self.graph[name].name}
        todo = []
        for node in self.graph.nodes:
            if node.name not in changed and changed.intersection(node.inputs):
                changed.add(node.name)
                todo.append(node)
        values = {name: output}
        for node in todo:
            for source in node.inputs:
                if source not in changed and source not in values:
                    other = cached[source]
                    values[source] = (
                        other.expand(len(output), -1, -1, -1) if images is None else other[images]
                    )
        result = GoldenOutputs()
        self._run(todo, values, result, changed if keep is None else changed.intersection(keep))
        return result

    def logits(self, codes: Tensor, batch: int = 100) -> Tensor:
        """Returns codes of the last node, int8 [N, classes], computed in batches."""
        import torch

        last = self.graph.nodes[-1].name
        parts = [self.run(part, {last}).outputs[last].flatten(1) for part in codes.split(batch)]
        return torch.cat(parts)

    def sums(self, node: ConvNode | AvgPoolNode, x: Tensor) -> Tensor:
        """Returns acc of the contract, or an average pooling's sum of codes without their zero
        point, int64 [N, C, H, W], of codes behind the input guard.
        """
        import torch

        zero_point = self._nodes[node.inputs[0]].zero_point
        return node.sums(x, zero_point, *self._weights.get(node.name, ())).to(torch.int64)

    def before_guard(self, node: ConvNode | AvgPoolNode, x: Tensor) -> Tensor:
        """Returns v of the contract, before output guard and clamp, int64 [N, C, H, W]."""
        v = self.sums(node, x).mul_(_per_channel(node.multiplier))
        return self.rounded(v, _per_channel(node.shift)).add_(node.zero_point)

    def rounded(self, v: Tensor, shift: Tensor | int) -> Tensor:
        """rs(v, S) of the contract, both int64, as the graph rounds."""
        import torch

        return round_shift(v, torch.as_tensor(shift), self.graph.rounding)

    def admitted(self, node: ConvNode, x: Tensor, result: GoldenOutputs) -> Tensor:
        """Returns input codes behind the input guard, whose violations go into ``result``."""
        import torch

        if self.input_guard is None:
            return x
        inside = x.clamp(node.input_lo, node.input_hi)
        result.input_violations[node.name] = (inside != x).sum((1, 2, 3))
        if self.input_guard == "zero":
            inside = torch.where(inside == x, x, self._nodes[node.inputs[0]].zero_point)
        return inside.to(torch.int8)

    def finished(self, node: ConvNode | AvgPoolNode, v: Tensor, result: GoldenOutputs) -> Tensor:
        """Returns output codes of v, behind output guard and clamp."""
        import torch

        bounds = self._bounds(node)
        if bounds is not None:
            widest = 1 << self.graph.act_bits + 7
            v = v.clamp(-widest, widest - 1)
            inside = v.clamp(*bounds)
            result.output_violations[node.name] = (inside != v).sum((1, 2, 3))
            if self.output_guard == "zero":
                inside = torch.where(inside == v, v, node.zero_point)
            v = inside
        return v.clamp(node.lo, node.hi).to(torch.int8)

    def _bounds(self, node: ConvNode | AvgPoolNode) -> tuple[Tensor, Tensor] | None:
        """Returns what the output guard lets pass; None: everything."""
        import torch

        if self.output_guard is None:
            return None
        if self.fixed_bound is not None:
            centre = torch.tensor(node.zero_point)
            return centre - self.fixed_bound, centre + self.fixed_bound - 1
        if not isinstance(node, ConvNode):
            return None
        return _per_channel(node.guard_lo), _per_channel(node.guard_hi)

    def _run(
        self,
        nodes: Iterable[Node],
        values: dict[str, Tensor],
        result: GoldenOutputs,
        keep: Collection[str] | None,
    ) -> None:
        nodes = list(nodes)
        last_use = {source: node.name for node in nodes for source in node.inputs}
        for name, value in values.items():
            if (name in self._nodes) and (keep is None or name in keep):
                result.outputs[name] = value
        for node in nodes:
            if node.name not in values:
                inputs = [values[source] for source in node.inputs]
                output = node.evaluate(self, inputs, result)
                values[node.name] = (
                    self.disturb_output(node, output) if self.disturb_output else output
                )
                if keep is None or node.name in keep:
                    result.outputs[node.name] = values[node.name]
            for source in node.inputs:
                if last_use[source] == node.name:
                    values.pop(source, None)


def classes(logits: Tensor) -> Tensor:
    """Class of each row of [N, classes] codes: the lowest index among the maxima, int64 [N]."""
    import torch

    count = logits.shape[1]
    top = logits == logits.max(1, keepdim=True).values
    index = torch.arange(count).expand_as(logits)
    return torch.where(top, index, count).min(1).values


def _per_channel(values: object) -> Tensor:
    import torch

    return torch.as_tensor(values).reshape(-1, 1, 1)
