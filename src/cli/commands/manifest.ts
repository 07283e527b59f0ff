import { defineGroup } from "../command.ts";

/** buildah-manifest(1) */
export const command = defineGroup({
  name: "manifest",
  summary: "Make lists of images, one for each platform",
  details: [
    "A list (Docker's manifest list, OCI's image index) has a name as images have. Whoever pulls it gets the image for its platform.",
  ],
  subcommands: {
    add: () => import("./manifest/add.ts"),
    annotate: () => import("./manifest/annotate.ts"),
    create: () => import("./manifest/create.ts"),
    exists: () => import("./manifest/exists.ts"),
    inspect: () => import("./manifest/inspect.ts"),
    push: () => import("./manifest/push.ts"),
    remove: () => import("./manifest/remove.ts"),
    rm: () => import("./manifest/rm.ts"),
  },
  examples: [
    "cooper manifest create localhost/hello",
    "cooper manifest add localhost/hello localhost/hello-arm64",
    "cooper manifest push localhost/hello oci:/srv/images/hello:1.0",
  ],
});
