"""Compiled: differences to symbols, symbols to bytes, and both ways back.

The entropy coder is `constriction`'s, bit for bit: a 64-bit state that takes and gives 32-bit words, and chances in
parts of 2**24 (`kencore.codes.symbols` makes their table).

Shapes: R rows, C columns, L levels, g symbols that are coded as one, J combinations of them.
"""

from __future__ import annotations

import numpy as np

from kencore.methods.compiled import compiled, inlined

ROWS, SYMBOLS, FLAT = "float32[:, ::1]", "int8[:, ::1]", "int8[::1]"
READ = "Array({}, 2, 'C', readonly=True)"
WORDS, EDGES, COUNTS = "uint32[::1]", "uint64[::1]", "int64[::1]"
PRECISION = 24  # bits of a chance
SLOT = 12  # bits of a chance by which `first` finds the combination
_WORD, _PRECISION = np.uint64(32), np.uint64(PRECISION)
_FULL, _SMALL = np.uint64(64 - PRECISION), np.uint64(1 << 32)
_PART, _SLOT = np.uint64((1 << PRECISION) - 1), np.uint64(PRECISION - SLOT)
_MOST = np.float32(127)
LANES = 8  # sums side by side, in a fixed order


@compiled(f"void({ROWS}, float64[::1])")
def squares_of_rows(d, squares):  # type: ignore[no-untyped-def]
    """Sum of squares of each row, into (R,)."""
    sums, columns = np.empty(LANES), d.shape[1]
    even = columns - columns % LANES
    for r in range(d.shape[0]):
        row = d[r]
        sums[:] = 0
        for start in range(0, even, LANES):
            for lane in range(LANES):
                value = np.float64(row[start + lane])
                sums[lane] += value * value
        for c in range(even, columns):
            sums[0] += np.float64(row[c]) * np.float64(row[c])
        squares[r] = sums.sum()


@compiled(f"void({ROWS}, float32[::1], float32, {SYMBOLS})")
def quantise(d, units, up, symbols):  # type: ignore[no-untyped-def]
    """sign(d) floor(abs(d) unit + up) of each row, 127 at most, into ``symbols`` (R, C)."""
    for r in range(d.shape[0]):
        row, out, unit = d[r], symbols[r], units[r]
        for c in range(len(row)):
            level = np.floor(abs(row[c]) * unit + up)
            level = level if level < _MOST else _MOST if level >= _MOST else np.float32(0)  # 0: no number
            out[c] = np.int8(level if row[c] > 0 else -level)


@compiled(f"void({ROWS}, {SYMBOLS}, float64[:, ::1])")
def level_sums(d, symbols, sums):  # type: ignore[no-untyped-def]
    """Sum of abs(d) over each row's entries of a level, into ``sums`` (R, L + 1)."""
    columns = d.shape[1]
    lanes = np.empty((4, sums.shape[1]))
    for r in range(d.shape[0]):
        row, own = d[r], symbols[r]
        lanes[:] = 0
        for c in range(columns):
            lanes[c & 3, abs(np.int64(own[c]))] += np.float64(abs(row[c]))
        for level in range(sums.shape[1]):
            sums[r, level] = lanes[0, level] + lanes[1, level] + lanes[2, level] + lanes[3, level]


@compiled(f"void({FLAT}, {COUNTS})")
def count_symbols(symbols, counts):  # type: ignore[no-untyped-def]
    """How often each symbol occurs, from -128 on, added to ``counts`` (256,)."""
    lanes = np.zeros((4, 256), np.int64)
    for i in range(len(symbols)):
        lanes[i & 3, np.int64(symbols[i]) + 128] += 1
    for symbol in range(256):
        counts[symbol] += lanes[0, symbol] + lanes[1, symbol] + lanes[2, symbol] + lanes[3, symbol]


@compiled(f"void({SYMBOLS}, float32[::1], float32[::1], {ROWS}, bool[:, ::1])")
def spread(symbols, scales, stands, values, mask):  # type: ignore[no-untyped-def]
    """What symbols stand for: ``stands`` (256,), by the symbol as a byte, times the row's scale."""
    for r in range(symbols.shape[0]):
        own, out, there, scale = symbols[r], values[r], mask[r], scales[r]
        for c in range(len(own)):
            out[c] = stands[np.uint8(own[c])] * scale
            there[c] = own[c] != 0


@compiled(f"int64({FLAT}, int64, int64, int64, int64, {EDGES}, {WORDS})")
def encode(symbols, low, size, joined, spare, edges, words):  # type: ignore[no-untyped-def]
    """Symbols to ``words``; how many there are.

    Args:
        low, size: the lowest symbol and how many the table has; joined: g; spare: what fills the last combination.
        edges: where each combination's chances begin, and their end (J + 1,).
    """
    state, used = np.uint64(0), 0
    for step in range(-(-len(symbols) // joined) - 1, -1, -1):
        combined = 0
        for i in range(step * joined, step * joined + joined):
            combined = combined * size + (np.int64(symbols[i]) - low if i < len(symbols) else spare)
        first = edges[combined]
        chance = edges[combined + 1] - first
        if (state >> _FULL) >= chance:
            words[used] = np.uint32(state)
            used, state = used + 1, state >> _WORD
        whole = state // chance
        state = (whole << _PRECISION) | (first + (state - whole * chance))
    while state:
        words[used] = np.uint32(state)
        used, state = used + 1, state >> _WORD
    return used


@inlined
def _found(part, edges, first):  # type: ignore[no-untyped-def]
    """The combination whose chances hold a part of 2**24."""
    slot = np.int64(part >> _SLOT)
    low, high = first[slot], first[slot + 1]
    while low < high:
        middle = (low + high + 1) >> 1
        if edges[middle] <= part:
            low = middle
        else:
            high = middle - 1
    return low


@compiled(f"boolean({WORDS}, {EDGES}, int32[::1], {SYMBOLS}, {FLAT})")
def decode(words, edges, first, digits, symbols):  # type: ignore[no-untyped-def]
    """Words to ``symbols``; whether they end as words do that `encode` made.

    Args:
        edges: as of `encode`.
        first: the combination at the start of each slot of chances (2**12 + 1,).
        digits: symbols of each combination (J, g).
    """
    count, joined, left, state = len(symbols), digits.shape[1], len(words), np.uint64(0)
    for _ in range(min(2, left)):
        left -= 1
        state = (state << _WORD) | np.uint64(words[left])
    for start in range(0, count, joined):
        part = state & _PART
        one = _found(part, edges, first)
        own = edges[one]
        state = (state >> _PRECISION) * (edges[one + 1] - own) + (part - own)
        if state < _SMALL and left > 0:
            left -= 1
            state = (state << _WORD) | np.uint64(words[left])
        if start + joined <= count:
            for place in range(joined):
                symbols[start + place] = digits[one, place]
        else:
            for place in range(count - start):
                symbols[start + place] = digits[one, place]
    return state == 0 and left == 0


@compiled(f"Tuple((int64, float64))({ROWS}, float32[::1], uint16[::1], int64, uint8[::1])")
def draw_signs(d, factors, numbers, share, bits):  # type: ignore[no-untyped-def]
    """Signs of the entries whose number (R C,) is below ``share``, as ``bits``.

    Returns:
        How many they are, and their sum of abs(d) times the row's factor.
    """
    rows, columns = d.shape
    count, along, held = 0, 0.0, 0
    for r in range(rows):
        row, own, sizes = d[r], numbers[r * columns : (r + 1) * columns], 0.0
        for c in range(columns):
            if np.int64(own[c]) < share:
                held |= (1 if row[c] < 0 else 0) << (count & 7)
                sizes += np.float64(abs(row[c]) * factors[r])
                count += 1
                if count & 7 == 0:
                    bits[(count >> 3) - 1] = held
                    held = 0
        along += sizes
    bits[count >> 3] = held
    return count, along


@compiled(f"void(uint16[::1], int64, uint8[::1], int64, float32, float32[::1], {ROWS}, bool[:, ::1])")
def open_signs(numbers, share, bits, count, scale, factors, values, mask):  # type: ignore[no-untyped-def]
    """What `draw_signs` chose, with sign and scale, into (R, C) each.

    Args:
        bits: the signs and a byte beyond them; count: how many are passed over.
    """
    rows, columns = values.shape
    for r in range(rows):
        own, out, there, factor = numbers[r * columns : (r + 1) * columns], values[r], mask[r], factors[r]
        size = scale * factor
        for c in range(columns):
            chosen = np.int64(own[c]) < share
            signed = -size if (bits[count >> 3] >> (count & 7)) & 1 else size
            out[c] = signed if chosen else np.float32(0)
            there[c] = chosen and factor != 0
            count += chosen


@compiled(f"int64({READ.format('float32')}, bool[:, ::1], {ROWS}, {ROWS})")
def move_floats(own, mask, values, out):  # type: ignore[no-untyped-def]
    """The base's values plus ``values`` where ``mask`` holds, the base's elsewhere, into ``out`` (R, C).

    Returns:
        How many are not finite.
    """
    wrong = 0
    for r in range(values.shape[0]):
        base, there, more, to = own[r], mask[r], values[r], out[r]
        for c in range(len(to)):
            moved = base[c] + more[c]
            wrong += 1 if there[c] and not abs(moved) < np.inf else 0
            to[c] = moved if there[c] else base[c]
    return wrong


@compiled(f"int64({READ.format('uint16')}, bool[:, ::1], {ROWS}, uint16[:, ::1])")
def move_bfloats(own, mask, values, out):  # type: ignore[no-untyped-def]
    """As `move_floats` of bfloat16, rounded to nearest even."""
    wrong, one = 0, np.uint32(1)
    half, high, full = np.uint32(0x7FFF), np.uint32(16), np.uint32(0x7F80)
    words = np.empty(values.shape[1], np.uint32)
    floats = words.view(np.float32)
    for r in range(values.shape[0]):
        base, there, more, to = own[r], mask[r], values[r], out[r]
        for c in range(len(to)):
            words[c] = np.uint32(base[c]) << high
        for c in range(len(to)):
            floats[c] += more[c]
        for c in range(len(to)):
            whole = words[c]
            bits = (whole + half + ((whole >> high) & one)) >> high
            endless = (bits & full) == full or ((whole >> high) & full) == full
            wrong += 1 if there[c] and endless else 0
            to[c] = np.uint16(bits) if there[c] else base[c]
    return wrong
