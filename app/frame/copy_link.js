// A button that copies the address of what is on the screen.

const SHOWN = 2500; // ms that the answer stays
const BEGINS = 500; // ms in which the page begins to be made again, and
const ENDS = 4000; // in which it is, while the browser still lets a click copy

/** The page's address, with what it leaves to a default said in full. */
export function addressOf(href, add) {
  const address = new URL(href);
  for (const [name, value] of Object.entries(add)) {
    if (!address.searchParams.has(name)) address.searchParams.set(name, value);
  }
  address.hash = "";
  return address.href;
}

const waited = (ms) => new Promise((done) => setTimeout(done, ms));

/** Wait until the page is made again, after a message to the server. */
async function madeAgain() {
  const rests = () => (document.querySelector("[data-testid=stApp]")?.dataset.testScriptState ?? "notRunning") === "notRunning";
  const start = performance.now();
  while (rests() && performance.now() - start < BEGINS) await waited(20);
  while (!rests() && performance.now() - start < ENDS) await waited(20);
}

/** Copy through the clipboard, or, on a page without https, through a selection. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement("textarea");
    field.value = text;
    field.setAttribute("readonly", "");
    field.style.position = "fixed";
    field.style.opacity = "0";
    const before = document.activeElement;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    before?.focus?.();
    return done;
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  const button = parentElement.querySelector("button");
  const words = parentElement.querySelector(".words");
  const said = parentElement.querySelector(".said");
  const field = parentElement.querySelector("input");
  let waiting = 0;
  button.onclick = async () => {
    if (data.ask) {
      setTriggerValue("asked", true); // fields that change nothing else report now, and the address says them
      await madeAgain();
    }
    const text = addressOf(window.location.href, data.add);
    const done = await copy(text);
    words.textContent = done ? "Link copied" : "Copy it from here";
    said.textContent = words.textContent;
    field.hidden = done;
    if (!done) {
      field.value = text;
      field.focus();
      field.select();
    }
    clearTimeout(waiting);
    if (done) {
      waiting = setTimeout(() => {
        words.textContent = "Copy link";
        said.textContent = "";
      }, SHOWN);
    }
  };
  field.onblur = () => {
    field.hidden = true;
    words.textContent = "Copy link";
  };
  return () => clearTimeout(waiting);
}
