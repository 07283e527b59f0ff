/** --userns, --userns-uid-map and their kin: which ids commands have. */
import { resolve } from "node:path";
import { CooperError } from "../base/errors.ts";
import { subordinateRanges } from "../base/subordinate-ids.ts";
import type { IdMap, RunSettings } from "../index.ts";
import type { FlagTable } from "./command.ts";

type Ids = NonNullable<RunSettings["ids"]>;
type Maps = Extract<Ids, { uids: object }>;

/** Of `from` and `build`. */
export const USERNS_FLAGS = {
  userns: {
    type: "string",
    placeholder: "host|private|auto|ns:path",
    help: "user namespace of commands: host (the one in which Cooper works), private (their own, with the same ids), auto[:size=N,…] (their own, with ids that nobody else has) or ns:PATH",
  },
  "userns-uid-map": {
    type: "commaList",
    placeholder: "id:id:count",
    help: "user ids of a user namespace of commands' own: first inside, first outside, how many",
  },
  "userns-gid-map": {
    type: "commaList",
    placeholder: "id:id:count",
    help: "its group ids; by default as --userns-uid-map",
  },
  "userns-uid-map-user": {
    type: "string",
    placeholder: "name",
    help: "its user ids are those that /etc/subuid gives this user",
  },
  "userns-gid-map-group": {
    type: "string",
    placeholder: "name",
    help: "its group ids are those that /etc/subgid gives this name; by default that of --userns-uid-map-user",
  },
} as const satisfies FlagTable;

/** Global flags: what holds where a command's own flags say nothing. */
export const DEFAULT_MAP_FLAGS = {
  "userns-uid-map": {
    type: "commaList",
    placeholder: "id:id:count",
    help: "default of --userns-uid-map of from and build",
  },
  "userns-gid-map": {
    type: "commaList",
    placeholder: "id:id:count",
    help: "default of --userns-gid-map of from and build",
  },
} as const satisfies FlagTable;

/** Texts as they were given, INSIDE:OUTSIDE:COUNT each. */
export interface MapTexts {
  uids: string[];
  gids: string[];
}

/** What was asked for of these flags. */
export interface UsernsFlagValues {
  userns?: string | undefined;
  "userns-uid-map"?: string[];
  "userns-gid-map"?: string[];
  "userns-uid-map-user"?: string | undefined;
  "userns-gid-map-group"?: string | undefined;
}

/** Undefined for the namespace in which Cooper works. Throws `usage`, and `unsupported` for names without a range. */
export function commandIds(flags: UsernsFlagValues, defaults: MapTexts): Ids | undefined {
  const { userns = "" } = flags;
  const own = mapsOf(flags, { uids: [], gids: [] });
  const mode = userns.split(":")[0]!;
  if (["", "private", "container"].includes(userns))
    return mapsOf(flags, defaults) ?? (userns ? "all" : undefined);
  if (own !== undefined)
    throw new CooperError("usage", `--userns ${userns} takes no map of ids: ${INSTEAD[mode] ?? INSTEAD.ns}`);
  if (userns === "host") return undefined;
  if (mode === "auto") return { auto: autoIds(userns) };
  const path = userns.replace(/^ns:/, "");
  if (path.includes("/")) return { namespace: resolve(path) };
  throw new CooperError("usage", `Unknown user namespace ${JSON.stringify(userns)} for --userns`, {
    hint: "use host, private, auto or ns:/path",
  });
}

const INSTEAD: Record<string, string> = {
  host: "they are those that Cooper has",
  auto: "auto:uidmapping=0:1000:1 adds one",
  ns: "the namespace has its own",
};

/** One map stands for both where the other is not given. */
function mapsOf(flags: UsernsFlagValues, defaults: MapTexts): Maps | undefined {
  const user = flags["userns-uid-map-user"] || flags["userns-gid-map-group"];
  const group = flags["userns-gid-map-group"] || user;
  const texts = (kind: "uid" | "gid") => {
    const given = flags[`userns-${kind}-map`] ?? [];
    return (given.length > 0 ? given : defaults[`${kind}s`]).map((text) =>
      mapOf(`--userns-${kind}-map`, text),
    );
  };
  const uids = [...rangesOf("/etc/subuid", user), ...texts("uid")];
  const gids = [...rangesOf("/etc/subgid", group), ...texts("gid")];
  if (uids.length === 0 && gids.length === 0) return undefined;
  return { uids: uids.length > 0 ? uids : gids, gids: gids.length > 0 ? gids : uids };
}

/** All ranges that a file gives a name, one after the other from 0 on. */
function rangesOf(file: string, name: string | undefined): IdMap[] {
  if (name === undefined || name === "") return [];
  const ranges = subordinateRanges(file, { name });
  if (ranges.length === 0)
    throw new CooperError("unsupported", `Cannot map the ids of ${name}: ${file} gives it no range`, {
      hint: `usermod --add-${file.slice(5)}s FIRST-LAST ${name}, as root`,
    });
  let inside = 0;
  return ranges.map(({ first, count }) => {
    const map = { inside, outside: first, count };
    inside += count;
    return map;
  });
}

/** `auto[:size=N,uidmapping=…,gidmapping=…]`. */
function autoIds(text: string): Extract<Ids, { auto: object }>["auto"] {
  const auto: ReturnType<typeof autoIds> = {};
  for (const option of text.slice("auto:".length).split(",").filter(Boolean)) {
    const [name, value = ""] = option.split("=");
    if (name === "size" && /^[1-9]\d{0,9}$/.test(value)) auto.size = Number(value);
    else if (name === "uidmapping") auto.uids = [...(auto.uids ?? []), mapOf(name, value)];
    else if (name === "gidmapping") auto.gids = [...(auto.gids ?? []), mapOf(name, value)];
    else
      throw new CooperError("usage", `Cannot read the option ${JSON.stringify(option)} of --userns auto`, {
        hint: "size=N, uidmapping=INSIDE:OUTSIDE:COUNT and gidmapping=INSIDE:OUTSIDE:COUNT are",
      });
  }
  return auto;
}

/** Buildah's CONTAINERID:HOSTID:SIZE. */
function mapOf(flag: string, text: string): IdMap {
  const match = /^(\d{1,10}):(\d{1,10}):(\d{1,10})$/.exec(text);
  const [inside, outside, count] = (match ?? []).slice(1).map(Number);
  if (inside === undefined || outside === undefined || !count || Math.max(inside, outside) + count > 2 ** 32)
    throw new CooperError("usage", `Cannot read ${flag} ${JSON.stringify(text)}`, {
      hint: "Write the first id inside, the first id outside, and how many: 0:100000:65536",
    });
  return { inside, outside, count };
}
