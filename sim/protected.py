"""A program as it lies in the memories of a protected accelerator: with its check bits."""

import numpy as np
from numpy.typing import NDArray

from holdfast.gen.config import AcceleratorConfig
from holdfast.gen.layout import DESCRIPTOR_WORDS
from holdfast.gen.protection.check_word import CHECK_WORD, ProgramCheck, check_words
from holdfast.gen.protection.parameter_parity import ParameterParity, with_parity
from holdfast.gen.protection.schedule_signature import SEED_WORD, ScheduleSignature
from holdfast.gen.protection.weight_parity import WeightParity, row_parity
from holdfast.nn.compiler.program import Program

from .machine.control_streams import schedule_seed
from .machine.schedule import Schedule


def program_words(config: AcceleratorConfig) -> int:
    """Returns how many words of a descriptor's place are used."""
    if ScheduleSignature.name in config.protections:
        return SEED_WORD + 1
    return DESCRIPTOR_WORDS + (ProgramCheck.name in config.protections)


def descriptor_words(program: Program, first: int, count: int) -> NDArray[np.uint32]:
    """Returns ``count`` descriptors from ``first`` on, [count, words], as they lie from the first
    word of the program memory on.
    """
    words = program.descriptors[first : first + count]
    beside = {}
    if ProgramCheck.name in program.config.protections:
        beside[CHECK_WORD] = check_words(words)
    if ScheduleSignature.name in program.config.protections:
        runs = Schedule(program).runs[first : first + count]
        beside[SEED_WORD] = np.array([schedule_seed(run) for run in runs], np.uint32)
    result = np.zeros((count, program_words(program.config)), np.uint32)
    result[:, : words.shape[1]] = words
    for word, column in beside.items():
        result[:, word] = column
    return result


def weight_words(config: AcceleratorConfig, weights: NDArray[np.int8]) -> NDArray[np.int8]:
    """Returns rows of weights [n, cols] with their check bits."""
    if WeightParity.name not in config.protections:
        return weights
    return np.column_stack([weights, row_parity(weights, config)]).astype(np.int8)


def parameter_words(
    config: AcceleratorConfig, parameters: NDArray[np.uint32]
) -> NDArray[np.uint32]:
    """Returns channels' parameters [n, 4] with their check bits."""
    if ParameterParity.name not in config.protections:
        return parameters
    return with_parity(parameters, config)
