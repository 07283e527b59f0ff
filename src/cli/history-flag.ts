/** --add-history: what a command does is noted for the history of the container's images, in Docker's old words. */
import type { Container } from "../index.ts";
import type { FlagTable } from "./command.ts";

export const HISTORY_FLAG = {
  "add-history": {
    type: "bool",
    help: "have the history of the container's images tell of this",
    env: ["COOPER_HISTORY", "BUILDAH_HISTORY"],
  },
} as const satisfies FlagTable;

/** Notes steps that change no files by themselves; their words are Buildah's. */
export async function noteSteps(container: Container, steps: string[]): Promise<void> {
  for (const step of steps) await container.addHistory(`/bin/sh -c #(nop) ${step}`);
}

/** What `config`'s flags are as instructions, in Buildah's order. */
export function configSteps(
  flags: {
    user?: string | undefined;
    shell?: string | undefined;
    "stop-signal"?: string | undefined;
    port: string[];
    env: string[];
    entrypoint?: string | undefined;
    cmd?: string | undefined;
    volume: string[];
    healthcheck?: string | undefined;
    label: string[];
    workingdir?: string | undefined;
    onbuild: string[];
  },
  healthOptions: string,
): string[] {
  const one = (word: string, value: string | undefined) => (value === undefined ? [] : [`${word} ${value}`]);
  const joined = (word: string, values: string[]) =>
    values.length === 0 ? [] : [`${word} ${values.join(" ")}`];
  const check = flags.healthcheck === "" ? "NONE" : flags.healthcheck;
  return [
    ...one("USER", flags.user),
    ...one("SHELL", flags.shell),
    ...one("STOPSIGNAL", flags["stop-signal"]),
    ...joined("EXPOSE", flags.port),
    ...joined("ENV", flags.env),
    ...one("ENTRYPOINT", flags.entrypoint),
    ...one("CMD", flags.cmd),
    ...flags.volume.map((volume) => `VOLUME ${volume}`),
    ...one("HEALTHCHECK", check === undefined || check === "NONE" ? check : `${healthOptions}${check}`),
    ...joined("LABEL", flags.label),
    ...one("WORKDIR", flags.workingdir),
    ...flags.onbuild.map((trigger) => `ONBUILD ${trigger}`),
  ];
}
