import { expandOnce } from '../src/broadcasts/expand.ts'
import type { BounceReason } from '../src/connections/status-map.ts'
import type { Db } from '../src/db/db.ts'
import type { Chunk } from '../src/log/chunk.ts'
import { claimChunks } from '../src/log/claims.queries.ts'
import { markSent, markSubmitting, markUnknown } from '../src/log/marks.queries.ts'
import type { AppliedReceipt } from '../src/log/receipt.ts'
import { applyReceipts } from '../src/log/receipts.queries.ts'
import { acceptBroadcast } from '../src/messages/messages.ts'
import { insertWaitingReceipts, type WaitingReceipt } from '../src/receipts/waiting.queries.ts'
import { settleWaitingReceipts } from '../src/receipts/waiting.ts'
import { useDatabase } from './database.ts'
import { make } from './make.ts'
import { listQueued } from './queued.ts'
import { makeRuntime } from './runtime.ts'
import { checkCounters, readCounters } from './sending.ts'

export const content = 'The pantry opens at nine. Bring a bag.'

/** A submit date of now, as carriers write it: YYMMDDhhmm. */
export const submitDate = new Date().toISOString().replaceAll(/\D/g, '').slice(2, 12)

/**
 * Returns helpers for tests of receipts, inside a transaction that is rolled back after each test. A test first calls `prepare`,
 * and then records responses and applies receipts.
 */
export function useReceipts() {
  const database = useDatabase()
  let connectionId: number
  let listId: number
  let messageId: number
  let chunk: Chunk
  let rows: { logId: number; phone: number }[]

  const rt = () => makeRuntime({ db: database.db })
  const textOf = (n: number) => rows[n] as (typeof rows)[number]
  const delivered = (smscId: string, phone: number | null = null) => ({
    smscId,
    phone,
    shortCode: chunk.shortCode,
    state: 'delivered' as const,
    reason: null,
    carrierStatus: 'DELIVRD 000',
  })

  return {
    get db() {
      return database.db
    },
    get connectionId() {
      return connectionId
    },
    get listId() {
      return listId
    },
    get messageId() {
      return messageId
    },
    get chunk() {
      return chunk
    },
    rt,

    /** Marks a broadcast to this number of phones as `submitting`, without responses. */
    async prepare(text = content, phones = 3) {
      const { db } = database
      connectionId = (await make.connection(db, { name: 'default' })).id
      const list = await make.list(db)
      listId = list.id
      for (let n = 1; n <= phones; n++) await make.subscriber(db, { listId, phone: 2_065_560_000 + n })
      messageId = (await acceptBroadcast(rt(), { accountId: list.accountId, list, content: text })).id
      while (await expandOnce(rt()));
      const claim = { owner: crypto.randomUUID(), leaseMs: 60_000, now: new Date(), fromLane: 0, toLane: 2, limit: 1 }
      chunk = (await claimChunks(db, claim))[0] as Chunk
      const queued = await listQueued(db, chunk)
      await markSubmitting(db, chunk, queued, new Date())
      rows = queued.map(({ id, phone }) => ({ logId: id, phone }))
    },

    /** Returns the log row and the phone of the text with this index. */
    textOf,

    /** Records the response to a part of the text with this index; `complete` if no response to another part is missing. */
    accept: (n: number, smscId: string, part = 0, complete = true) =>
      markSent(database.db, chunk.loggedOn, connectionId, [{ ...textOf(n), part, smscId, complete }]),

    /** Marks the text with this index as unknown, because its response is missing. */
    loseResponse: (n: number) => markUnknown(database.db, chunk.loggedOn, [textOf(n).logId]),

    delivered,

    bounced: (smscId: string, reason: BounceReason, phone: number | null = null) => ({
      smscId,
      phone,
      shortCode: chunk.shortCode,
      state: 'bounced' as const,
      reason,
      carrierStatus: 'UNDELIV 001',
    }),

    /** Applies receipts and returns the indexes, from 1, of those whose ids are known. */
    apply: async (...receipts: AppliedReceipt[]) =>
      (await applyReceipts(database.db, chunk.loggedOn, connectionId, receipts, new Date())).known,

    /** Stores waiting receipts, which report the first text as delivered unless the fields differ. */
    store: (...receipts: Partial<WaitingReceipt>[]) =>
      insertWaitingReceipts(
        database.db,
        receipts.map(
          (fields) =>
            ({
              ...delivered('ff', textOf(0).phone),
              connectionId,
              reference: null,
              submitDate: null,
              excerpt: null,
              receivedAt: new Date(),
              ...fields,
            }) as WaitingReceipt,
        ),
      ),

    /** Makes all waiting receipts due and settles them. */
    async settle(db: Db = database.db) {
      await database.db.exec('make_due', `update receipts set retry_at = now() - interval '1 second'`)
      return settleWaitingReceipts(makeRuntime({ db }))
    },

    /** Returns the outcomes of the stored receipts, in order of arrival. */
    async outcomes() {
      const sql = 'select outcome from receipts order by id'
      return (await database.db.many<{ outcome: string }>('outcomes', sql)).map(({ outcome }) => outcome)
    },

    counters: () => readCounters(database.db, messageId),
    checkCounters: () => checkCounters(database.db, messageId),
  }
}
