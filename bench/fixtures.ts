/** Build contexts for the workloads: the same bytes on every machine, but for the system's own busybox. */
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";

const APPLETS = "sh ls cat echo touch mkdir true sleep id mv rm cp chown chmod dd head seq".split(" ");
const BUSYBOX = ["/bin/busybox", "/usr/bin/busybox", "/bin/busybox.static"];

/** Makes the fixtures in a directory unless they are there. Throws when there is no busybox. */
export function makeFixtures(directory: string): void {
  if (existsSync(join(directory, "complete"))) return;
  rmSync(directory, { recursive: true, force: true });
  makeBase(join(directory, "base"));
  makeMany(join(directory, "many"));
  makeBig(join(directory, "big"));
  makeSteps(join(directory, "steps"));
  writeFileSync(join(directory, "complete"), "");
}

function makeBase(directory: string): void {
  const busybox = BUSYBOX.find(existsSync);
  if (busybox === undefined) throw new Error("The benchmark needs a static busybox: install busybox-static");
  for (const name of ["bin", "etc", "tmp"]) mkdirSync(join(directory, name), { recursive: true });
  copyFileSync(busybox, join(directory, "bin/busybox"));
  for (const applet of APPLETS) symlinkSync("busybox", join(directory, "bin", applet));
  writeFileSync(join(directory, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
  const copies = "COPY bin /bin\nCOPY etc /etc\nCOPY tmp /tmp\n";
  writeFileSync(join(directory, "Dockerfile"), `FROM scratch\n${copies}CMD ["/bin/sh"]\n`);
}

function makeMany(directory: string): void {
  for (let d = 0; d < 100; d++) {
    mkdirSync(join(directory, `src/d${d}`), { recursive: true });
    for (let f = 0; f < 200; f++)
      writeFileSync(
        join(directory, `src/d${d}/f${f}.js`),
        `// file ${d} ${f}\n${"x".repeat((f * 7) % 900)}\n`,
      );
  }
  writeFileSync(join(directory, "Dockerfile"), "FROM scratch\nCOPY src /src\n");
}

const HALF = 512 << 10;

/** 512 MiB: half a mebibyte of noise, half a mebibyte of text, and so on. */
function makeBig(directory: string): void {
  mkdirSync(directory, { recursive: true });
  const fd = openSync(join(directory, "blob"), "w");
  const noise = noiseOf(1);
  for (let i = 0; i < 512; i++) {
    writeSync(fd, noise());
    writeSync(fd, Buffer.alloc(HALF, `line ${i} of text\n`));
  }
  closeSync(fd);
  writeFileSync(join(directory, "Dockerfile"), "FROM scratch\nCOPY blob /blob\n");
}

/** Blocks of bytes without any pattern, from a seed (xorshift32). */
function noiseOf(seed: number): () => Buffer {
  let state = seed;
  return () => {
    const words = new Int32Array(HALF / 4);
    for (let i = 0; i < words.length; i++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      words[i] = state;
    }
    return Buffer.from(words.buffer);
  };
}

function makeSteps(directory: string): void {
  mkdirSync(directory, { recursive: true });
  const lines = (count: number, line: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => line(i)).join("");
  const base = "FROM localhost/base";
  const write = (name: string, text: string) => writeFileSync(join(directory, name), text);
  write("Dockerfile", `${base}\n${lines(20, (i) => `RUN echo ${i} > /f${i}\n`)}`);
  write("Env", `${base}\n${lines(40, (i) => `ENV K${i}=v${i}\n`)}`);
  const stages = lines(4, (i) => `${base} AS s${i}\nRUN sleep 1; echo ${i} > /o${i}\n`);
  write("Stages", `${stages}${base}\n${lines(4, (i) => `COPY --from=s${i} /o${i} /\n`)}`);
}
