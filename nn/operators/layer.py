"""One layer of a network, as the list of layers says it."""

from dataclasses import dataclass

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class LayerSpec:
    """Describes one layer; what a field means for an operation is said in docs/architecture.md.

    Parameters
    ----------
    op : str
        Name of an operation of :data:`nn.operators.registry.OPERATORS`.
    inputs : tuple of str
        Names of earlier layers, or ``image``.
    channels : int
        Channels of the output; only ``conv``, ``dense`` and ``shortcut`` choose them.
    kernel : int
        Side of the square window of ``conv``, ``avgpool`` and ``maxpool``.
    offset : int
        Row and column of the padded input at which the windows of ``conv`` begin.
    activation : str
        ``none``, ``relu`` or ``relu6``; only ``conv``, ``dense``, ``add`` and ``avgpool`` have one.
    norm : str
        What is done to the sums of ``conv`` and ``dense``: ``batch`` normalization, a ``bias`` is
        added, or ``none``.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    channels: int = 0
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    offset: int = 0
    activation: str = "none"
    norm: str = "none"
