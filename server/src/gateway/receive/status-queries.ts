import { carrierLines } from '../../connections/carrier-lines.ts'
import type { Connection } from '../../connections/connection.ts'
import { statusMapOf } from '../../connections/status-map.ts'
import { listLogDays } from '../../log/receipts.queries.ts'
import type { ReceiptBatcher } from '../../receipts/receipts.ts'
import {
  claimQueryRound,
  listPartsWithoutReceipt,
  type PartWithoutReceipt,
  type QueryRound,
  releaseQueryRound,
} from '../../receipts/status-queries.queries.ts'
import type { Runtime } from '../../runtime.ts'
import { querySm, type ResponsePdu } from '../../smpp/pdu/pdu.ts'
import { statOfState } from '../../smpp/pdu/receipt-text.ts'
import type { BindGroup } from '../binds/bind-group.ts'
import { sourceAddress } from '../submit/source-address.ts'
import { timing } from '../timing.ts'

const { queryRoundLeaseMs } = timing

/** Maximum number of texts per connection that are queried before the next call of `start`; few enough not to delay texts. */
const maxTextsPerStart = 20
/** A text is skipped until the next round after this many queries without a response. */
const maxUnansweredQueries = 2

/**
 * Sends query_sm for texts without a receipt, if the connection allows it. A response with the final state of a text is applied
 * like a receipt.
 */
export class StatusQueries {
  readonly #rt: Pick<Runtime, 'db' | 'clock' | 'log'>
  readonly #groups: { all: Iterable<BindGroup> }
  readonly #receipts: ReceiptBatcher
  // by connection: the row whose latest query got no response, and the number of its queries without a response
  readonly #unanswered = new Map<number, { logId: number; queries: number }>()
  // by connection, so that a slow one does not delay others
  readonly #running = new Map<number, { done: Promise<void>; cancel: () => void }>()
  #isStopping = false

  constructor(
    rt: Pick<Runtime, 'db' | 'clock' | 'log'>,
    groups: { all: Iterable<BindGroup> },
    receipts: ReceiptBatcher,
  ) {
    this.#rt = rt
    this.#groups = groups
    this.#receipts = receipts
  }

  /** Starts to query the next texts of each connection whose previous queries are finished. */
  async start(): Promise<void> {
    const groups = [...this.#groups.all].filter(({ connection, canTransmit }) => connection.querySm && canTransmit)
    if (groups.length === 0) return
    const days = await listLogDays(this.#rt.db)
    if (this.#isStopping) return
    for (const group of groups) {
      const { id, name } = group.connection
      if (this.#running.has(id)) continue
      // a new promise for each start, because Promise.race adds handlers that live as long as the promise
      const { promise: cancelled, resolve } = Promise.withResolvers<undefined>()
      const done = this.#queryGroup(group, days, cancelled)
        .catch((error) => this.#rt.log.warn({ err: error, connection: name }, 'failed to query texts, retrying'))
        .finally(() => this.#running.delete(id))
      this.#running.set(id, { done, cancel: () => resolve(undefined) })
    }
  }

  /** Stops waiting for responses; resolves when the rounds that were running are released. */
  async stop(): Promise<void> {
    this.#isStopping = true
    const running = [...this.#running.values()]
    for (const { cancel } of running) cancel()
    await Promise.all(running.map(({ done }) => done))
  }

  async #queryGroup(group: BindGroup, days: string[], cancelled: Promise<undefined>): Promise<void> {
    const { db, clock } = this.#rt
    const now = clock.now()
    const { id, queryAfterS } = group.connection
    const round = await claimQueryRound(db, id, days, now, queryRoundLeaseMs)
    if (!round) return
    const afterMs = queryAfterS * 1_000
    const before = new Date(now.getTime() - afterMs)
    const { parts, last } = await listPartsWithoutReceipt(db, round, before, maxTextsPerStart)
    const queried = await this.#queryAll(group, parts, cancelled)
    if (queried < parts.length) return releaseQueryRound(db, round, cursorBefore(round, parts[queried]), null)
    // skipped texts are queried again in the next round
    this.#unanswered.delete(id)
    if (last !== null) await releaseQueryRound(db, round, last, null)
    else await releaseQueryRound(db, round, 0, new Date(now.getTime() + afterMs))
  }

  /** Queries the parts one after the other and returns how many; stops if no window slot is free or no response arrives. */
  async #queryAll(group: BindGroup, parts: PartWithoutReceipt[], cancelled: Promise<undefined>): Promise<number> {
    for (const [n, part] of parts.entries()) {
      if (this.#isStopping) return n
      const unanswered = this.#unanswered.get(group.connection.id)
      // skips all parts of the text, because a round can continue only after a row
      if (unanswered?.logId === part.logId && unanswered.queries >= maxUnansweredQueries) continue
      const response = await Promise.race([this.#query(group, part), cancelled])
      if (!response) return n
      this.#apply(group.connection, part, response)
    }
    return parts.length
  }

  async #query(group: BindGroup, { logId, spelling, shortCode }: PartWithoutReceipt): Promise<ResponsePdu | undefined> {
    const { connection } = group
    try {
      return await group.query(querySm({ message_id: spelling, ...sourceAddress(shortCode, connection) }))
    } catch (error) {
      const unanswered = this.#unanswered.get(connection.id)
      this.#unanswered.set(connection.id, { logId, queries: unanswered?.logId === logId ? unanswered.queries + 1 : 1 })
      carrierLines(this.#rt.log).info(
        connection.id,
        { err: error, connection: connection.name },
        'query_sm had no response',
      )
    }
  }

  #apply(connection: Connection, part: PartWithoutReceipt, response: ResponsePdu): void {
    if (response.command !== 'query_sm_resp' || response.command_status !== 0) return
    const stat = statOfState.get(response.message_state)
    // UNKNOWN is no final state: the SMSC has deleted its record of the text
    if (stat === undefined || stat === 'UNKNOWN') return
    const err = response.error_code === 0 ? '' : String(response.error_code).padStart(3, '0')
    const deliveryStatus = statusMapOf(connection).ofReceipt(stat, err)
    if (!deliveryStatus) return
    const { smscId, phone, shortCode } = part
    const missing = { reference: null, submitDate: null, excerpt: null }
    const carrierStatus = err ? `${stat} ${err}` : stat
    const receivedAt = this.#rt.clock.now()
    // if the process dies before this is recorded, the next round queries the text again
    this.#receipts.add(
      {
        ...deliveryStatus,
        ...missing,
        smscId,
        phone,
        shortCode,
        carrierStatus,
        connectionId: connection.id,
        receivedAt,
      },
      () => {},
    )
  }
}

/** Returns the cursor from which the round continues with this part. */
function cursorBefore(round: QueryRound, part: PartWithoutReceipt | undefined): number {
  return part ? part.logId - 1 : round.cursor
}
