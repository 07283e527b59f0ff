/** --userns, --userns-uid-map and --userns-gid-map, as far as files that keep their ids allow. */
import { CooperError } from "../base/errors.ts";
import type { RunSettings } from "../index.ts";

type Ids = NonNullable<RunSettings["ids"]>;
type Range = Exclude<Ids, "all">["uids"][number];

const KEPT = "files keep the ids of images, and overlayfs has no view of them under others";

/** Undefined for the namespace in which Cooper works. Throws `usage` and `unsupported`. */
export function commandIds(userns: string | undefined, uidMap: string[], gidMap: string[]): Ids | undefined {
  const isMapped = uidMap.length > 0 || gidMap.length > 0;
  switch (userns ?? "") {
    case "host":
      if (!isMapped) return undefined;
      throw new CooperError("usage", "--userns host takes no map of ids: they are those that Cooper has");
    case "":
    case "private":
    case "container":
      if (!isMapped) return userns ? "all" : undefined;
      return withDefaults(
        uidMap.map((text) => rangeOf("uid", text)),
        gidMap.map((text) => rangeOf("gid", text)),
      );
    default:
      throw new CooperError("unsupported", `--userns ${userns} is not supported: ${KEPT}`, {
        hint: "Use private, which gives commands a user namespace of their own with the same ids; without root, host is a user namespace already",
      });
  }
}

/** One map stands for both where the other is not given. */
function withDefaults(uids: Range[], gids: Range[]): Ids {
  return { uids: uids.length > 0 ? uids : gids, gids: gids.length > 0 ? gids : uids };
}

/** Buildah's CONTAINERID:HOSTID:SIZE. */
function rangeOf(kind: "uid" | "gid", text: string): Range {
  const match = /^(\d{1,10}):(\d{1,10}):(\d{1,10})$/.exec(text);
  const [first, outside, count] = (match ?? []).slice(1).map(Number);
  if (first === undefined || outside === undefined || !count || Math.max(first, outside) + count > 2 ** 32)
    throw new CooperError("usage", `Cannot read --userns-${kind}-map ${JSON.stringify(text)}`, {
      hint: "Write the first id inside, the first id outside, and how many: 0:0:65536",
    });
  if (first === outside) return { first, count };
  throw new CooperError(
    "unsupported",
    `--userns-${kind}-map ${text} is not supported: ${KEPT}, so that ${first} would write as ${outside}`,
    {
      hint: "Give the same id twice, to limit commands to some (0:0:65536). Without root they are no ids of the host's anyway: /etc/subuid says which",
    },
  );
}
