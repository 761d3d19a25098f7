export * as Consumer from "./Consumer.ts"
export { InboxGuard, InvalidDelivery } from "./InboxGuard.ts"
export type { Delivery, OpenGuard } from "./InboxGuard.ts"
export { RetryAfter } from "./RetryAfter.ts"
