import type { Db } from '../db/db.ts'
import { type FoundAlarm, listAlarms, maxCounted } from './alarms.queries.ts'

/** The alarms of a connection, and what an operator should do about each. */
export const alarmNames = [
  'bind_failing',
  'account_rejected',
  'receipts_missing',
  'receipts_unmatched',
  'mos_unmatched',
  'opt_outs_unapplied',
  'one_receipt_per_text',
] as const
export type AlarmName = (typeof alarmNames)[number]

/** A condition of a connection that a person must act on; it ends when the condition does. */
export type Alarm = { connectionId: number; connection: string; name: AlarmName; since: Date; detail: string }

/** Returns the alarms of these connections, or of all if `ids` is null, by connection and age; disabled ones have none. */
export async function findAlarms(db: Db, ids: number[] | null, now: Date): Promise<Alarm[]> {
  const found = await listAlarms(db, ids, now)
  return found.map((alarm) => {
    const name = alarm.name as AlarmName
    return {
      connectionId: alarm.connectionId,
      connection: alarm.connection,
      name,
      since: alarm.since,
      detail: describe[name](alarm),
    }
  })
}

const exact = (count: number) => (count >= maxCounted ? `${maxCounted} or more` : String(count))

const describe: Record<AlarmName, (found: FoundAlarm) => string> = {
  bind_failing: ({ count, detail }) => `Binds without success: ${count}${detail && `. Latest error: ${detail}`}`,
  account_rejected: ({ detail }) => detail,
  receipts_missing: ({ count, second }) =>
    `Texts without a final receipt an hour after their message was sent: ${count} of ${second}`,
  receipts_unmatched: ({ count, second }) =>
    `Receipts in the last day: ${exact(count)}, of which ${second} without a known state; the others match no text`,
  mos_unmatched: ({ count, second }) =>
    `MOs in the last day: ${exact(count)}, of which ${second} from an address that is no phone number; the others to an unknown destination`,
  opt_outs_unapplied: ({ count }) =>
    `Opt-outs without effect: ${exact(count)}, because they concern no short code or no known phone number`,
  one_receipt_per_text: ({ detail }) => detail,
}
