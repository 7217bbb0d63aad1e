"""Make ``training.tsv``: labelled sentences about films for Recover to learn from.

    python assets/demo/make_training.py

Sentences are put together from parts that were written for this project, so that their labels are known. Drawn by a
seed, half of them positive, none twice, and none that is among the sentences that quality is measured on.
"""

from __future__ import annotations

import random
from pathlib import Path

PLACE = Path(__file__).resolve().parent
COUNT, SEED = 900, 7

THINGS = [
    "acting",
    "script",
    "direction",
    "dialogue",
    "pacing",
    "music",
    "camera work",
    "ending",
    "plot",
    "lead performance",
    "humour",
    "editing",
    "romance",
    "suspense",
    "animation",
    "story",
    "villain",
    "first hour",
    "second half",
    "final act",
    "title song",
    "costume design",
    "chemistry between the leads",
    "supporting cast",
    "narration",
    "world of the film",
    "mystery",
    "friendship at its centre",
    "courtroom scene",
    "car chase",
    "love story",
    "production design",
]
FILMS = [
    "film",
    "drama",
    "comedy",
    "thriller",
    "documentary",
    "sequel",
    "remake",
    "biography",
    "western",
    "musical",
    "ghost story",
    "spy film",
    "family film",
    "love story",
    "war film",
    "heist film",
    "cartoon",
    "debut",
]
GOOD = [
    "is a quiet marvel",
    "is sharp and funny",
    "never puts a foot wrong",
    "moved me to tears",
    "glows with warmth",
    "is handled with real grace",
    "is a pleasure from start to finish",
    "is wonderfully fresh",
    "kept me smiling all evening",
    "is rich, patient and wise",
    "has a beating heart",
    "is tense in all the right ways",
    "surprises at every turn",
    "is beautifully judged",
    "is clever without showing off",
    "is played with great tenderness",
    "is close to perfect",
    "feels honest and alive",
    "is full of delightful detail",
    "lingers for days",
    "is a small triumph",
    "is genuinely thrilling",
    "has wit to spare",
    "is a joy to watch",
    "is touching and true",
    "is superb",
    "works like a charm",
    "is a lovely surprise",
    "is rousing and warm",
    "earns every laugh",
    "is stunning",
    "is first rate",
    "is as good as it gets",
    "deserves every award it can win",
    "is deeply satisfying",
]
BAD = [
    "is a complete mess",
    "falls flat",
    "is dull and predictable",
    "left me cold",
    "makes no sense",
    "is painfully slow",
    "is clumsy and shrill",
    "bored everyone in my row",
    "is lifeless",
    "never comes together",
    "is an insult to the audience",
    "feels cheap and rushed",
    "is full of tired clichés",
    "grates from the first minute",
    "goes nowhere",
    "is wooden",
    "wears out its welcome",
    "is a tedious slog",
    "has no pulse",
    "is ugly to look at",
    "is forced and false",
    "sinks under its own weight",
    "is hopelessly muddled",
    "is as stale as old bread",
    "is a sad waste of talent",
    "drags on without mercy",
    "is embarrassing",
    "is flimsy",
    "fails to raise a single laugh",
    "is awful",
    "is forgettable",
    "is a chore to sit through",
    "rings hollow",
    "is a disaster",
    "is pointless and loud",
]
GOOD_WORDS = [
    "brilliant",
    "charming",
    "gripping",
    "heartfelt",
    "inventive",
    "witty",
    "graceful",
    "delightful",
    "moving",
    "masterful",
    "refreshing",
    "tender",
    "dazzling",
    "thoughtful",
    "uplifting",
    "funny",
    "elegant",
    "unforgettable",
    "spirited",
    "wise",
]
BAD_WORDS = [
    "boring",
    "shallow",
    "clumsy",
    "pretentious",
    "predictable",
    "lazy",
    "noisy",
    "unfunny",
    "bland",
    "sloppy",
    "tedious",
    "cynical",
    "messy",
    "hollow",
    "lifeless",
    "irritating",
    "formulaic",
    "overlong",
    "silly",
    "dreary",
]
I_LIKED = [
    "I loved every minute of this",
    "I would gladly sit through it again",
    "I left the cinema humming",
    "I have rarely laughed so much",
    "I was hooked within five minutes",
    "I recommend it to anyone who will listen",
    "I could watch it all over again tonight",
    "I came out happier than I went in",
    "I did not want it to end",
    "I had a wonderful time with this",
]
I_DID_NOT = [
    "I regret every minute of this",
    "I could not wait for it to end",
    "I left the cinema angry",
    "I did not laugh once",
    "I gave up caring within five minutes",
    "I would not wish it on anyone",
    "I fell asleep twice",
    "I came out with a headache",
    "I want my money back",
    "I had a miserable time with this",
]
WHERE = [
    "After a shaky start",
    "By the halfway mark",
    "For a first feature",
    "Against all odds",
    "On the big screen",
    "In the end",
    "For two hours",
    "From the opening shot",
    "Compared with the book",
    "To my surprise",
]
EVEN = ("too", "as well", "and then some", "in every scene", "most of the time", "throughout")


def sentence(chance: random.Random, good: bool) -> str:
    """One sentence of that judgement."""
    says, other = (GOOD, BAD) if good else (BAD, GOOD)
    words = GOOD_WORDS if good else BAD_WORDS
    one, two = chance.sample(THINGS, 2)
    film = chance.choice(FILMS)
    first, second = chance.sample(says, 2)
    a, b, c = chance.sample(words, 3)
    opinion = chance.choice(I_LIKED if good else I_DID_NOT)
    built = (
        f"The {one} {first}",
        f"The {one} {first}, and the {two} {second}",
        f"The {one} {chance.choice(other)}, but the {two} {first} and that is what counts in the end",
        f"However much the {one} {chance.choice(other)}, the whole {film} {first}",
        f"{chance.choice(WHERE)}, the {one} {first}",
        f"This {film} {first} {chance.choice(EVEN)}",
        f"{a.capitalize()}, {b} and {c}",
        f"A {a}, {b} {film} whose {one} {first}",
        f"What a {a} {film}",
        f"{opinion}: the {one} {first}",
        f"It is rare to see a {film} so {a} and so {b}",
        f"{opinion}, because the {one} {first} and the {two} {second}",
    )
    text = chance.choice(built)
    for vowel in "aeiou":
        text = text.replace(f" a {vowel}", f" an {vowel}").replace(f"A {vowel}", f"An {vowel}")
    return text + chance.choice((".", ".", ".", "!"))


def main() -> None:
    chance = random.Random(SEED)
    measured = {line.split("\t")[0] for line in (PLACE / "sentences.tsv").read_text("utf-8").splitlines()}
    found: dict[str, int] = {}
    while len(found) < COUNT:
        good = len(found) % 2 == 0
        text = sentence(chance, good)
        if text not in measured and text not in found:
            found[text] = int(good)
    lines = [f"{text}\t{label}" for text, label in found.items()]
    chance.shuffle(lines)
    (PLACE / "training.tsv").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
