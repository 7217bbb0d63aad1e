"""The two rules of KEN: as published in code and as described in the paper."""
