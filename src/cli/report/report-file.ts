/** Where a report is written: its name says in which form. */
import { CooperError } from "../../base/errors.ts";
import type { BuildReport, ImageReport } from "../../index.ts";
import { openOutput } from "../output-file.ts";

export interface ReportFile extends Disposable {
  write(report: BuildReport | ImageReport): Promise<void>;
}

/** Opens it at once, so that a long build does not fail for it at its end. Throws `usage` for other names. */
export function openReport(path: string, flag: string): ReportFile {
  const form = /\.(html?|json)$/i.exec(path)?.[1]?.toLowerCase();
  if (form === undefined) {
    throw new CooperError(
      "usage",
      `${flag} takes a file that ends in .html or .json, not ${JSON.stringify(path)}`,
    );
  }
  const file = openOutput(path);
  return {
    async write(report) {
      const text =
        form === "json"
          ? `${JSON.stringify(report, undefined, 2)}\n`
          : (await import("./report-page.ts")).reportPage(report);
      file.write(Buffer.from(text));
      file.finish();
    },
    [Symbol.dispose]: () => file[Symbol.dispose](),
  };
}
