/** Which images `images` shows: by name, and by --filter. */
import { CooperError } from "../base/errors.ts";
import type { ImageInfo } from "../index.ts";
import { parseMoment } from "./units.ts";

/**
 * Images that all filters let pass; values of one filter are alternatives only for `reference`. `used` gives the ids of
 * images that containers stand on, for the filter about these. Throws `usage`.
 */
export async function filterImages(
  images: ImageInfo[],
  filters: string[],
  used: () => Promise<ReadonlySet<string>>,
): Promise<ImageInfo[]> {
  const parsed = filters.map(splitFilter);
  const references = parsed.filter(({ name }) => name === "reference").map(({ value }) => value);
  const others = parsed.filter(({ name }) => name !== "reference");
  const ids = others.some(({ name }) => name === "containers") ? await used() : new Set<string>();
  const tests = others.map((filter) => testOf(filter, images, ids));
  if (references.length > 0)
    tests.push((image) => references.some((pattern) => matchesReference(image, pattern)));
  return images.filter((image) => tests.every((test) => test(image)));
}

function splitFilter(text: string): { name: string; value: string } {
  const at = text.indexOf("=");
  if (at === -1)
    throw new CooperError("usage", `Invalid filter ${JSON.stringify(text)}`, {
      hint: "write it as NAME=VALUE",
    });
  return { name: text.slice(0, at), value: text.slice(at + 1) };
}

type Test = (image: ImageInfo) => boolean;

function testOf(
  { name, value }: { name: string; value: string },
  images: ImageInfo[],
  used: ReadonlySet<string>,
): Test {
  switch (name) {
    case "containers": {
      const wanted = booleanOf(name, value);
      return ({ id }) => used.has(id) === wanted;
    }
    case "digest":
      if (!/^sha256:[0-9a-f]*$/.test(value))
        throw new CooperError("usage", `Invalid value ${JSON.stringify(value)} for the filter digest`, {
          hint: "write it as sha256:… or the beginning of that",
        });
      return ({ digest }) => digest.startsWith(value);
    case "intermediate": {
      // Steps are cached as snapshots: no image stands for one.
      const wanted = booleanOf(name, value);
      return () => !wanted;
    }
    case "manifest": {
      const wanted = booleanOf(name, value);
      return ({ isList = false }) => isList === wanted;
    }
    case "until": {
      const limit = parseMoment(value, "--filter until");
      return ({ created }) => Date.parse(created) < limit;
    }
    case "dangling": {
      const wanted = booleanOf(name, value);
      return ({ names }) => (names.length === 0) === wanted;
    }
    case "readonly": {
      // No image of the store is read-only.
      const wanted = booleanOf(name, value);
      return () => !wanted;
    }
    case "id":
      return ({ id }) => id.startsWith(value);
    case "label":
      return labelTest(value);
    case "label!": {
      const has = labelTest(value);
      return (image) => !has(image);
    }
    case "before": {
      const limit = Date.parse(imageNamed(images, value).created);
      return ({ created }) => Date.parse(created) < limit;
    }
    case "since":
    case "after": {
      const limit = Date.parse(imageNamed(images, value).created);
      return ({ created }) => Date.parse(created) > limit;
    }
    default:
      throw new CooperError("usage", `Unsupported image filter ${JSON.stringify(name)}`, {
        hint: "use after, before, containers, dangling, digest, id, intermediate, label, label!, manifest, readonly, reference, since or until",
      });
  }
}

function booleanOf(name: string, value: string): boolean {
  if (value === "true" || value === "1") return true;
  if (value === "false" || value === "0") return false;
  throw new CooperError(
    "usage",
    `Invalid value ${JSON.stringify(value)} for the filter ${name}: expected true or false`,
  );
}

function labelTest(value: string): Test {
  const at = value.indexOf("=");
  const key = at === -1 ? value : value.slice(0, at);
  const wanted = at === -1 ? undefined : value.slice(at + 1);
  return ({ labels }) => Object.hasOwn(labels, key) && (wanted === undefined || labels[key] === wanted);
}

function imageNamed(images: ImageInfo[], name: string): ImageInfo {
  const found = images.find((image) => isCalled(image, name));
  if (found === undefined) throw new CooperError("not-found", `There is no image ${JSON.stringify(name)}`);
  return found;
}

/** Ids of the images of that name, or of that repository. */
export function idsCalled(images: ImageInfo[], name: string): Set<string> {
  const called = images.filter(({ names }) =>
    names.some((full) => nameMatches(full, name) || nameMatches(splitName(full).repository, name)),
  );
  return new Set(called.map(({ id }) => id));
}

function isCalled(image: ImageInfo, name: string): boolean {
  return (
    image.id.startsWith(name.replace(/^sha256:/, "")) || image.names.some((full) => nameMatches(full, name))
  );
}

/** `hello` is `localhost/hello:latest`, and `docker.io/library/hello:latest`. */
function nameMatches(full: string, name: string): boolean {
  if (full === name || full === `${name}:latest`) return true;
  const short = full.replace(/^docker\.io\/(?:library\/)?/, "").replace(/^localhost\//, "");
  return short === name || short === `${name}:latest`;
}

/** Repository and tag of a name; a name by digest has no tag. */
export function splitName(full: string): { repository: string; tag: string } {
  const digest = full.indexOf("@");
  if (digest !== -1) return { repository: full.slice(0, digest), tag: "<none>" };
  const colon = full.lastIndexOf(":");
  if (colon === -1 || full.includes("/", colon)) return { repository: full, tag: "<none>" };
  return { repository: full.slice(0, colon), tag: full.slice(colon + 1) };
}

/** `*` and `?` stay within a part of the path; without a tag every tag matches. */
function matchesReference(image: ImageInfo, pattern: string): boolean {
  const source = pattern.replace(
    /[.*+?^${}()|[\]\\]/g,
    (char) => ({ "*": "[^/]*", "?": "[^/]" })[char] ?? `\\${char}`,
  );
  const regex = new RegExp(`^(?:.*/)?${source}$`);
  return image.names.some((full) => regex.test(full) || regex.test(splitName(full).repository));
}
