export type { RedisOptions, Trim } from "./RedisOptions.ts"
export * as RedisPublisher from "./RedisPublisher.ts"
export * as RedisSource from "./RedisSource.ts"
