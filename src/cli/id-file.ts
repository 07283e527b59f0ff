/** Files that receive an id (--iidfile, --cidfile, --digestfile). */
import { writeFileSync } from "node:fs";
import { wrapError } from "../base/errors.ts";

/** Writes the text without a newline, as scripts that read these files expect. */
export function writeIdFile(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (error) {
    throw wrapError(`Cannot write ${path}`, error);
  }
}
