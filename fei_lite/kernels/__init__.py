"""Compiled kernels: arrays in, arrays out; no strings, nothing raised."""
