/** Makes dist/cooper_VERSION_ARCHITECTURE.deb with dpkg-deb; `--target linux-arm64` for the other processor. */
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { bashCompletion, fishCompletion, zshCompletion } from "../src/cli/completion.ts";
import { wrap } from "../src/cli/help.ts";
import { VERSION } from "../src/cli/version.ts";
import { buildFor } from "./build.ts";
import { sourceDate, writeManPages } from "./man.ts";
import { must, REPOSITORY, type Target, targetsOf } from "./targets.ts";

const MAINTAINER = "The Cooper developers <cooper@example.org>";

const DESCRIPTION = `builds OCI images, without a daemon and without root
 Cooper builds container images from Dockerfiles, and lets shell scripts and
 programs build them with the tools of the host: a working container is made
 from an image, mounted or run in, and committed.
 .
 Its command line is that of Buildah. An ordinary user works in a mounted
 container directly, without entering a namespace first.`;

/** A compiled program carries its own libraries, and stripping it would take the program off the runtime. */
const OVERRIDES = `cooper: unstripped-binary-or-object [usr/bin/cooper]
cooper: embedded-library *usr/bin/cooper*
cooper: hardening-no-pie [usr/bin/cooper]
cooper: hardening-no-relro [usr/bin/cooper]
cooper: hardening-no-fortify-functions [usr/bin/cooper]
`;

function control(target: Target, kibibytes: number): string {
  return `Package: cooper
Version: ${VERSION}
Architecture: ${target.debian}
Maintainer: ${MAINTAINER}
Installed-Size: ${kibibytes}
Depends: libc6 (>= 2.17), crun | runc, uidmap, passt
Recommends: ca-certificates
Suggests: git
Section: admin
Priority: optional
Description: ${DESCRIPTION}
`;
}

function copyright(): string {
  return `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: cooper

Files: *
Copyright: 2026 The Cooper developers
License: Apache-2.0
 On Debian systems, the Apache License 2.0 is in
 /usr/share/common-licenses/Apache-2.0.
Comment:
 /usr/bin/cooper holds the Bun runtime (MIT License, and the licenses of what
 it links, JavaScriptCore among it: https://bun.com/docs/project/license) and
 the npm packages p-limit, tar-stream and valibot (MIT License) and yaml (ISC
 License).
`;
}

/** CHANGELOG.md's newest section, as Debian's changelog has it. */
function changelog(date: Date): string {
  const text = readFileSync(join(REPOSITORY, "CHANGELOG.md"), "utf8");
  const items = [...text.matchAll(/^- ([\s\S]*?)(?=\n- |\n\n|\n*$)/gm)].map(
    ([, item]) => `  * ${wrap(item!.replace(/\s*\n\s*/g, " "), 76).join("\n    ")}`,
  );
  const stamp = date.toUTCString().replace("GMT", "+0000");
  return `cooper (${VERSION}) unstable; urgency=medium\n\n${items.join("\n")}\n\n -- ${MAINTAINER}  ${stamp}\n`;
}

const compressed = (text: string) => gzipSync(text, { level: 9 });

/** Path → content of everything but the program. */
function documents(): Map<string, string | Uint8Array> {
  const files = new Map<string, string | Uint8Array>();
  files.set("usr/share/bash-completion/completions/cooper", bashCompletion("cooper"));
  files.set("usr/share/zsh/vendor-completions/_cooper", zshCompletion("cooper"));
  files.set("usr/share/fish/vendor_completions.d/cooper.fish", fishCompletion("cooper"));
  files.set("usr/share/doc/cooper/copyright", copyright());
  files.set("usr/share/doc/cooper/changelog.gz", compressed(changelog(sourceDate())));
  files.set("usr/share/lintian/overrides/cooper", OVERRIDES);
  return files;
}

/** Makes the package for a target and returns its path. `program` is the compiled file. Throws where dpkg-deb fails. */
export async function packageDeb(
  target: Target,
  program: string,
  directory: string,
  compression: readonly string[] = ["-Zxz", "-z6"],
): Promise<string> {
  const root = mkdtempSync(join(tmpdir(), "cooper-deb-"));
  const put = (path: string, content: string | Uint8Array) => {
    mkdirSync(dirname(join(root, path)), { recursive: true, mode: 0o755 });
    writeFileSync(join(root, path), content, { mode: 0o644 });
  };
  try {
    chmodSync(root, 0o755);
    for (const [path, content] of documents()) put(path, content);
    const man = join(root, "usr/share/man/man1");
    await writeManPages(man);
    must([
      "sh",
      "-c",
      'cd "$1" && find . -type f -exec gzip -9n {} + && for link in $(find . -type l); do ln -s "$(readlink "$link").gz" "$link.gz" && rm "$link"; done',
      "sh",
      man,
    ]);
    mkdirSync(join(root, "usr/bin"), { recursive: true });
    copyFileSync(program, join(root, "usr/bin/cooper"));
    chmodSync(join(root, "usr/bin/cooper"), 0o755);
    put("DEBIAN/control", control(target, Math.ceil(statSync(program).size / 1024) + 512));
    const output = join(directory, `cooper_${VERSION}_${target.debian}.deb`);
    // The same source gives the same package.
    process.env.SOURCE_DATE_EPOCH ??= String(Math.floor(sourceDate().getTime() / 1000));
    must(["dpkg-deb", "--root-owner-group", ...compression, "--build", root, output]);
    return output;
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  try {
    for (const target of targetsOf(process.argv.slice(2))) {
      if (target.libc !== "glibc") throw new Error(`Debian has no ${target.name}: its libc is glibc`);
      const made = await packageDeb(target, await buildFor(target), join(REPOSITORY, "dist"));
      console.log(`${made.slice(REPOSITORY.length + 1)}: ${(statSync(made).size / 1e6).toFixed(0)} MB`);
    }
  } catch (error) {
    console.error(`package: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}
