// Protects rootless `mount`: the host's own tools work on the path that it prints, and those that resolve it fail loudly and work in `unshare`.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { people, rootOnly } from "../support/as-users.ts";
import { busyboxBase } from "../support/bases.ts";
import { openSite, type Site } from "../support/cooper.ts";
import { OneIdUser } from "../support/one-id-user.ts";

setDefaultTimeout(120_000);

/** What a tool does on $m, a mounted container, and what shows that it has. $src is the fixture of the scripted flow. */
interface Tool {
  name: string;
  script: string;
  made: string;
  /** Made ready by the host before. */
  before?: string;
}

const CMAKE = `cat > CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.20)
project(tool NONE)
install(PROGRAMS $ENV{src}/Makefile DESTINATION bin)
install(DIRECTORY $ENV{src}/ DESTINATION share/tool PATTERN "*.c")
END
cmake -S . -B built > /dev/null`;

const DEB = `mkdir -p deb/DEBIAN deb/usr/share/tiny; echo tiny > deb/usr/share/tiny/file
printf 'Package: tiny\\nVersion: 1\\nArchitecture: all\\nMaintainer: T <t@example.org>\\nDescription: tiny\\n' > deb/DEBIAN/control
dpkg-deb --root-owner-group --build deb tiny.deb > /dev/null`;

const PACKAGE = `mkdir -p left; printf '#!/bin/sh\\n' > left/left.sh
printf '{"name":"left","version":"1.0.0","bin":"left.sh"}' > left/package.json; npm pack --silent ./left > /dev/null`;

const NPM = "npm install --loglevel=error --no-audit --no-fund --prefix";

const REPOSITORY =
  "git init -q repo; cd repo; git -c user.name=t -c user.email=t@example.org commit -q --allow-empty -m first; cd ..";

const WORKING: Tool[] = [
  { name: "make -j4 install", script: 'make -s -j4 -C $src install DESTDIR="$m"', made: "usr/bin/tally" },
  {
    name: "install",
    script: "install -D -m 4755 $src/Makefile $m/opt/a/b/tool; install -d -m 1777 $m/opt/drop",
    made: "opt/a/b/tool",
  },
  { name: "cp -a", script: "cp -a $src $m/copied", made: "copied/Makefile" },
  { name: "tar -x", script: "tar -C $src -cf - . | tar -C $m -xpf -", made: "Makefile" },
  {
    name: "cmake --install",
    before: CMAKE,
    script: "cmake --install built --prefix $m/usr/local > /dev/null",
    made: "usr/local/bin/Makefile",
  },
  {
    name: "dpkg --root",
    before: DEB,
    script:
      "mkdir -p $m/var/lib/dpkg; touch $m/var/lib/dpkg/status; dpkg --force-not-root --force-bad-path --root=$m -i tiny.deb",
    made: "usr/share/tiny/file",
  },
  { name: "dpkg -x", before: DEB, script: "dpkg -x tiny.deb $m", made: "usr/share/tiny/file" },
  {
    name: "python -m venv",
    script: "/usr/bin/python3 -m venv --without-pip $m/opt/venv",
    made: "opt/venv/pyvenv.cfg",
  },
  {
    name: "sed -i, ln, mv, rm, find",
    script: `mkdir $m/opt; echo a > $m/opt/a; sed -i s/a/b/ $m/opt/a; ln $m/opt/a $m/opt/b; ln -s b $m/opt/c
      mv $m/opt/a $m/opt/d; find $m/opt -type f -exec chmod 600 {} +; rm $m/opt/b; test -L $m/opt/c`,
    made: "opt/d",
  },
];

/** They follow links themselves, `root` of the keeper's directory in /proc too, or ask where they are. */
const RESOLVING: Tool[] = [
  { name: "rsync", script: "rsync -a $src/ $m/opt/", made: "opt/Makefile" },
  {
    name: "npm install",
    before: PACKAGE,
    script: `${NPM} $m/app ./left-1.0.0.tgz`,
    made: "app/package.json",
  },
  { name: "git clone", before: REPOSITORY, script: "git clone -q repo $m/clone", made: "clone/.git/HEAD" },
  { name: "realpath", script: "cp $src/Makefile $(realpath $m)/made", made: "made" },
];

describe.each(["a range of ids", "one id"])("as a user with %s", (ids) => {
  const oneId = ids === "one id";
  describe.skipIf(oneId && rootOnly.length === 0)("", () => {
    let site: Site;
    let other: OneIdUser | undefined;
    beforeAll(async () => {
      if (oneId) other = new OneIdUser();
      site = openSite(other?.person ?? people.find(({ kind }) => kind === "user")!);
      await site.ok("import", busyboxBase(), "localhost/busybox");
    });
    afterAll(async () => {
      await site[Symbol.asyncDispose]();
      other?.[Symbol.dispose]();
    });

    /** Runs a tool and says whether the next command in the container finds what it made; $m by mount, or by unshare. */
    const scriptOf = ({ before = "", script, made }: Tool, unshared: boolean) => `
      export src=${site.fixture("hello")}
      cd $(mktemp -d); ${before}
      c=$(cooper from localhost/busybox)
      ${unshared ? `cooper unshare --mount m=$c sh -euc '${script.replaceAll("'", `'\\''`)}'` : `m=$(cooper mount $c)\n${script}`} > log 2>&1 || { cat log >&2; exit 9; }
      cooper run $c -- test -e /${made} && cooper rm $c > /dev/null`;

    test.each(WORKING)("$name", async (tool) => {
      await site.script(scriptOf(tool, false));
    });

    test.each(RESOLVING)("$name: not on the path that mount prints, and loudly; in unshare", async (tool) => {
      const { exitCode, stderr } = await site.run(["sh", "-euc", scriptOf(tool, false)]);
      expect({ exitCode, denied: /permission denied|EACCES/i.test(stderr) || stderr }).toEqual({
        exitCode: 9,
        denied: true,
      });
      await site.script(scriptOf(tool, true));
    });

    test.each(RESOLVING)("$name: on the plain directory that a container from scratch is", async (tool) => {
      await site.script(`export src=${site.fixture("hello")}; cd $(mktemp -d); ${tool.before ?? ""}
        c=$(cooper from scratch); m=$(cooper mount $c); mkdir $m/opt; ${tool.script}
        test -e $m/${tool.made}; cooper rm $c > /dev/null`);
    });
  });
});
