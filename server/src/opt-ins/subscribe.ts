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
  /** Subscribed at once: somebody else has asked the person. */
  bypassProcess: boolean
  /** No welcome text. */
  bypassResponse: boolean
  /** What the look-up says of the number. */
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
 * Adds a number to a list: asks it for a YES, or subscribes it at once where the caller says that it has agreed. A number
 * that is subscribed, has just been asked or has just opted out stays as it is, and so does what is known of it.
 */
export function addSubscriber(rt: Runtime, input: AddInput): Promise<AddResult> {
  return retryLostRaces(() =>
    rt.db.tx(async (tx) => {
      const outcome = await join(rt, tx, input)
      const subscriber = await findSubscriber(tx, input.list.id, input.phone)
      if (!subscriber) throw new Error('the subscriber that was just added is gone')
      return { ...outcome, subscriber }
    }),
  )
}

async function join(rt: Runtime, tx: Db, input: AddInput): Promise<Outcome> {
  const { list, phone } = input
  const now = rt.clock.now()
  const state = input.bypassProcess ? 'subscribed' : 'pending'
  const wording = input.bypassProcess ? null : confirmationOf(list)
  const joining = {
    accountId: list.accountId,
    listId: list.id,
    phone,
    state,
    wording,
    actor: input.actor,
    now,
  } as const

  // The unique key decides between two adds of a new number; the one that comes second finds the other's row, locked
  // until its text is on record.
  const isNew = await insertSubscriber(tx, joining)
  const known = isNew ? undefined : await findSubscriberForUpdate(tx, list.id, phone)
  if (known) {
    const obstacle = obstacleOf(known, input, now)
    if (obstacle) return obstacle
    await moveSubscriber(tx, joining)
  }
  if (input.lookUp?.carrier || input.lookUp?.globalCarrierId) await updateCarrier(tx, list.id, phone, input.lookUp)
  const saysSomething = Object.values(input.profile).some((field) => field !== undefined)
  if (saysSomething) await updateProfile(tx, list.id, phone, input.profile)

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

/** Why a number that the list knows is left as it is, if it is. */
function obstacleOf(known: Subscriber, { list, bypassProcess }: AddInput, now: Date): Outcome | undefined {
  if (known.state === 'subscribed') return { outcome: 'already_subscribed' }
  if (known.state === 'pending') {
    const isBlocked = !bypassProcess && leftOf(list.resendBlockHours * hourMs, known.optInRequestedAt, now) > 0
    return isBlocked ? { outcome: 'already_asked' } : undefined
  }
  const waitMs = leftOf(list.resubscribeTimeoutHours * hourMs, known.optedOutAt, now)
  return waitMs > 0 ? { outcome: 'security_timeout', waitMs } : undefined
}

function leftOf(durationMs: number, since: Date | null, now: Date): number {
  return since === null ? 0 : since.getTime() + durationMs - now.getTime()
}

function confirmationOf({ name, messageYes }: List): string {
  return messageYes || `${name}: reply YES to get our texts. Msg & data rates may apply. HELP for help, STOP to quit.`
}

/** The list's welcome: one for a number that never was subscribed, another for one that comes back. */
function welcomeOf({ list, bypassResponse }: AddInput, known: Subscriber | undefined): string {
  if (bypassResponse || list.bypassOptInResponse) return ''
  return known?.subscribedAt ? list.secondOptinMessage : list.firstOptinMessage
}

/** What is known of the number's line; refuses a number that no text can reach. */
export async function lookUpReachable(lookUp: LookUp, phone: number): Promise<LookUpResult | undefined> {
  const line = await lookUp(phone)
  if (line?.kind === 'landline' || line?.kind === 'unreachable') {
    throw errors.badPhone('landline or unreachable carrier')
  }
  return line
}
