/** Several accounts of what is in an image as one, and the package URLs in them (buildah-build(1), --sbom-merge-strategy). */
import * as v from "valibot";
import { CooperError } from "../base/errors.ts";

export type SbomMerge =
  | "cat"
  | "merge-cyclonedx-by-component-name-and-version"
  | "merge-spdx-by-package-name-and-versioninfo";

const Text = v.string();
const Component = v.looseObject({ name: Text, version: v.optional(Text), purl: v.optional(Text) });
const Package = v.looseObject({
  name: Text,
  versionInfo: v.optional(Text),
  externalRefs: v.optional(v.array(v.looseObject({ referenceType: v.unknown() }))),
});
const PackageManagerUrl = v.looseObject({
  referenceCategory: v.literal("PACKAGE-MANAGER"),
  referenceType: v.literal("purl"),
  referenceLocator: Text,
});
const License = v.looseObject({ licenseId: Text });

type Item = Record<string, unknown>;
type Document = Record<string, unknown>;

/** A list of a document: what its items are told apart by, and the package URL that one has. */
interface List {
  field: string;
  keyOf(item: unknown): string;
  urlOf(item: unknown): string | undefined;
}

const versioned = (name: string, version = "") => (version === "" ? name : `${name}@${version}`);

const COMPONENTS: List = {
  field: "components",
  keyOf: (item) => {
    const { name, version } = v.parse(Component, item);
    return versioned(name, version);
  },
  urlOf: (item) => v.parse(Component, item).purl,
};
const PACKAGES: List = {
  field: "packages",
  keyOf: (item) => {
    const { name, versionInfo } = v.parse(Package, item);
    return versioned(name, versionInfo);
  },
  urlOf: (item) => {
    const references = v.parse(Package, item).externalRefs ?? [];
    const found = references.findLast((reference) => v.is(PackageManagerUrl, reference));
    return found === undefined ? undefined : v.parse(PackageManagerUrl, found).referenceLocator;
  },
};
const LICENSES: List = {
  field: "hasExtractedLicensingInfos",
  keyOf: (item) => v.parse(License, item).licenseId,
  urlOf: () => undefined,
};

const LISTS: Record<SbomMerge, List[]> = {
  cat: [],
  "merge-cyclonedx-by-component-name-and-version": [COMPONENTS],
  "merge-spdx-by-package-name-and-versioninfo": [PACKAGES, LICENSES],
};

/**
 * Merges scans, the first of which is the one that others add to; one alone stays as it is. `purls` is a document of its own,
 * with every package URL once, in order. Throws `invalid` for what is no such document.
 */
export function mergeSboms(strategy: SbomMerge, scans: readonly Buffer[]): { sbom: Buffer; purls: Buffer } {
  const lists = LISTS[strategy];
  if (lists.length === 0) return { sbom: Buffer.concat(scans), purls: purlDocument([]) };
  const documents = scans.map((scan) => parseDocument(scan));
  try {
    const urls = documents.flatMap((document) =>
      lists.flatMap((list) => itemsOf(document, list).flatMap((item) => list.urlOf(item) || [])),
    );
    const sbom = scans.length === 1 ? scans[0]! : goJson(merged(documents, lists));
    return { sbom, purls: purlDocument(urls) };
  } catch (error) {
    if (!(error instanceof v.ValiError)) throw error;
    const place = v.getDotPath(error.issues[0]) ?? "an item";
    throw new CooperError("invalid", `Cannot merge what the scanner wrote: ${place}: ${error.message}`);
  }
}

function merged([first = {}, ...others]: Document[], lists: List[]): Document {
  const result = { ...first };
  for (const list of lists) {
    const items = new Map<string, unknown>();
    const own = itemsOf(first, list);
    for (const item of others.flatMap((document) => itemsOf(document, list))) {
      const key = list.keyOf(item);
      if (!items.has(key)) items.set(key, item);
    }
    // What the first has stays as it is, whatever there is twice in it.
    for (const item of own) items.delete(list.keyOf(item));
    const all = [...own, ...items.values()];
    if (all.length > 0) result[list.field] = all;
  }
  return result;
}

function itemsOf(document: Document, { field }: List): unknown[] {
  const items = document[field];
  return Array.isArray(items) ? (items as unknown[]) : [];
}

function parseDocument(scan: Buffer): Document {
  try {
    const value: unknown = JSON.parse(scan.toString("utf8"));
    if (!Array.isArray(value) && v.is(v.record(Text, v.unknown()), value)) return value;
  } catch (error) {
    throw new CooperError("invalid", "Cannot merge what the scanner wrote: it is not JSON", {
      cause: error,
    });
  }
  throw new CooperError("invalid", "Cannot merge what the scanner wrote: it is not a JSON object");
}

function purlDocument(urls: string[]): Buffer {
  const dependencies = [...new Set(urls)].sort();
  return goJson({ image_contents: dependencies.length === 0 ? {} : { dependencies } });
}

const ESCAPED = /[<>&\u2028\u2029]/g;

/** The bytes that Buildah has: keys in order, nothing that HTML would take for its own, a newline. */
function goJson(value: unknown): Buffer {
  const text = JSON.stringify(value, (_key, item: unknown) =>
    item !== null && typeof item === "object" && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item as Item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  );
  const escaped = text.replace(ESCAPED, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return Buffer.from(`${escaped}\n`);
}
