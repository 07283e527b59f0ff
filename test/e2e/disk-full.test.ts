// Protects a build on a small disk: at whatever stage it fills up there is a clear error, a whole store, and success once there is room.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { rootOnly } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite } from "../support/cooper.ts";
import { makeImage } from "../support/make-image.ts";
import { startRegistry } from "../transport/registry-server.ts";

setDefaultTimeout(300_000);

/** Labels of 100 kB each: more than the database's log has room for. */
const LARGE = ["a", "b", "c", "d", "e", "f", "g", "h"];

/**
 * What is done, what of it is to fail with how many KiB free, and the command that undoes it so that it can be done again.
 * `D` is the disk, `R` an image elsewhere, `C` a context.
 */
const STAGES: { stage: string; free: number[]; run: string; undo: string; first?: string }[] = [
  {
    stage: "pull: blob and unpacking",
    free: [0, 200, 2500],
    run: "cooper pull -q $R",
    undo: "cooper rmi -f localhost/pulled; cooper prune -f",
  },
  {
    stage: "from: directories and records",
    free: [0],
    run: "cooper from --name new localhost/b",
    undo: "cooper rm new",
  },
  {
    stage: "RUN: what a command writes",
    free: [300, 1000],
    run: "cooper bud --no-cache -t localhost/ran -f $C/run $C",
    undo: "cooper rmi -f localhost/ran; cooper prune -f",
  },
  {
    stage: "COPY, freeze and commit of a build",
    free: [0, 120, 500],
    run: "cooper bud --no-cache --layers -t localhost/copied -f $C/copy $C",
    undo: "cooper rmi -f localhost/copied; cooper prune -f",
  },
  {
    stage: "commit",
    free: [0],
    first: "cooper from --name c localhost/b; cooper run c -- sh -c 'echo x > /x'",
    run: "cooper commit c localhost/committed",
    undo: "cooper rmi -f localhost/committed",
  },
  {
    stage: "push into a layout",
    free: [0, 600],
    run: "cooper push -q localhost/b oci:$D/layout:b",
    undo: "rm -rf $D/layout",
  },
  {
    stage: "push to a registry: the layer is compressed first",
    free: [0],
    run: "cooper push -q --tls-verify=false localhost/b docker://$H/b",
    undo: ":",
  },
  {
    stage: "push into an archive",
    free: [0, 600],
    run: "cooper push -q localhost/b oci-archive:$D/archive.tar",
    undo: "rm -f $D/archive.tar",
  },
  {
    stage: "save of an archive",
    free: [0, 600],
    run: "cooper save -o $D/saved.tar localhost/b",
    undo: "rm -f $D/saved.tar",
  },
  {
    stage: "files of a build that go out",
    free: [800],
    run: "cooper bud --no-cache -o $D/files -f $C/copy $C",
    undo: "rm -rf $D/files; cooper prune -f",
  },
  {
    stage: "a context that is an archive",
    free: [0, 1000],
    run: "sh -c 'cooper bud --no-cache -t localhost/fetched -f run - < $W/context.tar'",
    undo: "cooper rmi -f localhost/fetched; cooper prune -f",
  },
  {
    stage: "a record alone",
    free: [0],
    run: `cooper config ${LARGE.map((name) => `--label ${name}=$BIG`).join(" ")} c`,
    undo: `cooper config ${LARGE.map((name) => `--label ${name}-`).join(" ")} c`,
  },
];

/** What makes room works on a disk without a free block, each on a store in which it has something to do. */
const REMOVALS = ["cooper rm c", "cooper rmi localhost/spare", "cooper prune", "cooper prune --all --force"];

const FULL = /no space left|disk is full|nearly full|ENOSPC|I\/O error/i;
/** What is full, by a path or a thing, and what can be done: where Cooper itself found no room, and not a command of RUN. */
const HELPS = /Hint: .*(?:cooper prune|elsewhere|room)/;

describe.each(rootOnly)("as $kind", (person) => {
  test("every stage of a build on a full disk", async () => {
    await using site = openSite(person);
    const noise = crypto.getRandomValues(new Uint8Array(1_500_000));
    await makeImage(join(site.work, "image"), {
      name: "localhost/pulled",
      layers: [[{ path: "big", content: noise }]],
      compression: "gzip",
    });
    using registry = await startRegistry();
    const context = site.files({
      spare: "FROM localhost/b\nRUN echo spare > /spare\n",
      run: "FROM localhost/b\nRUN head -c 1500000 /dev/urandom > /r\n",
      copy: "FROM localhost/b\nCOPY many /many\nRUN mkdir /made && echo x > /made/x\n",
      ...Object.fromEntries(Array.from({ length: 150 }, (_, i) => [`many/${i}`, `${i}`.repeat(2000)])),
    });
    const lines = STAGES.flatMap(({ stage, free, run, undo, first }) => [
      `( ${first ?? ":"} ) > $W/first 2>&1 || { echo "$? FIRST"; cat $W/first; }`,
      ...free.map((kib) => `stage ${kib} '${stage}' "${undo}" ${run}`),
    ]);
    const output = await site.script(`exec unshare --mount sh -eu <<'END' 2>&1
      export W=${site.work}
      H=${registry.host} D=${site.root} C=${context} R=oci:${site.work}/image:localhost/pulled BIG=$(head -c 100000 /dev/zero | tr '\\0' x)
      # Blocks as large as pages, which small disks do not have: SQLite takes a block of each page of the log's index, no more,
      # and the kernel ends a process that writes to the rest when there is no room for it.
      truncate -s 24M $W/disk.img && mkfs.ext4 -q -F -b 4096 -m 0 -N 8000 $W/disk.img
      mkdir -p $D && mount -o loop $W/disk.img $D
      tar -C $C -cf $W/context.tar run many
      cooper import ${busyboxBase()} localhost/b > /dev/null
      left() { df --output=avail -k $D | tail -1; }
      # Leaves so many KiB.
      fill() {
        sync -f $D
        dd if=/dev/zero of=$D/filler bs=64k 2> /dev/null || :
        dd if=/dev/zero of=$D/filler2 bs=1k 2> /dev/null || :
        truncate -s $(( $(stat -c %s $D/filler) - $1 * 1024 )) $D/filler
      }
      stage() {
        kib=$1 name=$2 undo=$3; shift 3
        fill $kib
        if "$@" > $W/out 2>&1; then how=worked; else how=failed; fi
        checked=whole
        cooper check > $W/check 2>&1 || checked="broken: $(cat $W/check)"
        rm -f $D/filler $D/filler2
        cooper check > $W/check 2>&1 || checked="broken afterwards: $(cat $W/check)"
        if [ $how = failed ] && ! "$@" > $W/again 2>&1; then checked="$checked, fails again: $(cat $W/again)"; fi
        cooper check > $W/check 2>&1 || checked="broken in the end: $(cat $W/check)"
        sh -c "$undo" > $W/undone 2>&1 || checked="$checked, not undone: $(cat $W/undone)"
        printf '%s|%s|%s|%s|%s\n' "$name" $kib $how "$(echo $checked)" "$(tail -n 12 $W/out | tr '\n' ' ')"
      }
      ${lines.join("\n      ")}
      removal() {
        fill 0
        if "$@" > $W/out 2>&1; then how=worked; else how=failed; fi
        rm -f $D/filler $D/filler2
        cooper check > $W/check 2>&1 && checked=whole || checked="broken: $(cat $W/check)"
        printf '%s|0|%s|%s|%s\n' "$*" $how "$checked" "$(tail -n 12 $W/out | tr '\n' ' ')"
      }
      cooper bud -q -t localhost/spare -f $C/spare $C > /dev/null
      ${REMOVALS.map((command) => `removal ${command}`).join("\n      ")}
      umount $D
END`);
    const all = output.split("\n").map((line) => line.split("|"));
    const rows = all.slice(0, -REMOVALS.length);
    expect(all.slice(-REMOVALS.length).map((row) => row.slice(0, 4))).toEqual(
      REMOVALS.map((command) => [command, "0", "worked", "whole"]),
    );
    for (const [stage, free, how, store, ...rest] of rows) {
      const message = rest.join("|");
      expect(`${stage} with ${free} KiB: ${store}`).toBe(`${stage} with ${free} KiB: whole`);
      if (how !== "failed") continue;
      expect(message).toMatch(FULL);
      if (!stage!.startsWith("RUN")) expect(`${stage} with ${free} KiB: ${message}`).toMatch(HELPS);
    }
    const failed = new Set(rows.filter(([, , how]) => how === "failed").map(([stage]) => stage));
    expect([...failed]).toEqual(STAGES.map(({ stage }) => stage));
  });

  test("a disk that becomes read-only is looked at, and nothing else", async () => {
    await using site = openSite(person);
    const context = site.files({ Dockerfile: "FROM localhost/b\nRUN echo x > /x\n" });
    const output = await site.script(`exec unshare --mount sh -eu <<'END' 2>&1
      D=${site.root} W=${site.work}
      truncate -s 24M $W/disk.img && mkfs.ext4 -q -F $W/disk.img
      mkdir -p $D && mount -o loop $W/disk.img $D
      cooper import ${busyboxBase()} localhost/b > /dev/null
      cooper from --name c localhost/b > /dev/null
      mount -o remount,ro $D
      works() { "$@" > $W/out 2>&1 && echo "$1 $2 works" || { echo "$* failed:"; cat $W/out; }; }
      fails() {
        if "$@" > $W/out 2>&1; then echo "$* worked"; return; fi
        grep -qE '^Error: [A-Z].*(read-only file system|readonly database)' $W/out && echo "$1 $2 says so" || { echo "$*:"; cat $W/out; }
      }
      works cooper images
      works cooper containers
      works cooper check
      fails cooper bud -t localhost/x ${context}
      fails cooper from localhost/b
      fails cooper run c -- true
      fails cooper commit c localhost/y
      fails cooper config --label a=b c
      fails cooper tag localhost/b localhost/z
      fails cooper rm c
      fails cooper rmi -f localhost/b
      fails cooper prune
      fails cooper import ${context} localhost/i
      mount -o remount,rw $D
      works cooper check
      works cooper bud -t localhost/x ${context}
      works cooper rm c
      umount $D
END`);
    const works = ["images", "containers", "check"].map((name) => `cooper ${name} works`);
    const fails = ["bud", "from", "run", "commit", "config", "tag", "rm", "rmi", "prune", "import"];
    const again = ["check", "bud", "rm"].map((name) => `cooper ${name} works`);
    expect(output.split("\n")).toEqual([
      ...works,
      ...fails.map((name) => `cooper ${name} says so`),
      ...again,
    ]);
  });
});
