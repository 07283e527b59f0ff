// Protects builds in every place that there is, with containers' default flags: what succeeds, and the layers of a root build.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { buildIn, makeBases, type Outcome } from "../../scripts/corpus.ts";
import { BuildPlaces, PLACES, type PlaceName } from "../support/build-places.ts";
import { compareImages } from "../support/compare-images.ts";
import { hasPodman } from "../support/outer-container.ts";

setDefaultTimeout(120_000);

const NAMES = ["small", "small-no-run"];

/** What each place gives: its tier, and what differs from the root build; `fails` with what it says. */
const EXPECTED: Record<PlaceName, { tier: string; small: string[] | RegExp; noRun: string[] }> = {
  root: { tier: "0", small: [], noRun: [] },
  "user with ids": { tier: "1", small: [], noRun: [] },
  "user with one id": { tier: "2", small: [], noRun: [] },
  "podman: root": { tier: "3", small: [], noRun: [] },
  // Where no new /proc can be had commands run by chroot, and `id` tells the one id that there is.
  "podman: user": { tier: "2", small: ["tmp/who content"], noRun: [] },
  "docker: root": { tier: "3", small: [], noRun: [] },
  "docker: user": { tier: "4", small: /Cannot run commands as user 1000/, noRun: [] },
};

describe.if(hasPodman)("the corpus", () => {
  let places: BuildPlaces;
  let reference: Outcome[];
  beforeAll(async () => {
    places = new BuildPlaces();
    await places.addProgram();
    makeBases(places, "FROM localhost/debian\n", ["busybox"]);
    await places.startEngines(`${places.shared}/outer.tar`, "localhost/outer");
    reference = await buildIn(places, "root", "cooper", NAMES, "reference");
  });
  afterAll(() => places[Symbol.asyncDispose]());

  test.each(PLACES)("%s", async (place) => {
    const { tier, small, noRun } = EXPECTED[place];
    const info = places.open(place)("mkdir -p $HOME; cooper info --format '{{.host.tier}}'");
    expect(info).toEqual({ exitCode: 0, output: tier });
    const outcomes = await buildIn(places, place, "cooper", NAMES);
    for (const [index, expected] of [small, noRun].entries()) {
      const [wanted, got] = [reference[index]!, outcomes[index]!];
      if (expected instanceof RegExp) {
        expect(got.image).toBeUndefined();
        expect(got.log).toMatch(expected);
        continue;
      }
      if (got.image === undefined) throw new Error(got.log);
      const differences = compareImages(wanted.image!, got.image);
      expect(differences.map(({ path, what }) => `${path} ${what.join("+")}`)).toEqual(expected);
      expect(got.image.manifest === wanted.image!.manifest).toBe(expected.length === 0);
    }
  });

  test("a set-uid newuidmap that a container's root cannot use is not taken for a range of ids", () => {
    const inBounds = "setpriv --bounding-set=-sys_admin --reuid=$user --regid=$user --init-groups cooper";
    const { exitCode, output } = places.open("root")(
      `user=${process.env.COOPER_TEST_USER ?? "cooper-test"}; chown -R $user .
       ${inBounds} import ${places.shared}/busybox.tar localhost/b >/dev/null
       ${inBounds} info --format '{{.host.tier}} {{.host.tierSummary}}'`,
    );
    expect(exitCode).toBe(0);
    expect(output).toMatch(/^2 .*newuidmap is set-uid root/);
  });
});
