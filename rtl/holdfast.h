/* What a host needs to know of a Holdfast accelerator. Written by python -m gen. */
#ifndef HOLDFAST_H
#define HOLDFAST_H

#include <stdint.h>

#define HOLDFAST_ID 0x484F4C44u

/* Reset: rst is active high and synchronous; one cycle of it is enough. */

/* Byte addresses of registers. */
#define HOLDFAST_REG_ID 0x00u
#define HOLDFAST_REG_CONTROL 0x04u
#define HOLDFAST_REG_STATUS 0x08u
#define HOLDFAST_REG_FIRST 0x0Cu
#define HOLDFAST_REG_COUNT 0x10u
#define HOLDFAST_REG_CYCLES 0x14u
#define HOLDFAST_REG_GUARD_OUTPUT 0x18u
#define HOLDFAST_REG_GUARD_INPUT 0x1Cu
#define HOLDFAST_REG_READY 0x20u
#define HOLDFAST_REG_ARRAY 0x24u
#define HOLDFAST_REG_WIDTHS 0x28u
#define HOLDFAST_REG_INTERFACE 0x2Cu
#define HOLDFAST_REG_STREAM 0x30u
#define HOLDFAST_REG_STALL_WEIGHTS 0x34u
#define HOLDFAST_REG_STALL_MEMORY 0x38u
#define HOLDFAST_REG_STALL_WRITEBACK 0x3Cu
#define HOLDFAST_REG_STALL_DRAIN 0x40u
#define HOLDFAST_REG_STALL_FETCH 0x44u
#define HOLDFAST_REG_STALL_HOST 0x48u

/* Register control. */
#define HOLDFAST_CONTROL_START (1u << 0)
#define HOLDFAST_CONTROL_GUARD_OUTPUT (1u << 1)
#define HOLDFAST_CONTROL_GUARD_INPUT (1u << 2)
#define HOLDFAST_CONTROL_GUARD_ZERO (1u << 3)
#define HOLDFAST_CONTROL_INTERRUPT (1u << 4)

/* Register status. */
#define HOLDFAST_STATUS_BUSY(value) ((uint32_t)(value) >> 0 & 0x1u)
#define HOLDFAST_STATUS_DONE(value) ((uint32_t)(value) >> 1 & 0x1u)
#define HOLDFAST_STATUS_REFUSED(value) ((uint32_t)(value) >> 2 & 0x1u)
#define HOLDFAST_STATUS_CODE(value) ((uint32_t)(value) >> 8 & 0xFFu)
#define HOLDFAST_STATUS_INDEX(value) ((uint32_t)(value) >> 16 & 0xFFFFu)

enum holdfast_code {
    HOLDFAST_CODE_OK = 0,
    HOLDFAST_CODE_BAD_DESCRIPTOR = 1,
    HOLDFAST_CODE_ACTIVATION_ADDRESS = 2,
    HOLDFAST_CODE_WEIGHT_ADDRESS = 3,
    HOLDFAST_CODE_PARAMETER_ADDRESS = 4,
    HOLDFAST_CODE_OUTPUT_ADDRESS = 5,
    HOLDFAST_CODE_RESIDUAL_ADDRESS = 6,
    HOLDFAST_CODE_ACCUMULATOR_ADDRESS = 7,
    HOLDFAST_CODE_PROGRAM_ADDRESS = 8,
    HOLDFAST_CODE_PROGRAM_CHECK = 16,
    HOLDFAST_CODE_PARAMETER_CHECK = 17,
    HOLDFAST_CODE_WEIGHT_CHECK = 18,
    HOLDFAST_CODE_DESCRIPTOR_CHECK = 19,
    HOLDFAST_CODE_SCHEDULE_CHECK = 20,
    HOLDFAST_CODE_LANE_CHECK = 21,
    HOLDFAST_CODE_STATIONARY_CHECK = 22
};

/* Byte addresses of memories. */
#define HOLDFAST_REGION_REGISTERS 0x0000000u
#define HOLDFAST_REGION_PROGRAM 0x0400000u
#define HOLDFAST_REGION_PARAMETERS 0x0800000u
#define HOLDFAST_REGION_WEIGHTS 0x0C00000u
#define HOLDFAST_REGION_ACTIVATIONS 0x1000000u
#define HOLDFAST_REGION_SIZE 0x0400000u
#define HOLDFAST_REGION_BANK(bank) \
    (HOLDFAST_REGION_ACTIVATIONS + (uint32_t)(bank) * HOLDFAST_REGION_SIZE)

/* Bytes from one memory word of so many lanes to the next. */
#define HOLDFAST_STRIDE(lanes) \
    ((lanes) <= 4 ? 4u : (lanes) <= 8 ? 8u : (lanes) <= 16 ? 16u : 32u)

/* The words of an output channel's parameters; the fourth is not used. */
#define HOLDFAST_PARAMETER_STRIDE 16u
#define HOLDFAST_PARAMETER_BIAS(bias) ((uint32_t)(bias))
#define HOLDFAST_PARAMETER_SCALE(multiplier, shift) \
    ((uint32_t)(multiplier) | (uint32_t)(shift) << 24)
#define HOLDFAST_PARAMETER_BOUNDS(low, high) \
    (((uint32_t)(low) & 0xFFFFu) | ((uint32_t)(high) & 0xFFFFu) << 16)

/* Descriptors: words, and bytes from one to the next. */
#define HOLDFAST_DESCRIPTOR_WORDS 18
#define HOLDFAST_DESCRIPTOR_STRIDE 128u

/* Sets a field of a zeroed descriptor: HOLDFAST_SET(words, KERNEL_H, 3). */
#define HOLDFAST_SET(words, field, value) \
    ((words)[HOLDFAST_##field##_WORD] |= \
        ((uint32_t)(value) & HOLDFAST_##field##_MASK) << HOLDFAST_##field##_OFFSET)

/* the configuration's signature, or the descriptor is refused */
#define HOLDFAST_MAGIC_WORD 0
#define HOLDFAST_MAGIC_OFFSET 0
#define HOLDFAST_MAGIC_MASK 0xFFFFu

/* one weight tile serves all reduction tiles of an output tile */
#define HOLDFAST_HOLD_WEIGHTS_WORD 0
#define HOLDFAST_HOLD_WEIGHTS_OFFSET 16
#define HOLDFAST_HOLD_WEIGHTS_MASK 0x1u

/* accumulate by maximum instead of sum */
#define HOLDFAST_MAXIMUM_WORD 0
#define HOLDFAST_MAXIMUM_OFFSET 17
#define HOLDFAST_MAXIMUM_MASK 0x1u

/* add a residual tensor */
#define HOLDFAST_RESIDUAL_WORD 0
#define HOLDFAST_RESIDUAL_OFFSET 18
#define HOLDFAST_RESIDUAL_MASK 0x1u

/* bank read by the feeder */
#define HOLDFAST_INPUT_BANK_WORD 0
#define HOLDFAST_INPUT_BANK_OFFSET 19
#define HOLDFAST_INPUT_BANK_MASK 0x3u

/* bank written */
#define HOLDFAST_OUTPUT_BANK_WORD 0
#define HOLDFAST_OUTPUT_BANK_OFFSET 21
#define HOLDFAST_OUTPUT_BANK_MASK 0x3u

/* bank of the residual, not the input's */
#define HOLDFAST_RESIDUAL_BANK_WORD 0
#define HOLDFAST_RESIDUAL_BANK_OFFSET 23
#define HOLDFAST_RESIDUAL_BANK_MASK 0x3u

/* pixels between kernel positions, both directions */
#define HOLDFAST_STRIDE_WORD 0
#define HOLDFAST_STRIDE_OFFSET 25
#define HOLDFAST_STRIDE_MASK 0x7u

/* pixels between kernel taps, both directions */
#define HOLDFAST_DILATION_WORD 0
#define HOLDFAST_DILATION_OFFSET 28
#define HOLDFAST_DILATION_MASK 0x7u

/* first channel block inside the first input word */
#define HOLDFAST_SUB_BLOCK_WORD 1
#define HOLDFAST_SUB_BLOCK_OFFSET 0
#define HOLDFAST_SUB_BLOCK_MASK 0xFu

/* lane of the first output channel in its word */
#define HOLDFAST_OUT_LANE_WORD 1
#define HOLDFAST_OUT_LANE_OFFSET 4
#define HOLDFAST_OUT_LANE_MASK 0x1Fu

/* word address of pixel (origin_y, origin_x), modulo 2**16 */
#define HOLDFAST_INPUT_BASE_WORD 1
#define HOLDFAST_INPUT_BASE_OFFSET 9
#define HOLDFAST_INPUT_BASE_MASK 0xFFFFu

/* words from one output tile's input channels to the next's */
#define HOLDFAST_INPUT_STEP_WORD 2
#define HOLDFAST_INPUT_STEP_OFFSET 0
#define HOLDFAST_INPUT_STEP_MASK 0xFFFFu

/* words from one output column's input to the next's */
#define HOLDFAST_STEP_X_WORD 2
#define HOLDFAST_STEP_X_OFFSET 16
#define HOLDFAST_STEP_X_MASK 0xFFFFu

/* words from one output row's input to the next's */
#define HOLDFAST_STEP_Y_WORD 3
#define HOLDFAST_STEP_Y_OFFSET 0
#define HOLDFAST_STEP_Y_MASK 0xFFFFu

/* words between kernel columns */
#define HOLDFAST_STEP_KX_WORD 3
#define HOLDFAST_STEP_KX_OFFSET 16
#define HOLDFAST_STEP_KX_MASK 0xFFFFu

/* words between kernel rows */
#define HOLDFAST_STEP_KY_WORD 4
#define HOLDFAST_STEP_KY_OFFSET 0
#define HOLDFAST_STEP_KY_MASK 0xFFFFu

/* channel blocks in a reduction; 1 with hold_weights */
#define HOLDFAST_BLOCKS_WORD 4
#define HOLDFAST_BLOCKS_OFFSET 16
#define HOLDFAST_BLOCKS_MASK 0x1FFFu

/* input row of the first kernel row of output row 0; signed */
#define HOLDFAST_ORIGIN_Y_WORD 5
#define HOLDFAST_ORIGIN_Y_OFFSET 0
#define HOLDFAST_ORIGIN_Y_MASK 0x3FFu

/* input column of the first kernel column of output column 0; signed */
#define HOLDFAST_ORIGIN_X_WORD 5
#define HOLDFAST_ORIGIN_X_OFFSET 10
#define HOLDFAST_ORIGIN_X_MASK 0x3FFu

/* kernel rows */
#define HOLDFAST_KERNEL_H_WORD 5
#define HOLDFAST_KERNEL_H_OFFSET 20
#define HOLDFAST_KERNEL_H_MASK 0x1Fu

/* kernel columns */
#define HOLDFAST_KERNEL_W_WORD 5
#define HOLDFAST_KERNEL_W_OFFSET 25
#define HOLDFAST_KERNEL_W_MASK 0x1Fu

/* input rows */
#define HOLDFAST_IN_H_WORD 6
#define HOLDFAST_IN_H_OFFSET 0
#define HOLDFAST_IN_H_MASK 0x1FFu

/* input columns */
#define HOLDFAST_IN_W_WORD 6
#define HOLDFAST_IN_W_OFFSET 9
#define HOLDFAST_IN_W_MASK 0x1FFu

/* tiles of output channels */
#define HOLDFAST_CO_TILES_WORD 6
#define HOLDFAST_CO_TILES_OFFSET 18
#define HOLDFAST_CO_TILES_MASK 0x3FFFu

/* output rows */
#define HOLDFAST_OUT_H_WORD 7
#define HOLDFAST_OUT_H_OFFSET 0
#define HOLDFAST_OUT_H_MASK 0x1FFu

/* output columns */
#define HOLDFAST_OUT_W_WORD 7
#define HOLDFAST_OUT_W_OFFSET 9
#define HOLDFAST_OUT_W_MASK 0x1FFu

/* channel address of the first output channel's parameters */
#define HOLDFAST_PARAM_BASE_WORD 7
#define HOLDFAST_PARAM_BASE_OFFSET 18
#define HOLDFAST_PARAM_BASE_MASK 0x3FFFu

/* word address of the first weight tile */
#define HOLDFAST_WEIGHT_BASE_WORD 8
#define HOLDFAST_WEIGHT_BASE_OFFSET 0
#define HOLDFAST_WEIGHT_BASE_MASK 0xFFFFFu

/* words from one output pixel to the next */
#define HOLDFAST_OUT_STEP_WORD 8
#define HOLDFAST_OUT_STEP_OFFSET 20
#define HOLDFAST_OUT_STEP_MASK 0xFFFu

/* word address of output pixel 0 */
#define HOLDFAST_OUT_BASE_WORD 9
#define HOLDFAST_OUT_BASE_OFFSET 0
#define HOLDFAST_OUT_BASE_MASK 0xFFFFu

/* output lanes that are written */
#define HOLDFAST_LANE_MASK_WORD 9
#define HOLDFAST_LANE_MASK_OFFSET 16
#define HOLDFAST_LANE_MASK_MASK 0xFFFFu

/* lane of the first residual channel in its word */
#define HOLDFAST_RES_LANE_WORD 10
#define HOLDFAST_RES_LANE_OFFSET 0
#define HOLDFAST_RES_LANE_MASK 0x1Fu

/* word address of residual pixel 0 */
#define HOLDFAST_RES_BASE_WORD 10
#define HOLDFAST_RES_BASE_OFFSET 5
#define HOLDFAST_RES_BASE_MASK 0xFFFFu

/* output tiles that have a residual; it is its zero point in further ones */
#define HOLDFAST_RES_TILES_WORD 11
#define HOLDFAST_RES_TILES_OFFSET 0
#define HOLDFAST_RES_TILES_MASK 0x3FFFu

/* code inserted outside the input; signed */
#define HOLDFAST_PAD_VALUE_WORD 11
#define HOLDFAST_PAD_VALUE_OFFSET 14
#define HOLDFAST_PAD_VALUE_MASK 0xFFu

/* input zero point (guard replacement); signed */
#define HOLDFAST_ZERO_IN_WORD 11
#define HOLDFAST_ZERO_IN_OFFSET 22
#define HOLDFAST_ZERO_IN_MASK 0xFFu

/* input guard's lower bound; signed */
#define HOLDFAST_INPUT_LO_WORD 12
#define HOLDFAST_INPUT_LO_OFFSET 0
#define HOLDFAST_INPUT_LO_MASK 0xFFu

/* input guard's upper bound; signed */
#define HOLDFAST_INPUT_HI_WORD 12
#define HOLDFAST_INPUT_HI_OFFSET 8
#define HOLDFAST_INPUT_HI_MASK 0xFFu

/* zero point of the requantized output; signed */
#define HOLDFAST_ZERO_OUT_WORD 12
#define HOLDFAST_ZERO_OUT_OFFSET 16
#define HOLDFAST_ZERO_OUT_MASK 0xFFu

/* lower clamp; signed */
#define HOLDFAST_LO_WORD 12
#define HOLDFAST_LO_OFFSET 24
#define HOLDFAST_LO_MASK 0xFFu

/* upper clamp; signed */
#define HOLDFAST_HI_WORD 13
#define HOLDFAST_HI_OFFSET 0
#define HOLDFAST_HI_MASK 0xFFu

/* residual's zero point; signed */
#define HOLDFAST_RES_ZERO_WORD 13
#define HOLDFAST_RES_ZERO_OFFSET 8
#define HOLDFAST_RES_ZERO_MASK 0xFFu

/* zero point after the residual add; signed */
#define HOLDFAST_ADD_ZERO_WORD 13
#define HOLDFAST_ADD_ZERO_OFFSET 16
#define HOLDFAST_ADD_ZERO_MASK 0xFFu

/* lower clamp after the residual add; signed */
#define HOLDFAST_ADD_LO_WORD 13
#define HOLDFAST_ADD_LO_OFFSET 24
#define HOLDFAST_ADD_LO_MASK 0xFFu

/* upper clamp after the residual add; signed */
#define HOLDFAST_ADD_HI_WORD 14
#define HOLDFAST_ADD_HI_OFFSET 0
#define HOLDFAST_ADD_HI_MASK 0xFFu

/* shift of the residual add */
#define HOLDFAST_ADD_SHIFT_WORD 14
#define HOLDFAST_ADD_SHIFT_OFFSET 8
#define HOLDFAST_ADD_SHIFT_MASK 0x1Fu

/* multiplier of the convolution's output in the residual add */
#define HOLDFAST_ADD_MULTIPLIER_A_WORD 15
#define HOLDFAST_ADD_MULTIPLIER_A_OFFSET 0
#define HOLDFAST_ADD_MULTIPLIER_A_MASK 0xFFFFFFu

/* multiplier of the residual */
#define HOLDFAST_ADD_MULTIPLIER_B_WORD 16
#define HOLDFAST_ADD_MULTIPLIER_B_OFFSET 0
#define HOLDFAST_ADD_MULTIPLIER_B_MASK 0xFFFFFFu

/* words from one residual column to the next */
#define HOLDFAST_RES_STEP_X_WORD 17
#define HOLDFAST_RES_STEP_X_OFFSET 0
#define HOLDFAST_RES_STEP_X_MASK 0xFFFFu

/* words from one residual row to the next */
#define HOLDFAST_RES_STEP_Y_WORD 17
#define HOLDFAST_RES_STEP_Y_OFFSET 16
#define HOLDFAST_RES_STEP_Y_MASK 0xFFFFu

/* Serial line: commands, and the word that the bridge answers itself. */
#define HOLDFAST_UART_WRITE_INCREMENTING 1u
#define HOLDFAST_UART_READ_INCREMENTING 2u
#define HOLDFAST_UART_WRITE_FIXED 3u
#define HOLDFAST_UART_READ_FIXED 4u
#define HOLDFAST_UART_CHECKED_WRITE 241u
#define HOLDFAST_UART_CHECKED_READ 186u
#define HOLDFAST_LINK_ADDRESS 0x2000000u
#define HOLDFAST_LINK_READ_REFUSED(value) ((uint32_t)(value) >> 0 & 0x1u)
#define HOLDFAST_LINK_WRITE_REFUSED(value) ((uint32_t)(value) >> 1 & 0x1u)
#define HOLDFAST_LINK_BYTE_LOST(value) ((uint32_t)(value) >> 2 & 0x1u)
#define HOLDFAST_LINK_LATE(value) ((uint32_t)(value) >> 3 & 0x1u)
#define HOLDFAST_LINK_CHECKSUM(value) ((uint32_t)(value) >> 4 & 0xFu)
#define HOLDFAST_LINK_LOCKED(value) ((uint32_t)(value) >> 8 & 0x1u)
#define HOLDFAST_LINK_WORDS(value) ((uint32_t)(value) >> 16 & 0xFFFFu)

#endif
