/** The instructions that a Dockerfile can have (Dockerfile reference, "Overview"). */
import type { Instruction } from "./instruction.ts";

export type Keyword = Instruction["kind"];

const KEYWORDS: Record<Keyword, true> = {
  add: true,
  arg: true,
  cmd: true,
  copy: true,
  entrypoint: true,
  env: true,
  expose: true,
  from: true,
  healthcheck: true,
  label: true,
  maintainer: true,
  onbuild: true,
  run: true,
  shell: true,
  stopsignal: true,
  user: true,
  volume: true,
  workdir: true,
};

/** The instruction that a word names, in whatever case, or undefined. */
export function keywordOf(word: string): Keyword | undefined {
  const lower = word.toLowerCase();
  return Object.hasOwn(KEYWORDS, lower) ? (lower as Keyword) : undefined;
}

/** All names in capitals, for "did you mean". */
export function keywordNames(): string[] {
  return Object.keys(KEYWORDS).map((keyword) => keyword.toUpperCase());
}
