"""From float to integers: clipping, fake quantization, lowering."""
