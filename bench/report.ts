/** Results as a table in Markdown and as a plot in SVG. */

export interface Sample {
  /** Seconds of wall clock. */
  seconds: number;
  /** Seconds of processor, of the command and all that it started and waited for. */
  cpu: number;
  /** Bytes: the largest process. */
  memory: number;
}

export interface Row {
  name: string;
  about: string;
  /** By tool; empty when it failed. */
  samples: Record<string, Sample[]>;
  /** Seconds; empty where there is no limit. */
  limit: number[];
  /** Why a tool has no samples. */
  failures: Record<string, string>;
}

/** The middle one; NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** How many times faster the first tool is, round by round, since the machine changes between rounds. */
export function ratioOf(row: Row, first: string, second: string): number {
  const a = row.samples[first] ?? [];
  const b = row.samples[second] ?? [];
  return median(a.slice(0, b.length).map((sample, i) => b[i]!.seconds / sample.seconds));
}

function duration(seconds: number): string {
  if (Number.isNaN(seconds)) return "–";
  return seconds < 1 ? `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms` : `${seconds.toFixed(2)} s`;
}

const times = (ratio: number) => (Number.isNaN(ratio) ? "–" : ratio.toFixed(ratio < 10 ? 1 : 0));
const secondsOf = (row: Row, tool: string) => median((row.samples[tool] ?? []).map(({ seconds }) => seconds));

/** One line a workload; the first tool is the one that is judged. */
export function renderMarkdown(rows: readonly Row[], tools: readonly string[], facts: string): string {
  const [first, second] = tools as [string, string?];
  const head = [
    "workload",
    "what",
    ...tools,
    ...(second === undefined ? [] : ["times faster"]),
    "limit",
    `${first}: CPU`,
    "memory",
  ];
  const body = rows.map((row) => {
    const own = row.samples[first] ?? [];
    return [
      row.name,
      row.about,
      ...tools.map((tool) => (row.failures[tool] === undefined ? duration(secondsOf(row, tool)) : "failed")),
      ...(second === undefined ? [] : [times(ratioOf(row, first, second))]),
      row.limit.length === 0 ? "" : duration(Math.min(...row.limit)),
      duration(median(own.map(({ cpu }) => cpu))),
      own.length === 0 ? "–" : `${(Math.max(...own.map(({ memory }) => memory)) / 2 ** 20).toFixed(0)} MiB`,
    ];
  });
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |\n`;
  return `${facts}\n\n${line(head)}${line(head.map(() => "---"))}${body.map(line).join("")}`;
}

const COLOURS = ["#1668b8", "#c8641e", "#4d8f3a"];
const LEFT = 150;
const WIDTH = 760;
const BAR = 11;

/** Bars of seconds on a logarithmic scale, a tick where the limit is. */
export function renderSvg(rows: readonly Row[], tools: readonly string[]): string {
  const all = rows
    .flatMap((row) => [...tools.map((tool) => secondsOf(row, tool)), ...row.limit])
    .filter((x) => x > 0);
  const low = Math.floor(Math.log10(Math.min(...all)));
  const high = Math.ceil(Math.log10(Math.max(...all)));
  const x = (seconds: number) =>
    LEFT + ((Math.log10(seconds) - low) / Math.max(1, high - low)) * (WIDTH - LEFT - 80);
  const rowHeight = tools.length * (BAR + 2) + 10;
  const height = 40 + rows.length * rowHeight + 20;
  const out: string[] = [];
  for (let power = low; power <= high; power++) {
    const at = x(10 ** power);
    out.push(`<line x1="${at}" y1="30" x2="${at}" y2="${height - 20}" stroke="#ddd"/>`);
    out.push(`<text x="${at}" y="${height - 6}" text-anchor="middle">${duration(10 ** power)}</text>`);
  }
  for (const [i, tool] of tools.entries()) {
    out.push(`<rect x="${LEFT + i * 150}" y="8" width="12" height="12" fill="${COLOURS[i % 3]}"/>`);
    out.push(`<text x="${LEFT + i * 150 + 18}" y="18">${escapeXml(tool)}</text>`);
  }
  for (const [index, row] of rows.entries()) {
    const top = 36 + index * rowHeight;
    out.push(`<text x="${LEFT - 8}" y="${top + BAR}" text-anchor="end">${escapeXml(row.name)}</text>`);
    for (const [i, tool] of tools.entries()) {
      const seconds = secondsOf(row, tool);
      if (Number.isNaN(seconds)) continue;
      const y = top + i * (BAR + 2);
      out.push(
        `<rect x="${LEFT}" y="${y}" width="${x(seconds) - LEFT}" height="${BAR}" fill="${COLOURS[i % 3]}"/>`,
      );
      out.push(`<text x="${x(seconds) + 4}" y="${y + BAR - 2}">${duration(seconds)}</text>`);
    }
    if (row.limit.length > 0) {
      const at = x(Math.min(...row.limit));
      out.push(
        `<line x1="${at}" y1="${top - 2}" x2="${at}" y2="${top + rowHeight - 8}" stroke="#000" stroke-width="2"/>`,
      );
    }
  }
  const style = 'font-family="sans-serif" font-size="11"';
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" ${style}>\n<rect width="100%" height="100%" fill="#fff"/>\n${out.join("\n")}\n</svg>\n`;
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
