/** What is measured. Every command is shell: $T is the tool, $FIX the fixtures, $W a scratch directory, $K the round. */

export interface Workload {
  name: string;
  about: string;
  /** Before all rounds of a tool, untimed. */
  once?: string;
  /** Before each round, untimed. */
  before?: string;
  /** The work that is timed. */
  run: string;
  /** The same work by plain programs of the system: what no tool can avoid. */
  limit?: string;
}

const BASE = "$T bud -q -t localhost/base $FIX/base >/dev/null";
const BUD = "$T bud -q --network host";
const STEPS = `${BUD} --layers -t localhost/steps -f $FIX/steps/Dockerfile $FIX/steps >/dev/null`;
const BIG = "$T bud -q -t localhost/big $FIX/big >/dev/null";
const MANY = "$T bud -q -t localhost/many $FIX/many >/dev/null";
const EMPTY = "$T rmi -a -f >/dev/null 2>&1 || true";

export const WORKLOADS: readonly Workload[] = [
  { name: "start", about: "say the version", run: "$T version >/dev/null", limit: "true" },
  { name: "from", about: "a working container", once: BASE, run: "$T from localhost/base >/dev/null" },
  {
    name: "config",
    about: "edit a container's config",
    once: BASE,
    before: "$T from --name cfg$K localhost/base >/dev/null",
    run: "$T config --env A=b --label x=y cfg$K",
  },
  {
    name: "script",
    about: "from scratch, mount, install a file, umount, config, commit",
    run:
      "c=$($T from scratch); m=$($T mount $c); install -D $FIX/base/bin/busybox $m/bin/busybox; " +
      "$T umount $c >/dev/null; $T config --cmd /bin/busybox $c; $T commit -q --rm $c localhost/m >/dev/null",
  },
  {
    name: "run",
    about: "run true in a container",
    once: BASE,
    before: "$T from --name run$K localhost/base >/dev/null",
    run: "$T run --network host run$K true",
    limit: "unshare -m -p -f true",
  },
  {
    name: "run20",
    about: "20 RUN steps, a layer each, no cache",
    once: BASE,
    run: `${BUD} --layers --no-cache -t localhost/steps -f $FIX/steps/Dockerfile $FIX/steps >/dev/null`,
  },
  { name: "run20-cached", about: "the same again", once: `${BASE}; ${STEPS}`, run: STEPS },
  {
    name: "run20-one-layer",
    about: "20 RUN steps, --layers=false, again",
    once: BASE,
    run: `${BUD} --layers=false -t localhost/one -f $FIX/steps/Dockerfile $FIX/steps >/dev/null`,
  },
  {
    name: "env40",
    about: "40 ENV steps, no cache",
    once: BASE,
    run: "$T bud -q --layers --no-cache -t localhost/env -f $FIX/steps/Env $FIX/steps >/dev/null",
  },
  {
    name: "stages4",
    about: "4 stages that sleep a second each, at once",
    once: BASE,
    run: `${BUD} --jobs 4 --no-cache --layers -t localhost/four -f $FIX/steps/Stages $FIX/steps >/dev/null`,
    limit: "sleep 1",
  },
  {
    name: "copy-many",
    about: "COPY of 20,000 small files, no cache",
    run: "$T bud -q --layers --no-cache -t localhost/many $FIX/many >/dev/null",
    limit: "tar cf - -C $FIX/many src | tee >(sha256sum >/dev/null) | tar xf - -C $W/limit",
  },
  {
    name: "copy-many-cached",
    about: "the same again",
    once: "$T bud -q --layers -t localhost/many $FIX/many >/dev/null",
    run: "$T bud -q --layers -t localhost/many $FIX/many >/dev/null",
    limit: "find $FIX/many/src -printf '%s %T@ %p\\n' >/dev/null",
  },
  {
    name: "copy-big",
    about: "COPY of one file of 512 MiB, no cache",
    run: "$T bud -q --layers --no-cache -t localhost/big $FIX/big >/dev/null",
    limit: "cat $FIX/big/blob >$W/limit/blob; sha256sum $W/limit/blob >/dev/null",
  },
  {
    name: "push-gzip",
    about: "push 512 MiB, half of it compressible, as gzip",
    once: BIG,
    before: "rm -rf $W/out",
    run: "$T push -q --compression-format gzip localhost/big oci:$W/out:x",
    limit: "pigz -6 -c $FIX/big/blob >$W/limit/z",
  },
  {
    name: "push-zstd",
    about: "the same as zstd",
    once: BIG,
    before: "rm -rf $W/out",
    run: "$T push -q --compression-format zstd localhost/big oci:$W/out:x",
    limit: "zstd -q -T0 -3 -c $FIX/big/blob >$W/limit/z",
  },
  {
    name: "push-many",
    about: "push a layer of 20,000 files",
    once: MANY,
    before: "rm -rf $W/out",
    run: "$T push -q localhost/many oci:$W/out:x",
    limit: "tar cf - -C $FIX/many src | pigz -6 -c >$W/limit/z",
  },
  {
    name: "push-again",
    about: "push what the place has already",
    once: `${BIG}; rm -rf $W/again; $T push -q localhost/big oci:$W/again:x`,
    run: "$T push -q localhost/big oci:$W/again:x",
  },
  {
    name: "pull-many",
    about: "pull a layer of 20,000 files",
    once: `${MANY}; rm -rf $W/in; $T push -q localhost/many oci:$W/in:x; ${EMPTY}`,
    before: EMPTY,
    run: "$T pull -q oci:$W/in:x >/dev/null",
    limit: "tar cf - -C $FIX/many src | tar xf - -C $W/limit",
  },
  {
    name: "pull-big",
    about: "pull a layer of 512 MiB",
    once: `${BIG}; rm -rf $W/in; $T push -q localhost/big oci:$W/in:x; ${EMPTY}`,
    before: EMPTY,
    run: "$T pull -q oci:$W/in:x >/dev/null",
  },
  {
    name: "grown-store",
    about: "20 cached steps in a store of 60 more images",
    once:
      `${BASE}; for i in $(seq 60); do printf 'FROM localhost/base\\nENV N=%s\\nLABEL i=%s\\n' $i $i >$W/grown; ` +
      `$T bud -q --layers -t localhost/grown$i -f $W/grown $FIX/steps >/dev/null; done; ${STEPS}`,
    run: STEPS,
  },
];
