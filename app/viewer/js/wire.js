// Answers of the server: asked for, and taken apart.

const KINDS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, f4: Float32Array };
const AGAIN = 250; // ms until a server that is still getting ready is asked again

/** {header, planes: {name: typed array}} of an answer, see app/data/payload.py. */
export function unpack(buffer) {
  const bytes = new DataView(buffer);
  if (bytes.getUint32(0, false) !== 0x4b565731) throw new Error("not a window of weights");
  const length = bytes.getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const [h, w] = header.size;
  const planes = Object.fromEntries(
    header.planes.map((p) => [p.name, new KINDS[p.dtype](buffer, 8 + length + p.offset, h * w)]),
  );
  return { header, planes };
}

/** The server's answer, or that of `get` in its place; asked again for as long as it says that it is
 * getting ready, which `waits(message)` hears. */
export async function ask(address, signal, waits = () => {}, get = fetch) {
  const answer = await get(address, { signal });
  if (answer.ok) return answer;
  const message = await messageOf(answer);
  if (answer.status !== 503) throw new Error(message);
  waits(message);
  await new Promise((done) => setTimeout(done, AGAIN));
  signal?.throwIfAborted();
  return ask(address, signal, waits, get);
}

async function messageOf(answer) {
  try {
    return (await answer.json()).message;
  } catch {
    return `the server answered ${answer.status}`;
  }
}
