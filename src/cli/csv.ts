/** One line of comma-separated values, as Go's pflag reads a repeatable comma list (RFC 4180). */
import { CooperError } from "../base/errors.ts";

/** Fields of one line; a field in double quotes may hold commas, and quotes doubled. Throws `usage`. */
export function parseCsvLine(line: string): string[] {
  if (line === "") return [];
  const fields: string[] = [];
  for (let at = 0; ; ) {
    const [field, end] = line[at] === '"' ? quotedField(line, at) : plainField(line, at);
    fields.push(field);
    if (end >= line.length) return fields;
    at = end + 1;
  }
}

function plainField(line: string, at: number): [string, number] {
  const comma = line.indexOf(",", at);
  const end = comma === -1 ? line.length : comma;
  return [line.slice(at, end), end];
}

function quotedField(line: string, at: number): [string, number] {
  let field = "";
  for (let i = at + 1; i < line.length; i++) {
    if (line[i] !== '"') {
      field += line[i];
    } else if (line[i + 1] === '"') {
      field += '"';
      i++;
    } else {
      if (i + 1 < line.length && line[i + 1] !== ",") break;
      return [field, i + 1];
    }
  }
  throw new CooperError(
    "usage",
    `Cannot read the list ${JSON.stringify(line)}: a quoted field does not end at a comma`,
  );
}
