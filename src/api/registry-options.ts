/** Options of the API about registries, as the transport takes them. */
import type { RegistryOptions } from "../api-types.ts";
import type { RegistrySettings } from "../transport/registry/settings.ts";

export function registrySettings(options: RegistryOptions): RegistrySettings {
  const { creds, authFile, tlsVerify, certDir, signaturePolicy, retries, retryDelay } = options;
  return { creds, authFile, tlsVerify, certDir, signaturePolicy, retries, retryDelay };
}
