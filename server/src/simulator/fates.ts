// The fate of a text depends on its destination, like the test card numbers of payment systems: the last four digits of a
// 555-01xx number choose a fate, and texts to other numbers are delivered (or follow the receipt mix, if it is set).

export type ReceiptOutcome = 'delivered' | 'hard' | 'soft' | 'none'

/** The state in a receipt: the handset's result, or the earlier end of the message. */
export type ReceiptState = Exclude<ReceiptOutcome, 'none'> | 'expired' | 'deleted'

export type Fate = {
  /**
   * accepted: the response has an id. throttled_twice: ESME_RTHROTTLED two times, then accepted. rejected: never accepted.
   * lost: accepted, but the response is never sent. after_receipts: the response follows the receipts.
   */
  response: 'accepted' | 'throttled_twice' | 'rejected' | 'lost' | 'after_receipts'
  outcome: ReceiptOutcome
  /** Number of times the receipt is sent. */
  receiptCount: 1 | 2
  receiptDelayMs: number
  /** Text that the handset sends one second later. */
  reply?: string
}

const plain: Fate = { response: 'accepted', outcome: 'delivered', receiptCount: 1, receiptDelayMs: 0 }

const fates: Record<string, Fate> = {
  // the product's look-up excludes landlines before sending; a text to one is nevertheless a hard bounce
  '0100': { ...plain, outcome: 'hard' },
  '0101': { ...plain, outcome: 'hard' },
  '0102': { ...plain, outcome: 'soft' },
  '0103': { ...plain, outcome: 'none' },
  '0104': { ...plain, response: 'throttled_twice' },
  '0105': { ...plain, response: 'lost' },
  '0106': { ...plain, reply: 'STOP' },
  '0107': { ...plain, reply: 'YES' },
  '0108': { ...plain, receiptDelayMs: 30_000 },
  '0109': { ...plain, response: 'after_receipts', receiptCount: 2 },
  '0110': { ...plain, response: 'rejected' },
}

/** Returns the fate that a destination's digits choose, or undefined for a number without one. */
export function fateOf(destination: string): Fate | undefined {
  if (!destination.startsWith('55501', destination.length - 7)) return undefined
  return fates[destination.slice(-4)]
}

/** The fate of a number without one, by the outcome in its receipt. */
export const fateByOutcome: Record<ReceiptOutcome, Fate> = {
  delivered: plain,
  hard: { ...plain, outcome: 'hard' },
  soft: { ...plain, outcome: 'soft' },
  none: { ...plain, outcome: 'none' },
}

/** Draws a message's outcome from a mix in percent, as a function of its id, so that no draw must be stored. */
export function drawOutcome(mix: Record<ReceiptOutcome, number>, id: number): ReceiptOutcome {
  if (mix.delivered === 100) return 'delivered'
  const drawn = draw(id, 0x9e3779b1)
  if (drawn < mix.delivered) return 'delivered'
  if (drawn < mix.delivered + mix.hard) return 'hard'
  return drawn < mix.delivered + mix.hard + mix.soft ? 'soft' : 'none'
}

/** Returns whether the response to this message is in the lost share; independent of the message's outcome. */
export function drawLost(percent: number, id: number): boolean {
  return percent > 0 && draw(id, 0x85ebca6b) < percent
}

/** Returns whether the message with this ordinal is in the rejected share. */
export function drawRejected(percent: number, ordinal: number): boolean {
  return draw(ordinal, 0xc2b2ae35) < percent
}

/** Returns a number from 0 to 100: Fibonacci hashing distributes consecutive ordinals evenly over the range. */
function draw(ordinal: number, multiplier: number): number {
  return ((Math.imul(ordinal | 0, multiplier) >>> 0) / 2 ** 32) * 100
}
