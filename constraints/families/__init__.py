"""The FPGA families: one file each with all that a family's tools and cells need."""
