/** Debian's chromium without a window, driven over the DevTools protocol: for tests of pages, and their pictures. */

/** Path of the browser, undefined where there is none. */
export const chromium = Bun.which("chromium") ?? undefined;

export interface View {
  width: number;
  height: number;
  scheme: "light" | "dark";
}

export interface Page {
  /** Value of an expression of JavaScript. */
  evaluate(expression: string): Promise<unknown>;
  /** Presses and releases a key: `Tab`, `Enter`. */
  press(key: "Tab" | "Enter"): Promise<void>;
  /** PNG of the whole page. */
  screenshot(): Promise<Buffer>;
  close(): Promise<void>;
}

export interface Browser {
  open(url: string, view: View): Promise<Page>;
  close(): Promise<void>;
}

type Send = (method: string, params?: object, sessionId?: string) => Promise<Record<string, unknown>>;

/** Starts the browser with a profile of its own. */
export async function openBrowser(profile: string): Promise<Browser> {
  const flags = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
  ];
  const child = Bun.spawn([chromium!, ...flags, `--user-data-dir=${profile}`, "about:blank"], {
    stdout: "ignore",
    stderr: "pipe",
  });
  const socket = new WebSocket(await addressIn(child.stderr));
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = reject;
  });
  const { send, loaded } = protocol(socket);
  return {
    open: (url, view) => openPage(send, loaded, url, view),
    async close() {
      socket.close();
      child.kill();
      await child.exited;
    },
  };
}

async function addressIn(stderr: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of stderr) {
    text += decoder.decode(chunk, { stream: true });
    const match = /DevTools listening on (ws:\S+)/.exec(text);
    if (match !== null) return match[1]!;
  }
  throw new Error(`chromium does not start: ${text}`);
}

interface Reply {
  id?: number;
  method?: string;
  sessionId?: string;
  result?: Record<string, unknown>;
  error?: { message: string };
}

function protocol(socket: WebSocket): { send: Send; loaded(sessionId: string): Promise<void> } {
  const waiting = new Map<number, (reply: Reply) => void>();
  const loads = new Map<string, () => void>();
  let number = 0;
  socket.onmessage = ({ data }) => {
    const reply = JSON.parse(String(data)) as Reply;
    if (reply.id !== undefined) waiting.get(reply.id)?.(reply);
    else if (reply.method === "Page.loadEventFired") loads.get(reply.sessionId!)?.();
  };
  return {
    send: (method, params = {}, sessionId) =>
      new Promise((resolve, reject) => {
        const id = ++number;
        waiting.set(id, ({ result, error }) => {
          waiting.delete(id);
          if (error === undefined) resolve(result!);
          else reject(new Error(`${method}: ${error.message}`));
        });
        socket.send(JSON.stringify({ id, method, params, sessionId }));
      }),
    loaded: (sessionId) => new Promise((resolve) => loads.set(sessionId, resolve)),
  };
}

async function openPage(
  send: Send,
  loaded: (sessionId: string) => Promise<void>,
  url: string,
  { width, height, scheme }: View,
): Promise<Page> {
  const { targetId } = await send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = (await send("Target.attachToTarget", { targetId, flatten: true })) as {
    sessionId: string;
  };
  const call = (method: string, params: object = {}) => send(method, params, sessionId);
  await call("Page.enable");
  await call("Emulation.setDeviceMetricsOverride", {
    width,
    height,
    deviceScaleFactor: 1,
    mobile: width < 600,
  });
  await call("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
  const ready = loaded(sessionId);
  await call("Page.navigate", { url });
  await ready;
  const evaluate = async (expression: string) => {
    const { result, exceptionDetails } = (await call("Runtime.evaluate", {
      expression,
      returnByValue: true,
    })) as {
      result: { value?: unknown };
      exceptionDetails?: { text: string };
    };
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${exceptionDetails.text}`);
    return result.value;
  };
  return {
    evaluate,
    async press(key) {
      const code = { Tab: 9, Enter: 13 }[key];
      const event = {
        key,
        code: key,
        windowsVirtualKeyCode: code,
        ...(key === "Enter" ? { text: "\r" } : {}),
      };
      await call("Input.dispatchKeyEvent", { type: "keyDown", ...event });
      await call("Input.dispatchKeyEvent", { type: "keyUp", ...event });
    },
    async screenshot() {
      const height = Number(await evaluate("document.documentElement.scrollHeight"));
      const clip = { x: 0, y: 0, width, height, scale: 1 };
      const { data } = await call("Page.captureScreenshot", {
        format: "png",
        clip,
        captureBeyondViewport: true,
      });
      return Buffer.from(data as string, "base64");
    },
    async close() {
      await send("Target.closeTarget", { targetId });
    },
  };
}
