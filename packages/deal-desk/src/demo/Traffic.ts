/**
 * Drives the API over HTTP, and keeps its own account of what was answered: that is what the books are checked against.
 *
 * A 2xx answer means that the change and its event are committed; a 409 after the emit, that both are rolled back.
 */
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpApiClient from "effect/http-api/HttpApiClient"
import { uuidV7Unsafe } from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import { Api } from "../Api.ts"
import { amountLimit } from "../Deals.ts"
import { flaky, poison } from "./faults.ts"

/** What the API has confirmed of one deal. */
export interface Account {
  /** Events committed. */
  events: number
  /** Mails that have to come of it: one for the creation, one to follow an offer up, one for winning. */
  mails: number
  /** Moves that were rolled back after their event was emitted. */
  rolledBack: number
}

/** By deal id. */
export type Accounts = Map<string, Account>

/**
 * Every how many deals one is above the limit, so that winning it is rolled back, and one has an action that the log refuses at first.
 */
const everyLarge = 8
const everyFlaky = 25

export const makeTraffic = Effect.fnUntraced(function*(baseUrl: string) {
  const client = yield* HttpApiClient.make(Api, { baseUrl }).pipe(Effect.provide(FetchHttpClient.layer))
  const accounts: Accounts = new Map()

  const open = Effect.fnUntraced(function*(title: string, amount: number) {
    const dealId = uuidV7Unsafe()
    yield* client.deals.create({ payload: { dealId, title, amount } })
    const account: Account = { events: 1, mails: 1, rolledBack: 0 }
    accounts.set(dealId, account)
    return { dealId, account }
  })

  /**
   * A deal's life: created, an action, offered with a reminder, another action, which is clicked twice, and won. Six events, or five where
   * winning is refused.
   */
  const deal = Effect.fnUntraced(function*(number: number) {
    const large = number % everyLarge === 0
    const { account, dealId } = yield* open(`deal ${number}`, large ? amountLimit + number : number)
    const params = { dealId }
    yield* client.deals.addAction({
      params,
      payload: { title: number % everyFlaky === 0 ? `${flaky} call` : "call them" }
    })
    account.events++
    yield* client.deals.moveStage({ params, payload: { stage: "offered" } })
    account.events += 2
    account.mails++
    const click = client.deals.addAction({ params, payload: { actionId: uuidV7Unsafe(), title: "send the offer" } })
    yield* Effect.all([click, click], { concurrency: 2 })
    account.events++
    const won = yield* client.deals.moveStage({ params, payload: { stage: "won" } }).pipe(
      Effect.as(true),
      Effect.catchTag("NeedsSignature", () => Effect.succeed(false))
    )
    if (won) {
      account.events++
      account.mails++
    } else {
      account.rolledBack++
    }
  })

  return {
    accounts,
    /** Deals with the given numbers, at most 16 at a time. */
    deals: (from: number, to: number) =>
      Effect.forEach(Array.from({ length: to - from }, (_, i) => from + i), deal, { concurrency: 16, discard: true }),
    /** One deal after another, until interrupted. */
    steadily: Effect.gen(function*() {
      let number = 1
      while (true) {
        yield* deal(number++)
        yield* Effect.sleep("500 millis")
      }
    }),
    /** A deal with an action whose event nobody can store, and another one behind it. */
    poison: Effect.gen(function*() {
      const { account, dealId } = yield* open("a deal with a bad action", 1)
      for (const title of [`${poison}ed action`, "call them instead"]) {
        yield* client.deals.addAction({ params: { dealId }, payload: { title } })
        account.events++
      }
    })
  }
})

export type Traffic = Effect.Success<ReturnType<typeof makeTraffic>>
