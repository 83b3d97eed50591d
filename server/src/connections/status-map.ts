import { commandStatus, type StatusName } from '../smpp/pdu/command-status.ts'
import type { ReceiptStat } from '../smpp/pdu/receipt-text.ts'
import type { ErrorMap, MappedStatus } from './connection.ts'

/**
 * The reason of a bounce. hard: the number is dead; soft: a retry may succeed; blocked: the carrier rejects this text or
 * this sender, but the number may be valid; opted_out: the carrier has an opt-out of this person on record.
 */
export type BounceReason = Exclude<MappedStatus, 'delivered' | 'not_final'>

/** The state of a final receipt. A soft bounce that the carrier reports as expired counts as expired. */
export type FinalState = 'delivered' | 'bounced' | 'expired'
export type DeliveryStatus = { state: FinalState; reason: BounceReason | null }

const statusOfStat: Record<ReceiptStat, DeliveryStatus | undefined> = {
  DELIVRD: { state: 'delivered', reason: null },
  EXPIRED: { state: 'expired', reason: 'soft' },
  DELETED: { state: 'bounced', reason: 'soft' },
  UNDELIV: { state: 'bounced', reason: 'soft' },
  UNKNOWN: { state: 'bounced', reason: 'soft' },
  REJECTD: { state: 'bounced', reason: 'blocked' },
  // our trouble with the carrier: the number may be valid
  NOCRED: { state: 'bounced', reason: 'blocked' },
  SYSERR: { state: 'bounced', reason: 'blocked' },
  // not final, because another receipt follows
  ENROUTE: undefined,
  ACCEPTD: undefined,
  // An unknown word may be final or not. It ends nothing: a later receipt, or the receipt deadline, ends the text.
  OTHER: undefined,
}

// Only codes with the same definition at every SMSC, because a wrong `hard` removes a valid number from its list. Other
// codes, such as most three-digit ones, are vendor-specific and belong in the error map of the connection.
const defaultErrors: Record<string, MappedStatus> = {
  // GSM: unknown subscriber, teleservice not provisioned
  '1': 'hard',
  '11': 'hard',
  '351': 'hard', // bad destination
  '410': 'hard', // not on this carrier
  '4720': 'hard', // bad destination
  '30005': 'hard', // unknown destination
  '30006': 'hard', // landline
  '4470': 'blocked', // spam
  '4770': 'blocked',
  '30004': 'blocked',
  '30007': 'blocked',
  '4775': 'opted_out',
  '21610': 'opted_out',
}

// Errors of the PDU, the sender or our account, not of the number. They include the statuses of the destination's TON and
// NPI, because a wrong TON in the connection's settings must not remove every number from its list.
const senderErrors: StatusName[] = [
  'ESME_RINVMSGLEN',
  'ESME_RINVCMDLEN',
  'ESME_RINVCMDID',
  'ESME_RINVBNDSTS',
  'ESME_RINVPRTFLG',
  'ESME_RINVREGDLVFLG',
  'ESME_RINVSRCADR',
  'ESME_RINVSERTYP',
  'ESME_RINVESMCLASS',
  'ESME_RINVSRCTON',
  'ESME_RINVSRCNPI',
  'ESME_RINVDSTTON',
  'ESME_RINVDSTNPI',
  'ESME_RINVREPFLAG',
  'ESME_RINVSCHED',
  'ESME_RINVEXPIRY',
  'ESME_RX_R_APPN',
  'ESME_RINVOPTPARSTREAM',
  'ESME_ROPTPARNOTALLWD',
  'ESME_RINVPARLEN',
  'ESME_RMISSINGOPTPARAM',
  'ESME_RINVOPTPARAMVAL',
]
const defaultStatuses = new Map<number, BounceReason>([
  ...senderErrors.map((name): [number, BounceReason] => [commandStatus[name], 'blocked']),
  [commandStatus.ESME_RINVDSTADR, 'hard'],
])

/** The statuses of one connection's codes and words: the operator's error map, then the defaults. */
export class StatusMap {
  readonly #mapped: Map<string, MappedStatus>
  readonly #statuses: Map<number, BounceReason>

  constructor(map: ErrorMap) {
    this.#mapped = new Map(Object.entries(map.receipt ?? {}).map(([key, status]) => [normalizeCode(key), status]))
    this.#statuses = new Map(defaultStatuses)
    for (const [key, status] of Object.entries(map.status ?? {})) {
      // a rejected text has no id to which a receipt could refer, so its rejection is final and no delivery
      if (status !== 'delivered' && status !== 'not_final') this.#statuses.set(parseStatusKey(key), status)
    }
  }

  /**
   * Returns the delivery status in a receipt; undefined if the receipt is not final. A mapped err takes precedence over the stat,
   * except over those that report a delivery or are not final; the carrier's word and the stat may be mapped like an err.
   */
  ofReceipt(stat: ReceiptStat, err: string, word: string = stat): DeliveryStatus | undefined {
    const byStat = statusOfStat[stat]
    const byWord = this.#mapped.get(normalizeCode(word)) ?? this.#mapped.get(normalizeCode(stat))
    const byErr = this.#mapped.get(normalizeCode(err))
    const isFailure = byStat !== undefined && byStat.state !== 'delivered'
    const mapped = isFailure
      ? (byErr ?? byWord ?? defaultErrors[normalizeCode(err)])
      : (byWord ?? (stat === 'OTHER' ? byErr : undefined))
    if (mapped === undefined) return byStat
    if (mapped === 'not_final') return undefined
    if (mapped === 'delivered') return statusOfStat.DELIVRD
    return { state: mapped === 'soft' && isFailure ? byStat.state : 'bounced', reason: mapped }
  }

  /** Returns whether an operator has mapped this word or code, so that it is not unknown. */
  knowsReceipt(err: string, word: string): boolean {
    return this.#mapped.has(normalizeCode(word)) || this.#mapped.has(normalizeCode(err))
  }

  /** Returns the bounce reason of a text that the SMSC rejected permanently with this command_status. */
  ofStatus(status: number): BounceReason {
    return this.#statuses.get(status) ?? 'soft'
  }

  /** Returns whether the operator or a default maps this command_status, so that the text is not retried. */
  knowsStatus(status: number): boolean {
    return this.#statuses.has(status)
  }
}

/** Returns a code or word without case and leading zeros, for comparison. */
export function normalizeCode(code: string): string {
  return code
    .trim()
    .toLowerCase()
    .replace(/^0+(?=.)/, '')
}

/** Parses a key of the map into a command_status: 0x45, 0x00000045, 69 or ESME_RSUBMITFAIL; NaN for any other string. */
export function parseStatusKey(key: string): number {
  const name = key.trim().toUpperCase()
  return commandStatus[name as StatusName] ?? Number(name.replace(/^0X/, '0x'))
}

const cache = new WeakMap<ErrorMap, StatusMap>()

/** Returns the status map of a connection, cached until its settings change. */
export function statusMapOf(connection: { errorMap: ErrorMap }): StatusMap {
  const cached = cache.get(connection.errorMap)
  if (cached) return cached
  const map = new StatusMap(connection.errorMap)
  cache.set(connection.errorMap, map)
  return map
}
