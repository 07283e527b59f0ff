// Protects how the text of `run --mount` is read: what each field means, and that nothing is passed over.
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HOST, parseMount, type RunMountOp } from "../../src/container/mount-text.ts";

const root = mkdtempSync(join(tmpdir(), "cooper-mount-text-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const bind = (readOnly: boolean): RunMountOp => ({
  type: "bind",
  source: root,
  target: "/in",
  from: HOST,
  readOnly,
});
const cache: RunMountOp = {
  type: "cache",
  target: "/in",
  id: "/in",
  sharing: "shared",
  from: undefined,
  source: "/",
  mode: 0o755,
  uid: 0,
  gid: 0,
  readOnly: false,
};
const secret: RunMountOp = {
  type: "secret",
  id: "x",
  target: "/run/secrets/x",
  env: undefined,
  required: false,
  mode: 0o400,
  uid: 0,
  gid: 0,
};
const image = { kind: "image", reference: "localhost/a:1", platform: undefined } as const;

test.each<[string, RunMountOp]>([
  [`type=bind,source=${root},target=/in`, bind(true)],
  [`src=${root},dst=/in`, bind(true)],
  [`type=bind,src=${root},destination=/in/,readonly=true`, bind(true)],
  [`type=bind,src=${root},target=/in,rw`, bind(false)],
  [`type=bind,src=${root},target=/in,readwrite=1`, bind(false)],
  [`type=bind,src=${root},target=/in,ro=false`, bind(false)],
  [`type=bind,src=${root},target=/in,rw=false`, bind(true)],
  [`type=bind,src=${root},target=/in,relabel=shared,Z,bind-propagation=rprivate`, bind(true)],
  [
    "type=bind,from=localhost/a:1,target=/in",
    { type: "bind", source: "/", target: "/in", from: image, readOnly: true },
  ],
  [
    "type=bind,from=localhost/a:1,src=../etc,target=/in,rw",
    { type: "bind", source: "/etc", target: "/in", from: image, readOnly: false },
  ],
  ["type=cache,target=/in/", cache],
  [
    "type=cache,dst=/in,id=k,mode=0700,uid=5,gid=6,sharing=locked,ro,z",
    {
      ...cache,
      id: "k",
      mode: 0o700,
      uid: 5,
      gid: 6,
      sharing: "locked",
      readOnly: true,
    },
  ],
  ["type=cache,dst=/in,from=localhost/a:1,src=etc", { ...cache, from: image, source: "/etc" }],
  ["type=secret,id=x", secret],
  [
    "type=secret,id=x,required,env=X,mode=0440,uid=1,gid=2",
    { ...secret, target: undefined, required: true, env: "X", mode: 0o440, uid: 1, gid: 2 },
  ],
  ["type=secret,id=x,dst=/etc/x", { ...secret, target: "/etc/x" }],
  ["type=tmpfs,target=/t", { type: "tmpfs", target: "/t", size: undefined }],
  [
    "type=tmpfs,dst=/t,tmpfs-size=16m,tmpfs-mode=700",
    { type: "tmpfs", target: "/t", size: 16 << 20, mode: 0o700 },
  ],
  ["type=tmpfs,dst=/t,tmpfs-size=100,tmpcopyup", { type: "tmpfs", target: "/t", size: 100, copyUp: true }],
])("%p", (text, wanted) => {
  expect(parseMount(text)).toEqual(wanted);
});

test.each([
  ["", "not a list of fields"],
  ["type=bind", "has no target"],
  ["type=bind,target=/in", "has no source"],
  [`type=bind,source=${root},target=in`, "not an absolute path"],
  [`type=bind,source=${root},target=/in/..`, "cover the root"],
  [`type=bind,source=${root},target=/in,readnoly`, '"readnoly"'],
  [`type=bind,source=${root},target=/in,ro=maybe`, "neither true nor false"],
  [`type=bind,source=${root},target=/in,mode=700`, '"mode"'],
  [`type=bind,source=${root},target=/in,bind-propagation=shared`, "shared propagation"],
  [`type=bind,source=${root},target=/in,bind-nonrecursive`, '"bind-nonrecursive"'],
  ["type=bind,source=/does/not/exist,target=/in", "does not exist"],
  ["type=cache,target=/in,sharing=no", '"no"'],
  ["type=cache,target=/in,mode=9", "octal"],
  ["type=cache,target=/in,uid=joe", '"joe"'],
  ["type=secret,target=/in", "no id of a secret"],
  ["type=secret,id=x,src=/in", '"src"'],
  ["type=ssh,target=/in", '"ssh" are not supported'],
  ["type=tmpfs,target=/t,tmpfs-size=much", "not a size"],
  ["type=tmpfs,target=/t,src=/etc", '"src"'],
  ['type=tmpfs,"target=/t', "not a list of fields"],
])("%p is refused: %s", (text, message) => {
  expect(() => parseMount(text)).toThrow(message);
});
