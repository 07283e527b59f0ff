import { CooperError } from "../../base/errors.ts";
import type { ImageDetails, Store } from "../../index.ts";
import { type CommandContext, defineCommand } from "../command.ts";
import { renderTemplate } from "../go-template.ts";
import { type GoStruct, goJson } from "../go-value.ts";
import { containerDocument, imageDocument } from "../inspect-document.ts";
import { checkDocumentFlags, DOCUMENT_FLAG } from "../json-flag.ts";
import { writeOut } from "../output.ts";
import { lineOnTerminal } from "../plain-text.ts";

/** buildah-inspect(1) */
export const command = defineCommand({
  name: "inspect",
  summary: "Show the config of a working container or an image",
  usage: "CONTAINER|IMAGE",
  args: { min: 1, max: 1, missing: "A container or an image must be named" },
  flags: {
    format: {
      type: "string",
      short: "f",
      placeholder: "template",
      help: "print with a Go template in place of JSON",
    },
    ...DOCUMENT_FLAG,
    type: {
      type: "string",
      short: "t",
      placeholder: "image|container",
      help: "what the name is of; without it, a container is looked for first",
    },
  },
  examples: [
    "cooper inspect work",
    "cooper inspect --type image localhost/hello",
    "cooper inspect --format '{{.OCIv1.Config.Env}}' work",
  ],
  async run({ args, flags, given, api, store }) {
    checkDocumentFlags(flags.format, given);
    const { type } = flags;
    if (type !== undefined && type !== "container" && type !== "image") {
      throw new CooperError("usage", `Unknown type ${JSON.stringify(type)}`, {
        hint: "use container or image",
      });
    }
    const document = await findDocument(args[0]!, type, { api }, await store());
    if (flags.format === undefined) writeOut(`${goJson(document, 4)}\n`);
    else writeOut(lineOnTerminal(renderTemplate(flags.format, document)));
    return 0;
  },
});

async function findDocument(
  name: string,
  type: "container" | "image" | undefined,
  { api }: Pick<CommandContext, "api">,
  store: Store,
): Promise<GoStruct> {
  const { inspectImage, openContainer } = await api();
  if (type === "image") return imageDocument(await inspectImage(store, name));
  try {
    const details = await (await openContainer(store, name)).inspect();
    const base =
      details.imageId === undefined ? undefined : await unlessMissing(inspectImage(store, details.imageId));
    return containerDocument(details, base);
  } catch (error) {
    if (type === "container" || !isMissing(error)) throw error;
  }
  const image = await unlessMissing(inspectImage(store, name));
  if (image === undefined)
    throw new CooperError("not-found", `There is no container or image ${JSON.stringify(name)}`, {
      hint: "cooper containers and cooper images list what is there",
    });
  return imageDocument(image);
}

async function unlessMissing(image: Promise<ImageDetails>): Promise<ImageDetails | undefined> {
  try {
    return await image;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof CooperError && error.code === "not-found";
}
