"""Pictures: pure functions, numbers in, a `Chart` out."""
