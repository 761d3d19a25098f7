export * as EventLog from "./EventLog.ts"
export * as Subscription from "./Subscription.ts"
