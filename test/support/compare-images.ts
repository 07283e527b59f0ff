/** What two images have in their layers, member by member: reads oci-archives with tar, and says what differs. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { createGunzip } from "node:zlib";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { readTar, type TarMember } from "../../src/archive/tar-reader.ts";

/** Of a member of a layer, what a build decides; `content` is a digest. */
interface Member {
  type: string;
  owner: string;
  mode: string;
  link: string;
  device: string;
  capabilities: string;
  attributes: string;
  time: string;
  content: string;
}

/** An image that was written to an archive. */
export interface ReadImage {
  manifest: string;
  diffIds: string[];
  /** Of all layers but those of the base, upper ones last. */
  members: Map<string, Member>;
}

/** `path: what`, for each member that is not the same. */
export interface Difference {
  path: string;
  /** `missing`, `added`, or the aspects that differ. */
  what: string[];
}

/** Reads the image in an oci-archive, without its first `base` layers. */
export async function readImage(archive: string, base = 1): Promise<ReadImage> {
  const directory = mkdtempSync("/var/tmp/cooper-compare-");
  try {
    const { status, stderr } = spawnSync("tar", ["-xf", archive, "-C", directory], { encoding: "utf8" });
    if (status !== 0) throw new Error(`${archive}: ${stderr}`);
    const blob = (digest: string) => join(directory, "blobs", digest.replace(":", "/"));
    const json = (path: string) => JSON.parse(readFileSync(path, "utf8"));
    const [{ digest }] = json(join(directory, "index.json")).manifests as { digest: string }[] as [
      { digest: string },
    ];
    const manifest = json(blob(digest)) as {
      config: { digest: string };
      layers: { digest: string; mediaType: string }[];
    };
    const { rootfs } = json(blob(manifest.config.digest)) as { rootfs: { diff_ids: string[] } };
    const members = new Map<string, Member>();
    for (const layer of manifest.layers.slice(base)) {
      const file = createReadStream(blob(layer.digest));
      const stream = layer.mediaType.endsWith("gzip") ? file.pipe(createGunzip()) : file;
      for await (const member of readTar(stream)) {
        const name = member.name.replace(/^\.?\//, "").replace(/\/$/, "");
        members.set(name, await describe(member));
      }
    }
    return { manifest: digest, diffIds: rootfs.diff_ids, members };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function describe(member: TarMember): Promise<Member> {
  const hash = createHash("sha256");
  for await (const [, bytes] of member.content()) hash.update(bytes);
  const attributes = [...member.xattrs].map(([key, value]) => `${key}=${Buffer.from(value).toString("hex")}`);
  const isCapability = (text: string) => text.startsWith("security.capability=");
  return {
    type: member.type,
    owner: `${member.uid}:${member.gid}`,
    // The mode of a symbolic link says nothing.
    mode: member.type === "symlink" ? "" : member.mode.toString(8),
    link: member.linkName,
    device: `${member.major}:${member.minor}`,
    capabilities: attributes.filter(isCapability).join(),
    attributes: attributes
      .filter((text) => !isCapability(text))
      .sort()
      .join(),
    time: String(member.mtime / 1_000_000_000n),
    content: `${member.size} ${hash.digest("hex")}`,
  };
}

/** What the second image has otherwise than the first, in the order of names. */
export function compareImages(wanted: ReadImage, got: ReadImage): Difference[] {
  const names = [...new Set([...wanted.members.keys(), ...got.members.keys()])].sort();
  return names.flatMap((path) => {
    const [one, two] = [wanted.members.get(path), got.members.get(path)];
    if (one === undefined) return [{ path, what: ["added"] }];
    if (two === undefined) return [{ path, what: ["missing"] }];
    const what = (Object.keys(one) as (keyof Member)[]).filter((key) => one[key] !== two[key]);
    return what.length === 0 ? [] : [{ path, what }];
  });
}
