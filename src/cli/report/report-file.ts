/** Where a report is written: its name says in which form. */
import { accessSync, constants, existsSync } from "node:fs";
import { dirname } from "node:path";
import { CooperError, wrapError } from "../../base/errors.ts";
import type { BuildReport, ImageReport } from "../../index.ts";
import { openOutput } from "../output-file.ts";

export interface ReportFile {
  write(report: BuildReport | ImageReport): Promise<void>;
}

/**
 * Looks at once whether it can be written, so that a long build does not fail for it at its end. Nothing is made before
 * write(): the place may be in the build's context. Throws `usage` for names that tell no form.
 */
export function openReport(path: string, flag: string): ReportFile {
  const form = /\.(html?|json)$/i.exec(path)?.[1]?.toLowerCase();
  if (form === undefined) {
    throw new CooperError(
      "usage",
      `${flag} takes a file that ends in .html or .json, not ${JSON.stringify(path)}`,
    );
  }
  try {
    accessSync(dirname(path), constants.W_OK);
    if (existsSync(path)) accessSync(path, constants.W_OK);
  } catch (error) {
    throw wrapError(`Cannot write ${path}`, error);
  }
  return {
    async write(report) {
      const text =
        form === "json"
          ? `${JSON.stringify(report, undefined, 2)}\n`
          : (await import("./report-page.ts")).reportPage(report);
      using file = openOutput(path);
      file.write(Buffer.from(text));
      file.finish();
    },
  };
}
