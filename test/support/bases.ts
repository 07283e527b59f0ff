/** Root file systems to build from, made on this machine. */
import { spawnSync } from "node:child_process";
import { resolve } from "node:path";

const made = new Map<string, string>();

function make(script: string): string {
  const known = made.get(script);
  if (known !== undefined) return known;
  const { status, stdout, stderr } = spawnSync(resolve(import.meta.dir, "../../scripts", script), {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`scripts/${script} failed: ${stderr}`);
  made.set(script, stdout.trim());
  return stdout.trim();
}

/** Path of a tar with busybox and little else; instant. */
export const busyboxBase = () => make("make-busybox-base");

/** Path of a tar with a minimal Debian whose apt reaches this machine's mirror; made once, in about 20 seconds. */
export const debianBase = () => make("make-debian-base");
