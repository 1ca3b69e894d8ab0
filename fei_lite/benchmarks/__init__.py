"""How fast fei-lite is, in whole and in pieces, beside LightGBM and awkward arrays.

Sizes and seeds are fixed, so that two runs on one machine can be compared.
Where something is compared, equal results are a condition, not a hope.
"""
