/** From where on the doctor calls something a finding. A program may set its own; the defaults suit a server that does nothing else. */
import * as Context from "effect/Context"

export interface DoctorLimitsShape {
  /** Seconds that a transaction may be open. Default 300. */
  readonly transactionSeconds: number
  /** Seconds that an entry may be due, or a lease run out, before somebody is missed. Default 60. */
  readonly waitingSeconds: number
  /** Seconds between this machine's clock and the database's. Default 2. */
  readonly clockSeconds: number
  /** Dead rows of a table that vacuum has not taken away: at least so many, and so large a share of all rows. Default 50,000 and 0.3. */
  readonly deadRows: number
  readonly deadShare: number
  /** Bytes from which an index may be called bloated. Default 64 MiB. */
  readonly indexBytes: number
  /** Bytes of WAL that a replication slot may hold back. Default 1 GiB. */
  readonly slotBytes: number
  /**
   * For how many transactions a standby or a replication slot may keep vacuum from taking rows away; what they hold has no time. Default
   * 1,000,000: a quarter of an hour at 1,000 a second, which a report on a standby may take; at 10 a second a day, in which little dies.
   */
  readonly heldTransactions: number
  /** Rows that the outbox may keep without an age for delivered entries. Default 1,000,000. */
  readonly keptRows: number
}

export const DoctorLimits = Context.Reference<DoctorLimitsShape>("@zakops/admin/DoctorLimits", {
  defaultValue: () => ({
    transactionSeconds: 300,
    waitingSeconds: 60,
    clockSeconds: 2,
    deadRows: 50_000,
    deadShare: 0.3,
    indexBytes: 64 * 1024 * 1024,
    slotBytes: 1024 * 1024 * 1024,
    heldTransactions: 1_000_000,
    keptRows: 1_000_000
  })
})
