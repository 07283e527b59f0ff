/** What every transport must do, as a source and as a target; run on each by transports.test.ts. */
import { describe, expect, test } from "bun:test";
import { CooperError, type ErrorCode } from "../../src/base/errors.ts";
import { MEDIA } from "../../src/oci/media-types.ts";
import { parseTransport } from "../../src/oci/transport-reference.ts";
import type { Descriptor } from "../../src/oci/types.ts";
import { copyImage, type CopyImageOptions, type CopyResult } from "../../src/transport/copy-image.ts";
import { openSource, openTarget } from "../../src/transport/open-transport.ts";
import type { Source } from "../../src/transport/types.ts";
import { type ValidatedImage, validateImage } from "../../src/transport/validate.ts";
import { type ImageOptions, makeImage, makeIndex, type MadeImage } from "../support/make-image.ts";
import { scratchDirectory } from "../support/scratch.ts";

export interface TransportUnderTest {
  transport: string;
  /** A location below a directory. */
  at(directory: string): string;
  /** Digest, format and compression survive a round trip. */
  keepsDigests: boolean;
  holdsIndexes: boolean;
  /** A location that nothing can be written to; default: one below a file. */
  unwritable?: string;
  /** It takes an image without layers and does not give it out again. */
  losesEmptyImages?: true;
}

export const contents: ImageOptions = {
  layers: [
    [{ path: "etc/" }, { path: "etc/motd", content: "hello" }, { path: "bin", target: "usr/bin" }],
    [{ path: "etc/.wh.motd" }, { path: "big", content: Buffer.alloc(3_000_000, "cooper") }],
  ],
  config: { Cmd: ["/bin/sh"], Labels: { a: "b" } },
  annotations: { "org.example.note": "x" },
};

/** Copies between two locations. */
export async function copyBetween(
  from: string,
  to: string,
  options: CopyImageOptions = {},
): Promise<CopyResult> {
  await using source = await openSource(parseTransport(from));
  await using target = await openTarget(parseTransport(to));
  return await copyImage(source, target, options);
}

/** Validates what is at a location. */
export async function validateAt(location: string): Promise<ValidatedImage[]> {
  await using source = await openSource(parseTransport(location));
  return await validateImage(source);
}

/** The failure of a promise, which must be one of Cooper's with this code. */
export async function failureOf(work: Promise<unknown>, code: ErrorCode): Promise<CooperError> {
  const error = await work.then(
    () => undefined,
    (e: unknown) => e,
  );
  if (!(error instanceof CooperError)) throw error ?? new Error("nothing was thrown");
  expect(`${error.code}: ${error.message}`).toStartWith(code);
  return error;
}

/** A source whose contents can be tampered with. */
export function tampered(
  source: Source,
  change: (descriptor: Descriptor, bytes: Uint8Array) => Uint8Array | undefined,
): Source {
  return {
    name: source.name,
    resolve: () => source.resolve(),
    async fetch(descriptor) {
      const bytes = Buffer.concat(await Array.fromAsync(await source.fetch(descriptor)));
      const changed = change(descriptor, bytes) ?? bytes;
      return (async function* () {
        for (let at = 0; at < changed.length; at += 65_536) yield changed.subarray(at, at + 65_536);
      })();
    },
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  };
}

const isLayer = (descriptor: Descriptor) => /tar|layer/.test(descriptor.mediaType);

export function transportSuite(under: TransportUnderTest): void {
  describe(under.transport, () => {
    const prepare = async (
      options: Partial<ImageOptions> = {},
    ): Promise<Disposable & { path: string; made: MadeImage; location: string }> => {
      const scratch = scratchDirectory("transport");
      const made = await makeImage(scratch.file("from"), { ...contents, ...options });
      return {
        path: scratch.path,
        made,
        location: under.at(scratch.path),
        [Symbol.dispose]: () => scratch[Symbol.dispose](),
      };
    };

    test.each(["none", "gzip", "zstd"] as const)(
      "an image with %s layers goes there and back",
      async (compression) => {
        using setup = await prepare({ compression });
        const { root, manifest } = await copyBetween(setup.made.reference, setup.location);
        expect(root).toEqual(manifest);
        const [image] = await validateAt(setup.location);
        expect(image!.image).toEqual(setup.made.image);
        expect(image!.layers.map((names) => names.length)).toEqual([3, 2]);
        const back = await copyBetween(
          setup.location,
          `oci:${setup.path}/back:x`,
          under.keepsDigests ? {} : { format: "oci" },
        );
        const [returned] = await validateAt(`oci:${setup.path}/back:x`);
        expect(returned!.manifest.config.digest).toBe(setup.made.manifest.config.digest);
        if (under.keepsDigests) {
          expect(root.digest).toBe(setup.made.descriptor.digest);
          expect(back.root.digest).toBe(setup.made.descriptor.digest);
        }
      },
    );

    test("an image without layers", async () => {
      using setup = await prepare({ layers: [] });
      await copyBetween(setup.made.reference, setup.location);
      if (under.losesEmptyImages) {
        await failureOf(validateAt(setup.location), "system");
        return;
      }
      expect((await validateAt(setup.location))[0]!.manifest.layers).toEqual([]);
    });

    test("the same layer twice", async () => {
      using setup = await prepare({ layers: [contents.layers[0]!, contents.layers[0]!] });
      await copyBetween(setup.made.reference, setup.location);
      expect((await validateAt(setup.location))[0]!.manifest.layers).toHaveLength(2);
    });

    test("one image of an index", async () => {
      using setup = await prepare();
      const index = await makeTwo(setup.path);
      await copyBetween(index.reference, setup.location, {
        platform: { os: "linux", architecture: "s390x" },
      });
      expect((await validateAt(setup.location))[0]!.image.architecture).toBe("s390x");
      const error = await failureOf(
        copyBetween(index.reference, setup.location, { platform: { os: "linux", architecture: "mips" } }),
        "not-found",
      );
      expect(error.message).toContain("no image for linux/mips, it has: linux/amd64, linux/s390x");
    });

    test("a whole index", async () => {
      using setup = await prepare();
      const index = await makeTwo(setup.path);
      const copying = copyBetween(index.reference, setup.location, { all: true });
      if (!under.holdsIndexes) {
        await failureOf(copying, "unsupported");
        return;
      }
      const { root, manifest } = await copying;
      expect(root.digest).toBe(index.descriptor.digest);
      expect(index.images.map((image) => image.descriptor.digest)).toContain(manifest.digest);
      expect(await validateAt(setup.location)).toHaveLength(2);
    });

    test("a second image replaces the first", async () => {
      using setup = await prepare();
      await copyBetween(setup.made.reference, setup.location);
      const other = await makeImage(`${setup.path}/other`, { layers: [[{ path: "x", content: "y" }]] });
      await copyBetween(other.reference, setup.location);
      expect((await validateAt(setup.location))[0]!.image).toEqual(other.image);
    });

    const spoil: [string, (bytes: Uint8Array) => Uint8Array, RegExp][] = [
      [
        "a changed byte",
        (bytes) => Buffer.concat([bytes.subarray(0, -1), Buffer.of(bytes.at(-1)! ^ 1)]),
        /is damaged/,
      ],
      ["one byte too few", (bytes) => bytes.subarray(0, -1), /has only/],
      ["one byte too many", (bytes) => Buffer.concat([bytes, Buffer.of(0)]), /has more/],
    ];
    for (const [name, change, message] of spoil) {
      test.each(["layer", "config", "manifest"])(
        `${name} in a %s: refused, and nothing is there`,
        async (which) => {
          using setup = await prepare();
          await using inner = await openSource(parseTransport(setup.made.reference));
          const isVictim = (d: Descriptor) =>
            which === "layer"
              ? isLayer(d)
              : which === "config"
                ? d.mediaType === MEDIA.ociConfig
                : d.mediaType === MEDIA.ociManifest;
          const source = tampered(inner, (d, bytes) => (isVictim(d) ? change(bytes) : undefined));
          {
            await using target = await openTarget(parseTransport(setup.location));
            const error = await failureOf(copyImage(source, target), "integrity");
            expect(error.message).toContain(setup.made.reference);
            expect(error.message).toMatch(message);
          }
          await failureOf(validateAt(setup.location), "not-found");
          expect(leftovers(setup.path)).toEqual([]);
        },
      );
    }

    test("a failed copy leaves the image that was there", async () => {
      using setup = await prepare();
      await copyBetween(setup.made.reference, setup.location);
      const before = await validateAt(setup.location);
      const other = await makeImage(`${setup.path}/other`, { layers: [[{ path: "x", content: "y" }]] });
      await using inner = await openSource(parseTransport(other.reference));
      const source = tampered(inner, (d, bytes) => (isLayer(d) ? bytes.subarray(1) : undefined));
      {
        await using target = await openTarget(parseTransport(setup.location));
        await failureOf(copyImage(source, target), "integrity");
      }
      expect(await validateAt(setup.location)).toEqual(before);
    });

    test("a copy that is cancelled", async () => {
      using setup = await prepare();
      const abort = new AbortController();
      const onEvent = () => abort.abort(new Error("enough"));
      await failureOf(
        copyBetween(setup.made.reference, setup.location, { signal: abort.signal, onEvent }),
        "cancelled",
      );
      await failureOf(validateAt(setup.location), "not-found");
      expect(leftovers(setup.path)).toEqual([]);
    });

    test("what is not there", async () => {
      using setup = await prepare();
      const error = await failureOf(validateAt(setup.location), "not-found");
      expect(error.message).toContain(under.transport);
    });

    test("a place that cannot be written", async () => {
      using setup = await prepare();
      const unwritable = under.unwritable ?? under.at(`${setup.path}/from/index.json`);
      const copying = copyBetween(setup.made.reference, unwritable);
      const error = await copying.then(
        () => undefined,
        (e: unknown) => e,
      );
      expect(error).toBeInstanceOf(CooperError);
      expect((error as CooperError).message).toContain(under.transport);
    });
  });
}

/** Files that a failed copy left: none is right. */
function leftovers(directory: string): string[] {
  const files = Array.from(new Bun.Glob("**/*").scanSync({ cwd: directory, dot: true, onlyFiles: false }));
  const foreign = files.filter(
    (file) => file !== "from" && !file.startsWith("from/") && file !== "two" && !file.startsWith("two/"),
  );
  return foreign;
}

async function makeTwo(directory: string) {
  return await makeIndex(`${directory}/two`, [
    { platform: { os: "linux", architecture: "amd64" }, layers: [[{ path: "a", content: "1" }]] },
    {
      platform: { os: "linux", architecture: "s390x" },
      layers: [[{ path: "a", content: "2" }]],
      compression: "none",
    },
  ]);
}
