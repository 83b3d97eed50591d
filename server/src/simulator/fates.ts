// What becomes of a text is written in its number, as payment test cards do it: the last four digits of a 555-01xx
// number choose, and every other number is delivered (or follows the receipt mix, when one is set).

export type ReceiptOutcome = 'delivered' | 'hard' | 'soft' | 'none'

/** What a receipt can say: what the handset did, or that the message ended before it. */
export type ReceiptState = Exclude<ReceiptOutcome, 'none'> | 'expired' | 'deleted'

export type Fate = {
  /**
   * taken: answered with an id. throttled_twice: refused with ESME_RTHROTTLED two times, then taken. refused: never
   * taken. lost: taken, but the answer is never sent. after_receipts: the answer waits until the receipts were sent.
   */
  answer: 'taken' | 'throttled_twice' | 'refused' | 'lost' | 'after_receipts'
  outcome: ReceiptOutcome
  /** How often the receipt is sent. */
  receiptCount: 1 | 2
  receiptDelayMs: number
  /** What the handset texts back a second later. */
  reply?: string
}

const plain: Fate = { answer: 'taken', outcome: 'delivered', receiptCount: 1, receiptDelayMs: 0 }

const fates: Record<string, Fate> = {
  // A landline is found by the look-up before anything is sent; on the wire nobody is there to take the text.
  '0100': { ...plain, outcome: 'hard' },
  '0101': { ...plain, outcome: 'hard' },
  '0102': { ...plain, outcome: 'soft' },
  '0103': { ...plain, outcome: 'none' },
  '0104': { ...plain, answer: 'throttled_twice' },
  '0105': { ...plain, answer: 'lost' },
  '0106': { ...plain, reply: 'STOP' },
  '0107': { ...plain, reply: 'YES' },
  '0108': { ...plain, receiptDelayMs: 30_000 },
  '0109': { ...plain, answer: 'after_receipts', receiptCount: 2 },
  '0110': { ...plain, answer: 'refused' },
}

/** The fate that a destination's digits choose, or undefined for a number without one. */
export function fateOf(destination: string): Fate | undefined {
  if (!destination.startsWith('55501', destination.length - 7)) return undefined
  return fates[destination.slice(-4)]
}

/** The fate of a number that chooses none, by what a receipt is to say. */
export const fateByOutcome: Record<ReceiptOutcome, Fate> = {
  delivered: plain,
  hard: { ...plain, outcome: 'hard' },
  soft: { ...plain, outcome: 'soft' },
  none: { ...plain, outcome: 'none' },
}

/** A message's outcome by a mix in per cent: drawn from its id, so that the draw needs no memory. */
export function drawOutcome(mix: Record<ReceiptOutcome, number>, id: number): ReceiptOutcome {
  if (mix.delivered === 100) return 'delivered'
  const drawn = draw(id, 0x9e3779b1)
  if (drawn < mix.delivered) return 'delivered'
  if (drawn < mix.delivered + mix.hard) return 'hard'
  return drawn < mix.delivered + mix.hard + mix.soft ? 'soft' : 'none'
}

/** Whether the answer to this message is one of the share that is lost; the draw has nothing to do with its outcome. */
export function drawLost(percent: number, id: number): boolean {
  return percent > 0 && draw(id, 0x85ebca6b) < percent
}

/** Whether the message that comes at this place is one of the share that is refused. */
export function drawRefused(percent: number, ordinal: number): boolean {
  return draw(ordinal, 0xc2b2ae35) < percent
}

/** 0 to 100: Fibonacci hashing spreads consecutive numbers evenly over the range. */
function draw(ordinal: number, multiplier: number): number {
  return ((Math.imul(ordinal | 0, multiplier) >>> 0) / 2 ** 32) * 100
}
