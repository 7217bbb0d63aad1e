"""Highest memory of coding one large matrix, over the size of the matrix.

    python benchmarks/bytes_memory.py [--rows 11008] [--columns 4096] [--codes levels signs seeded lowrank exact]

Each code in a process of its own, which is warm (libraries, compiled code, a small matrix coded): a random float32
difference is made, its options are tried, it is coded and opened again some rows at a time. What is compared with the
bytes of the matrix is the highest resident memory above what the warm process holds, the difference itself included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

CODES = ("levels", "signs", "seeded", "lowrank", "lowrank then", "exact", "bitdelta", "grid")
CHILD = """
import json, sys, threading, time
import numpy as np
import psutil
from kencore.codes.choice import Draw, Option, code_with, options
from kencore.codes.levels import pieces
from kencore.codes.table import decode

def made(rows, columns):
    d, rng = np.empty((rows, columns), np.float32), np.random.default_rng(0)
    left, right = rng.normal(size=(rows, 8)), rng.normal(size=(8, columns))  # eight components stand out
    for part in pieces(d.shape):
        d[part] = 1e-3 * rng.standard_normal((part.stop - part.start, columns), np.float32)
        d[part] += (2e-3 * left[part] @ right).astype(np.float32)
    return d

def run(code, rows, columns):
    d, draw = made(rows, columns), Draw(seed=0, stream=0)
    name = code.split()[0]
    value = {"levels": 1.0, "signs": 0.1, "seeded": 0.2, "lowrank": 4.0}.get(name, 0.0)
    if name in ("levels", "signs", "seeded", "lowrank", "exact"):
        options(d, 3e4 * d.size, 32, vector=False, draw=draw, codes=(name,))
    option = Option(code=name, value=value, after=0.2 if "then" in code else 0.0, bits=0, harm=0)
    coded = code_with(d, option, draw)
    for part in pieces(d.shape) if coded.code != "none" else ():
        decode(coded, part)

code, rows, columns = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
run(code, 300, 200)
process, peak, on = psutil.Process(), [0], [True]
def watch():
    while on[0]:
        peak[0] = max(peak[0], process.memory_info().rss)
        time.sleep(0.002)
before = process.memory_info().rss
thread = threading.Thread(target=watch)
thread.start()
started = time.process_time()
run(code, rows, columns)
on[0] = False
thread.join()
print(json.dumps({"over": peak[0] - before, "seconds": time.process_time() - started}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=11008)
    parser.add_argument("--columns", type=int, default=4096)
    parser.add_argument("--codes", nargs="+", default=list(CODES), choices=CODES)
    asked = parser.parse_args()
    size = 4 * asked.rows * asked.columns
    print(f"a matrix of {asked.rows} x {asked.columns}, float32: {size / 1e6:.0f} MB")
    print("| code | highest memory, MB | times the matrix | processor seconds |\n|---|---|---|---|")
    for code in asked.codes:
        command = [sys.executable, "-c", CHILD, code, str(asked.rows), str(asked.columns)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        over, seconds = found["over"], found["seconds"]
        print(f"| {code} | {over / 1e6:.0f} | {over / size:.2f} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
