export type { KafkaOptions } from "./KafkaOptions.ts"
export * as KafkaPublisher from "./KafkaPublisher.ts"
export * as KafkaSource from "./KafkaSource.ts"
