import { setTimeout as delay } from 'node:timers/promises'
import { readRawFile } from '../../src/simulator/raw-file.ts'
import { formatPhoneNumber } from '../../src/sms/phone-number.ts'
import type { Installation } from './installation.ts'
import { masked, phoneOf, readSubmits } from './reconcile.ts'

// Opt-outs during a broadcast, and promise B3: once the opt-out is in force, no text of the list reaches the carrier for
// the phone, except the one confirmation of a STOP.

/** An opt-out; from `inForceAt` on no text of the list may reach the carrier for that phone. */
export type OptOut = { phone: number; by: 'api' | 'stop'; inForceAt: number }

export type Patience = {
  /** Time limit for the product's response. */
  timeoutMs?: number
  signal?: AbortSignal
}

const shortCode = '88222'

/** Opts a phone out over the API, retries while something is down, and returns the time when it was in force. */
export async function optOutByApi(
  installation: Installation,
  listId: number,
  phone: number,
  patience: Patience = {},
): Promise<OptOut> {
  const until = performance.now() + (patience.timeoutMs ?? 15_000)
  for (;;) {
    const answer = await installation
      .call('DELETE', `/lists/${listId}/subscribers/${formatPhoneNumber(phone)}`)
      .catch(() => undefined)
    const inForceAt = Date.now()
    if (answer?.status === 200) return { phone, by: 'api', inForceAt }
    if (performance.now() > until || patience.signal?.aborted) {
      throw new Error(`${masked(phone)} could not opt out: ${answer?.status} ${JSON.stringify(answer?.body)}`)
    }
    await delay(100)
  }
}

/** Sends STOP from a handset and waits for the deliver_sm_resp; no other handset may send an MO meanwhile. */
export async function optOutByStop(
  installation: Installation,
  phone: number,
  patience: Patience = {},
): Promise<OptOut> {
  const until = performance.now() + (patience.timeoutMs ?? 15_000)
  const answered = async () => ((await installation.control('GET', '/state')).body.mos as { answered: number }).answered
  const before = await answered()
  const { status } = await installation.control('POST', `/handsets/${formatPhoneNumber(phone)}/messages`, {
    to: shortCode,
    content: 'STOP',
  })
  if (status !== 200) throw new Error(`the handset ${masked(phone)} could not write: ${status}`)
  while ((await answered()) <= before) {
    if (performance.now() > until || patience.signal?.aborted) throw new Error('a STOP was not answered')
    await delay(10)
  }
  return { phone, by: 'stop', inForceAt: Date.now() + 1_000 }
}

/** Returns the texts that violate an opt-out, a sentence each, and the phones that got a confirmation. */
export function checkOptOuts(installation: Installation, content: string, optOuts: readonly OptOut[], since = 0) {
  const ofList = new Set(readSubmits(installation, content).map(({ smscId }) => smscId))
  const wanted = new Set(optOuts.map(({ phone }) => phone))
  const texts = [...readRawFile(installation.rawFile)].filter((text) => text.time >= since && wanted.has(phoneOf(text)))
  const faults: string[] = []
  const confirmed: OptOut[] = []
  for (const left of optOuts) {
    const who = `${masked(left.phone)}, who left by ${left.by}`
    const own = texts.filter((text) => phoneOf(text) === left.phone)
    const late = own.filter((text) => ofList.has(text.smscId) && text.time > left.inForceAt)
    if (late.length > 0) faults.push(`${late.length} texts after it was in force to ${who}`)
    // every other text is the confirmation, and no text of the list comes after it
    const others = own.filter((text) => !ofList.has(text.smscId))
    const expected = left.by === 'stop' ? 1 : 0
    if (others.length > expected) faults.push(`${others.length} other texts to ${who}`)
    if (others[0]) {
      if (own.at(-1) !== others[0]) faults.push(`a text behind the confirmation to ${who}`)
      confirmed.push(left)
    }
  }
  return { faults, confirmed }
}
