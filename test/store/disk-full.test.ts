// Protects the store, and whoever waits for an answer, on a disk that is full.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { rootOnly } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite } from "../support/cooper.ts";
import { makeImage } from "../support/make-image.ts";

setDefaultTimeout(60_000);

// What holds of a store between commands, looked at from inside the namespace that has the disk.
const check = `
  import { findFaults, validateAll } from ${JSON.stringify(join(import.meta.dir, "check-store.ts"))};
  import { openStoreFiles } from ${JSON.stringify(join(import.meta.dir, "../../src/store/store.ts"))};
  using store = openStoreFiles(process.argv[1]);
  const faults = findFaults(store).filter((fault) => !fault.startsWith("mounted:"));
  console.log(JSON.stringify({ faults, images: await validateAll(store) }));`;

describe.each(rootOnly)("as $kind", (person) => {
  test("commit, import, pull and build fail with that reason and leave nothing; rm makes room", async () => {
    await using site = openSite(person);
    const noise = crypto.getRandomValues(new Uint8Array(60_000)).toHex().repeat(60);
    const { reference } = await makeImage(join(site.work, "layout"), {
      layers: [[{ path: "big", content: noise }]],
      compression: "none",
    });
    const context = site.files({ Dockerfile: `FROM localhost/b\nCOPY big /big\n`, big: noise });
    const output = await site.script(`exec unshare --mount sh -eu <<'END' 2>&1
      mkdir -p ${site.root}
      mount -t tmpfs -o size=12m tmpfs ${site.root}
      fails() { if "$@" > out 2>&1; then echo "$* worked"; cat out; else grep -v '^STEP' out | grep -ci 'no space left\\|disk is full\\|I/O error' > /dev/null || { echo "$*:"; cat out; }; fi; }
      cooper import ${busyboxBase()} localhost/b > /dev/null
      c=$(cooper from localhost/b)
      cooper run $c -- sh -c 'head -c 5000000 /dev/urandom > /half'
      cooper config --label a=b $c
      fails cooper pull ${reference}
      fails cooper bud -t localhost/built ${context}
      fails cooper import ${context} localhost/imported
      test "$(cooper images -q | wc -l)" = 1
      ${process.execPath} -e '${check}' ${site.root}
      fails cooper run $c -- sh -c 'cat /dev/zero > /all'
      fails cooper commit $c localhost/full
      cooper images -q > /dev/null
      cooper rm $c > /dev/null
      ${process.execPath} -e '${check}' ${site.root}
      cooper bud -q -t localhost/built ${context} > /dev/null
      ${process.execPath} -e '${check}' ${site.root}
END`);
    expect(output.split("\n")).toEqual([
      '{"faults":[],"images":1}',
      '{"faults":[],"images":1}',
      '{"faults":[],"images":2}',
    ]);
  });
});
