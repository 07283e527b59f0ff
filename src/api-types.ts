/** Options and results of the public API: plain data, by what they are about. */
export type * from "./api/types/build.ts";
export type * from "./api/types/container.ts";
export type * from "./api/types/image.ts";
export type * from "./api/types/manifest.ts";
export type * from "./api/types/registry.ts";
export type * from "./api/types/report.ts";
export type * from "./api/types/store.ts";
export type * from "./api/types/transfer.ts";
