/** skopeo, umoci and podman as they read what Cooper wrote: as root, each with a place of its own. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Result } from "./cooper.ts";
import { mountPointsBelow } from "./leftovers.ts";

interface OciConfig {
  os: string;
  architecture: string;
  author?: string;
  config?: Record<string, unknown>;
  rootfs: { type: string; diff_ids: string[] };
  history?: { created_by?: string; empty_layer?: boolean }[];
}

/** A directory for the tools' own storage and for what they unpack. `using` removes it. */
export class ForeignTools implements Disposable {
  readonly dir = mkdtempSync("/var/tmp/cooper-foreign-");
  private readonly policy = join(this.dir, "policy.json");
  private count = 0;

  constructor() {
    writeFileSync(this.policy, '{"default":[{"type":"insecureAcceptAnything"}]}');
    // Debian's podman asks for more open files than a container host may allow, and for systemd.
    writeFileSync(
      join(this.dir, "containers.conf"),
      `[containers]
default_ulimits = ["nofile=20000:20000", "nproc=20000:20000"]
log_driver = "none"
[engine]
runtime = "${existsSync("/usr/sbin/runc") || existsSync("/usr/bin/runc") ? "runc" : "crun"}"
events_logger = "none"
cgroup_manager = "cgroupfs"
tmp_dir = "${this.dir}/libpod"
`,
    );
    // vfs: slow for large images, but it leaves no mount behind.
    writeFileSync(
      join(this.dir, "storage.conf"),
      `[storage]\ndriver = "vfs"\ngraphroot = "${this.dir}/graph"\nrunroot = "${this.dir}/run"\n`,
    );
  }

  /** `podman run --rm` of an image reference such as `oci-archive:/x.tar`, without a network. */
  podmanRun(
    image: string,
    args: string[] = [],
    settings: { options?: string[]; stdin?: string } = {},
  ): Result {
    const options = ["--rm", "--quiet", "--network=none", ...(settings.stdin === undefined ? [] : ["-i"])];
    return this.tool(
      ["podman", "run", ...options, ...(settings.options ?? []), image, ...args],
      settings.stdin,
    );
  }

  /** `skopeo inspect`: what the manifest says. */
  inspect(image: string): {
    Layers: string[];
    Labels: Record<string, string> | null;
    Env: string[] | null;
    Digest: string;
  } {
    return JSON.parse(this.must(["skopeo", "inspect", image]));
  }

  /** The config as it is stored, fields that the OCI specification does not have included. */
  inspectConfig(image: string): OciConfig {
    return JSON.parse(this.must(["skopeo", "inspect", "--config", "--raw", image]));
  }

  /** The manifest as it is stored. */
  manifest(image: string): {
    mediaType?: string;
    layers: { mediaType: string; digest: string; size: number }[];
  } {
    return JSON.parse(this.must(["skopeo", "inspect", "--raw", image]));
  }

  /** Unpacks an oci-archive with umoci, owners and all, and returns the root file system's directory. */
  unpack(archive: string): string {
    const place = join(this.dir, `unpacked-${this.count++}`);
    this.layout(archive, `${place}.oci`);
    this.must(["umoci", "unpack", "--image", `${place}.oci:it`, place]);
    return join(place, "rootfs");
  }

  /** Names in the layer with this index (from the end when negative), as tar lists them. */
  layerEntries(archive: string, index: number): string[] {
    const place = join(this.dir, `layers-${this.count++}.oci`);
    this.layout(archive, place);
    const layer = this.manifest(`oci:${place}:it`).layers.at(index);
    if (layer === undefined) throw new Error(`There is no layer ${index}`);
    return this.must(["tar", "tf", join(place, "blobs", layer.digest.replace(":", "/"))]).split("\n");
  }

  private layout(archive: string, directory: string): void {
    mkdirSync(directory);
    this.must(["skopeo", "copy", "--quiet", `oci-archive:${archive}`, `oci:${directory}:it`]);
  }

  private must(argv: string[]): string {
    const { exitCode, stdout, stderr } = this.tool(argv);
    if (exitCode !== 0) throw new Error(`${argv.join(" ")} exited with ${exitCode}: ${stderr}`);
    return stdout.trimEnd();
  }

  private tool(argv: string[], stdin?: string): Result {
    const [program, ...args] = argv as [string, ...string[]];
    const policy = program === "skopeo" ? ["--policy", this.policy] : [];
    const { status, stdout, stderr, error } = spawnSync(program, [...policy, ...args], {
      encoding: "utf8",
      maxBuffer: 64 << 20,
      input: stdin ?? "",
      env: {
        PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        HOME: this.dir,
        CONTAINERS_CONF: join(this.dir, "containers.conf"),
        CONTAINERS_STORAGE_CONF: join(this.dir, "storage.conf"),
        // Debian's podman leaves empty directories in it.
        TMPDIR: this.dir,
      },
    });
    if (error !== undefined) throw error;
    return { exitCode: status ?? -1, stdout, stderr };
  }

  [Symbol.dispose](): void {
    for (const point of mountPointsBelow(this.dir)) spawnSync("umount", ["--lazy", point]);
    if (mountPointsBelow(this.dir).length > 0) throw new Error(`Still mounted below ${this.dir}`);
    rmSync(this.dir, { recursive: true, force: true });
  }
}
