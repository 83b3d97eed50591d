import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { expandOnce } from '../src/broadcasts/expand.ts'
import { numberEvents } from '../src/events/sequence.ts'
import { interpretInbound, storeInbound } from '../src/inbound/inbound.ts'
import { claimChunks } from '../src/log/claims.queries.ts'
import { markSubmitting } from '../src/log/marks.queries.ts'
import { acceptBroadcast, sendToNumbers } from '../src/messages/messages.ts'
import { freshDatabase, type TestDatabase } from './database.ts'
import { make } from './make.ts'
import { listQueued } from './queued.ts'
import { makeRuntime } from './runtime.ts'

/** The phone that replies. */
export const phone = 2_065_560_001

const start = new Date('2026-03-02T10:00:00Z')

type Part = { reference: number; total: number; number: number }
type Given = { to?: string; dataCoding?: number; part?: Part }
type ListGiven = { listeners?: number; on?: { accountId: number; shortCodeId: number } }

/** A database of a test file with a list, new for each test, whose messages a phone receives and replies to. */
export function useReplies() {
  const clock = { time: start, now: () => clock.time }
  let database: TestDatabase
  let connectionId: number
  let list: Awaited<ReturnType<typeof newList>>

  beforeAll(async () => {
    database = await freshDatabase()
    connectionId = (await make.connection(database.db, { name: 'default' })).id
  })
  afterAll(() => database.close())
  beforeEach(async () => {
    clock.time = start
    list = await newList()
  })
  afterEach(() => database.db.exec('forget', 'delete from event_outbox'))

  const rt = () => makeRuntime({ db: database.db, clock })
  const wait = (ms: number) => {
    clock.time = new Date(clock.time.getTime() + ms)
  }

  /** Creates a list on a short code of its own, or on that of another list, with a subscriber; it reports the types of these bits. */
  async function newList({ listeners = 16, on }: ListGiven = {}) {
    const { db } = database
    const accountId = on?.accountId ?? (await make.account(db)).id
    const shortCodeId = on?.shortCodeId ?? (await make.shortCode(db, { accountId })).id
    const made = await make.list(db, { accountId, shortCodeId })
    await make.subscriber(db, { listId: made.id, phone, firstName: 'Marisol', at: new Date('2026-01-05T18:00:00Z') })
    await db.exec('listen', 'update lists set listeners = $2 where id = $1', [made.id, listeners])
    const code = await db.one<{ code: string }>('code', 'select code from short_codes where id = $1', [shortCodeId])
    return { ...made, ...code }
  }

  /** Receives a text of the phone. */
  const receive = async (content: string, { to = list.code, dataCoding = 0, part }: Given = {}) => {
    await storeInbound(database.db, {
      connectionId,
      shortCode: to,
      phone,
      content,
      raw: Buffer.from(content),
      dataCoding,
      receivedAt: clock.time,
      part,
    })
  }
  const interpret = async () => {
    while (await interpretInbound(rt()));
  }
  /** Receives and interprets a text, a minute later. */
  const reply = async (...args: Parameters<typeof receive>) => {
    wait(60_000)
    await receive(...args)
    await interpret()
  }

  /** Marks all queued texts as submitting, as a gateway does. */
  async function submit() {
    wait(1_000)
    const claim = { owner: crypto.randomUUID(), leaseMs: 60_000, now: clock.time, fromLane: 0, toLane: 9, limit: 99 }
    for (const chunk of await claimChunks(database.db, claim))
      await markSubmitting(database.db, chunk, await listQueued(database.db, chunk), clock.time)
  }
  /** Sends a broadcast, and returns its id. */
  async function broadcast(to = list, content = 'Soup on Friday') {
    const { id } = await acceptBroadcast(rt(), { accountId: to.accountId, list: to, content })
    while (await expandOnce(rt()));
    await submit()
    return id
  }

  /** Sends a transactional message to the phone; by default with a callback. */
  async function sendTransactional(webhookCallbackUrl: string | null = 'https://shop.example/sms?order=7', to = list) {
    const { accountId, shortCodeId } = to
    const text = { accountId, listId: null, shortCodeId, phones: [phone], content: 'Ready', webhookCallbackUrl }
    const { id } = await sendToNumbers(rt(), { ...text, field: 'number' })
    await submit()
    return id
  }

  /** Numbers all events and returns the payloads of replies. */
  async function payloads() {
    const texts: string[] = []
    const add = async (_tx: unknown, events: { payload: string }[]) => void texts.push(...events.map((e) => e.payload))
    while ((await numberEvents(database.db, add)).isFull);
    const all = texts.map((text) => JSON.parse(text) as Record<string, unknown>)
    return all.filter(({ type }) => type === 'campaign_response' || type === 'transactional_message_reply')
  }
  /** Returns the replies that were reported, each as its message and text. */
  const replies = async () =>
    (await payloads()).map((p) =>
      p.reply_content === undefined
        ? [p.transactional_message_id, p.content, 'callback']
        : [p.message_id, p.reply_content],
    )

  return {
    clock,
    get db() {
      return database.db
    },
    get list() {
      return list
    },
    ...{ rt, wait, newList, receive, interpret, reply, submit, broadcast, sendTransactional, payloads, replies },
  }
}
