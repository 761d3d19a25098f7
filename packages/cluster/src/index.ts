export * as MaintenanceSingleton from "./MaintenanceSingleton.ts"
export * as ReaderSingleton from "./ReaderSingleton.ts"
