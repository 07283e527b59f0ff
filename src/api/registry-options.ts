/** Options of the API about registries, as the transport takes them. */
import type { RegistryOptions } from "../api-types.ts";
import type { EventSink } from "../base/events.ts";
import type { RegistrySettings } from "../transport/registry/settings.ts";

export function registrySettings(options: RegistryOptions): RegistrySettings {
  const { creds, authFile, tlsVerify, certDir, signaturePolicy, retries, retryDelay } = options;
  return { creds, authFile, tlsVerify, certDir, signaturePolicy, retries, retryDelay };
}

/** The same for one piece of work, with who hears its warnings and what ends it. */
export function settingsOf(
  options: RegistryOptions & { onEvent?: EventSink; signal?: AbortSignal },
): RegistrySettings {
  const { onEvent, signal } = options;
  const onWarning = (message: string) => onEvent?.({ type: "warning", message });
  return { ...registrySettings(options), signal, onWarning };
}
