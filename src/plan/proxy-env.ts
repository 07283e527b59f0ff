/** Proxies given as build args reach every RUN without an ARG (Dockerfile reference, "Predefined ARGs"). */

const PROXIES = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/** Each given proxy in capitals and in small letters; of two spellings the small one counts. */
export function proxyEnvironment(buildArgs: Readonly<Record<string, string>>): string[] {
  const given = new Map<string, string>();
  for (const name of Object.keys(buildArgs).sort()) given.set(name.toUpperCase(), buildArgs[name]!);
  return PROXIES.flatMap((name) => {
    const value = given.get(name);
    return value === undefined || value === "" ? [] : [`${name}=${value}`, `${name.toLowerCase()}=${value}`];
  });
}
