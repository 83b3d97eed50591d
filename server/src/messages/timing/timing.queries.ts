import type { Db } from '../../db/db.ts'
import type { Hours } from '../../quiet-hours/windows.ts'

/** The rules for when the texts of a message may be sent, besides its planned time. */
export type Timing = {
  /** Whether each recipient is texted at the planned time by the clock at their location. */
  localTime: boolean
  /** The deadline: no text is sent from then on. */
  deliverBy: Date | null
  /** Whether quiet hours apply even if the list and the account have none. */
  quietHours: boolean
  /** The hours of the day, at the phone's location, in which its texts may be sent; null means all. */
  sendHours: Hours | null
}

/** Sets a message's timing. */
export async function writeTiming(
  tx: Db,
  messageId: number,
  timing: Timing & { localAt: string | null; startsAt: Date | null },
) {
  const { sendHours } = timing
  await tx.exec(
    'write_timing',
    /* sql */ `
    update messages
       set local_time = $2, local_at = $3, starts_at = $4, deliver_by = $5, quiet_hours = $6,
           send_from = time '00:00' + $7::int * interval '1 minute',
           send_to = case $8::int when 1440 then '24:00' else time '00:00' + $8::int * interval '1 minute' end
     where id = $1`,
    [
      messageId,
      timing.localTime,
      timing.localAt,
      timing.startsAt,
      timing.deliverBy,
      timing.quietHours,
      sendHours?.from ?? null,
      sendHours?.to ?? null,
    ],
  )
}

/** Returns the time zone of an account. */
export async function findAccountTimeZone(db: Db, accountId: number): Promise<string> {
  const { timeZone } = await db.one<{ timeZone: string }>(
    'find_account_time_zone',
    /* sql */ `select time_zone as "timeZone" from accounts where id = $1`,
    [accountId],
  )
  return timeZone
}
