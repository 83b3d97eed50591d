import type { Db } from '../db/db.ts'
import { retryLostRaces } from '../db/retry.ts'
import { enqueue } from '../jobs/jobs.ts'
import type { Runtime } from '../runtime.ts'
import {
  type Change,
  changeTags,
  deleteChange,
  hasChanges,
  insertChange,
  listNextTagged,
  lockOldestChange,
  moveChange,
  type NewChange,
} from './changes.queries.ts'
import { updateProfile } from './subscribers.queries.ts'

export const applyChangesJob = 'subscribers.apply-changes'

/** Numbers per slice: 0.1 s of work if all of them change. */
export const sliceNumbers = 5_000

/** Appends a change to the list's queue, in the caller's transaction. */
export async function queueChange(tx: Db, change: NewChange, now: Date): Promise<void> {
  await insertChange(tx, change, now)
  await enqueue(tx, applyChangesJob, { listId: change.listId })
}

/**
 * Applies the next slice of the list's oldest change in a transaction of its own, and returns whether slices remain.
 * The cursor commits with the slice, so a slice is never repeated after a crash and cannot undo a later change.
 */
export async function applyNextSlice(
  rt: Pick<Runtime, 'db'>,
  listId: number,
  limit: number = sliceNumbers,
): Promise<boolean> {
  const applied = await retryLostRaces(() =>
    rt.db.tx(async (tx) => {
      const change = await lockOldestChange(tx, listId)
      if (change) await applySlice(tx, change, limit)
      return change !== undefined
    }),
  )
  return applied || hasChanges(rt.db, listId)
}

async function applySlice(tx: Db, change: Change, limit: number): Promise<void> {
  const { id, listId, cursorPhone } = change
  if (change.listDeleted) {
    await deleteChange(tx, id)
    return
  }
  const { phones, last } = await nextPhones(tx, change, limit)
  if (change.kind !== 'update_profile') await changeTags(tx, listId, phones, change)
  else for (const phone of phones) await updateProfile(tx, listId, phone, change.profile)
  if (last === null) await deleteChange(tx, id)
  else await moveChange(tx, id, Math.max(last, cursorPhone))
}

/** Returns the numbers that the slice changes, and the last number it has seen; null at the end. */
async function nextPhones(tx: Db, change: Change, limit: number): Promise<{ phones: number[]; last: number | null }> {
  if (change.phones === null) {
    const tags = 'tags' in change ? change.tags : []
    const { seen, last, tagged } = await listNextTagged(tx, change.listId, change.cursorPhone, limit, tags)
    return { phones: tagged, last: seen < limit ? null : last }
  }
  const remaining = change.phones.filter((phone) => phone > change.cursorPhone).sort((a, b) => a - b)
  const phones = remaining.slice(0, limit)
  return { phones, last: remaining.length > limit ? (phones.at(-1) ?? null) : null }
}

/** Deletes the list's oldest change, so that it no longer blocks the others; returns its id, if there was one. */
export async function dropOldestChange(rt: Pick<Runtime, 'db'>, listId: number): Promise<number | undefined> {
  return rt.db.tx(async (tx) => {
    const change = await lockOldestChange(tx, listId)
    if (!change) return undefined
    await deleteChange(tx, change.id)
    await enqueue(tx, applyChangesJob, { listId })
    return change.id
  })
}
