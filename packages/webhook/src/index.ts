export * as AddressPolicy from "./AddressPolicy.ts"
export * as Signature from "./Signature.ts"
export * as WebhookPublisher from "./WebhookPublisher.ts"
export * as WebhookReceiver from "./WebhookReceiver.ts"
