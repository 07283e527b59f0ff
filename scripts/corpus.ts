/**
 * Builds fixtures/corpus in every place where Cooper has to work, and with Buildah, and prints as a Markdown table what
 * succeeds and how the layers differ from those of a root build. As root, with podman, dockerd, buildah and the network.
 *
 * usage: bun scripts/corpus.ts [--only NAME,…] [--places PLACE,…] [--tool cooper|buildah|TREE] [--logs DIRECTORY]
 * TREE: a directory with another Buildah and all that it needs, whose program is TREE/usr/bin/buildah.
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { busyboxBase, debianBase } from "../test/support/bases.ts";
import { BuildPlaces, PLACES, type PlaceName } from "../test/support/build-places.ts";
import { compareImages, type Difference, type ReadImage, readImage } from "../test/support/compare-images.ts";

const corpus = join(import.meta.dir, "../fixtures/corpus");

/** Cooper, Debian's Buildah, or the tree of another one. */
export type Tool = "cooper" | "buildah" | `/${string}`;

/** What one Dockerfile gave in one place. */
export interface Outcome {
  place: string;
  name: string;
  seconds: number;
  /** Undefined when it failed. */
  image?: ReadImage;
  log: string;
}

const SOURCE_DATE = "1700000000";

/** Exports both bases, so that all places build on the same bytes; `archive` of an image for the outer containers. */
export function makeBases(
  places: BuildPlaces,
  containerfile: string,
  bases: string[] = ["debian", "busybox"],
) {
  const { shared } = places;
  cpSync(corpus, join(shared, "corpus"), { recursive: true });
  // What git does not keep.
  spawnSync("chmod", ["-R", "u=rwX,go=rX", join(shared, "corpus")]);
  writeFileSync(join(shared, "Outer"), containerfile);
  const imports = bases.map((base) => {
    const tar = base === "debian" ? debianBase() : busyboxBase();
    return `cooper import ${tar} localhost/${base}
      cooper push -q localhost/${base} oci-archive:${shared}/${base}.tar:localhost/${base}:latest`;
  });
  const outer = `cp ${shared}/bin/cooper . && cooper bud -f ${shared}/Outer --build-arg BASE=localhost/debian -t localhost/outer .
    cooper push -q localhost/outer docker-archive:${shared}/outer.tar:localhost/outer:latest; chmod 644 ${shared}/*.tar`;
  if (!bases.includes("debian")) imports.push(`cooper import ${debianBase()} localhost/debian`);
  const { exitCode, output } = places.open("root")(`${imports.join("\n")}\n${outer}`);
  if (exitCode !== 0) throw new Error(output);
}

/** The script that builds all `names` with one tool, each result in `out`; in an outer container or on this machine. */
function script(tool: Tool, shared: string, names: string[], out: string, isOutside: boolean): string {
  const bases = readdirSync(shared).filter((name) => ["debian.tar", "busybox.tar"].includes(name));
  const buildah = `${tool === "buildah" ? tool : `${tool}/usr/bin/buildah`} $driver`;
  const program = tool === "cooper" ? "cooper" : buildah;
  const build = `timeout 900 ${program} bud --timestamp ${SOURCE_DATE}`;
  const start =
    tool === "cooper"
      ? bases.map((base) => `cooper pull -q oci-archive:${shared}/${base}`)
      : [
          isOutside
            ? `export CONTAINERS_CONF=${shared}/containers.conf; driver="--root $HOME/containers --runroot $HOME/run/containers --storage-driver=overlay"`
            : // As the image of Buildah's own project has it; the variable STORAGE_DRIVER is not enough for Debian's.
              "export CONTAINERS_CONF= BUILDAH_ISOLATION=chroot; driver=--storage-driver=vfs",
          ...bases.map((base) => `${buildah} pull -q oci-archive:${shared}/${base}`),
        ];
  return `mkdir -p "$HOME"; mkdir -p ${out}; set +e
    { ${start.join("\n")}; } > ${out}/start.log 2>&1
    for name in ${names.join(" ")}; do
      begun=$(date +%s%N)
      { ${build} -t localhost/out-$name ${shared}/corpus/$name &&
        ${program} push -q localhost/out-$name oci-archive:${out}/$name.tar:x; } > ${out}/$name.log 2>&1 < /dev/null ||
        rm -f ${out}/$name.tar
      echo $(( ($(date +%s%N) - begun) / 100000000 )) > ${out}/$name.time
      ${program} rmi -f localhost/out-$name > /dev/null 2>&1
    done; chmod a+r ${out}/*; exit 0`;
}

/** Builds in one place; `as` distinguishes a second time. */
export async function buildIn(
  places: BuildPlaces,
  place: PlaceName,
  tool: Tool,
  names: string[],
  as: string = place,
): Promise<Outcome[]> {
  const out = join(places.shared, `${tool} ${as}`.replaceAll(/\W+/g, "-"));
  mkdirSync(out);
  spawnSync("chmod", ["1777", out]);
  const isOutside = !place.includes(":");
  const flags = tool.startsWith("/") && !isOutside ? ["-v", `${tool}:${tool}:ro`] : [];
  const { exitCode, output } = places.open(place)(script(tool, places.shared, names, out, isOutside), flags);
  if (exitCode !== 0) throw new Error(`${place}: ${output}`);
  const outcomes: Outcome[] = [];
  for (const name of names) {
    const [archive, log] = [join(out, `${name}.tar`), readFileSync(join(out, `${name}.log`), "utf8")];
    const seconds = Number(readFileSync(join(out, `${name}.time`), "utf8")) / 10;
    const image = existsSync(archive) ? { image: await readImage(archive) } : {};
    outcomes.push({
      place: as,
      name,
      seconds,
      ...image,
      log: `${readFileSync(join(out, "start.log"), "utf8")}${log}`,
    });
  }
  return outcomes;
}

/** The differences of an outcome from the root build, those left out that two root builds show as well. */
function own(reference: Outcome, again: Outcome | undefined, it: Outcome): Difference[] {
  const noise = new Map(
    again?.image && reference.image
      ? compareImages(reference.image, again.image).map(({ path, what }) => [path, what])
      : [],
  );
  return compareImages(reference.image!, it.image!).flatMap(({ path, what }) => {
    const left = what.filter((aspect) => !noise.get(path)?.includes(aspect));
    return left.length === 0 ? [] : [{ path, what: left }];
  });
}

/** A cell: `same`, or counts of what differs. */
function cell(reference: Outcome | undefined, again: Outcome | undefined, it: Outcome): string {
  if (it.image === undefined) return "fails";
  const time = `${it.seconds} s`;
  if (reference?.image === undefined) return `builds (${time})`;
  if (reference.image.diffIds.join() === it.image.diffIds.join())
    return `${reference.image.manifest === it.image.manifest ? "same digest" : "same layer"} (${time})`;
  const differences = own(reference, again, it);
  if (differences.length === 0) return `same but for what two root builds differ in (${time})`;
  const counts = new Map<string, number>();
  for (const { what } of differences) counts.set(what.join("+"), (counts.get(what.join("+")) ?? 0) + 1);
  return `${[...counts].map(([what, count]) => `${count} ${what}`).join(", ")} (${time})`;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: "string" },
      places: { type: "string" },
      tool: { type: "string" },
      logs: { type: "string", default: "/var/tmp/cooper-corpus-logs" },
    },
  });
  const names = values.only?.split(",") ?? readdirSync(corpus).filter((name) => !name.startsWith("small"));
  const chosen = (values.places?.split(",") as PlaceName[] | undefined) ?? PLACES;
  const tools = values.tool === undefined ? (["cooper", "buildah"] as Tool[]) : [values.tool as Tool];
  mkdirSync(values.logs, { recursive: true });
  await using places = new BuildPlaces();
  await places.addProgram();
  const image = readFileSync(join(import.meta.dir, "../packaging/image/Containerfile"), "utf8");
  // Its package brings what other Buildahs read.
  const buildah = tools.some((tool) => tool !== "cooper")
    ? "RUN apt-get update && apt-get install -y --no-install-recommends buildah\n"
    : "";
  makeBases(places, `${image}${buildah}`);
  if (chosen.some((place) => place.includes(":")))
    await places.startEngines(join(places.shared, "outer.tar"), "localhost/outer");
  for (const tool of tools) {
    const references = await buildIn(places, "root", tool, names);
    const again = await buildIn(places, "root", tool, names, "root again");
    const all = [references, again];
    for (const place of chosen.filter((place) => place !== "root")) {
      console.error(`${tool}: ${place}`);
      all.push(await buildIn(places, place, tool, names));
    }
    console.log(`\n| ${tool} | ${names.join(" | ")} |\n| --- |${names.map(() => " --- |").join("")}`);
    for (const row of all) {
      const cells = row.map((it, i) => {
        const where = join(values.logs, `${tool} ${it.place} ${it.name}`.replaceAll(/[^\w]+/g, "-"));
        writeFileSync(`${where}.log`, it.log);
        if (it.image !== undefined && references[i]!.image !== undefined) {
          const lines = own(references[i]!, it.place === "root again" ? undefined : again[i], it).map(
            ({ path, what }) => `${path}: ${what.join(", ")}`,
          );
          writeFileSync(`${where}.differences`, `${lines.join("\n")}\n`);
        }
        return it === references[i]
          ? cell(undefined, undefined, it)
          : cell(references[i], it.place === "root again" ? undefined : again[i], it);
      });
      console.log(`| ${row[0]!.place} | ${cells.join(" | ")} |`);
    }
  }
}

if (import.meta.main) await main();
