import { copyCommand } from "../copy-command.ts";

export const command = copyCommand(
  "add",
  "Add files, directories, archives and URLs to a working container",
  [
    "Like copy, but a local tar archive is unpacked, and a source may be a URL. With one path and no destination, it goes to the container's working directory.",
  ],
  ["cooper add work rootfs.tar.gz /", "cooper add --chown 0:0 work ./site /var/www"],
);
