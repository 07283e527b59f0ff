import { CooperError } from "../../base/errors.ts";
import { ask, readSecret } from "../ask.ts";
import { type CommandContext, defineCommand, type FlagTable } from "../command.ts";
import { JSON_FLAG, writeResult } from "../json-flag.ts";
import { LOGIN_FILE_FLAGS, loginFile, REGISTRY_FLAGS, registryOptions } from "../registry-flags.ts";

const FLAGS = {
  ...LOGIN_FILE_FLAGS,
  "cert-dir": REGISTRY_FLAGS["cert-dir"],
  "get-login": { type: "bool", help: "print the name of the user who is logged in, and log nobody in" },
  ...JSON_FLAG,
  password: {
    type: "string",
    short: "p",
    placeholder: "password",
    help: "the password; others on this machine can see it in the list of processes",
  },
  "password-stdin": { type: "bool", help: "read the password from standard input" },
  "tls-verify": REGISTRY_FLAGS["tls-verify"],
  username: { type: "string", short: "u", placeholder: "name", help: "the user's name" },
  verbose: { type: "bool", short: "v", help: "also print where the credentials are kept" },
} as const satisfies FlagTable;

type Context = CommandContext<typeof FLAGS>;

/** buildah-login(1) */
export const command = defineCommand({
  name: "login",
  summary: "Log in to a registry",
  usage: "REGISTRY",
  args: { min: 1, max: 1, missing: "A registry must be named" },
  flags: FLAGS,
  details: [
    "REGISTRY is HOST[:PORT], or HOST[:PORT]/PATH for some of its repositories. The registry is asked whether it takes the name and the password; then they are kept where Podman, Skopeo and Buildah look for them too: $REGISTRY_AUTH_FILE, else $XDG_RUNTIME_DIR/containers/auth.json. What is not given is asked for at the terminal.",
  ],
  examples: [
    "cooper login registry.example.com",
    "cooper login -u kim --password-stdin registry.example.com",
    "cooper login --get-login registry.example.com",
  ],
  async run(context) {
    const { args, flags, given, signal, api } = context;
    const registry = args[0]!;
    const options = { ...registryOptions(flags, given), ...loginFile(flags, given), signal };
    const { login, loginIsValid, loginName } = await api();
    const { username } = flags;
    if (given.has("get-login")) {
      const name = await loginName(registry, options);
      if (name === undefined) throw new CooperError("not-found", `Not logged in to ${registry}`);
      writeResult(flags.json, { registry, username: name }, [name]);
      return 0;
    }
    checkFlags(context);
    if (username === undefined && flags.password === undefined) {
      const known = await loginIsValid(registry, options);
      if (known !== undefined) {
        const told = `Already logged in to ${registry} as ${known}`;
        writeResult(flags.json, { registry, username: known }, [told]);
        return 0;
      }
    }
    const who = username ?? (await ask("Username: ", { secret: false, hint: "give --username", signal }));
    const password = await passwordOf(context);
    const { kept } = await login(registry, { ...options, username: who, password });
    const where = flags.verbose ? [`Used: ${kept}`] : [];
    writeResult(flags.json, { registry, username: who, kept }, [...where, "Login Succeeded!"]);
    return 0;
  },
});

function checkFlags({ flags }: Context): void {
  if (!flags["password-stdin"]) return;
  if (flags.password !== undefined)
    throw new CooperError("usage", "Only one of --password and --password-stdin can be given");
  if (flags.username === undefined) throw new CooperError("usage", "--password-stdin needs --username");
}

async function passwordOf({ flags, signal }: Context): Promise<string> {
  if (flags["password-stdin"]) return readSecret();
  return flags.password ?? (await ask("Password: ", { secret: true, hint: "use --password-stdin", signal }));
}
