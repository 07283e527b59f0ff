import { defineGroup } from "../command.ts";

/** buildah-source(1) */
export const command = defineGroup({
  name: "source",
  summary: "Keep the sources of an image in an image of their own",
  details: [
    "A source image is a directory in the OCI layout, beside the store, whose layers are archives of sources; registries take it as they take images.",
  ],
  subcommands: {
    add: () => import("./source/add.ts"),
    create: () => import("./source/create.ts"),
    pull: () => import("./source/pull.ts"),
    push: () => import("./source/push.ts"),
  },
  examples: [
    "cooper source create hello-source",
    "cooper source add hello-source hello-1.0.tar.gz",
    "cooper source push hello-source registry.example.com/hello:1.0-source",
  ],
});
