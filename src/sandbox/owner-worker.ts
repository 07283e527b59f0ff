/** A thread that answers the calls of one run for owner-listener.ts. An entry point of its own (scripts/build.ts). */
import { closeSync } from "node:fs";
import { loadSupervisedFilter, prctl } from "../base/process-calls.ts";
import {
  answerCall,
  listenAt,
  receiveCall,
  receiveDescriptor,
  stillWaits,
  waitFor,
} from "../base/seccomp-supervisor.ts";
import { OWNER_SOCKET } from "./owner-listener.ts";
import { OwnerRecorder } from "./record-owners.ts";

declare const self: Worker;

self.onmessage = ({ data }: MessageEvent<{ directory: string }>) => {
  let socket: number;
  try {
    tryFilter();
    socket = listenAt(data.directory, OWNER_SOCKET);
  } catch {
    self.postMessage("unable");
    return;
  }
  self.postMessage("ready");
  serve(socket);
};

/** Whether filters may have a supervisor here: this thread gets one that allows everything, and nobody answers. */
function tryFilter(): void {
  const PR_SET_NO_NEW_PRIVS = 38;
  prctl(PR_SET_NO_NEW_PRIVS, 1);
  const allowEverything = Buffer.from([0x06, 0, 0, 0, 0, 0, 0xff, 0x7f]); // BPF_RET, SECCOMP_RET_ALLOW
  closeSync(loadSupervisedFilter(allowEverything));
}

/** Until somebody connects who brings no descriptor. */
function serve(socket: number): void {
  const recorder = new OwnerRecorder();
  let listener: number | undefined;
  for (;;) {
    const [connecting, calling] = waitFor(listener === undefined ? [socket] : [socket, listener]);
    if (calling?.readable === true) answerNext(listener!, recorder);
    else if (calling?.ended === true) listener = closed(listener!);
    if (connecting!.readable) {
      const next = receiveDescriptor(socket);
      if (next === undefined) break;
      listener = next;
    }
  }
  if (listener !== undefined) closeSync(listener);
  closeSync(socket);
}

function closed(listener: number): undefined {
  closeSync(listener);
}

function answerNext(listener: number, recorder: OwnerRecorder): void {
  let call: ReturnType<typeof receiveCall>;
  try {
    call = receiveCall(listener);
  } catch {
    return; // Its process was killed.
  }
  answerCall(
    listener,
    call,
    recorder.answer(call, () => stillWaits(listener, call)),
  );
}
