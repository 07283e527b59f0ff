/** Programs that keep credentials: `docker-credential-NAME get` (github.com/docker/docker-credential-helpers). */
import { CooperError } from "../../base/errors.ts";
import { findProgram, runProcess } from "../../base/process.ts";
import type { Credentials } from "./credentials.ts";

const HUB_SERVER = "https://index.docker.io/v1/";

/** Asks a helper. Throws `not-found` when it is required and not installed, `system` when it fails. */
export async function askCredentialHelper(
  name: string,
  registry: string,
  isRequired: boolean,
): Promise<Credentials | undefined> {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name))
    throw new CooperError("invalid", `"${name}" is not the name of a credential helper`);
  const program = findProgram(`docker-credential-${name}`);
  if (program === undefined) {
    if (!isRequired) return undefined;
    throw new CooperError(
      "not-found",
      `Cannot get credentials for ${registry}: docker-credential-${name} is not installed`,
    );
  }
  const servers = registry === "docker.io" ? [HUB_SERVER, registry] : [registry];
  for (const server of servers) {
    const found = await ask(program, name, server);
    if (found !== undefined) return found;
  }
  return undefined;
}

async function ask(program: string, name: string, server: string): Promise<Credentials | undefined> {
  const { exitCode, stdout } = await runProcess([program, "get"], { stdin: Buffer.from(server) });
  const output = new TextDecoder().decode(stdout).trim();
  if (exitCode !== 0) {
    if (/credentials not found|no credentials/i.test(output)) return undefined;
    // Its output may hold anything, so that it is not quoted.
    throw new CooperError(
      "system",
      `Cannot get credentials for ${server}: docker-credential-${name} ended with status ${exitCode}`,
    );
  }
  const { Username, Secret } = readAnswer(output, name);
  if (typeof Secret !== "string" || Secret === "") return undefined;
  const origin = `docker-credential-${name}`;
  if (Username === "<token>") return { username: "", password: "", identityToken: Secret, origin };
  return { username: typeof Username === "string" ? Username : "", password: Secret, origin };
}

function readAnswer(output: string, name: string): { Username?: unknown; Secret?: unknown } {
  try {
    return JSON.parse(output) as { Username?: unknown; Secret?: unknown };
  } catch {
    throw new CooperError("invalid", `docker-credential-${name} answered with something other than JSON`);
  }
}

/** Gives a helper something to keep. Throws `not-found` when it is not installed, `system` when it fails. */
export async function storeInHelper(
  name: string,
  { server, username, password }: { server: string; username: string; password: string },
): Promise<void> {
  const input = JSON.stringify({ ServerURL: server, Username: username, Secret: password });
  await tellHelper(name, "store", server, input);
}

/** Has a helper forget what it keeps for a registry. Throws as storeInHelper() does. */
export async function eraseFromHelper(name: string, server: string): Promise<void> {
  await tellHelper(name, "erase", server, server);
}

async function tellHelper(
  name: string,
  verb: "store" | "erase",
  server: string,
  input: string,
): Promise<void> {
  const doing = `Cannot ${verb} credentials for ${server}`;
  const program = /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)
    ? findProgram(`docker-credential-${name}`)
    : undefined;
  if (program === undefined)
    throw new CooperError("not-found", `${doing}: docker-credential-${name} is not installed`);
  const { exitCode } = await runProcess([program, verb], { stdin: Buffer.from(input) });
  // Its output may hold anything, so that it is not quoted.
  if (exitCode !== 0)
    throw new CooperError("system", `${doing}: docker-credential-${name} ended with status ${exitCode}`);
}
