/** What containers do to their trees: operations on top of a lower tree, in steps with a freeze after each. */
import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  ftruncateSync,
  linkSync,
  lchownSync,
  mkdirSync,
  openSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { makedev, mknod, setTimes } from "../../src/base/file-calls.ts";
import { removeXattr, setXattr } from "../../src/base/xattrs.ts";
import { fsPath } from "../../src/base/path-bytes.ts";

type Write = (root: string) => void;

export interface SnapshotCase {
  name: string;
  /** Makes the tree that everything stands on. */
  lower?: Write;
  /** Each followed by a freeze. */
  steps: Write[];
  /** Needs privileges of the initial user namespace. */
  rootOnly?: boolean;
  /** Why the two drivers' layers may have other entries here; what they show is the same. */
  packsDifferently?: string;
  /** Why overlayfs shows something else here than a plain directory would. */
  overlayShowsOther?: string;
}

const write = (path: string, text: string, mode = 0o644) => {
  writeFileSync(fsPath(path), text);
  chmodSync(fsPath(path), mode);
};
const mkdir = (path: string, mode = 0o755) => {
  mkdirSync(fsPath(path));
  chmodSync(fsPath(path), mode);
};
const remove = (...paths: string[]) => {
  for (const path of paths) rmSync(path, { recursive: true });
};
const mv = (from: string, to: string) => {
  const { status, stderr } = spawnSync("mv", ["-T", from, to], { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
};

/** d/{a,b,sub/{c,deep/e}}, f, link → f, empty/ */
const usual: Write = (root) => {
  for (const name of ["d", "d/sub", "d/sub/deep", "empty"]) mkdir(`${root}/${name}`);
  for (const name of ["f", "d/a", "d/b", "d/sub/c", "d/sub/deep/e"])
    write(`${root}/${name}`, `lower ${name}\n`);
  symlinkSync("f", `${root}/link`);
};

const S_IFIFO = 0o010000;
const S_IFCHR = 0o020000;
const S_IFBLK = 0o060000;

export const cases: SnapshotCase[] = [
  {
    name: "new files and directories",
    lower: usual,
    steps: [
      (r) => {
        mkdir(`${r}/new`);
        mkdir(`${r}/new/inner`, 0o700);
        write(`${r}/new/inner/file`, "x");
        write(`${r}/d/sub/deep/beside`, "y", 0o600);
        symlinkSync("../nowhere", `${r}/new/dangling`);
      },
    ],
  },
  {
    name: "on nothing at all",
    steps: [
      (r) => {
        mkdir(`${r}/bin`);
        write(`${r}/bin/sh`, "x", 0o755);
      },
      (r) => write(`${r}/bin/ls`, "y", 0o755),
    ],
  },
  {
    name: "changed content, deep down",
    lower: usual,
    steps: [(r) => appendFileSync(`${r}/d/sub/deep/e`, "more")],
  },
  { name: "a deleted file", lower: usual, steps: [(r) => unlinkSync(`${r}/d/sub/c`)] },
  { name: "a deleted directory", lower: usual, steps: [(r) => remove(`${r}/d`)] },
  {
    name: "everything deleted",
    lower: usual,
    steps: [(r) => remove(`${r}/d`, `${r}/f`, `${r}/link`, `${r}/empty`)],
  },
  {
    name: "a file deleted and made again",
    lower: usual,
    steps: [
      (r) => {
        unlinkSync(`${r}/d/a`);
        write(`${r}/d/a`, "again", 0o600);
      },
    ],
  },
  {
    name: "a file deleted, frozen, and made again",
    lower: usual,
    steps: [(r) => unlinkSync(`${r}/d/a`), (r) => write(`${r}/d/a`, "again"), (r) => unlinkSync(`${r}/d/a`)],
  },
  {
    name: "a directory deleted and made again",
    lower: usual,
    // ext4 gives the new directory the inode of the old one at once.
    steps: [
      (r) => {
        remove(`${r}/d`);
        mkdir(`${r}/d`, 0o711);
        write(`${r}/d/b`, "another b");
        mkdir(`${r}/d/sub`);
      },
    ],
  },
  {
    name: "a directory deleted, frozen, and made again",
    lower: usual,
    steps: [
      (r) => remove(`${r}/d`),
      (r) => {
        mkdir(`${r}/d`);
        write(`${r}/d/b`, "another b");
      },
      (r) => write(`${r}/d/c`, "c"),
    ],
  },
  {
    name: "a file that becomes a directory",
    lower: usual,
    steps: [
      (r) => {
        unlinkSync(`${r}/f`);
        mkdir(`${r}/f`);
        write(`${r}/f/inside`, "x");
      },
    ],
  },
  {
    name: "a directory that becomes a file",
    lower: usual,
    steps: [
      (r) => {
        remove(`${r}/d`);
        write(`${r}/d`, "no directory");
      },
    ],
  },
  {
    name: "a directory that becomes a symbolic link",
    lower: usual,
    steps: [
      (r) => {
        remove(`${r}/d/sub`);
        symlinkSync("../empty", `${r}/d/sub`);
      },
    ],
  },
  {
    name: "a symbolic link that becomes a directory, and one that points elsewhere",
    lower: (r) => {
      usual(r);
      symlinkSync("a", `${r}/d/to`);
    },
    steps: [
      (r) => {
        unlinkSync(`${r}/link`);
        mkdir(`${r}/link`);
        unlinkSync(`${r}/d/to`);
        symlinkSync("b".repeat(3000), `${r}/d/to`);
      },
    ],
  },
  { name: "a renamed file", lower: usual, steps: [(r) => renameSync(`${r}/d/a`, `${r}/empty/moved`)] },
  { name: "a file renamed over another", lower: usual, steps: [(r) => renameSync(`${r}/d/a`, `${r}/d/b`)] },
  { name: "a renamed directory", lower: usual, steps: [(r) => mv(`${r}/d`, `${r}/moved`)] },
  {
    name: "a directory renamed onto an empty one, and back",
    lower: usual,
    steps: [(r) => mv(`${r}/d/sub`, `${r}/empty`), (r) => mv(`${r}/empty`, `${r}/d/sub`)],
  },
  {
    name: "two directories that change places",
    lower: usual,
    steps: [
      (r) => {
        mv(`${r}/d`, `${r}/aside`);
        mv(`${r}/empty`, `${r}/d`);
        mv(`${r}/aside`, `${r}/empty`);
      },
    ],
  },
  {
    name: "new hard links",
    lower: usual,
    steps: [
      (r) => {
        write(`${r}/one`, "linked");
        linkSync(`${r}/one`, `${r}/d/two`);
        linkSync(`${r}/one`, `${r}/d/sub/three`);
      },
      (r) => linkSync(`${r}/one`, `${r}/four`),
    ],
    // The second step copies up one of three names: overlayfs (index=off) leaves the others behind.
    overlayShowsOther: "a link to a file of a snapshot parts it from its other names",
    packsDifferently: "the copy driver sees all names of a file change with it",
  },
  {
    name: "hard links of one step",
    lower: usual,
    steps: [
      (r) => {
        write(`${r}/one`, "linked");
        linkSync(`${r}/one`, `${r}/d/two`);
        mknod(`${r}/fifo`, S_IFIFO | 0o644, 0);
        linkSync(`${r}/fifo`, `${r}/d/fifo`);
      },
    ],
  },
  {
    name: "a hard link to a file below",
    lower: usual,
    steps: [(r) => linkSync(`${r}/f`, `${r}/d/f`)],
    overlayShowsOther: "in a user namespace the old name keeps its inode number until the next mount",
  },
  {
    name: "one name of two written, one of two deleted",
    lower: (r) => {
      usual(r);
      linkSync(`${r}/f`, `${r}/d/f`);
      linkSync(`${r}/d/a`, `${r}/d/z`);
    },
    steps: [(r) => appendFileSync(`${r}/f`, "more"), (r) => unlinkSync(`${r}/d/a`)],
    overlayShowsOther: "writing to a file of a snapshot parts it from its other names",
    packsDifferently: "the copy driver sees all names of a file change with it",
  },
  {
    name: "extended attributes set, changed and removed",
    lower: (r) => {
      usual(r);
      for (const path of [`${r}/f`, `${r}/d`]) {
        setXattr(path, "user.kept", Buffer.from("kept"));
        setXattr(path, "user.gone", Buffer.from("gone"));
        setXattr(path, "user.changed", Buffer.from("before"));
      }
    },
    steps: [
      (r) => {
        for (const path of [`${r}/f`, `${r}/d`]) {
          removeXattr(path, "user.gone");
          setXattr(path, "user.changed", Buffer.from([0, 255, 10]));
        }
        setXattr(`${r}/d/a`, "user.empty", Buffer.alloc(0));
      },
    ],
  },
  {
    name: "file capabilities",
    lower: usual,
    steps: [
      (r) =>
        setXattr(
          `${r}/f`,
          "security.capability",
          Buffer.from("0100000200200000000000000000000000000000", "hex"),
        ),
    ],
    rootOnly: true,
  },
  {
    name: "setuid, setgid and sticky bits, and other owners",
    lower: usual,
    steps: [
      (r) => {
        chownSync(`${r}/f`, 33, 44);
        chmodSync(`${r}/f`, 0o6755);
        chmodSync(`${r}/empty`, 0o1777);
        write(`${r}/new`, "x");
        chownSync(`${r}/new`, 1000, 0);
        chmodSync(`${r}/new`, 0o4711);
        lchownSync(`${r}/link`, 7, 8);
      },
    ],
  },
  { name: "chmod of a directory only", lower: usual, steps: [(r) => chmodSync(`${r}/d/sub`, 0o700)] },
  { name: "chown of a directory only", lower: usual, steps: [(r) => chownSync(`${r}/d`, 5, 6)] },
  {
    name: "the root directory's own mode, owner and attributes",
    lower: usual,
    steps: [
      (r) => {
        chmodSync(r, 0o751);
        chownSync(r, 1, 2);
        setXattr(r, "user.root", Buffer.from("x"));
        write(`${r}/new`, "x");
      },
      (r) => write(`${r}/newer`, "y"),
    ],
  },
  {
    name: "device nodes",
    lower: usual,
    rootOnly: true,
    steps: [
      (r) => {
        mknod(`${r}/null`, S_IFCHR | 0o666, makedev(1, 3));
        mknod(`${r}/d/disk`, S_IFBLK | 0o660, makedev(259, 70000));
      },
      (r) => unlinkSync(`${r}/null`),
    ],
  },
  {
    name: "fifos",
    lower: (r) => {
      usual(r);
      mknod(`${r}/d/old`, S_IFIFO | 0o600, 0);
    },
    steps: [
      (r) => {
        mknod(`${r}/new`, S_IFIFO | 0o640, 0);
        chmodSync(`${r}/d/old`, 0o666);
      },
    ],
  },
  {
    name: "times to the nanosecond, and before 1970",
    lower: usual,
    steps: [
      (r) => {
        setTimes(`${r}/f`, 1_234_567_890_123_456_789n);
        setTimes(`${r}/link`, 1_000_000_001n);
        setTimes(`${r}/d/a`, -1_500_000_000n);
        setTimes(`${r}/d/sub`, 1_700_000_000_000_000_001n);
      },
    ],
  },
  {
    name: "names that are not UTF-8, or look like options",
    lower: (r) => {
      mkdir(`${r}/\udcff\udc80`);
      write(`${r}/\udcff\udc80/old\udcfe`, "x");
      write(`${r}/\udcff\udc80/gone\udcfe`, "x");
    },
    steps: [
      (r) => {
        write(`${r}/\udcff\udc80/new\udcfd`, "y");
        unlinkSync(fsPath(`${r}/\udcff\udc80/gone\udcfe`));
        for (const name of ["a,b:c\\d", "new\nline", "__proto__", "ü".repeat(127), " "]) {
          mkdir(`${r}/${name}`);
          write(`${r}/${name}/x`, name);
        }
      },
      (r) => rmSync(fsPath(`${r}/\udcff\udc80`), { recursive: true }),
    ],
  },
  {
    name: "a sparse file",
    lower: usual,
    steps: [
      (r) => {
        const fd = openSync(`${r}/sparse`, "w", 0o644);
        ftruncateSync(fd, 3 << 20);
        writeSync(fd, "middle", 1 << 20);
        closeSync(fd);
      },
    ],
  },
  {
    name: "a directory emptied, frozen, and removed",
    lower: usual,
    steps: [(r) => remove(`${r}/d/a`, `${r}/d/b`, `${r}/d/sub`), (r) => rmdirSync(`${r}/d`)],
  },
  {
    name: "something made and removed again",
    lower: usual,
    steps: [
      (r) => {
        write(`${r}/d/passing`, "x");
        unlinkSync(`${r}/d/passing`);
      },
    ],
  },
];
