import { defineGroup } from "../command.ts";

export const command = defineGroup({
  name: "image",
  summary: "Copy, list, look at and delete images, wherever they are",
  details: [
    "An IMAGE is a name in the store, docker://NAME, oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME], dir:DIR, docker-daemon:NAME (a Docker engine) or containers-storage:NAME (Podman).",
  ],
  subcommands: {
    copy: () => import("./image/copy.ts"),
    delete: () => import("./image/delete.ts"),
    inspect: () => import("./image/inspect.ts"),
    "list-tags": () => import("./image/list-tags.ts"),
    sync: () => import("./image/sync.ts"),
  },
  examples: [
    "cooper image copy --all docker://registry.example.com/hello oci:/srv/images/hello:1.0",
    "cooper image inspect docker://registry.example.com/hello",
  ],
});
