import { CONFIG_FLAGS, configEdits } from "../config-edits.ts";
import { type CommandContext, defineCommand } from "../command.ts";
import { configSteps, HISTORY_FLAG, noteSteps } from "../history-flag.ts";

const FLAGS = { ...CONFIG_FLAGS, ...HISTORY_FLAG };
type Flags = CommandContext<typeof FLAGS>["flags"];

/** As in Buildah, `--user ''` is a step too. */
function givenOnly(flags: Flags, given: ReadonlySet<string>): Flags {
  return Object.fromEntries(
    Object.entries(flags).map(([name, value]) => [
      name,
      given.has(name) || Array.isArray(value) ? value : undefined,
    ]),
  ) as Flags;
}

function healthOptions(flags: Flags): string {
  const names = ["interval", "retries", "start-period", "start-interval", "timeout"] as const;
  return names
    .map((name) => [name, flags[`healthcheck-${name}`]] as const)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `--${name}=${value} `)
    .join("");
}

export const command = defineCommand({
  name: "config",
  summary: "Change the config that images of a working container will have",
  usage: "CONTAINER",
  args: { min: 1, max: 1, missing: "A container must be named" },
  flags: FLAGS,
  examples: [
    `cooper config --entrypoint '["/usr/bin/hello"]' --cmd '--world' work`,
    "cooper config --env PATH=/opt/bin:$PATH --workingdir /srv --user 1000:1000 work",
    'cooper config --label version=1.0 --port 8080/tcp --healthcheck "CMD /bin/check" --healthcheck-interval 10s work',
  ],
  async run({ args, flags, given, api, store }) {
    const { openContainer } = await api();
    const container = await openContainer(await store(), args[0]!);
    const edits = configEdits(flags, given, await container.inspect());
    await container.config(edits);
    if (flags["add-history"])
      await noteSteps(container, configSteps(givenOnly(flags, given), healthOptions(flags)));
    return 0;
  },
});
