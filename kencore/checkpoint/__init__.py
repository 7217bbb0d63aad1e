"""Reading models without holding them: where from, tensors, blocks and roles, pairs.

``source`` and ``tensors`` need numpy only, so that the web process can read windows of weights.
``layout`` imports torch and transformers inside its functions, to build a model without weights.
"""
