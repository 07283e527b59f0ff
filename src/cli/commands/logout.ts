import { CooperError } from "../../base/errors.ts";
import { defineCommand } from "../command.ts";
import { JSON_FLAG, writeResult } from "../json-flag.ts";
import { LOGIN_FILE_FLAGS, loginFile } from "../registry-flags.ts";

/** buildah-logout(1) */
export const command = defineCommand({
  name: "logout",
  summary: "Forget the credentials for a registry",
  usage: "[REGISTRY]",
  args: { max: 1 },
  flags: {
    all: { type: "bool", short: "a", help: "forget all credentials in the file" },
    ...LOGIN_FILE_FLAGS,
    ...JSON_FLAG,
  },
  examples: ["cooper logout registry.example.com", "cooper logout --all"],
  async run({ args, flags, given, api }) {
    const [registry] = args;
    if (flags.all === (registry !== undefined))
      throw new CooperError("usage", "Either a registry or --all must be given");
    const { logout, logoutAll } = await api();
    if (registry === undefined) {
      await logoutAll(loginFile(flags, given));
      writeResult(flags.json, { all: true }, ["Removed login credentials for all registries"]);
      return 0;
    }
    await logout(registry, loginFile(flags, given));
    writeResult(flags.json, { registry }, [`Removed login credentials for ${registry}`]);
    return 0;
  },
});
