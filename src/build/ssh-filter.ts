/**
 * What stands between a step and an SSH agent (draft-ietf-sshm-ssh-agent): a step may ask which keys there are and have
 * something signed; it may not add, remove or lock keys, nor use others than it was given.
 */
import type { Socket } from "node:net";

const FAILURE = 5;
const REQUEST_IDENTITIES = 11;
const IDENTITIES_ANSWER = 12;
const SIGN_REQUEST = 13;

/** Bytes of a message; OpenSSH's agent takes no more. */
const LONGEST = 256 << 10;

/** Key blobs in base64 that may be used; undefined for all that the agent has. */
export type AllowedKeys = ReadonlySet<string> | undefined;

/** Answers a client from an agent until one of both ends. */
export async function filterAgent(client: Socket, agent: Socket, allowed: AllowedKeys): Promise<void> {
  const answers = messagesOf(agent);
  try {
    for await (const request of messagesOf(client)) {
      let answer: Buffer | undefined = Buffer.from([FAILURE]);
      if (isAllowed(request, allowed)) {
        send(agent, request);
        answer = (await answers.next()).value ?? undefined;
        if (answer === undefined) return;
      }
      send(client, onlyAllowed(answer, allowed));
    }
  } catch {
    // Neither keeps to the protocol any more, or is there: the connection ends.
  } finally {
    client.destroy();
    agent.destroy();
  }
}

/** The key blobs of a public key file, one key a line (sshd(8), AUTHORIZED_KEYS without options); empty for anything else. */
export function publicKeys(text: string): string[] {
  return text.split("\n").flatMap((line) => {
    const [, type = "", blob = ""] = /^([a-z0-9@.-]+) ([A-Za-z0-9+/]+={0,2})(?:\s|$)/.exec(line.trim()) ?? [];
    const bytes = Buffer.from(blob, "base64");
    return type !== "" && readString(bytes, 0)?.toString("latin1") === type ? [bytes.toString("base64")] : [];
  });
}

function isAllowed(request: Buffer, allowed: AllowedKeys): boolean {
  if (request[0] === REQUEST_IDENTITIES) return true;
  if (request[0] !== SIGN_REQUEST) return false;
  const key = readString(request, 1);
  return key !== undefined && (allowed === undefined || allowed.has(key.toString("base64")));
}

/** A list of keys without those that are not allowed; other answers as they are. */
function onlyAllowed(answer: Buffer, allowed: AllowedKeys): Buffer {
  if (answer[0] !== IDENTITIES_ANSWER || allowed === undefined) return answer;
  const kept: Buffer[] = [];
  let at = 5;
  for (let left = answer.readUInt32BE(1); left > 0; left--) {
    const key = readString(answer, at);
    const comment = key === undefined ? undefined : readString(answer, at + 4 + key.length);
    if (key === undefined || comment === undefined) return Buffer.from([FAILURE]);
    const end = at + 8 + key.length + comment.length;
    if (allowed.has(key.toString("base64"))) kept.push(answer.subarray(at, end));
    at = end;
  }
  const head = Buffer.from([IDENTITIES_ANSWER, 0, 0, 0, 0]);
  head.writeUInt32BE(kept.length, 1);
  return Buffer.concat([head, ...kept]);
}

/** A string with its length before it, or undefined where the bytes end before. */
function readString(bytes: Buffer, at: number): Buffer | undefined {
  if (bytes.length < at + 4) return undefined;
  const end = at + 4 + bytes.readUInt32BE(at);
  return bytes.length < end ? undefined : bytes.subarray(at + 4, end);
}

function send(socket: Socket, message: Buffer): void {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(message.length);
  socket.write(Buffer.concat([head, message]));
}

/** Whole messages, without their lengths. Throws for one that is too long or has no type. */
async function* messagesOf(socket: Socket): AsyncGenerator<Buffer, undefined> {
  let bytes: Buffer = Buffer.alloc(0);
  for await (const chunk of socket) {
    bytes = Buffer.concat([bytes, chunk as Buffer]);
    while (bytes.length >= 4) {
      const length = bytes.readUInt32BE(0);
      if (length === 0 || length > LONGEST) throw new RangeError("no message of an agent");
      if (bytes.length < 4 + length) break;
      yield bytes.subarray(4, 4 + length);
      bytes = bytes.subarray(4 + length);
    }
  }
}
