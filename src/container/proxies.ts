/** The host's proxies, which commands are to use, and the way to those that listen on its loopback. */

const PROXIES = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy"];

/** The host's proxies, in the spellings that it has them, as Buildah gives them to commands (--http-proxy). */
export function hostProxies(): string[] {
  return PROXIES.flatMap((name) => [name, name.toUpperCase()]).flatMap((name) =>
    process.env[name] ? [`${name}=${process.env[name]}`] : [],
  );
}

/** `[scheme://][user@]host[:port]`, with a name or address of the loopback. */
const ON_LOOPBACK =
  /^(?:([a-z][a-z0-9+.-]*):\/\/)?(?:[^@/]*@)?(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::(\d{1,5}))?(?:\/|$)/i;

/**
 * TCP ports of those proxies among `KEY=value` that listen on the loopback. To be asked of what the host and the command
 * line say only: an image or a Dockerfile could name any port.
 */
export function loopbackProxyPorts(variables: readonly string[]): number[] {
  const ports = variables.flatMap((variable) => {
    const at = variable.indexOf("=");
    const match = /^no_proxy$/i.test(variable.slice(0, at)) ? null : ON_LOOPBACK.exec(variable.slice(at + 1));
    if (match === null) return [];
    const port = Number(match[2] ?? usualPort(match[1]));
    return port > 0 && port < 65_536 ? [port] : [];
  });
  return [...new Set(ports)].sort((a, b) => a - b);
}

function usualPort(scheme = "http"): number {
  if (/^socks/i.test(scheme)) return 1080;
  return scheme.toLowerCase() === "https" ? 443 : 80;
}
