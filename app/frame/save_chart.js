// A chart as a file: what Plotly drew, with its finding above it, as SVG or as PNG.

const SCALE = 2; // pixels of a PNG per pixel of the screen
const SIZE = 15; // of the finding's letters
const LINE = 21;
const PAD = 12;
const SPACE = "http://www.w3.org/2000/svg";
const UNSEEN = ".draglayer, .hoverlayer, .modebar, .zoombox, .select-outline";

/** Words in lines that fit a width. */
function wrapped(text, width, font) {
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = font;
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (lines.at(-1) && pen.measureText(longer).width > width) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return lines;
}

function element(name, attributes, text) {
  const made = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** The picture by itself: the layers of the chart in one SVG, on the page's colour. */
export function pictureOf(plot, { finding, alt, ink, paper, family }) {
  const { clientWidth: width, clientHeight: height } = plot;
  const lines = wrapped(finding, width - 2 * PAD, `600 ${SIZE}px ${family}`);
  const head = PAD + LINE * lines.length;
  const picture = element("svg", {
    xmlns: SPACE, width, height: height + head, viewBox: `0 0 ${width} ${height + head}`,
    role: "img", "font-family": family,
  });
  picture.append(element("title", {}, finding), element("desc", {}, alt));
  picture.append(element("rect", { width: "100%", height: "100%", fill: paper }));
  lines.forEach((line, i) => {
    const place = { x: PAD, y: PAD + SIZE + LINE * i, fill: ink, "font-size": SIZE };
    picture.append(element("text", { ...place, "font-weight": 600 }, line));
  });
  for (const layer of plot.querySelectorAll(".main-svg")) {
    const copy = layer.cloneNode(true);
    copy.querySelectorAll(UNSEEN).forEach((part) => part.remove());
    copy.removeAttribute("style");
    copy.setAttribute("x", 0);
    copy.setAttribute("y", head);
    copy.setAttribute("overflow", "hidden");
    picture.append(copy);
  }
  return picture;
}

async function pixels(text, width, height) {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = width * SCALE;
  canvas.height = height * SCALE;
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

async function save(kind, data, look) {
  const plot = document.querySelector(`.st-key-${data.chart} .js-plotly-plot`);
  if (!plot) return false;
  const picture = pictureOf(plot, { ...data, ...look });
  const text = new XMLSerializer().serializeToString(picture);
  const [width, height] = ["width", "height"].map((side) => Number(picture.getAttribute(side)));
  const blob = kind === "svg"
    ? new Blob([text], { type: "image/svg+xml" })
    : await pixels(text, width, height);
  download(blob, `${data.name}.${kind}`);
  return true;
}

export default function ({ data, parentElement }) {
  const box = parentElement.querySelector(".save");
  const said = parentElement.querySelector(".said");
  for (const button of box.querySelectorAll("button")) {
    const kind = button.dataset.kind;
    button.setAttribute("aria-label", `Save as ${kind.toUpperCase()}: ${data.finding}`);
    button.onclick = async () => {
      const style = getComputedStyle(box);
      const look = {
        ink: style.getPropertyValue("--st-text-color").trim() || "#000000",
        paper: style.getPropertyValue("--st-background-color").trim() || "#ffffff",
        family: style.fontFamily.replaceAll('"', "'"),
      };
      const done = await save(kind, data, look);
      said.textContent = done ? "Saved" : "The chart is not there yet";
    };
  }
}
