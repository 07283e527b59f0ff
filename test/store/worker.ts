// Uses a store without end, in an order that its seed decides, until somebody kills it. Writes down what it has finished.
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type Container,
  CooperError,
  from,
  importImage,
  listImages,
  openContainer,
  openStore,
  pull,
  push,
  removeImage,
  tagImage,
} from "../../src/index.ts";

/** Arguments: the store's root, a directory for its own files, its name, the number of operations (0: no end), the driver, the seed. */
const [root = "", work = "", name = "", count = "0", driver = "overlay", seed = name] = process.argv.slice(2);
const store = await openStore({
  root,
  runRoot: join(work, "run"),
  driver: driver === "copy" ? "copy" : "overlay",
});
const log = (line: string) => appendFileSync(join(work, `${name}.log`), `${line}\n`);

let state = [...seed].reduce((sum, char) => (sum * 31 + char.charCodeAt(0)) >>> 0, 7);
function random(below: number): number {
  state = (state * 1_664_525 + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}

/** Others remove what we are about to use: that it is gone is an answer, that a half of it is gone is not. */
async function unlessGone(action: () => Promise<unknown>): Promise<void> {
  try {
    await action();
  } catch (error) {
    const gone = error instanceof CooperError && (error.code === "not-found" || error.code === "in-use");
    const expected =
      /no such image|no such container|was removed by another process|is used by|several names/;
    if (!gone || !expected.test(error.message)) throw error;
  }
}

async function keeper(): Promise<Container> {
  try {
    return await openContainer(store, `keep-${name}`);
  } catch {
    return await from(store, "localhost/base", { name: `keep-${name}` });
  }
}

/** Names that all workers share. */
const image = () => `localhost/shared-${random(5)}`;
let serial = Date.now();

const operations: (() => Promise<void>)[] = [
  async () => {
    const number = serial++;
    writeFileSync(join(work, `${name}-source`), String(number));
    await (await keeper()).copy([join(work, `${name}-source`)], `/kept/${number}`);
    log(String(number));
  },
  async () => void (await (await keeper()).commit(image())),
  async () => {
    const container = await from(store, "localhost/base");
    await container.copy([join(work, `${name}-source`)], "/passing").catch(() => {});
    await container.commit(image(), { remove: true });
  },
  async () => void (await pull(store, `oci:${join(work, "layout")}:${random(3)}`, { name: image() })),
  () => unlessGone(() => removeImage(store, image())),
  () => unlessGone(() => removeImage(store, image(), { force: true })),
  () => unlessGone(() => tagImage(store, image(), [image()])),
  () => unlessGone(() => from(store, image(), { name: `other-${name}-${serial++}` }).then((c) => c.remove())),
  async () => {
    const directory = join(work, `${name}-tree`);
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, "file"), String(random(3)));
    await importImage(store, directory, { name: image() });
  },
  async () => void listImages(store),
  () => unlessGone(() => push(store, image(), `dir:${join(work, `out-${name}`)}`)),
];

writeFileSync(join(work, `${name}-source`), "x");
for (let done = 0; count === "0" || done < Number(count); done++) {
  await operations[random(operations.length)]!();
  process.stdout.write(".");
}
await store[Symbol.asyncDispose]();
