import { defineCommand } from "../command.ts";
import { writeOut } from "../output.ts";
import { hostPlatform, IMAGE_SPEC, RUNTIME_SPEC, VERSION } from "../version.ts";

/** buildah-version(1) */
export const command = defineCommand({
  name: "version",
  summary: "Show the version of Cooper and of what it implements",
  usage: "",
  flags: {
    json: { type: "bool", help: "print JSON" },
    short: { type: "bool", help: "one line, as --version prints", hidden: true },
  },
  examples: ["cooper version", "cooper version --json"],
  run({ flags }) {
    if (flags.short) {
      writeOut(`cooper version ${VERSION} (image-spec ${IMAGE_SPEC}, runtime-spec ${RUNTIME_SPEC})\n`);
      return 0;
    }
    // JSON has all of Buildah's fields; those about Go and its libraries are empty.
    const fields: [title: string, key: string, value: string][] = [
      ["Version", "version", VERSION],
      ["Bun Version", "bunVersion", Bun.version],
      ["Go Version", "goVersion", ""],
      ["Image Spec", "imageSpec", IMAGE_SPEC],
      ["Runtime Spec", "runtimeSpec", RUNTIME_SPEC],
      ["CNI Spec", "cniSpec", ""],
      ["libcni Version", "libcniVersion", ""],
      ["image Version", "imageVersion", ""],
      ["Git Commit", "gitCommit", ""],
      ["Built", "built", ""],
      ["OS/Arch", "osArch", hostPlatform()],
      ["BuildPlatform", "buildPlatform", hostPlatform()],
    ];
    if (flags.json) {
      writeOut(
        `${JSON.stringify(Object.fromEntries(fields.map(([, key, value]) => [key, value])), undefined, 4)}\n`,
      );
    } else {
      const told = fields.filter(([, , value]) => value !== "");
      writeOut(told.map(([title, , value]) => `${`${title}:`.padEnd(17)}${value}\n`).join(""));
    }
    return 0;
  },
});
