/**
 * Answering system calls of other processes (seccomp_unotify(2), Linux 5.5): what their filter hands on waits until
 * the holder of the filter's descriptor has said what becomes of it. Blocking calls, for a thread of their own.
 */
import { closeSync, openSync } from "node:fs";
import { O } from "./file-calls.ts";
import { addressOf, i32, invoke, invokeIoctl, pointer, u32, u64 } from "./libc.ts";
import { encodeName, fsPath } from "./path-bytes.ts";

/** A call that waits for its answer (struct seccomp_notif). */
export interface SupervisedCall {
  id: bigint;
  /** Of the thread, as this process sees it. */
  pid: number;
  /** AUDIT_ARCH_* of the call's ABI, and its number there. */
  arch: number;
  number: number;
  args: bigint[];
}

/** Success without the call being made, an errno, or the call itself. */
export type Answer = "done" | "continue" | { errno: number };

const AF_UNIX = 1;
const SOCK_STREAM_CLOEXEC = 0o2000001;
const POLLIN = 1;

/** struct sockaddr_un for a name in a directory, which may be deeper than such an address is long. */
function withAddress<T>(directory: string, name: string, use: (address: Buffer) => T): T {
  const fd = openSync(fsPath(directory), O.PATH);
  try {
    const path = encodeName(`/proc/self/fd/${fd}/${name}\0`);
    return use(Buffer.concat([Buffer.from([AF_UNIX, 0]), path]));
  } finally {
    closeSync(fd);
  }
}

/** Makes a call that waits, again when a signal of the runtime's own broke it off. */
function waiting<T>(call: () => T): T {
  for (;;) {
    try {
      return call();
    } catch (error) {
      if ((error as { code?: string }).code !== "EINTR") throw error;
    }
  }
}

const newSocket = () => invoke("socket", [i32, i32, i32], [AF_UNIX, SOCK_STREAM_CLOEXEC, 0]);

/** Makes a socket of that name in the directory, at which receiveDescriptor() waits. */
export function listenAt(directory: string, name: string): number {
  const socket = newSocket();
  withAddress(directory, name, (address) => {
    invoke("bind", [i32, pointer, u32], [socket, address, address.length], name);
  });
  invoke("listen", [i32, i32], [socket, 2]);
  return socket;
}

/** Connects to such a socket. */
export function connectTo(directory: string, name: string): number {
  const socket = newSocket();
  withAddress(directory, name, (address) => {
    invoke("connect", [i32, pointer, u32], [socket, address, address.length], name);
  });
  return socket;
}

const SCM_RIGHTS = 1;
const SOL_SOCKET = 1;
const CONTROL_LENGTH = 20; // struct cmsghdr and a descriptor

/** Calls sendmsg or recvmsg with a struct msghdr for a message and one descriptor. */
function passMessage(call: "sendmsg" | "recvmsg", socket: number, message: Buffer, control: Buffer): void {
  const MSG_CMSG_CLOEXEC = 0x40000000;
  const vector = Buffer.alloc(16);
  vector.writeBigUInt64LE(addressOf(message), 0);
  vector.writeBigUInt64LE(BigInt(message.length), 8);
  const header = Buffer.alloc(56);
  header.writeBigUInt64LE(addressOf(vector), 16);
  header.writeBigUInt64LE(1n, 24);
  header.writeBigUInt64LE(addressOf(control), 32);
  header.writeBigUInt64LE(BigInt(control.length), 40);
  const flags = call === "recvmsg" ? MSG_CMSG_CLOEXEC : 0;
  waiting(() => invoke(call, [i32, pointer, i32], [socket, header, flags]));
}

/** Hands a descriptor over a connection (unix(7)). */
export function sendDescriptor(connection: number, fd: number): void {
  const control = Buffer.alloc(24);
  control.writeBigUInt64LE(BigInt(CONTROL_LENGTH), 0);
  control.writeInt32LE(SOL_SOCKET, 8);
  control.writeInt32LE(SCM_RIGHTS, 12);
  control.writeInt32LE(fd, 16);
  passMessage("sendmsg", connection, Buffer.from("."), control);
}

/** Takes the next connection and the descriptor that comes with it; undefined when none does. */
export function receiveDescriptor(socket: number): number | undefined {
  const SOCK_CLOEXEC = 0o2000000;
  const types = [i32, pointer, pointer, i32];
  const connection = waiting(() => invoke("accept4", types, [socket, null, null, SOCK_CLOEXEC]));
  try {
    const control = Buffer.alloc(24);
    // An OCI runtime sends the container's state along, which nobody needs here.
    passMessage("recvmsg", connection, Buffer.alloc(64 << 10), control);
    const isDescriptor = control.readInt32LE(8) === SOL_SOCKET && control.readInt32LE(12) === SCM_RIGHTS;
    return isDescriptor ? control.readInt32LE(16) : undefined;
  } finally {
    closeSync(connection);
  }
}

/** Waits until one of the files can be read, or was hung up; which of the two, for each. */
export function waitFor(files: readonly number[]): { readable: boolean; ended: boolean }[] {
  const polled = Buffer.alloc(8 * files.length); // struct pollfd
  for (const [index, fd] of files.entries()) {
    polled.writeInt32LE(fd, 8 * index);
    polled.writeInt16LE(POLLIN, 8 * index + 4);
  }
  waiting(() => invoke("poll", [pointer, u64, i32], [polled, files.length, -1]));
  return files.map((_, index) => {
    const events = polled.readInt16LE(8 * index + 6);
    return { readable: (events & POLLIN) !== 0, ended: (events & ~POLLIN) !== 0 };
  });
}

const SECCOMP_IOCTL_NOTIF_RECV = 0xc0502100n;
const SECCOMP_IOCTL_NOTIF_SEND = 0xc0182101n;
const SECCOMP_IOCTL_NOTIF_ID_VALID = 0x40082102n;

const received = Buffer.alloc(80);
const response = Buffer.alloc(24);

/** The next call. Error: ENOENT when its process was killed meanwhile. */
export function receiveCall(listener: number): SupervisedCall {
  waiting(() => invokeIoctl(listener, SECCOMP_IOCTL_NOTIF_RECV, received.fill(0)));
  return {
    id: received.readBigUInt64LE(0),
    pid: received.readUInt32LE(8),
    number: received.readInt32LE(16),
    arch: received.readUInt32LE(20),
    args: [0, 1, 2, 3, 4, 5].map((index) => received.readBigUInt64LE(32 + 8 * index)),
  };
}

/** Whether the caller still waits: until then its PID is its own, and what /proc says of it is true. */
export function stillWaits(listener: number, { id }: SupervisedCall): boolean {
  response.writeBigUInt64LE(id, 0);
  try {
    invokeIoctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, response);
    return true;
  } catch {
    return false;
  }
}

/** Lets the caller go on. */
export function answerCall(listener: number, { id }: SupervisedCall, answer: Answer): void {
  const SECCOMP_USER_NOTIF_FLAG_CONTINUE = 1;
  response.fill(0);
  response.writeBigUInt64LE(id, 0);
  if (typeof answer === "object") response.writeInt32LE(-answer.errno, 16);
  if (answer === "continue") response.writeUInt32LE(SECCOMP_USER_NOTIF_FLAG_CONTINUE, 20);
  try {
    invokeIoctl(listener, SECCOMP_IOCTL_NOTIF_SEND, response);
  } catch (error) {
    // Killed meanwhile.
    if ((error as { code?: string }).code !== "ENOENT") throw error;
  }
}
