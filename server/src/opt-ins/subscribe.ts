import type { LookUp } from '../carriers/look-up.ts'
import type { LookUpResult } from '../carriers/look-up-provider.ts'
import type { Db } from '../db/db.ts'
import { retryLostRaces } from '../db/retry.ts'
import { errors } from '../errors.ts'
import type { List } from '../lists/lists.queries.ts'
import { sendSystemText } from '../messages/messages.ts'
import type { Runtime } from '../runtime.ts'
import {
  findSubscriber,
  findSubscriberForUpdate,
  type Profile,
  type Subscriber,
  updateProfile,
} from '../subscribers/subscribers.queries.ts'
import { insertSubscriber, moveSubscriber, updateCarrier } from './subscribe.queries.ts'

const hourMs = 3_600_000

export type AddInput = {
  list: List
  phone: number
  profile: Profile
  /** Whether to subscribe without double opt-in, because the caller has the person's consent. */
  bypassProcess: boolean
  /** Whether to send no welcome text. */
  bypassResponse: boolean
  /** The result of the number's look-up. */
  lookUp?: LookUpResult | undefined
  actor: string
}

export type AddResult =
  | {
      outcome: 'confirmation_sent' | 'already_asked' | 'welcomed' | 'added' | 'already_subscribed'
      subscriber: Subscriber
    }
  | { outcome: 'security_timeout'; waitMs: number; subscriber: Subscriber }

type Outcome =
  | { outcome: Exclude<AddResult['outcome'], 'security_timeout'> }
  | { outcome: 'security_timeout'; waitMs: number }

/**
 * Adds a number to a list: sends it the opt-in request, or subscribes it directly if the caller has its consent. A
 * number that is subscribed, or that received a request or opted out recently, stays unchanged, including its profile.
 */
export function addSubscriber(rt: Runtime, input: AddInput): Promise<AddResult> {
  return retryLostRaces(() =>
    rt.db.tx(async (tx) => {
      const outcome = await applyAdd(rt, tx, input)
      const subscriber = await findSubscriber(tx, input.list.id, input.phone)
      if (!subscriber) throw new Error('the added subscriber was not found')
      return { ...outcome, subscriber }
    }),
  )
}

async function applyAdd(rt: Runtime, tx: Db, input: AddInput): Promise<Outcome> {
  const { list, phone } = input
  const now = rt.clock.now()
  const state = input.bypassProcess ? 'subscribed' : 'pending'
  const wording = input.bypassProcess ? null : confirmationOf(list)
  const optIn = {
    accountId: list.accountId,
    listId: list.id,
    phone,
    state,
    wording,
    actor: input.actor,
    now,
  } as const

  // The unique key decides between concurrent adds of a new number. The second one finds the row of the first, locked
  // until its text is recorded.
  const isNew = await insertSubscriber(tx, optIn)
  const known = isNew ? undefined : await findSubscriberForUpdate(tx, list.id, phone)
  if (known) {
    const reason = reasonToSkip(known, input, now)
    if (reason) return reason
    await moveSubscriber(tx, optIn)
  }
  if (input.lookUp?.carrier || input.lookUp?.globalCarrierId) await updateCarrier(tx, list.id, phone, input.lookUp)
  const hasProfile = Object.values(input.profile).some((field) => field !== undefined)
  if (hasProfile) await updateProfile(tx, list.id, phone, input.profile)

  const text = input.bypassProcess ? welcomeOf(input, known) : confirmationOf(list)
  if (text !== '') {
    const { accountId, shortCodeId } = list
    await sendSystemText(tx, rt, {
      accountId,
      listId: list.id,
      shortCodeId,
      phone,
      content: text,
      consent: 'not_opted_out',
    })
  }
  if (!input.bypassProcess) return { outcome: 'confirmation_sent' }
  return { outcome: text === '' ? 'added' : 'welcomed' }
}

/** Returns the reason why a known number stays unchanged; undefined if the add applies. */
function reasonToSkip(known: Subscriber, { list, bypassProcess }: AddInput, now: Date): Outcome | undefined {
  if (known.state === 'subscribed') return { outcome: 'already_subscribed' }
  if (known.state === 'pending') {
    const isBlocked = !bypassProcess && remainingMs(list.resendBlockHours * hourMs, known.optInRequestedAt, now) > 0
    return isBlocked ? { outcome: 'already_asked' } : undefined
  }
  const waitMs = remainingMs(list.resubscribeTimeoutHours * hourMs, known.optedOutAt, now)
  return waitMs > 0 ? { outcome: 'security_timeout', waitMs } : undefined
}

function remainingMs(durationMs: number, since: Date | null, now: Date): number {
  return since === null ? 0 : since.getTime() + durationMs - now.getTime()
}

function confirmationOf({ name, messageYes }: List): string {
  return messageYes || `${name}: reply YES to get our texts. Msg & data rates may apply. HELP for help, STOP to quit.`
}

/** Returns the list's welcome text, with a different one for numbers that were subscribed before; empty for none. */
function welcomeOf({ list, bypassResponse }: AddInput, known: Subscriber | undefined): string {
  if (bypassResponse || list.bypassOptInResponse) return ''
  return known?.subscribedAt ? list.secondOptinMessage : list.firstOptinMessage
}

/** Looks up a number; throws if it is a landline or unreachable. */
export async function lookUpReachable(lookUp: LookUp, phone: number): Promise<LookUpResult | undefined> {
  const result = await lookUp(phone)
  if (result?.kind === 'landline' || result?.kind === 'unreachable') {
    throw errors.badPhone('landline or unreachable carrier')
  }
  return result
}
