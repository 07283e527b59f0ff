/** A script in a process of its own that answers a line of JSON with a line of JSON. */

export interface LineWorker extends AsyncDisposable {
  ask(question: unknown): Promise<unknown>;
}

/** Starts a script; it ends when its stdin does. */
export function startLineWorker(script: string, args: string[]): LineWorker {
  const worker = Bun.spawn([process.execPath, script, ...args], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
    env: { ...process.env, SOURCE_DATE_EPOCH: "" },
  });
  const lines = linesOf(worker.stdout);
  return {
    async ask(question) {
      worker.stdin.write(`${JSON.stringify(question)}\n`);
      await worker.stdin.flush();
      const { value, done } = await lines.next();
      if (done === true) throw new Error(`${script} ended`);
      return JSON.parse(value) as unknown;
    },
    async [Symbol.asyncDispose]() {
      worker.stdin.end();
      await worker.exited;
    },
  };
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop()!;
    yield* parts;
  }
  return undefined;
}
