"""What is asked for: frozen settings that fail before a model is loaded."""
