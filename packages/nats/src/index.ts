export type { NatsOptions } from "./NatsOptions.ts"
export * as NatsPublisher from "./NatsPublisher.ts"
export * as NatsSource from "./NatsSource.ts"
export type { NatsSourceOptions } from "./NatsSource.ts"
