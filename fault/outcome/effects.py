"""Says what a fault did, by name."""

EFFECTS = ("masked", "latent", "benign", "sdc1", "stopped", "hang")


DIED = ("never_read", "overwritten", "array", "requantization", "later_layer")
