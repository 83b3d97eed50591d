import { rejectAtCap } from '../accounts/caps.ts'
import type { Db } from '../db/db.ts'
import { announceWork, type DoneSlice } from '../jobs/turns.ts'
import type { Runtime } from '../runtime.ts'
import {
  type Change,
  changeTags,
  countChanges,
  deleteChange,
  insertChange,
  listNextTagged,
  moveChange,
  type NewChange,
} from './changes.queries.ts'
import { updateProfiles } from './subscribers.queries.ts'
import { maxTags } from './tags.schema.ts'

export const applyChangesJob = 'subscribers.apply-changes'

/** Maximum numbers per slice: 0.1 s of work if all of them change and have few tags. */
export const sliceNumbers = 5_000

/** Queues a change for its account; throws a 422 if the account has too many. */
export async function requestChange(rt: Pick<Runtime, 'db' | 'clock' | 'config'>, change: NewChange): Promise<void> {
  const { accountId } = change
  await rt.db.tx(async (tx) => {
    await rejectAtCap(tx, rt, { name: 'queued_changes', accountId }, () => countChanges(tx, accountId))
    await queueChange(tx, change, rt.clock.now())
  })
}

/** Appends a change to the list's queue, in the caller's transaction. */
export async function queueChange(tx: Db, change: NewChange, now: Date): Promise<void> {
  await insertChange(tx, change, now)
  await announceWork(tx, applyChangesJob)
}

/**
 * Applies the next slice of a change that the transaction has locked. The cursor commits with the slice, so a slice is
 * never repeated after a crash and cannot undo a later change.
 */
export async function applySlice(tx: Db, change: Change, limit: number, at: Date): Promise<DoneSlice> {
  const { id, listId, cursorPhone } = change
  if (change.listDeleted) {
    await deleteChange(tx, id)
    return { rows: 0, ended: true }
  }
  const { phones, rows, last } = await nextPhones(tx, change, limit)
  if (change.kind !== 'update_profile') await changeTags(tx, listId, phones, change, at, maxTags)
  else await updateProfiles(tx, listId, phones, change.profile, maxTags, at)
  if (last === null) await deleteChange(tx, id)
  else await moveChange(tx, id, Math.max(last, cursorPhone))
  return { rows, ended: last === null }
}

/** Returns the numbers that the slice changes, how many it has seen, and the last of them; null at the end. */
async function nextPhones(
  tx: Db,
  change: Change,
  limit: number,
): Promise<{ phones: number[]; rows: number; last: number | null }> {
  if (change.phones === null) {
    const tags = 'tags' in change ? change.tags : []
    const { seen, last, tagged } = await listNextTagged(tx, change.listId, change.cursorPhone, limit, tags)
    return { phones: tagged, rows: seen, last: seen < limit ? null : last }
  }
  const remaining = change.phones.filter((phone) => phone > change.cursorPhone).sort((a, b) => a - b)
  const phones = remaining.slice(0, limit)
  return { phones, rows: phones.length, last: remaining.length > limit ? (phones.at(-1) ?? null) : null }
}
