import type { Connection } from '../../connections/connection.ts'
import { statusMapOf } from '../../connections/status-map.ts'
import { listLogDays } from '../../log/receipts.queries.ts'
import type { ReceiptBook } from '../../receipts/receipts.ts'
import {
  claimQueryRound,
  listUnheard,
  type QueryRound,
  releaseQueryRound,
  type Unheard,
} from '../../receipts/status-queries.queries.ts'
import type { Runtime } from '../../runtime.ts'
import { querySm, type ResponsePdu } from '../../smpp/pdu/pdu.ts'
import { statOfState } from '../../smpp/pdu/receipt-text.ts'
import type { BindGroup } from '../binds/bind-group.ts'
import { sourceAddress } from '../submit/source-address.ts'
import { timing } from '../timing.ts'

const { queryRoundLeaseMs } = timing

/** Status queries to one connection in one turn: few enough not to delay texts. */
const maxQueriesPerTurn = 20
/** A text without any response of the SMSC is skipped after this many queries, until the next round. */
const maxQueriesOfSilent = 2

/**
 * Sends query_sm for texts whose receipts do not come, where the connection says so. A response that names the final state of a
 * text is applied like the receipt that it stands for.
 */
export class StatusQueries {
  readonly #rt: Pick<Runtime, 'db' | 'clock' | 'log'>
  readonly #groups: { all: Iterable<BindGroup> }
  readonly #receipts: ReceiptBook
  // by connection: the row whose last query had no response, and how many had none
  readonly #silent = new Map<number, { logId: number; queries: number }>()
  // by connection, so that a slow one delays no other
  readonly #underWay = new Map<number, { over: Promise<void>; hurry: () => void }>()
  #isStopping = false

  constructor(rt: Pick<Runtime, 'db' | 'clock' | 'log'>, groups: { all: Iterable<BindGroup> }, receipts: ReceiptBook) {
    this.#rt = rt
    this.#groups = groups
    this.#receipts = receipts
  }

  /** Begins to query each connection for its next few texts; one that is still at the last few goes on. */
  async turn(): Promise<void> {
    const groups = [...this.#groups.all].filter(({ connection, canTransmit }) => connection.querySm && canTransmit)
    if (groups.length === 0) return
    const days = await listLogDays(this.#rt.db)
    if (this.#isStopping) return
    for (const group of groups) {
      const { id, name } = group.connection
      if (this.#underWay.has(id)) continue
      // a new promise for each turn: handlers of a promise live as long as it does
      const { promise: hurried, resolve } = Promise.withResolvers<undefined>()
      const over = this.#queryGroup(group, days, hurried)
        .catch((error) => this.#rt.log.warn({ err: error, connection: name }, 'failed to query texts, retrying'))
        .finally(() => this.#underWay.delete(id))
      this.#underWay.set(id, { over, hurry: () => resolve(undefined) })
    }
  }

  /** Stops waiting for responses; resolves when no query is under way. */
  async stop(): Promise<void> {
    this.#isStopping = true
    const underWay = [...this.#underWay.values()]
    for (const { hurry } of underWay) hurry()
    await Promise.all(underWay.map(({ over }) => over))
  }

  async #queryGroup(group: BindGroup, days: string[], hurried: Promise<undefined>): Promise<void> {
    const { db, clock } = this.#rt
    const now = clock.now()
    const { id, queryAfterS } = group.connection
    const round = await claimQueryRound(db, id, days, now, queryRoundLeaseMs)
    if (!round) return
    const afterMs = queryAfterS * 1_000
    const { unheard, last } = await listUnheard(db, round, new Date(now.getTime() - afterMs), maxQueriesPerTurn)
    const asked = await this.#queryAll(group, unheard, hurried)
    if (asked < unheard.length) return releaseQueryRound(db, round, before(round, unheard[asked]), null)
    // texts that were skipped are queried again in the next round
    this.#silent.delete(id)
    if (last !== null) await releaseQueryRound(db, round, last, null)
    else await releaseQueryRound(db, round, 0, new Date(now.getTime() + afterMs))
  }

  /** Queries one text after the other and returns how many: it stops where there is no window slot, or no response. */
  async #queryAll(group: BindGroup, unheard: Unheard[], hurried: Promise<undefined>): Promise<number> {
    for (const [n, text] of unheard.entries()) {
      if (this.#isStopping) return n
      const silent = this.#silent.get(group.connection.id)
      // all its parts: the round goes on after a row, not in the middle of it
      if (silent?.logId === text.logId && silent.queries >= maxQueriesOfSilent) continue
      const answer = await Promise.race([this.#query(group, text), hurried])
      if (!answer) return n
      this.#apply(group.connection, text, answer)
    }
    return unheard.length
  }

  async #query(group: BindGroup, { logId, spelling, shortCode }: Unheard): Promise<ResponsePdu | undefined> {
    const { connection } = group
    try {
      return await group.query(querySm({ message_id: spelling, ...sourceAddress(shortCode, connection) }))
    } catch (error) {
      const silent = this.#silent.get(connection.id)
      this.#silent.set(connection.id, { logId, queries: silent?.logId === logId ? silent.queries + 1 : 1 })
      this.#rt.log.info({ err: error, connection: connection.name }, 'query_sm had no response')
    }
  }

  #apply(connection: Connection, text: Unheard, answer: ResponsePdu): void {
    if (answer.command !== 'query_sm_resp' || answer.command_status !== 0) return
    const stat = statOfState.get(answer.message_state)
    // an SMSC that does not know the text any more does not know its final state
    if (stat === undefined || stat === 'UNKNOWN') return
    const err = answer.error_code === 0 ? '' : String(answer.error_code).padStart(3, '0')
    const judgement = statusMapOf(connection).ofReceipt(stat, err)
    if (!judgement) return
    const { smscId, phone, shortCode } = text
    const words = { reference: null, submitDate: null, excerpt: null }
    const carrierStatus = err ? `${stat} ${err}` : stat
    const receivedAt = this.#rt.clock.now()
    // lost when the process dies before it is recorded: the next round queries it again
    this.#receipts.add(
      { ...judgement, ...words, smscId, phone, shortCode, carrierStatus, connectionId: connection.id, receivedAt },
      () => {},
    )
  }
}

/** The row after which the round goes on when this text is the next one. */
function before(round: QueryRound, text: Unheard | undefined): number {
  return text ? text.logId - 1 : round.cursor
}
