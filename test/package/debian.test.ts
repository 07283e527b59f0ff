// Protects the Debian package: it installs in a clean root made by mmdebstrap, with what it needs, and builds there.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { dependencies } from "../../package.json";
import { buildFor } from "../../scripts/build.ts";
import { packageDeb } from "../../scripts/package-deb.ts";
import { hostTarget, must } from "../../scripts/targets.ts";
import { debianBase } from "../support/bases.ts";

/** Why this cannot be tested here, if it cannot. */
function obstacle(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root";
  if (hostTarget().libc !== "glibc") return "needs a Debian host";
  for (const program of ["mmdebstrap", "dpkg-deb", "busybox"])
    if (Bun.which(program) === null) return `${program} is not installed`;
  try {
    debianBase();
    return undefined;
  } catch (error) {
    return `no Debian mirror to be reached: ${(error as Error).message}`;
  }
}

setDefaultTimeout(180_000);
const why = obstacle();

// A root of its own rather than a chroot, in which the kernel makes no user namespaces.
const ENTER = `
  mount --bind "$1" "$1"
  mount -t proc proc "$1/proc"
  for dir in sys dev; do mkdir -p "$1/$dir"; mount --rbind "/$dir" "$1/$dir"; done
  cp --remove-destination /etc/resolv.conf "$1/etc/resolv.conf"
  cd "$1"
  pivot_root . mnt
  /context/busybox umount -l /mnt
  exec sh -eu /script`;

describe.skipIf(why !== undefined)(
  `the Debian package${why === undefined ? "" : ` (skipped: ${why})`}`,
  () => {
    let directory: string;
    const root = () => join(directory, "root");

    beforeAll(async () => {
      directory = mkdtempSync("/var/tmp/cooper-test-deb-");
      mkdirSync(root());
      must(["tar", "-xf", debianBase(), "-C", root()]);
      const deb = await packageDeb(hostTarget(), await buildFor(hostTarget()), directory, ["-Znone"]);
      copyFileSync(deb, join(root(), "cooper.deb"));
      mkdirSync(join(root(), "context"));
      copyFileSync(Bun.which("busybox")!, join(root(), "context/busybox"));
      writeFileSync(
        join(root(), "context/Dockerfile"),
        'FROM scratch\nCOPY --chmod=755 busybox /bin/\nRUN ["/bin/busybox", "sh", "-c", "echo built as $(busybox id -u) > /proof"]\n',
      );
    });
    afterAll(() => rmSync(directory, { recursive: true, force: true }));

    /** Runs a script as root of the clean root; everything that it mounts and starts ends with it. */
    function inside(script: string): string {
      writeFileSync(join(root(), "script"), script);
      const namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--propagation=private"];
      const { status, stdout, stderr } = spawnSync(
        "unshare",
        [...namespaces, "sh", "-euc", ENTER, "sh", root()],
        {
          encoding: "utf8",
          env: {
            PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            HOME: "/root",
            LANG: "C.UTF-8",
            DEBIAN_FRONTEND: "noninteractive",
          },
        },
      );
      if (status !== 0) throw new Error(`${script}\nended with ${status}\n${stdout}\n${stderr}`);
      return stdout;
    }

    test("apt installs it with crun, uidmap and passt, and without anything that was there before", () => {
      inside("apt-get -q update && apt-get -q install -y --no-install-recommends /cooper.deb");
      const query = (name: string) => `dpkg-query --show --showformat='${"$"}{db:Status-Status}' ${name}`;
      for (const name of ["cooper", "crun", "uidmap", "passt"]) expect(inside(query(name))).toBe("installed");
    });

    test("the program, its manual pages and completions are in their places", () => {
      expect(inside("cooper --version")).toStartWith("cooper version ");
      for (const path of [
        "usr/share/man/man1/cooper.1.gz",
        "usr/share/man/man1/cooper-manifest-add.1.gz",
        "usr/share/bash-completion/completions/cooper",
        "usr/share/zsh/vendor-completions/_cooper",
        "usr/share/fish/vendor_completions.d/cooper.fish",
      ]) {
        // The test's base leaves manual pages out, as a container does.
        if (path.includes("/man/"))
          expect(must(["dpkg-deb", "-c", join(root(), "cooper.deb")])).toContain(path);
        else expect(existsSync(join(root(), path))).toBe(true);
      }
      expect(
        inside("bash -c '. /usr/share/bash-completion/completions/cooper; complete -p cooper'"),
      ).toContain("_cooper");
    });

    test("the copyright file names every package that is in the program", () => {
      const file = "dpkg-deb --fsys-tarfile $1 | tar -xO ./usr/share/doc/cooper/copyright";
      const copyright = must(["sh", "-c", file, "sh", join(root(), "cooper.deb")]);
      for (const name of Object.keys(dependencies).filter((name) => name !== "bun"))
        expect(copyright).toContain(name);
    });

    const build = `
    cooper bud -q -t localhost/proof /context >/dev/null
    c=$(cooper from localhost/proof)
    cooper run "$c" -- /bin/busybox cat /proof
    cooper rm "$c" >/dev/null`;

    test("root builds an image with a RUN step", () => {
      expect(inside(build)).toBe("built as 0\n");
    });

    test("an ordinary user builds the same", () => {
      writeFileSync(join(root(), "build"), build);
      const script = `useradd --create-home ann\nsetpriv --reuid=ann --regid=ann --init-groups env HOME=/home/ann sh -eu /build`;
      expect(inside(script)).toBe("built as 0\n");
    });

    test("it goes without a trace of its own", () => {
      inside("apt-get -q purge -y cooper");
      expect(existsSync(join(root(), "usr/bin/cooper"))).toBe(false);
      expect(existsSync(join(root(), "usr/share/doc/cooper"))).toBe(false);
    });
  },
);
