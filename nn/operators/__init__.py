"""The operations of networks: each as a layer of reals and as a node of integers."""
