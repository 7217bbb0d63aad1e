// What is seen as files: a PNG with its title, its legend and where it is; the weights as CSV.

import { draw } from "./draw.js";
import { count } from "./format.js";
import { visible } from "./geometry.js";
import { legendParts, says } from "./legend.js";

const HEAD = 40;
const FOOT = 56;

const MOST_CSV = 1 << 18; // weights, as app/data/answers.py allows

export function savePicture(viewer) {
  const frame = viewer.frame();
  const { run, matrix, title } = viewer.source;
  const { r0, r1, c0, c1 } = frame.seen;
  const file = `${matrix}.${frame.layer}.r${r0}-${r1}.c${c0}-${c1}.png`;
  return savePng(frame, { title, run, matrix, where: viewer.parts.where.textContent, file });
}

export function saveWeights(viewer) {
  const { r0, r1, c0, c1 } = visible(viewer.view, viewer.plot, viewer.shape);
  const weights = (r1 - r0) * (c1 - c0);
  if (weights > MOST_CSV) {
    viewer.parts.where.textContent =
      `This window has ${count(weights)} weights: zoom in to at most ${count(MOST_CSV)} for a CSV`;
    return;
  }
  const file = `${viewer.source.matrix}.r${r0}-${r1}.c${c0}-${c1}.csv`;
  download(viewer.windows.address("window.csv", { r0, r1, c0, c1 }), file);
}

/** The map of a model as it is on the screen, two runs side by side. */
export async function downloadMap(map) {
  const drawn = map.panes.map((pane) => pane.parts.canvas);
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d");
  const { dpr, width, height, ink, font } = map;
  canvas.width = width * dpr * drawn.length;
  canvas.height = (height + HEAD + FOOT) * dpr;
  pen.scale(dpr, dpr);
  pen.fillStyle = ink.background;
  pen.fillRect(0, 0, width * drawn.length, height + HEAD + FOOT);
  map.panes.forEach((pane, i) => {
    pen.fillStyle = ink.text;
    pen.font = `600 15px ${font}`;
    pen.fillText(pane.source.title, 14 + i * width, 25);
    pen.drawImage(drawn[i], i * width, HEAD, width, height);
  });
  const frame = map.panes[0].frames.get(map.focus.m.name);
  legend(pen, frame, HEAD + height + 18);
  pen.fillStyle = ink.muted;
  pen.font = `11px ${font}`;
  const runs = map.panes.map((pane) => pane.source.run).join(" and ");
  pen.fillText(`${map.parts.where.textContent} · run ${runs}`, 14, HEAD + height + 44);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  download(URL.createObjectURL(blob), `${map.panes[0].source.run}.map.png`);
}

/** The weights in sight of the matrix in the middle. */
export function downloadWeights(map) {
  const { view, plot, shape } = map.front();
  const { m } = map.focus;
  const { r0, r1, c0, c1 } = visible(view, plot, shape);
  const weights = (r1 - r0) * (c1 - c0);
  if (m.reason !== null || !map.numbered || weights > MOST_CSV) {
    map.parts.where.textContent =
      `Go into a pruned matrix, to at most ${count(MOST_CSV)} weights in sight, for a CSV`;
    return;
  }
  const path = map.panes[0].tiles.address("window.csv", { matrix: m.name, r0, r1, c0, c1 });
  download(path, `${m.name}.r${r0}-${r1}.c${c0}-${c1}.csv`);
}

async function savePng(frame, about) {
  const dpr = Math.max(2, frame.dpr);
  const canvas = document.createElement("canvas");
  canvas.width = frame.width * dpr;
  canvas.height = (frame.height + HEAD + FOOT) * dpr;
  const map = document.createElement("canvas");
  map.width = frame.width * dpr;
  map.height = frame.height * dpr;
  draw(map.getContext("2d"), { ...frame, dpr, hover: null });
  const pen = canvas.getContext("2d");
  pen.scale(dpr, dpr);
  pen.fillStyle = frame.look.ink.background;
  pen.fillRect(0, 0, frame.width, frame.height + HEAD + FOOT);
  pen.fillStyle = frame.look.ink.text;
  pen.font = `600 15px ${frame.font}`;
  pen.fillText(about.title, 14, 25);
  pen.drawImage(map, 0, HEAD, frame.width, frame.height);
  legend(pen, frame, HEAD + frame.height + 18);
  pen.fillStyle = frame.look.ink.muted;
  pen.font = `11px ${frame.font}`;
  pen.fillText(`${about.where} · run ${about.run} · ${about.matrix}`, 14, HEAD + frame.height + 44);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  download(URL.createObjectURL(blob), about.file);
}

function download(address, name) {
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  if (address.startsWith("blob:")) setTimeout(() => URL.revokeObjectURL(address), 1000);
}

function legend(pen, frame, y) {
  let x = 14;
  pen.font = `11px ${frame.font}`;
  pen.textAlign = "left";
  const write = (text) => {
    pen.fillStyle = frame.look.ink.text;
    pen.fillText(text, x, y + 4);
    x += pen.measureText(text).width + 16;
  };
  write(`${says(frame.layer, frame.look.alone)}:`);
  for (const part of legendParts(frame.layer, frame.look, frame.cell)) {
    if (part.kind === "bar") {
      write(part.ticks[0].text);
      const fill = pen.createLinearGradient(x - 8, 0, x + 152, 0);
      part.colors.forEach((color, i) => fill.addColorStop(i / (part.colors.length - 1), color));
      pen.fillStyle = fill;
      pen.fillRect(x - 8, y - 6, 160, 12);
      x += 160;
      write(part.ticks.at(-1).text);
    } else {
      pen.fillStyle = part.color ?? frame.look.ink.reset;
      pen.fillRect(x, y - 6, 14, 12);
      if (part.lines) stroke(pen, x, y - 6, frame.look.ink.background, part.lines);
      if (part.kind === "reset") stroke(pen, x, y - 6, frame.look.ink.reset_mark);
      x += 19;
      write(part.label);
    }
  }
}

function stroke(pen, x, y, color, lines = "diagonal") {
  const [left, right, top, bottom] = {
    diagonal: [0, 8, 12, 0], vertical: [4, 4, 0, 12], horizontal: [0, 14, 3, 3],
  }[lines];
  pen.strokeStyle = color;
  pen.lineWidth = 1;
  pen.beginPath();
  for (const shift of [0, 6]) {
    const [across, down] = lines === "horizontal" ? [0, shift] : [shift, 0];
    pen.moveTo(x + across + left, y + down + top);
    pen.lineTo(x + across + right, y + down + bottom);
  }
  pen.stroke();
}
