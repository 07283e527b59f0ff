// Protects packaging/image: Cooper builds the image that holds it, and builds inside a container of it, as root and as its user.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { makeBases } from "../../scripts/corpus.ts";
import { BuildPlaces } from "../support/build-places.ts";
import { hasPodman } from "../support/outer-container.ts";

setDefaultTimeout(300_000);

const CONTAINERFILE = join(import.meta.dir, "../../packaging/image/Containerfile");

describe.if(hasPodman)("the image that holds Cooper", () => {
  let places: BuildPlaces;
  beforeAll(async () => {
    places = new BuildPlaces();
    await places.addProgram();
    makeBases(places, readFileSync(CONTAINERFILE, "utf8"), ["busybox"]);
    places.startPodman(`${places.shared}/outer.tar`, "localhost/outer");
  });
  afterAll(() => places[Symbol.asyncDispose]());

  // The engines' default flags: root has no mounts (tier 3), the user has a range of ids and newuidmap (tier 1).
  test.each([
    ["podman: root", "3"],
    ["podman: user", "1"],
  ] as const)("%s builds in it, tier %s", (place, tier) => {
    const { exitCode, output } = places.open(place)(`mkdir -p $HOME; cd $HOME
      # The image's own program, not the one that the other tests bring along.
      export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
      test "$(command -v cooper)" = /usr/local/bin/cooper
      cooper info --format 'tier {{.host.tier}}'
      cooper pull -q oci-archive:${places.shared}/busybox.tar
      printf 'FROM localhost/busybox\\nRUN touch /made && chown 33:33 /made\\n' > Dockerfile
      cooper bud -q -t localhost/built . && cooper push -q localhost/built oci:$HOME/built
      container=$(cooper from localhost/built) && cooper run $container stat -c 'owner %u:%g' /made`);
    expect({ exitCode, output }).toEqual({ exitCode: 0, output: expect.stringContaining("owner 33:33") });
    expect(output).toContain(`tier ${tier}`);
  });
});
