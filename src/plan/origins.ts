/** What the name in FROM, COPY --from and RUN --mount=from= stands for: a stage, a named context, or an image. */
import { CooperError } from "../base/errors.ts";
import { expandWord } from "../dockerfile/expand.ts";
import type { EscapeToken, Instruction } from "../dockerfile/instruction.ts";
import { normaliseDockerName } from "../oci/reference.ts";
import { mountOrigin } from "./mount-fields.ts";
import type { Origin } from "./types.ts";

/** Names that can be referred to while the stage is planned. */
export interface NameTable {
  /** Stages by name; of several with one name, the last. */
  byName: ReadonlyMap<string, number>;
  stageCount: number;
  /** Names given with --build-context. */
  contexts: readonly string[];
}

export function nameTable(
  stages: readonly { name: string | undefined }[],
  contexts: readonly string[],
): NameTable {
  const byName = new Map<string, number>();
  for (const [index, stage] of stages.entries()) if (stage.name !== undefined) byName.set(stage.name, index);
  return { byName, stageCount: stages.length, contexts };
}

/** The named context that a name means, compared as image names are: `debian` is `docker.io/library/debian:latest`. */
export function contextFor(name: string, contexts: readonly string[]): string | undefined {
  if (contexts.length === 0) return undefined;
  if (contexts.includes(name)) return name;
  const full = fullName(name);
  return contexts.find((context) => fullName(context) === full);
}

function fullName(name: string): string {
  try {
    return normaliseDockerName(name);
  } catch {
    return name;
  }
}

/** A context or an image, when the name is no stage's. */
export function outsideOrigin(name: string, contexts: readonly string[], platform?: string): Origin {
  if (name === "scratch") return { kind: "scratch" };
  const context = contextFor(name, contexts);
  if (context !== undefined) return { kind: "context", name: context };
  return { kind: "image", reference: name, platform };
}

/** Origin of COPY: the context without --from; a stage by number or name; else an outside one. Throws `invalid`. */
export function copyOrigin(from: string | undefined, table: NameTable, escapeToken: EscapeToken): Origin {
  if (from === undefined) return { kind: "context", name: undefined };
  if (expandWord(from, () => undefined, { escapeToken }) !== from) {
    throw new CooperError("invalid", `Variables are not expanded in COPY --from: "${from}"`, {
      hint: "Give the image a name with FROM … AS, where they are",
    });
  }
  if (/^[+-]?\d+$/.test(from)) {
    const stage = Number(from);
    if (stage >= 0 && stage < table.stageCount) return { kind: "stage", stage };
    const stages =
      table.stageCount === 1
        ? "there is one stage, 0"
        : `stages are numbered from 0 to ${table.stageCount - 1}`;
    throw new CooperError("invalid", `COPY --from=${from} names no stage: ${stages}`);
  }
  return named(from, table);
}

function named(name: string, table: NameTable): Origin {
  const stage = table.byName.get(name.toLowerCase());
  return stage === undefined ? outsideOrigin(name, table.contexts) : { kind: "stage", stage };
}

/** Origin of a mount; undefined when it names none. Stages have no numbers here. */
export function mountFrom(text: string, table: NameTable): Origin | undefined {
  const from = mountOrigin(text);
  return from === undefined ? undefined : named(from, table);
}

/** Stages that an instruction takes files from. Throws `invalid`. */
export function stagesUsedBy(instruction: Instruction, table: NameTable, escapeToken: EscapeToken): number[] {
  const origins: (Origin | undefined)[] = [];
  if (instruction.kind === "copy") origins.push(copyOrigin(instruction.from, table, escapeToken));
  else if (instruction.kind === "run")
    for (const mount of instruction.mounts) origins.push(mountFrom(mount, table));
  return origins.flatMap((origin) => (origin?.kind === "stage" ? [origin.stage] : []));
}
