// Mounts an overlay in a user namespace and leaves it to a keeper; or, with COOPER_TEST_JOIN, joins one and looks.
import { readdirSync, writeFileSync } from "node:fs";
import { mount } from "../../src/base/mounts.ts";
import { startKeeper } from "../../src/sandbox/keeper.ts";
import { enterUserNamespace, finishEntering, namespaceState } from "../../src/sandbox/user-namespace.ts";

const join = process.env.COOPER_TEST_JOIN;
const directory = process.argv[2]!;
finishEntering();
if (namespaceState().kind === "unprivileged") {
  const self = { execPath: process.execPath, argv: process.argv, env: process.env };
  enterUserNamespace(self, join === undefined ? {} : { keeperPid: Number(join) });
}
const merged = `${directory}/merged`;
if (join === undefined) {
  const at = (name: string) => `${directory}/${name}`;
  mount(
    "overlay",
    merged,
    "overlay",
    0,
    `lowerdir=${at("lower")},upperdir=${at("upper")},workdir=${at("work")},userxattr`,
  );
  const file = `${directory}/keeper`;
  writeFileSync(file, "");
  console.log(JSON.stringify(startKeeper(file)));
} else {
  const marks = Object.keys(process.env).filter((key) => key.startsWith("COOPER_ENTERING"));
  console.log(
    JSON.stringify({ state: namespaceState(), cwd: process.cwd(), names: readdirSync(merged), marks }),
  );
}
