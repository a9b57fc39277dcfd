"""A campaign whose draws a pilot decided, of a population like ResNet-8 on 8x8.

The strata are those that a pilot of 4,357 faults made (``--faults 3000 --minimum 150 --seed 11``),
with the draws that it planned for ``--faults 10000 --minimum 40``. Their rates are those of 215,352
plain faults on the same image; where none of n faults failed, the rate is half a fault.
"""

import numpy as np

STRATA = (
    # Name, share of the population, rate of SDC-1, whether one was seen, faults.
    ("pe_activation.1", 0.000138, 0.00025, False, 40),
    ("weight.1", 0.000103, 0.00081, False, 22),
    ("weight.2", 9.21e-05, 0.00089, False, 22),
    ("weight.3", 7.99e-05, 0.0011, False, 23),
    ("weight.4", 6.07e-05, 0.03, True, 22),
    ("partial_sum.1", 0.000665, 0.00025, False, 40),
    ("skew.1", 0.000276, 0.00025, False, 40),
    ("accumulators.0", 0.0294, 0.0, False, 20),
    ("accumulators.1", 0.0316, 8e-05, False, 1050),
    ("requantizer.1", 0.00109, 0.0005, True, 40),
    ("guard.1", 5.1e-05, 0.00025, False, 40),
    ("activation_memory.0", 0.0959, 0.0, False, 65),
    ("activation_memory.1", 0.0661, 3.8e-05, False, 2196),
    ("weight_memory.0", 0.581, 0.0, False, 392),
    ("weight_memory.1", 0.148, 0.00031, True, 4903),
    ("parameter_memory.0", 0.017, 0.0, False, 12),
    ("parameter_memory.1", 0.00771, 0.014, True, 273),
    ("program_memory.0", 0.0191, 0.0, False, 13),
    ("program_memory.1", 0.00116, 0.2, True, 696),
    ("sequencer.1", 0.000147, 0.061, True, 55),
    ("sequencer.2", 0.000118, 0.071, True, 54),
    ("sequencer.3", 9.91e-05, 0.073, True, 54),
    ("sequencer.4", 7.68e-05, 0.1, True, 54),
    ("host.1", 0.000256, 0.00025, False, 41),
)
UNUSED = [name.endswith(".0") for name, *_ in STRATA]
SHARES = np.array([share for _, share, *_ in STRATA]) / sum(share for _, share, *_ in STRATA)
FAULTS = np.array([faults for *_, faults in STRATA])
STRUCTURES = np.unique([name.partition(".")[0] for name, *_ in STRATA], return_inverse=True)[1]
"""Number of the structure of every stratum."""


def rates(unseen: float) -> np.ndarray:
    """Rates of the strata; where no failure was seen, so many times half a fault."""
    return np.array([rate if seen else rate * unseen for _, _, rate, seen, _ in STRATA])
