/** Networks that commands leave to those after them, since opening one takes longer than many a command. */
import { CooperError, messageOf } from "../base/errors.ts";
import { defaultNetwork } from "./network-choice.ts";
import { isConnected, type OpenNetwork, openNetwork } from "./network.ts";
import type { ConnectedRun, NetworkMode, NetworkNeed, RunIo, RunResult, RunSpec, Sandbox } from "./types.ts";

export interface NetworkPoolOptions {
  runtimeDir: string;
  /** Told when commands get another network than the one that there should be. */
  onWarning?: ((message: string) => void) | undefined;
}

/** A command's for as long as it runs. */
export interface LentNetwork extends OpenNetwork {
  /** Gives it back, when the command and all that it started has ended. */
  release(): void;
}

/** With one of these rights a command may leave a network other than it was. */
const CHANGING = ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"];

export class NetworkPool {
  readonly #options: NetworkPoolOptions;
  /** By mode and ports, those that are being opened included. */
  readonly #idle: { key: string; network: Promise<OpenNetwork> }[] = [];
  readonly #closing = new AbortController();
  /** Whether the default one turned out not to be had. */
  #refused = false;

  constructor(options: NetworkPoolOptions) {
    this.#options = options;
  }

  /** Begins to open the network of a command that will come. */
  expect(need: NetworkNeed): void {
    const mode = this.#modeOf(need);
    const key = keyOf(mode, need);
    if (!isConnected(mode) || this.#idle.some((one) => one.key === key)) return;
    this.#idle.push({ key, network: this.#open(mode, need) });
  }

  /** A network that no other command has now. Errors as of openNetwork(), if the network was asked for. */
  async lend(spec: NetworkNeed & Pick<RunSpec, "capabilities">): Promise<LentNetwork> {
    const mode = this.#modeOf(spec);
    const key = keyOf(mode, spec);
    try {
      const network = (await this.#takeIdle(key)) ?? (await this.#open(mode, spec));
      const keeps = isConnected(mode) && !CHANGING.some((name) => spec.capabilities.includes(name));
      const release = () => {
        if (keeps) this.#idle.push({ key, network: Promise.resolve(network) });
        else network.close();
      };
      return { ...network, release };
    } catch (error) {
      if (spec.network !== "default" || !(error instanceof CooperError) || error.code !== "system")
        throw error;
      this.#refuse(error);
      return await this.lend(spec);
    }
  }

  /** Closes them all; none is lent. */
  async close(): Promise<void> {
    this.#closing.abort();
    for (const { network } of this.#idle.splice(0))
      await network.then(
        (open) => open.close(),
        () => {},
      );
  }

  #modeOf(need: NetworkNeed): NetworkMode {
    if (need.network !== "default") return need.network;
    return this.#refused ? "host" : defaultNetwork(need).mode;
  }

  #open(mode: NetworkMode, { proxyPorts = [] }: NetworkNeed): Promise<OpenNetwork> {
    const { runtimeDir } = this.#options;
    const opening = openNetwork(mode, { runtimeDir, proxyPorts, signal: this.#closing.signal });
    // Whoever takes it sees the failure; nobody may have asked for it yet.
    opening.catch(() => {});
    return opening;
  }

  async #takeIdle(key: string): Promise<OpenNetwork | undefined> {
    for (;;) {
      const index = this.#idle.findIndex((one) => one.key === key);
      if (index === -1) return undefined;
      const [taken] = this.#idle.splice(index, 1);
      const network = await taken!.network;
      if (network.isAlive()) return network;
      network.close();
    }
  }

  #refuse(error: CooperError): void {
    if (this.#refused) return;
    this.#refused = true;
    this.#options.onWarning?.(
      `${messageOf(error)}; commands get the host's network. --network host asks for that, --network private for none but their own`,
    );
  }
}

/** A sandbox whose commands have their networks from a pool; `run` gets a command with the network that it is lent. */
export function networkedSandbox(
  isolation: Sandbox["isolation"],
  options: NetworkPoolOptions,
  run: (spec: ConnectedRun, network: OpenNetwork, io: RunIo) => Promise<RunResult>,
): Sandbox {
  const pool = new NetworkPool(options);
  return {
    isolation,
    expect: (need) => pool.expect(need),
    close: () => pool.close(),
    async run(asked, io) {
      io.signal?.throwIfAborted();
      const network = await pool.lend(asked);
      try {
        const result = await run({ ...asked, network: network.mode }, network, io);
        return { ...result, network: network.mode };
      } finally {
        network.release();
      }
    },
  };
}

function keyOf(mode: NetworkMode, { proxyPorts = [] }: NetworkNeed): string {
  return [mode, ...proxyPorts].join(" ");
}
