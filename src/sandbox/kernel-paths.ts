/** What commands see of /proc and /sys: Docker's lists, as --security-opt mask and unmask change them. */

/** Paths of /proc and /sys that Docker hides. */
const MASKED = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/sys/devices/virtual/powercap",
  "/sys/firmware",
];

/** Paths of /proc that Docker makes read-only. */
const READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

export interface KernelPaths {
  /** Not to be read. */
  masked: string[];
  /** Not to be written. */
  readonly: string[];
}

/** `unmask` has paths, patterns of a shell's (`/proc/*`), or ALL for everything that is not in `mask`. */
export function kernelPaths(mask: readonly string[] = [], unmask: readonly string[] = []): KernelPaths {
  const patterns = unmask.map((pattern) => new Bun.Glob(pattern));
  const isOpen = (path: string) => patterns.some((pattern) => pattern.match(path));
  if (unmask.some((pattern) => pattern.toLowerCase() === "all"))
    return { masked: [...new Set(mask)], readonly: [] };
  return {
    masked: [...new Set([...MASKED, ...mask])].filter((path) => !isOpen(path)),
    readonly: READONLY.filter((path) => !isOpen(path)),
  };
}
