/** The images that a sync is to copy, and what they are called at the destination (skopeo-sync(1)). */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { CooperError, wrapError } from "../base/errors.ts";
import { formatReference, normaliseDockerName, parseReference } from "../oci/reference.ts";
import type { RegistrySettings } from "../transport/registry/settings.ts";
import { chooseTags, parseSyncFile, type SyncRegistry, suffixOf } from "../transport/sync-file.ts";

export interface SyncImage {
  /** `docker://…` or `dir:…` */
  source: string;
  /** `registry/team/app:1.0`, or the path below the directory that is synced. */
  name: string;
  /** What the source's registry wants beyond what all do. */
  settings: RegistrySettings;
}

export interface FoundImages {
  images: SyncImage[];
  /** Repositories whose tags could not be listed, with `keepGoing`. */
  failures: { source: string; error: CooperError }[];
}

export type SyncFrom = "docker" | "dir" | "yaml";

interface Search {
  settings: RegistrySettings;
  keepGoing: boolean;
}

/** Throws `not-found` where there is nothing, and what listing tags throws. */
export async function findSyncImages(from: SyncFrom, place: string, search: Search): Promise<FoundImages> {
  const found =
    from === "dir" ? { images: imagesBelow(place), failures: [] } : await inRegistries(from, place, search);
  if (found.images.length === 0 && found.failures.length === 0)
    throw new CooperError("not-found", `There is no image to sync in ${place}`);
  return found;
}

async function inRegistries(from: "docker" | "yaml", place: string, search: Search): Promise<FoundImages> {
  const registries = from === "docker" ? [oneRepository(place)] : await readFile(place);
  const found: FoundImages = { images: [], failures: [] };
  for (const registry of registries) {
    const settings = { ...search.settings, ...ownSettings(registry) };
    for (const repository of registry.repositories) {
      const { name } = repository;
      const source = (suffix: string) =>
        formatReference(parseReference(normaliseDockerName(`${name}${suffix}`)));
      try {
        const references = repository.references ?? chooseTags(repository, await tagsOf(name, settings));
        for (const reference of references) {
          const full = source(suffixOf(reference));
          found.images.push({ source: `docker://${full}`, name: full, settings });
        }
      } catch (error) {
        if (!search.keepGoing || !(error instanceof CooperError) || error.code === "cancelled") throw error;
        found.failures.push({ source: `docker://${name}`, error });
      }
    }
  }
  return found;
}

async function tagsOf(name: string, settings: RegistrySettings): Promise<string[]> {
  const { listTags } = await import("../transport/registry/list-tags.ts");
  return await listTags(name, settings);
}

/** What the file says of a registry comes before what is said for all. */
function ownSettings({ creds, tlsVerify, certDir }: SyncRegistry): RegistrySettings {
  return {
    ...(creds === undefined ? {} : { creds }),
    ...(tlsVerify === undefined ? {} : { tlsVerify }),
    ...(certDir === undefined ? {} : { certDir }),
  };
}

/** `registry/repository` for all of its tags, or one image of it. */
function oneRepository(text: string): SyncRegistry {
  const { tag, digest } = parseReference(text);
  const { registry, repository } = parseReference(normaliseDockerName(text));
  const name = formatReference({ registry: registry!, repository });
  const reference = digest ?? tag;
  return {
    registry: registry!,
    repositories: [{ name, ...(reference === undefined ? {} : { references: [reference] }) }],
  };
}

async function readFile(path: string): Promise<SyncRegistry[]> {
  let content: string;
  try {
    content = readFileSync(path, "utf8");
  } catch (error) {
    throw wrapError(
      `Cannot read the list of images ${path}`,
      error,
      existsSync(path) ? "system" : "not-found",
    );
  }
  return await parseSyncFile(content, path);
}

/** Every directory with a manifest.json, the one that is named included; what is below such a one belongs to it. */
function imagesBelow(root: string): SyncImage[] {
  if (statSync(root, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new CooperError("not-found", `Cannot sync from ${root}: it is not a directory`);
  const found: SyncImage[] = [];
  const walk = (directory: string) => {
    const entries = readdirSync(directory, { withFileTypes: true });
    if (entries.some((entry) => entry.name === "manifest.json" && entry.isFile())) {
      const name = relative(root, directory) || basename(directory);
      found.push({ source: `dir:${directory}`, name, settings: {} });
      return;
    }
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1)))
      if (entry.isDirectory()) walk(join(directory, entry.name));
  };
  walk(root);
  return found;
}
