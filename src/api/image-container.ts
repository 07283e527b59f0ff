/** The files of an image, to be read from. */
import type { RegistryOptions, Store } from "../api-types.ts";
import { containerBase } from "../container/container-base.ts";
import { createBuildContainer, type WorkingContainer } from "../container/working-container.ts";
import { obtainImage } from "../image/obtain-image.ts";
import { readConfig } from "../store/images.ts";
import { registrySettings } from "./registry-options.ts";
import { filesOf } from "./store.ts";

/** A container on the image, which is brought if it must; it goes with the session. Throws `not-found`. */
export async function imageContainer(
  store: Store,
  text: string,
  options: RegistryOptions & { signal?: AbortSignal },
): Promise<WorkingContainer> {
  const files = filesOf(store);
  const image = await obtainImage(files, text, "missing", {
    platform: undefined,
    registry: registrySettings(options),
    onEvent: undefined,
    signal: options.signal,
  });
  return createBuildContainer(files, {
    driver: store.driver,
    base: containerBase(files, image),
    frozen: [],
    image: readConfig(files, image),
    annotations: {},
    run: {},
  });
}
