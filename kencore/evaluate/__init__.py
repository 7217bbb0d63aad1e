"""How good a model is on somebody's data. Importing this package is light."""
