/** One record of comma-separated values (RFC 4180), as in `--mount=type=bind,"source=a,b"`. */
import { CooperError } from "../base/errors.ts";

const FIELD = /"((?:[^"]|"")*)"(?=,|$)|([^",]*)(?=,|$)/y;

/** The fields. Throws `invalid` for quotes that are open or in the middle. */
export function csvFields(record: string): string[] {
  const fields: string[] = [];
  for (let at = 0; ; at++) {
    FIELD.lastIndex = at;
    const match = record === "" ? null : FIELD.exec(record);
    if (match === null) throw new CooperError("invalid", `Cannot read "${record}" as comma-separated fields`);
    fields.push(match[1]?.replaceAll('""', '"') ?? match[2]!);
    at += match[0].length;
    if (at >= record.length) return fields;
  }
}
