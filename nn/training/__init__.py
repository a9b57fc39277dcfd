"""Training, post-training quantization, evaluation."""
