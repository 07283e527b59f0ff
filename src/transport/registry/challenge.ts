/** WWW-Authenticate headers (RFC 9110, 11.6.1), and the scopes of distribution's token protocol. */

export interface Challenge {
  /** Lower case: `bearer`, `basic`. */
  scheme: string;
  /** Parameters by lower-case name. */
  parameters: Record<string, string>;
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const PARAMETER = new RegExp(`^\\s*(${TOKEN})\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|(${TOKEN}))\\s*(?:,|$)`);
const SCHEME = new RegExp(`^[\\s,]*(${TOKEN})(?:\\s+|\\s*,|$)`);

/** Takes a header apart; several challenges may stand in one. What is malformed ends the list. */
export function parseChallenges(header: string): Challenge[] {
  const found: Challenge[] = [];
  let rest = header;
  while (rest.trim() !== "") {
    const scheme = SCHEME.exec(rest);
    if (scheme === null) break;
    rest = rest.slice(scheme[0].length);
    const challenge: Challenge = { scheme: scheme[1]!.toLowerCase(), parameters: Object.create(null) };
    found.push(challenge);
    for (let match = PARAMETER.exec(rest); match !== null; match = PARAMETER.exec(rest)) {
      challenge.parameters[match[1]!.toLowerCase()] = match[2]?.replace(/\\(.)/g, "$1") ?? match[3]!;
      rest = rest.slice(match[0].length);
    }
  }
  return found;
}

/** `repository:NAME:pull,push` */
export function repositoryScope(repository: string, actions: "pull" | "pull,push" | "delete,pull"): string {
  return `repository:${repository}:${actions}`;
}
