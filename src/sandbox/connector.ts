/** What the programs that connect a network namespace to the outside have in common. */
import type { NetworkFacts } from "./prepare-run.ts";

/** A started program that connects a namespace, once its interface is configured. */
export interface Connection extends NetworkFacts {
  /** Whether it still runs. */
  isAlive(): boolean;
  /** Ends it, without waiting: the kernel takes 40 ms to take its interface away. */
  close(): void;
}

export interface ConnectionPlace {
  /** Path of an empty file at which the namespace is to be mounted. */
  namespace: string;
  /** Whether the host's name servers can be asked from the host's own namespace only. */
  forwards: boolean;
  /** As in RunSpec. */
  proxyPorts: readonly number[];
  /** Ends the wait for the program. */
  signal: AbortSignal;
}

/** A way to connect a namespace to the outside. */
export interface Connector {
  /** Of the program, and of the network's name on the command line. */
  name: "pasta" | "slirp4netns";
  debianPackage: string;
  /** Whether it minds `proxyPorts`. */
  reachesProxies: boolean;
  /** `options`: as the user gave them. Errors: `usage` for those, `system` when the program fails. */
  connect(program: string, place: ConnectionPlace, options: string[]): Promise<Connection>;
}
