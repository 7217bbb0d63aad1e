"""What pruning did to one sentence: other answers, where the paths part, which weights did it.

Importing this package is light: torch and transformers are imported by what runs a model.
"""

from kencore.explain.continuation import continue_text, departure
from kencore.explain.maths import Contributions, compare, contributions
from kencore.explain.result import Explanation, open_explanation
from kencore.explain.sentence import explain
from kencore.settings.explain import LONGEST_TEXT, ContinueSpec, ExplainSpec

__all__ = [
    "LONGEST_TEXT",
    "ContinueSpec",
    "Contributions",
    "ExplainSpec",
    "Explanation",
    "compare",
    "continue_text",
    "contributions",
    "departure",
    "explain",
    "open_explanation",
]
