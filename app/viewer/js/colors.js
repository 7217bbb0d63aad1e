// Colours of a window: lookup tables from the palette, and one pixel per cell.

import { whoColors, whoKeeps } from "./overlap.js";

const STEPS = 512;
export const LEVELS = 2; // the level that has the full colour, where none is larger

export const isSingle = ([h, w]) => h * w === 1;

function rgb(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

/** Canvas pixels are little-endian ABGR words. */
function word([r, g, b]) {
  return (255 << 24) | (Math.round(b) << 16) | (Math.round(g) << 8) | Math.round(r);
}

function mix(colors, part) {
  const at = Math.min(Math.max(part, 0), 1) * (colors.length - 1);
  const low = Math.min(Math.floor(at), colors.length - 2);
  return colors[low].map((value, i) => value + (colors[low + 1][i] - value) * (at - low));
}

function table(hexes) {
  const colors = hexes.map(rgb);
  return Int32Array.from({ length: STEPS }, (_, i) => word(mix(colors, i / (STEPS - 1))));
}

/** A palette of Python made ready for drawing. */
export function makeInk(palette) {
  return {
    ...palette,
    sequentialTable: table(palette.sequential),
    divergingTable: table(palette.diverging),
    neighbourTable: table(palette.neighbours),
    neighbourWords: palette.neighbours.map((hex) => word(rgb(hex))),
    keptWord: word(rgb(palette.kept)),
    resetWord: word(rgb(palette.reset)),
    whoWords: whoColors(palette).map((hex) => word(rgb(hex))),
  };
}

/** Position of a value on the diverging map, 0..1: the root lets small values be told apart. */
export function place(value, largest) {
  if (!(largest > 0)) return 0.5;
  const size = Math.min(Math.abs(value) / largest, 1);
  return 0.5 + (Math.sign(value) * Math.sqrt(size)) / 2;
}

const step = (part) => Math.min(STEPS - 1, Math.max(0, Math.round(part * (STEPS - 1))));

/** The colour word of a share on a scale from `low` to `high`. */
export const shareWord = (ink, [low, high], share) =>
  ink.sequentialTable[step((share - low) / Math.max(high - low, 1e-9))];

/** One pixel per cell of `layer`; `look` has ink, scale (largest value, share range), hide. */
export function paint(window, layer, look) {
  const pixels = new Int32Array(window.h * window.w);
  const { ink, scale, hide } = look;
  if (window.exact) paintExact(window, layer, pixels, ink, scale, hide);
  else if (layer === "kept" || layer === "overlap") {
    const [low, high] = scale.share;
    const range = Math.max(high - low, 1e-9);
    for (let i = 0; i < pixels.length; i += 1) {
      pixels[i] = ink.sequentialTable[step((window.data[i] - low) / range)];
    }
  } else if (layer === "neighbours") {
    for (let i = 0; i < pixels.length; i += 1) {
      const mean = window.data[i];
      pixels[i] = Number.isNaN(mean) ? ink.resetWord : ink.neighbourTable[step(mean / 4)];
    }
  } else if (layer === "levels" && !isSingle(window.cell)) {
    for (let i = 0; i < pixels.length; i += 1) pixels[i] = ink.sequentialTable[step(window.data[i] / LEVELS)];
  } else {
    for (let i = 0; i < pixels.length; i += 1) {
      pixels[i] = ink.divergingTable[step(place(window.data[i], scale.largest))];
    }
  }
  return new ImageData(new Uint8ClampedArray(pixels.buffer), window.w, window.h);
}

function paintExact(window, layer, pixels, ink, scale, hide) {
  const { kept, neighbours } = window;
  for (let i = 0; i < pixels.length; i += 1) {
    if (layer === "overlap") {
      pixels[i] = ink.whoWords[whoKeeps(window, i)];
    } else if (!kept[i] && (hide || layer === "kept" || layer === "neighbours")) {
      pixels[i] = ink.resetWord;
    } else if (layer === "kept") {
      pixels[i] = ink.keptWord;
    } else if (layer === "neighbours") {
      pixels[i] = ink.neighbourWords[neighbours[i]];
    } else {
      const value = layerValue(layer, window, i);
      pixels[i] = ink.divergingTable[step(place(value, scale.largest))];
    }
  }
}

/** The number of a weight in a value layer; tuned - base is rounded to float32 as stored numbers are. */
export function layerValue(layer, { tuned, base, levels }, i) {
  if (layer === "levels") return levels?.[i] ?? 0;
  if (layer === "base") return base[i];
  return layer === "difference" ? Math.fround(tuned[i] - base[i]) : tuned[i];
}

/** Black or white, whichever reads better on a colour word. */
export function textOn(color) {
  const part = (shift) => {
    const value = ((color >>> shift) & 255) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  const light = 0.2126 * part(0) + 0.7152 * part(8) + 0.0722 * part(16);
  return light > 0.19 ? "#10161d" : "#ffffff";
}

/** What a layer's colours span over a whole matrix, here in few cells. */
export function scaleOf(whole, layer, stretched) {
  if (!whole) return { largest: 0, share: [0, 1] };
  const key = `${layer}|${stretched}`;
  if (whole.scaleKey !== key) {
    const share = stretched && !whole.exact ? sharesOf(layer === "overlap" ? whole.data : whole.share) : [0, 1];
    Object.assign(whole, { scaleKey: key, scale: { largest: largestOf(whole, layer), share } });
  }
  return whole.scale;
}

function largestOf(window, layer) {
  let largest = layer === "levels" ? LEVELS : 0;
  for (let i = 0; i < window.h * window.w; i += 1) {
    const value = window.exact ? layerValue(layer, window, i) : window.data[i];
    if (Math.abs(value) > largest) largest = Math.abs(value);
  }
  return Math.fround(largest);
}

function sharesOf(shares) {
  let [low, high] = [1, 0];
  for (const share of shares) [low, high] = [Math.min(low, share), Math.max(high, share)];
  return high > low ? [low, high] : [0, 1];
}

export const isValues = (layer) => ["tuned", "base", "difference", "levels"].includes(layer);

/** Whether a CSS colour is dark: which of the two palettes fits the page. */
export function isDark(color) {
  const hex = /^#([0-9a-f]{6})/i.exec(color);
  const parts = hex
    ? [0, 2, 4].map((at) => parseInt(hex[1].slice(at, at + 2), 16))
    : (color.match(/[\d.]+/g) ?? [255, 255, 255]).slice(0, 3).map(Number);
  return parts[0] * 0.3 + parts[1] * 0.6 + parts[2] * 0.1 < 128;
}
