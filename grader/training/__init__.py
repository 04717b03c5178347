"""The short training check. So far: the canonical form of claimed models, and box 2, which rebuilds them."""
