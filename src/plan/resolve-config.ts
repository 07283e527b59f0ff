/** The instructions that change nothing but the image's config. Each function returns its line in the history. */
import { CooperError } from "../base/errors.ts";
import type {
  ArgInstruction,
  CmdInstruction,
  CommandLine,
  EntrypointInstruction,
  EnvInstruction,
  ExposeInstruction,
  HealthcheckInstruction,
  LabelInstruction,
  OnbuildInstruction,
  ShellInstruction,
  StopsignalInstruction,
  UserInstruction,
  VolumeInstruction,
} from "../dockerfile/instruction.ts";
import type { ContainerConfig, Healthcheck } from "../oci/types.ts";
import { withEnv } from "./env-list.ts";
import { parseExposed } from "./expose.ts";
import { goDuration, goQuoteList } from "./go-text.ts";
import { withShell } from "./resolve-run.ts";
import { checkSignal } from "./signals.ts";
import { expandIn, expandListIn, type StageWalk, warn } from "./stage-walk.ts";

/** The config with some fields replaced; undefined removes one. */
export function changeConfig(
  walk: StageWalk,
  changes: { [K in keyof ContainerConfig]?: ContainerConfig[K] | undefined },
): void {
  const config: Record<string, unknown> = { ...walk.config, ...changes };
  for (const key of Object.keys(changes)) if (config[key] === undefined) delete config[key];
  walk.config = config as ContainerConfig;
}

/** Every value sees what was set before the line, not what the line sets. */
export function resolveEnv(walk: StageWalk, instruction: EnvInstruction): string {
  const pairs = expandPairs(walk, instruction);
  let env = walk.config.Env ?? [];
  for (const [name, value] of pairs) {
    walk.env.set(name, value);
    env = withEnv(env, name, value);
  }
  changeConfig(walk, { Env: env });
  return historyOfPairs("ENV", pairs);
}

export function resolveLabel(walk: StageWalk, instruction: LabelInstruction): string {
  const pairs = expandPairs(walk, instruction);
  changeConfig(walk, { Labels: { ...walk.config.Labels, ...Object.fromEntries(pairs) } });
  return historyOfPairs("LABEL", pairs);
}

function expandPairs(walk: StageWalk, instruction: EnvInstruction | LabelInstruction): [string, string][] {
  return instruction.pairs.map(({ name, value }) => [expandIn(walk, name), expandIn(walk, value)]);
}

function historyOfPairs(keyword: string, pairs: [string, string][]): string {
  return [keyword, ...pairs.map(([name, value]) => `${name}=${value}`)].join(" ");
}

/** Arguments of BuildKit's own, which no step sees. */
const HIDDEN_ARGS = new Set(["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"]);

/** A build arg beats the default; without both, the value from before FROM is taken over. Later ones on a line see earlier ones. */
export function resolveArg(walk: StageWalk, instruction: ArgInstruction): string {
  const texts = instruction.args.map(({ name, value: written }) => {
    const value = argValue(walk, name, written);
    if (value !== undefined && !HIDDEN_ARGS.has(name)) walk.env.set(name, value);
    walk.args = [...walk.args, { name, value }];
    return value === undefined ? name : `${name}=${value}`;
  });
  return ["ARG", ...texts].join(" ");
}

function argValue(walk: StageWalk, name: string, written: string | undefined): string | undefined {
  if (Object.hasOwn(walk.buildArgs, name)) return walk.buildArgs[name];
  if (written !== undefined) return expandIn(walk, written);
  return Object.hasOwn(walk.globalArgs, name) ? walk.globalArgs[name] : undefined;
}

export function resolveUser(walk: StageWalk, instruction: UserInstruction): string {
  const user = expandIn(walk, instruction.user);
  changeConfig(walk, { User: user });
  return `USER ${user}`;
}

export function resolveExpose(walk: StageWalk, instruction: ExposeInstruction): string {
  const ports: string[] = [];
  for (const word of instruction.ports.flatMap((text) => expandListIn(walk, text))) {
    const exposed = parseExposed(word);
    ports.push(...exposed.ports);
    const { location } = instruction;
    if (exposed.protocolCasing) {
      warn(
        walk,
        "ExposeProtoCasing",
        `Defined protocol '${word}' in EXPOSE instruction should be lowercase`,
        location,
      );
    }
    if (exposed.hasHostPart) {
      const message = `EXPOSE instruction should not define an IP address or host-port mapping, found '${word}'`;
      warn(walk, "ExposeInvalidFormat", message, location);
    }
  }
  const added = Object.fromEntries(ports.map((port) => [port, {}]));
  changeConfig(walk, { ExposedPorts: { ...walk.config.ExposedPorts, ...added } });
  return `EXPOSE [${ports.join(" ")}]`;
}

export function resolveVolume(walk: StageWalk, instruction: VolumeInstruction): string {
  const paths = instruction.paths.map((path) => expandIn(walk, path));
  if (paths.includes("")) throw new CooperError("invalid", "VOLUME cannot be an empty string");
  const added = Object.fromEntries(paths.map((path) => [path, {}]));
  changeConfig(walk, { Volumes: { ...walk.config.Volumes, ...added } });
  return `VOLUME [${paths.join(" ")}]`;
}

function argvOf(walk: StageWalk, command: CommandLine): string[] {
  return command.form === "exec" ? command.argv : withShell(walk.config, command.text);
}

export function resolveCmd(walk: StageWalk, instruction: CmdInstruction): string {
  const argv = argvOf(walk, instruction.command);
  walk.cmdSet = true;
  changeConfig(walk, { Cmd: argv.length === 0 ? undefined : argv, ArgsEscaped: true });
  return `CMD ${goQuoteList(argv)}`;
}

/** A CMD that the stage inherited goes: it was meant for another entrypoint. */
export function resolveEntrypoint(walk: StageWalk, instruction: EntrypointInstruction): string {
  const argv = argvOf(walk, instruction.command);
  changeConfig(walk, { Entrypoint: argv.length === 0 ? undefined : argv });
  if (!walk.cmdSet) changeConfig(walk, { Cmd: undefined });
  return `ENTRYPOINT ${goQuoteList(argv)}`;
}

export function resolveShell(walk: StageWalk, instruction: ShellInstruction): string {
  changeConfig(walk, { Shell: instruction.argv });
  return `SHELL [${instruction.argv.join(" ")}]`;
}

export function resolveStopsignal(walk: StageWalk, instruction: StopsignalInstruction): string {
  const signal = expandIn(walk, instruction.signal);
  checkSignal(signal);
  changeConfig(walk, { StopSignal: signal });
  return `STOPSIGNAL ${signal}`;
}

export function resolveHealthcheck(walk: StageWalk, instruction: HealthcheckInstruction): string {
  const { test, interval, timeout, startPeriod, startInterval, retries } = instruction;
  const healthcheck: Healthcheck = {
    Test: test,
    ...(interval === 0 ? {} : { Interval: interval }),
    ...(timeout === 0 ? {} : { Timeout: timeout }),
    ...(startPeriod === 0 ? {} : { StartPeriod: startPeriod }),
    ...(startInterval === 0 ? {} : { StartInterval: startInterval }),
    ...(retries === 0 ? {} : { Retries: retries }),
  };
  changeConfig(walk, { Healthcheck: healthcheck });
  const fields = [
    `Test:[${test.join(" ")}]`,
    `Interval:${goDuration(interval)}`,
    `Timeout:${goDuration(timeout)}`,
    `StartPeriod:${goDuration(startPeriod)}`,
    `StartInterval:${goDuration(startInterval)}`,
    `Retries:${retries}`,
  ];
  return `HEALTHCHECK {${fields.join(" ")}}`;
}

export function resolveOnbuild(walk: StageWalk, instruction: OnbuildInstruction): void {
  changeConfig(walk, { OnBuild: [...(walk.config.OnBuild ?? []), instruction.trigger] });
}
