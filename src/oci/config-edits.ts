/** Changes to an image's config as `config`, `commit --change`, and Dockerfile instructions ask for them. */
import type { Healthcheck } from "./types.ts";

/** Each field that is present changes the config; an absent one leaves it. Semantics: buildah-config(1). */
export interface ConfigEdits {
  user?: string;
  workingDir?: string;
  /** `KEY=value` sets, `KEY-` unsets; in order. */
  env?: string[];
  unsetEnv?: string[];
  /** `key=value` sets, `key-` unsets, `-` clears all. */
  labels?: string[];
  unsetLabels?: string[];
  /** Annotations of the manifest, in the same form. */
  annotations?: string[];
  unsetAnnotations?: string[];
  /** `80`, `80/udp`, `8000-8010/tcp`; `80-` removes, `-` clears all. */
  ports?: string[];
  /** Paths; `path-` removes, `-` clears all. */
  volumes?: string[];
  /** null clears it. Setting an entrypoint does not clear cmd (the caller decides). */
  entrypoint?: string[] | null;
  cmd?: string[] | null;
  shell?: string[];
  stopSignal?: string;
  /** null removes it. */
  healthcheck?: Healthcheck | null;
  /** Instructions added; `-` clears all. */
  onBuild?: string[];
  hostname?: string;
  domainname?: string;
  author?: string;
  os?: string;
  architecture?: string;
  variant?: string;
  osVersion?: string;
  /** `feature` adds, `feature-` removes, `-` clears all. */
  osFeatures?: string[];
  /** Docker's field of that name in the config; empty removes it. */
  comment?: string;
  /** For the history entry of the next commit. */
  createdBy?: string;
  historyComment?: string;
}
