// What is seen as files: a PNG with its title, its legend and where it is; the weights as CSV.

import { count } from "./format.js";
import { visible } from "./geometry.js";
import { legendParts, says } from "./legend.js";

const HEAD = 40;
const FOOT = 56;

const MOST_CSV = 1 << 18; // weights, as app/data/answers.py allows

/** The map as it is on the screen, two runs side by side. */
export async function savePicture(map) {
  const { width, height, ink, font, panes, single, focus } = map;
  const dpr = Math.max(2, map.dpr);
  const canvas = sheet(width * panes.length * dpr, (height + HEAD + FOOT) * dpr);
  const pen = canvas.getContext("2d");
  pen.scale(dpr, dpr);
  pen.fillStyle = ink.background;
  pen.fillRect(0, 0, width * panes.length, height + HEAD + FOOT);
  panes.forEach((pane, i) => {
    const drawn = sheet(width * dpr, height * dpr);
    pane.paint(drawn.getContext("2d"), dpr, null);
    pen.drawImage(drawn, i * width, HEAD, width, height);
    pen.fillStyle = ink.text;
    pen.font = `600 15px ${font}`;
    pen.fillText(pane.source.title, 14 + i * width, 25);
  });
  const frame = panes[0].frames.get(focus.m.name);
  legend(pen, frame, HEAD + height + 18);
  pen.fillStyle = ink.muted;
  pen.font = `11px ${font}`;
  const runs = panes.map((pane) => pane.source.run).join(" and ");
  const matrix = single ? ` · ${focus.m.name}` : "";
  pen.fillText(`${map.parts.where.textContent} · run ${runs}${matrix}`, 14, HEAD + height + 44);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  download(URL.createObjectURL(blob), map.fileName(frame));
}

const sheet = (width, height) => Object.assign(document.createElement("canvas"), { width, height });

/** The weights in sight of the matrix in the middle. */
export function saveWeights(map) {
  const { view, plot, shape } = map.front();
  const { name } = map.focus.m;
  const { r0, r1, c0, c1 } = visible(view, plot, shape);
  const weights = (r1 - r0) * (c1 - c0);
  const open = map.numbered && map.panes[0].matrices.get(name)?.reason === null;
  if (!open || weights > MOST_CSV) {
    const many = `This window has ${count(weights)} weights: zoom in to at most ${count(MOST_CSV)} for a CSV`;
    map.parts.where.textContent = open ? many : "Go into a pruned matrix to get its weights as a CSV";
    return;
  }
  const path = map.panes[0].tiles.address("window.csv", { matrix: name, r0, r1, c0, c1 });
  download(path, `${name}.r${r0}-${r1}.c${c0}-${c1}.csv`);
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
  write(`${says(frame.layer, frame.look)}:`);
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
