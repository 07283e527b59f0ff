// Protects the default capabilities, --cap-add and --cap-drop, and resource limits' texts.
import { expect, test } from "bun:test";
import {
  capabilitiesOf,
  capabilityMask,
  capabilityName,
  defaultCapabilities,
  editCapabilities,
  ownCapabilities,
  withinHost,
} from "../../src/sandbox/capabilities.ts";
import { clampRlimits, parseRlimit } from "../../src/sandbox/rlimits.ts";

test("the default is Docker's mask, as far as this host has it", () => {
  expect(capabilityMask(defaultCapabilities())).toBe(0xa80425fbn & ownCapabilities("CapBnd"));
  expect(capabilitiesOf(0xa80425fbn)).toHaveLength(14);
  expect(defaultCapabilities(["CAP_CHOWN"])).toEqual(["CAP_CHOWN"]);
});

test.each([
  [["CHOWN"], { add: ["kill"], drop: [] }, ["CAP_CHOWN", "CAP_KILL"]],
  [["CHOWN", "KILL"], { add: [], drop: ["cap_chown"] }, ["CAP_KILL"]],
  [["CHOWN", "KILL"], { add: ["SETUID"], drop: ["ALL"] }, ["CAP_SETUID"]],
  [["CHOWN"], { add: ["CHOWN"], drop: [] }, ["CAP_CHOWN"]],
])("%j with %j", (base, change, wanted) => {
  expect(editCapabilities(base.map(capabilityName), change)).toEqual(withinHost(wanted));
});

test("adding ALL gives all that the host has", () => {
  const all = editCapabilities([], { add: ["all"], drop: ["KILL"] });
  expect(all).not.toContain("CAP_KILL");
  expect(capabilityMask(all) | capabilityMask(["CAP_KILL"])).toBe(
    ownCapabilities("CapBnd") | capabilityMask(["CAP_KILL"]),
  );
});

test("unknown and contradictory names are refused", () => {
  expect(() => capabilityName("FLY")).toThrow(
    expect.objectContaining({ code: "usage", message: 'There is no capability "FLY"' }),
  );
  expect(() => editCapabilities([], { add: ["KILL"], drop: ["CAP_KILL"] })).toThrow(/both added and dropped/);
});

test.each([
  ["nofile=10", { name: "RLIMIT_NOFILE", soft: 10, hard: 10 }],
  ["NPROC=1:2", { name: "RLIMIT_NPROC", soft: 1, hard: 2 }],
  ["core=-1", { name: "RLIMIT_CORE", soft: -1, hard: -1 }],
  ["memlock=5:unlimited", { name: "RLIMIT_MEMLOCK", soft: 5, hard: -1 }],
])("the limit %s", (text, wanted) => {
  expect(parseRlimit(text)).toEqual(wanted);
});

test.each(["nofile", "nofile=x", "fly=1", "nofile=3:2", "nofile=-1:2", "=1"])(
  "the limit %s is refused",
  (text) => {
    expect(() => parseRlimit(text)).toThrow(expect.objectContaining({ code: "usage" }));
  },
);

test("limits within what this process has stay as they are", () => {
  const [clamped] = clampRlimits([{ name: "RLIMIT_NOFILE", soft: 1, hard: 2 }]);
  expect(clamped).toEqual({ name: "RLIMIT_NOFILE", soft: 1, hard: 2 });
});
