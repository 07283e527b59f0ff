/**
 * Cooper on a real host: a virtual machine of Debian's with systemd, logind, cgroup v2 and AppArmor, in which ordinary users
 * log in and a list of checks is gone through. As root, with qemu-system-x86, mmdebstrap and network; ten minutes, since it
 * emulates unless told to use KVM.
 * bun scripts/vm.ts [--suite bookworm|trixie] [--kvm] [--work DIRECTORY] [--keep] [--only NAMES]
 */
import { copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { busyboxBase } from "../test/support/bases.ts";
import { compile } from "./build.ts";
import { must } from "./targets.ts";
import { CHECKS, type Check, type Login } from "./vm-checks.ts";

const PACKAGES =
  "systemd-sysv,dbus-user-session,libpam-systemd,openssh-server,crun,runc,uidmap,passt,ca-certificates,linux-image-amd64,initramfs-tools,iproute2,procps,udev,apparmor,kmod,login";

/** `solo` has no range of ids. */
const USERS = ["ranged", "solo"];

const NETWORK = "[Match]\nName=en* eth*\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\nDNS=10.0.2.3\n";

interface Machine {
  directory: string;
  port: number;
}

/** Makes the disk once; `cooper` is renewed each time. */
async function makeMachine(directory: string, suite: string): Promise<Machine> {
  const root = join(directory, suite);
  const key = join(directory, "key");
  mkdirSync(directory, { recursive: true });
  if (!existsSync(key)) must(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key]);
  if (!existsSync(join(root, "ready"))) {
    rmSync(root, { recursive: true, force: true });
    must([
      "mmdebstrap",
      "--variant=apt",
      `--include=${PACKAGES}`,
      "--aptopt=APT::Install-Recommends false",
      suite,
      root,
    ]);
    for (const user of USERS) must(["chroot", root, "useradd", "--create-home", "--shell=/bin/bash", user]);
    must(["sed", "-i", "/^solo:/d", join(root, "etc/subuid"), join(root, "etc/subgid")]);
    for (const home of ["root", ...USERS.map((user) => `home/${user}`)]) {
      mkdirSync(join(root, home, ".ssh"), { recursive: true });
      copyFileSync(`${key}.pub`, join(root, home, ".ssh/authorized_keys"));
    }
    for (const user of USERS) must(["chroot", root, "chown", "-R", `${user}:${user}`, `/home/${user}`]);
    writeFileSync(join(root, "etc/systemd/network/80-all.network"), NETWORK);
    writeFileSync(join(root, "etc/fstab"), "/dev/vda / ext4 rw,relatime 0 1\n");
    rmSync(join(root, "etc/resolv.conf"), { force: true });
    writeFileSync(join(root, "etc/resolv.conf"), "nameserver 10.0.2.3\n");
    must(["chroot", root, "systemctl", "enable", "systemd-networkd"]);
    writeFileSync(join(root, "ready"), "");
  }
  await compile(join(root, "usr/bin/cooper"));
  copyFileSync(busyboxBase(), join(root, "srv/busybox.tar"));
  const disk = join(directory, "disk.img");
  rmSync(disk, { force: true });
  must(["truncate", "-s", "8G", disk]);
  must(["mke2fs", "-q", "-t", "ext4", "-d", root, "-E", "root_owner=0:0", disk]);
  for (const name of ["vmlinuz", "initrd.img"])
    must(["sh", "-c", `cp "$1"/boot/${name}-* "$2/${name}"`, "sh", root, directory]);
  return { directory, port: 20_000 + (process.pid % 10_000) };
}

function boot({ directory, port }: Machine, kvm: boolean): Bun.Subprocess {
  const network = `user,id=net,ipv4=on,ipv6=on,hostfwd=tcp:127.0.0.1:${port}-:22`;
  return Bun.spawn(
    [
      "qemu-system-x86_64",
      ...(kvm ? ["-accel", "kvm", "-cpu", "host"] : ["-accel", "tcg,thread=multi", "-cpu", "max"]),
      ...["-smp", "2", "-m", "3072", "-display", "none", "-monitor", "none", "-no-reboot"],
      ...["-kernel", join(directory, "vmlinuz"), "-initrd", join(directory, "initrd.img")],
      ...["-append", "root=/dev/vda rw console=ttyS0 quiet mitigations=off"],
      ...["-drive", `file=${join(directory, "disk.img")},format=raw,if=virtio,cache=unsafe`],
      ...["-netdev", network, "-device", "virtio-net-pci,netdev=net", "-device", "virtio-rng-pci"],
      ...["-serial", `file:${join(directory, "console")}`],
    ],
    { stdio: ["ignore", "inherit", "inherit"] },
  );
}

/** Runs a shell script in a login of its own; its output, both streams, and its status. */
function inMachine({ directory, port }: Machine, login: Login, script: string) {
  const options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=10"];
  const ssh = ["ssh", "-q", "-i", join(directory, "key"), "-p", String(port)];
  const { exitCode, stdout } = Bun.spawnSync(
    [...ssh, ...options.flatMap((option) => ["-o", option]), `${login}@127.0.0.1`, "bash -l 2>&1"],
    { stdin: Buffer.from(script), timeout: 300_000 },
  );
  return { exitCode, output: stdout.toString() };
}

async function untilUp(machine: Machine, qemu: Bun.Subprocess): Promise<void> {
  const deadline = Date.now() + 600_000;
  while (inMachine(machine, "root", "true").exitCode !== 0) {
    if (qemu.exitCode !== null || Date.now() > deadline) throw new Error("The machine does not come up");
    await Bun.sleep(2000);
  }
}

function passes(machine: Machine, { name, login, script, expected }: Check): boolean {
  const { exitCode, output } = inMachine(machine, login, script);
  const wrong = expected.filter((pattern) => !pattern.test(output));
  console.log(`${wrong.length === 0 ? "ok  " : "FAIL"} ${login}: ${name}`);
  if (wrong.length > 0) console.log(`     status ${exitCode}, no ${wrong.join(", no ")} in\n${output}`);
  return wrong.length === 0;
}

const { values } = parseArgs({
  options: {
    suite: { type: "string", default: "bookworm" },
    work: { type: "string", default: "/var/tmp/cooper-vm" },
    kvm: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
    only: { type: "string", default: "" },
  },
});
/** Those whose names it is part of, a regular expression. */
const only = new RegExp(values.only);
const machine = await makeMachine(values.work, values.suite);
const qemu = boot(machine, values.kvm);
try {
  await untilUp(machine, qemu);
  const results = CHECKS.filter(({ name }) => only.test(name)).map((check) => passes(machine, check));
  const failed = results.filter((result) => !result).length;
  console.log(`${results.length - failed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
} finally {
  qemu.kill("SIGKILL");
  await qemu.exited;
  if (!values.keep) rmSync(values.work, { recursive: true, force: true });
}
