/** What this program is called and which specifications it implements. */
import { version } from "../../package.json" with { type: "json" };

/** A link named buildah stands in for Buildah. */
export const PROGRAM = /(?:^|\/)buildah$/.test(process.argv0) ? "buildah" : "cooper";
export const VERSION: string = version;
export const IMAGE_SPEC = "1.1.1";
export const RUNTIME_SPEC = "1.2.1";

/** The platform in Go's words: `linux/amd64`. */
export function hostPlatform(): string {
  return `linux/${hostArchitecture()}`;
}

/** The processor in Go's words. */
export function hostArchitecture(): string {
  const names: Record<string, string> = { x64: "amd64", ia32: "386" };
  return names[process.arch] ?? process.arch;
}
