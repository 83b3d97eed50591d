import { commandStatus, type StatusName } from '../smpp/pdu/command-status.ts'
import type { ReceiptStat } from '../smpp/pdu/receipt-text.ts'
import type { ErrorMap, MappedStatus } from './connection.ts'

/**
 * Why a text bounced. hard: the number is dead; soft: perhaps another time; blocked: the carrier does not want this text or
 * this sender, which says nothing of the number; opted_out: the carrier holds an opt-out of this person.
 */
export type BounceReason = Exclude<MappedStatus, 'delivered'>

/** What a final receipt says of a text. A soft bounce that the carrier calls expired is counted among the expired. */
export type FinalState = 'delivered' | 'bounced' | 'expired'
export type DeliveryStatus = { verdict: FinalState; reason: BounceReason | null }

const ofStat: Record<ReceiptStat, DeliveryStatus | undefined> = {
  DELIVRD: { verdict: 'delivered', reason: null },
  EXPIRED: { verdict: 'expired', reason: 'soft' },
  DELETED: { verdict: 'bounced', reason: 'soft' },
  UNDELIV: { verdict: 'bounced', reason: 'soft' },
  UNKNOWN: { verdict: 'bounced', reason: 'soft' },
  REJECTD: { verdict: 'bounced', reason: 'blocked' },
  // on the way: the final one is still to come
  ENROUTE: undefined,
  ACCEPTD: undefined,
}

// Only codes that mean the same wherever they are seen: three digits are each vendor's own, and a number that is called
// dead by mistake is lost to its list. Everything else is for the map of the connection to say.
const usualErrors: Record<string, MappedStatus> = {
  // GSM's own: unknown subscriber, teleservice not provisioned
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

// Faults of the PDU, of the sender or of our account: to the number they mean nothing. A wrong TON in the connection's
// settings must not empty the lists, so those of the destination's type are here as well.
const ourFaults: StatusName[] = [
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
const usualStatuses = new Map<number, BounceReason>([
  ...ourFaults.map((name): [number, BounceReason] => [commandStatus[name], 'blocked']),
  [commandStatus.ESME_RINVDSTADR, 'hard'],
])

/** What the codes of one connection mean: as its operator has mapped them, else as is usual. */
export class StatusMap {
  readonly #errors: Map<string, MappedStatus>
  readonly #statuses: Map<number, BounceReason>

  constructor(map: ErrorMap) {
    this.#errors = new Map([...Object.entries(usualErrors), ...Object.entries(map.receipt ?? {}).map(tidyKey)])
    this.#statuses = new Map(usualStatuses)
    for (const [key, meaning] of Object.entries(map.status ?? {})) {
      // a refusal cannot mean that the text arrived: it has no id that a receipt could name
      if (meaning !== 'delivered') this.#statuses.set(statusOfKey(key), meaning)
    }
  }

  /**
   * What a receipt says; undefined while it is not the last word. An err that means something decides over the state, but
   * not over a delivery; a state word may be mapped like an err.
   */
  ofReceipt(stat: ReceiptStat, err: string): DeliveryStatus | undefined {
    const usual = ofStat[stat]
    if (usual === undefined || usual.verdict === 'delivered') return usual
    const meaning = this.#errors.get(tidyCode(err)) ?? this.#errors.get(stat.toLowerCase())
    if (meaning === undefined) return usual
    if (meaning === 'delivered') return ofStat.DELIVRD
    return { verdict: meaning === 'soft' ? usual.verdict : 'bounced', reason: meaning }
  }

  /** How a text bounces that the SMSC refuses for good with this command_status. */
  ofStatus(status: number): BounceReason {
    return this.#statuses.get(status) ?? 'soft'
  }

  /** Whether anybody has said what this command_status means, us or the operator: then it is no time for a retry. */
  knowsStatus(status: number): boolean {
    return this.#statuses.has(status)
  }
}

const tidyKey = ([key, meaning]: [string, MappedStatus]): [string, MappedStatus] => [tidyCode(key), meaning]

/** Codes are the same in any case and with any number of leading zeros. */
function tidyCode(code: string): string {
  return code
    .trim()
    .toLowerCase()
    .replace(/^0+(?=.)/, '')
}

/** The command_status that a key of the map names: 0x45, 0x00000045, 69 or ESME_RSUBMITFAIL. */
export function statusOfKey(key: string): number {
  const name = key.trim().toUpperCase()
  return commandStatus[name as StatusName] ?? Number(name.replace(/^0X/, '0x'))
}

const read = new WeakMap<ErrorMap, StatusMap>()

/** The meanings of a connection's codes, read once as long as its settings stay what they are. */
export function statusMapOf(connection: { errorMap: ErrorMap }): StatusMap {
  const known = read.get(connection.errorMap)
  if (known) return known
  const meanings = new StatusMap(connection.errorMap)
  read.set(connection.errorMap, meanings)
  return meanings
}
