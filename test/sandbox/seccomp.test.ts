// Protects the seccomp filter: the compiled program decides, for every call and argument, what the rules say.
import { describe, expect, test } from "bun:test";
import { defaultSeccomp, type SeccompFilter } from "../../src/sandbox/seccomp.ts";
import { compileSeccomp } from "../../src/sandbox/seccomp-bpf.ts";
import { pretendingIds } from "../../src/sandbox/seccomp-one-id.ts";
import { resolveSeccompProfile } from "../../src/sandbox/seccomp-file.ts";
import { NEWEST_SYSCALL, syscallNumbers } from "../../src/sandbox/syscall-numbers.ts";

const ALLOW = 0x7fff0000;
const errno = (number: number) => 0x50000 | number;
const ARCH = { x86_64: 0xc000003e, i386: 0x40000003, aarch64: 0xc00000b7, arm: 0x40000028 } as const;

/** The kernel's interpreter, as far as filters use it (linux/filter.h). */
function decide(program: Uint8Array, arch: number, nr: number, args: bigint[] = []): number {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(nr, 0);
  data.writeUInt32LE(arch, 4);
  args.forEach((value, index) => {
    data.writeBigUInt64LE(value, 16 + 8 * index);
  });
  const code = Buffer.from(program);
  let a = 0;
  for (let pc = 0; ; pc++) {
    const at = pc * 8;
    if (at >= code.length) throw new Error("ran off the end");
    const [op, jt, jf, k] = [code.readUInt16LE(at), code[at + 2]!, code[at + 3]!, code.readUInt32LE(at + 4)];
    const jump = (yes: boolean) => {
      pc += yes ? jt : jf;
    };
    if (op === 0x20) a = data.readUInt32LE(k);
    else if (op === 0x05) pc += k;
    else if (op === 0x15) jump(a === k);
    else if (op === 0x25) jump(a > k);
    else if (op === 0x35) jump(a >= k);
    else if (op === 0x54) a = (a & k) >>> 0;
    else if (op === 0x06) return k;
    else throw new Error(`unknown instruction ${op}`);
  }
}

const x64 = syscallNumbers("x86_64");
const onX64 = (filter: SeccompFilter) => {
  const program = compileSeccomp({ ...filter, architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"] });
  return (name: string, ...args: bigint[]) => decide(program, ARCH.x86_64, x64.get(name)!, args);
};

test("known numbers", () => {
  expect([x64.get("read"), x64.get("execve"), x64.get("statx"), x64.get("clone3"), x64.get("mseal")]).toEqual(
    [0, 59, 332, 435, 462],
  );
  expect([
    syscallNumbers("i386").get("socketcall"),
    syscallNumbers("aarch64").get("openat"),
    syscallNumbers("arm").get("set_tls"),
  ]).toEqual([102, 56, 0xf0005]);
});

test("Docker's default: each call as the rules say", () => {
  const filter = defaultSeccomp(["CAP_SYS_CHROOT"]);
  const call = onX64(filter);
  const allowed = new Set(
    filter.syscalls
      .filter((rule) => rule.args === undefined && rule.action === "SCMP_ACT_ALLOW")
      .flatMap((rule) => rule.names),
  );
  for (const name of x64.keys()) {
    if (["clone", "clone3", "personality", "socket"].includes(name)) continue;
    expect([name, call(name)]).toEqual([name, allowed.has(name) ? ALLOW : errno(1)]);
  }
  expect(
    allowed.has("read") && allowed.has("chroot") && !allowed.has("mount") && !allowed.has("keyctl"),
  ).toBe(true);
  expect(call("clone3")).toBe(errno(38));
});

test("Docker's default: arguments", () => {
  const call = onX64(defaultSeccomp([]));
  expect(call("clone", 0x11n)).toBe(ALLOW);
  for (const flag of [0x20000n, 0x2000000n, 0x4000000n, 0x10000000n, 0x40000000n])
    expect(call("clone", flag | 17n)).toBe(errno(1));
  const families: [bigint, number][] = [
    [1n, ALLOW],
    [37n, ALLOW],
    [38n, errno(1)],
    [39n, ALLOW],
    [40n, errno(1)],
    [41n, ALLOW],
  ];
  for (const [family, wanted] of families) expect(call("socket", family)).toBe(wanted);
  expect([0n, 8n, 0x20000n, 0x20008n, 0xffffffffn].map((persona) => call("personality", persona))).toEqual(
    Array(5).fill(ALLOW),
  );
  expect(call("personality", 0x40000n)).toBe(errno(1));
  expect(call("personality", 1n << 32n)).toBe(errno(1));
});

test("CAP_SYS_ADMIN brings its calls", () => {
  const call = onX64(defaultSeccomp(["CAP_SYS_ADMIN"]));
  expect(["mount", "unshare", "clone3", "setns"].map((name) => call(name))).toEqual(Array(4).fill(ALLOW));
  expect(call("clone", 0x10000000n)).toBe(ALLOW);
});

test("other ABIs: x32 and what is newer than the tables look missing, foreign ones end the process", () => {
  const program = compileSeccomp({
    ...defaultSeccomp([]),
    architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
  });
  expect(decide(program, ARCH.x86_64, 0x40000000)).toBe(errno(38));
  expect(decide(program, ARCH.x86_64, NEWEST_SYSCALL + 1)).toBe(errno(38));
  expect(decide(program, ARCH.x86_64, NEWEST_SYSCALL + 100)).toBe(errno(38));
  expect(decide(program, ARCH.i386, syscallNumbers("i386").get("read")!)).toBe(ALLOW);
  expect(decide(program, ARCH.i386, syscallNumbers("i386").get("mount")!)).toBe(errno(1));
  expect(decide(program, ARCH.aarch64, 63)).toBe(0x80000000);
});

test("every comparison, at its borders and in both words", () => {
  const big = 5n + (7n << 32n);
  const value = Number(big);
  const cases: [string, (x: bigint) => boolean][] = [
    ["EQ", (x) => x === big],
    ["NE", (x) => x !== big],
    ["LT", (x) => x < big],
    ["LE", (x) => x <= big],
    ["GT", (x) => x > big],
    ["GE", (x) => x >= big],
  ];
  const samples = [0n, 5n, big - 1n, big, big + 1n, 4n + (7n << 32n), 9n + (6n << 32n), 1n + (8n << 32n)];
  for (const [op, holds] of cases) {
    const second = { index: 1, value: 1, op: "SCMP_CMP_EQ" };
    const call = onX64({
      defaultAction: "SCMP_ACT_ERRNO",
      architectures: [],
      syscalls: [
        {
          names: ["read"],
          action: "SCMP_ACT_ALLOW",
          args: [{ index: 0, value, op: `SCMP_CMP_${op}` }, second],
        },
      ],
    });
    for (const sample of samples)
      expect([op, sample, call("read", sample, 1n)]).toEqual([op, sample, holds(sample) ? ALLOW : errno(1)]);
    for (const sample of samples)
      expect([op, sample, call("read", sample, 2n)]).toEqual([op, sample, errno(1)]);
  }
  const masked = onX64({
    defaultAction: "SCMP_ACT_ALLOW",
    architectures: [],
    syscalls: [
      {
        names: ["read"],
        action: "SCMP_ACT_ERRNO",
        errnoRet: 9,
        args: [{ index: 2, value: 0xf0, valueTwo: 0x30, op: "SCMP_CMP_MASKED_EQ" }],
      },
    ],
  });
  expect([
    masked("read", 0n, 0n, 0x13fn),
    masked("read", 0n, 0n, 0x3fn),
    masked("read", 0n, 0n, 0x40n),
  ]).toEqual([errno(9), errno(9), ALLOW]);
});

test("a Docker profile keeps what applies", () => {
  const rule = (name: string, more: object) => ({ names: [name], action: "SCMP_ACT_ALLOW", ...more });
  const profile = {
    defaultAction: "SCMP_ACT_ERRNO",
    archMap: [
      { architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86"] },
      { architecture: "SCMP_ARCH_AARCH64" },
    ],
    syscalls: [
      rule("plain", {}),
      rule("with-cap", { includes: { caps: ["CAP_KILL"] } }),
      rule("other-cap", { includes: { caps: ["CAP_KILL", "CAP_BPF"] } }),
      rule("not-with-cap", { excludes: { caps: ["CAP_KILL"] } }),
      rule("here", { includes: { arches: ["amd64"] } }),
      rule("there", { includes: { arches: ["s390x"] } }),
      rule("new", { includes: { minKernel: "4.8" } }),
      rule("newer", { includes: { minKernel: "9.1" } }),
      { name: "old-style", action: "SCMP_ACT_LOG" },
    ],
  };
  const resolved = resolveSeccompProfile(profile, {
    capabilities: ["CAP_KILL"],
    arch: "amd64",
    kernel: "6.1.0-9-amd64",
  });
  expect(resolved.syscalls.flatMap((kept) => kept.names)).toEqual([
    "plain",
    "with-cap",
    "here",
    "new",
    "old-style",
  ]);
  expect(resolved.architectures).toEqual(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]);
});

describe("with one id", () => {
  const OTHER_ABIS = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"];
  const compiled = (filter: SeccompFilter | undefined) =>
    compileSeccomp({ ...pretendingIds(filter), architectures: OTHER_ABIS });
  const DEVICE = 0o020666n;
  const BLOCK = 0o060600n;
  const FIFO = 0o010644n;

  test.each([
    ["Docker's default", defaultSeccomp(["CAP_CHOWN", "CAP_SETUID"])],
    ["no filter", undefined],
  ])("on %s calls for other ids succeed without effect, on every ABI that has them", (_, filter) => {
    const program = compiled(filter);
    let seen = 0;
    for (const abi of ["x86_64", "i386", "aarch64", "arm"] as const) {
      const numbers = syscallNumbers(abi);
      const call = (name: string, ...args: bigint[]) => decide(program, ARCH[abi], numbers.get(name)!, args);
      for (const name of [
        "chown",
        "fchown",
        "lchown",
        "fchownat",
        "setuid",
        "setgid",
        "setresuid",
        "setgroups",
        "setfsuid",
      ]) {
        for (const each of [name, `${name}32`]) {
          if (!numbers.has(each)) continue;
          expect([abi, each, call(each)]).toEqual([abi, each, errno(0)]);
          seen++;
        }
      }
      const mode = (name: string, value: bigint) =>
        name === "mknod" ? [0n, value, 259n] : [0n, 0n, value, 259n];
      for (const name of ["mknod", "mknodat"]) {
        if (!numbers.has(name)) continue;
        expect(
          [DEVICE, BLOCK, FIFO, 0o644n, 0o100644n].map((value) => call(name, ...mode(name, value))),
        ).toEqual([errno(0), errno(0), ALLOW, ALLOW, ALLOW]);
      }
      for (const name of ["read", "fchmodat", "getresuid"]) expect(call(name)).toBe(ALLOW);
    }
    expect(seen).toBeGreaterThan(40);
    if (filter !== undefined) expect(decide(program, ARCH.x86_64, x64.get("reboot")!)).toBe(errno(1));
  });

  test("what a profile refuses stays refused", () => {
    const strict: SeccompFilter = {
      defaultAction: "SCMP_ACT_ALLOW",
      architectures: ["SCMP_ARCH_X86_64"],
      syscalls: [{ names: ["chown", "mknod"], action: "SCMP_ACT_ERRNO", errnoRet: 13 }],
    };
    const program = compiled(strict);
    const call = (name: string, ...args: bigint[]) => decide(program, ARCH.x86_64, x64.get(name)!, args);
    expect([call("chown"), call("mknod", 0n, DEVICE), call("fchown")]).toEqual([
      errno(13),
      errno(13),
      errno(0),
    ]);
  });
});
