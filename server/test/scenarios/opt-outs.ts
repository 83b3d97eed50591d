import { setTimeout as delay } from 'node:timers/promises'
import { readRawFile } from '../../src/simulator/raw-file.ts'
import { formatPhoneNumber } from '../../src/sms/phone-number.ts'
import type { Installation } from './installation.ts'
import { masked, phoneOf, readSubmits } from './reconcile.ts'

// Opt-outs during a broadcast, and promise B3: once the opt-out is in force, no text of the list reaches the carrier for
// the phone, except the one confirmation of a STOP.

/** An opt-out; from `inForceAt` on, no text of the list may reach the carrier for that phone. */
export type OptOut = { phone: number; by: 'api' | 'stop'; inForceAt: number }

export type WaitOptions = {
  /** Maximum time until the product responds; 15 s by default. */
  timeoutMs?: number
  signal?: AbortSignal
}

const shortCode = '88222'

/** Opts a phone out over the API, retrying during failures, and returns it; throws after the timeout. */
export async function optOutByApi(
  installation: Installation,
  listId: number,
  phone: number,
  options: WaitOptions = {},
): Promise<OptOut> {
  const deadline = performance.now() + (options.timeoutMs ?? 15_000)
  for (;;) {
    const response = await installation
      .call('DELETE', `/lists/${listId}/subscribers/${formatPhoneNumber(phone)}`)
      .catch(() => undefined)
    const inForceAt = Date.now()
    if (response?.status === 200) return { phone, by: 'api', inForceAt }
    if (performance.now() > deadline || options.signal?.aborted) {
      throw new Error(`${masked(phone)} could not opt out: ${response?.status} ${JSON.stringify(response?.body)}`)
    }
    await delay(100)
  }
}

/** Sends STOP from a handset and waits for the deliver_sm_resp; no other handset may send an MO at the same time. */
export async function optOutByStop(
  installation: Installation,
  phone: number,
  options: WaitOptions = {},
): Promise<OptOut> {
  const deadline = performance.now() + (options.timeoutMs ?? 15_000)
  const countAcknowledged = async () => {
    const { mos } = (await installation.control('GET', '/state')).body as { mos: { acknowledged: number } }
    return mos.acknowledged
  }
  const before = await countAcknowledged()
  const { status } = await installation.control('POST', `/handsets/${formatPhoneNumber(phone)}/messages`, {
    to: shortCode,
    content: 'STOP',
  })
  if (status !== 200) throw new Error(`the handset ${masked(phone)} could not send STOP: ${status}`)
  while ((await countAcknowledged()) <= before) {
    if (performance.now() > deadline || options.signal?.aborted) throw new Error('a STOP was not acknowledged')
    await delay(10)
  }
  return { phone, by: 'stop', inForceAt: Date.now() + 1_000 }
}

/** Returns the texts that violate an opt-out, a sentence each, and the phones that got a confirmation. */
export function checkOptOuts(installation: Installation, content: string, optOuts: readonly OptOut[], since = 0) {
  const submitsOfList = new Set(readSubmits(installation, content).map(({ smscId }) => smscId))
  const optedOut = new Set(optOuts.map(({ phone }) => phone))
  const texts = [...readRawFile(installation.rawFile)].filter(
    (text) => text.time >= since && optedOut.has(phoneOf(text)),
  )
  const faults: string[] = []
  const confirmed: OptOut[] = []
  for (const optOut of optOuts) {
    const recipient = `${masked(optOut.phone)}, who opted out by ${optOut.by}`
    const own = texts.filter((text) => phoneOf(text) === optOut.phone)
    const late = own.filter((text) => submitsOfList.has(text.smscId) && text.time > optOut.inForceAt)
    if (late.length > 0) faults.push(`${late.length} texts after the opt-out was in force to ${recipient}`)
    // every other text is the confirmation, and no text of the list comes after it
    const others = own.filter((text) => !submitsOfList.has(text.smscId))
    const expected = optOut.by === 'stop' ? 1 : 0
    if (others.length > expected) faults.push(`${others.length} other texts to ${recipient}`)
    if (others[0]) {
      if (own.at(-1) !== others[0]) faults.push(`a text after the confirmation to ${recipient}`)
      confirmed.push(optOut)
    }
  }
  return { faults, confirmed }
}
