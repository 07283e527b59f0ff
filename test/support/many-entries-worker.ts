/** Unpacks a layer of so many empty files into a directory, and prints the most memory that took, in bytes. */
import { applyLayer } from "../../src/archive/apply-layer.ts";

const [count, directory] = [Number(process.argv[2]), process.argv[3]!];
const BLOCK = 512;

function header(name: string, type: "0" | "5"): Buffer {
  const block = Buffer.alloc(BLOCK);
  block.write(name);
  // Mode, owner, group, size, time; and blanks for the checksum.
  const fields = ["0000755", "0000000", "0000000", "0".repeat(11), "0".repeat(11), "        "];
  block.write(fields.join("\0"), 100);
  block.write(type, 156);
  block.write(["ustar", "00"].join("\0"), 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

async function* layer(): AsyncGenerator<Uint8Array, void> {
  for (let first = 0; first < count; first += 1000) {
    const blocks = [header(`d${first}/`, "5")];
    for (let i = first; i < first + 1000; i++) blocks.push(header(`d${first}/f${i}`, "0"));
    yield Buffer.concat(blocks);
  }
  yield Buffer.alloc(2 * BLOCK);
}

await applyLayer(layer(), directory, { ids: process.geteuid!() === 0 ? "keep" : "own" });
process.stdout.write(String(process.resourceUsage().maxRSS * 1024));
