/** --output, --ssh and --metadata-file of `build`. */
import { writeFileSync } from "node:fs";
import { CooperError, wrapError } from "../base/errors.ts";
import type { BuildOptions, BuildOutput, BuildResult } from "../index.ts";
import { parseCsvLine } from "./csv.ts";

const TYPES = ["local", "tar", "oci", "docker"] as const;

/** `type=local|tar|oci|docker,dest=PATH[,tar=false][,name=NAME]`, `PATH` for local, `-` for a tar on standard output. */
export function parseOutput(text: string): BuildOutput {
  if (text === "-") return { type: "tar", destination: "-" };
  const fields = new Map<string, string>();
  const parts = parseCsvLine(text);
  if (parts.length === 1 && !text.includes("=")) return { type: "local", destination: text };
  for (const part of parts) {
    const at = part.indexOf("=");
    if (at === -1) throw bad(text, `"${part}" is not key=value`);
    fields.set(part.slice(0, at).trim().toLowerCase(), part.slice(at + 1));
  }
  const unknown = [...fields.keys()].find((key) => !["type", "dest", "tar", "name"].includes(key));
  if (unknown !== undefined) throw bad(text, `it has an unknown key ${unknown}`);
  const type = TYPES.find((known) => known === (fields.get("type") ?? "local"));
  if (type === undefined) throw bad(text, `its type is none of ${TYPES.join(", ")}`);
  const destination = fields.get("dest") ?? (type === "local" ? undefined : "-");
  if (destination === undefined || destination === "") throw bad(text, "it has no dest");
  if (type === "local" && destination === "-")
    throw bad(text, "files cannot go to standard output one by one");
  const directory = fields.get("tar") === "false";
  if (directory && type !== "oci") throw bad(text, "tar=false goes with type=oci");
  const name = fields.get("name");
  return { type, destination, directory, ...(name === undefined ? {} : { name }) };
}

function bad(text: string, why: string): CooperError {
  return new CooperError("usage", `Cannot read --output ${JSON.stringify(text)}: ${why}`, {
    hint: "write it as type=local|tar|oci|docker,dest=PATH",
  });
}

/** `ID`, `ID=SOCKET`, `ID=KEY,KEY`. */
export function parseSsh(text: string): NonNullable<BuildOptions["ssh"]>[number] {
  const at = text.indexOf("=");
  const id = at === -1 ? text : text.slice(0, at);
  if (id === "") throw new CooperError("usage", `Cannot read --ssh ${JSON.stringify(text)}: it has no id`);
  const sources =
    at === -1
      ? []
      : text
          .slice(at + 1)
          .split(",")
          .filter((part) => part !== "");
  return { id, sources };
}

/** `KEY=value`; `KEY` takes this process's value and is left out where there is none. */
export function imageVariables(entries: string[]): string[] {
  return entries.flatMap((entry) => {
    if (entry.includes("=")) return [entry];
    const value = process.env[entry];
    return value === undefined ? [] : [`${entry}=${value}`];
  });
}

/** The keys that BuildKit's clients write. */
export function writeMetadata(path: string, { imageId, digest, names, images }: BuildResult): void {
  const metadata = {
    // A list has none.
    ...(images === undefined ? { "containerimage.config.digest": `sha256:${imageId}` } : {}),
    "containerimage.digest": digest,
    ...(names.length === 0 ? {} : { "image.name": names.join(",") }),
  };
  try {
    writeFileSync(path, `${JSON.stringify(metadata, undefined, 2)}\n`);
  } catch (error) {
    throw wrapError(`Cannot write ${path}`, error);
  }
}
