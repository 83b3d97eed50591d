import { beforeEach, describe, expect, test } from 'vitest'
import { content, submitDate, useReceipts } from '../../test/receipts.ts'
import type { Db } from '../db/db.ts'
import { markSent } from '../log/marks.queries.ts'
import { encodeGsm7 } from '../sms/gsm7.ts'
import type { StoredReceipt, WaitingReceipt } from './waiting.queries.ts'
import { chooseCandidate, readReceiptDate } from './waiting.ts'

const ctx = useReceipts()
const { accept, checkCounters, counters, loseResponse, outcomes, prepare, settle, textOf } = ctx
const dayAgo = new Date(Date.now() - 25 * 3_600_000)

/** Stores receipts, one for each phone in order, with the excerpt of the text and a submit date of now. */
const store = (...receipts: Partial<WaitingReceipt>[]) =>
  ctx.store(
    ...receipts.map((fields, n) => ({
      smscId: `a${n}`,
      phone: textOf(n).phone,
      submitDate,
      excerpt: content.slice(0, 20),
      ...fields,
    })),
  )

describe('a receipt does not settle an older text to the same phone if its id becomes known during the search', () => {
  test.each([
    ['as in the receipt', 'b1', 'applied'],
    ['in the other base', '177', 'settled'],
  ])('%s', async (_, smscId, outcome) => {
    await prepare(content, 4)
    await ctx.db.exec('one_phone', 'update message_log set phone = $1', [textOf(0).phone])
    // the other texts are no candidates, because their ids are known
    for (const n of [2, 3]) await accept(n, `c${n}`)
    await loseResponse(0)
    await store({ smscId: 'b1' })
    const dbWithResponse: Db = {
      ...ctx.db,
      async many(name, ...call) {
        if (name === 'list_unknown_rows') {
          const { phone } = textOf(0)
          const part = { logId: textOf(1).logId, phone, part: 0, smscId, complete: true }
          await markSent(ctx.db, ctx.chunk.loggedOn, ctx.connectionId, [part])
        }
        return ctx.db.many(name, ...call)
      },
    }
    await settle(dbWithResponse)
    const states = await ctx.db.many('states', 'select state from message_log order by id limit 2')
    expect(states).toEqual([{ state: 'unknown' }, { state: 'delivered' }])
    expect(await outcomes()).toEqual([outcome])
    await checkCounters()
  })
})

describe('a receipt does not become an orphan while a text to its phone', () => {
  test('awaits its response', async () => {
    await prepare(content, 4)
    await store({ receivedAt: dayAgo }, { receivedAt: dayAgo, excerpt: 'Another text', phone: textOf(3).phone })
    await settle()
    expect(await outcomes()).toEqual(['waiting', 'orphan'])
    await loseResponse(0)
    await settle()
    expect(await outcomes()).toEqual(['settled', 'orphan'])
    expect(await counters()).toMatchObject({ submitting: 3, delivered: 1 })
  })

  test('awaits the response to another part', async () => {
    await prepare('x'.repeat(200), 4)
    await accept(0, 'a0', 0, false)
    await store({ receivedAt: dayAgo })
    await settle()
    expect(await outcomes()).toEqual(['waiting'])
    await loseResponse(0)
    await settle()
    expect(await outcomes()).toEqual(['applied'])
    await checkCounters()
  })
})

describe('receipts that cannot be applied', () => {
  beforeEach(() => prepare(content, 4))

  /** Makes the next soft bounce of this phone fail, because its count would overflow. */
  const makeBounceFail = (n: number) =>
    ctx.db.exec(
      'make_bounce_fail',
      'insert into soft_bounces (list_id, phone, consecutive_count, first_logged_on, message_id, log_id) values ($1, $2, 2147483647, current_date, $3, $4)',
      [ctx.listId, textOf(n).phone, ctx.messageId, textOf(n).logId],
    )
  const soft = { state: 'bounced' as const, reason: 'soft' as const, carrierStatus: 'UNDELIV 001' }

  test('do not delay others, whether these are opt-outs or not', async () => {
    for (const n of [0, 1, 2, 3]) await accept(n, `a${n}`)
    await makeBounceFail(1)
    await store({}, soft, soft, { ...soft, reason: 'opted_out' })
    const { before } = await ctx.db.one<{ before: string }>('before', 'select clock_timestamp()::text as before')
    await expect(settle()).rejects.toThrow('out of range')
    expect(await outcomes()).toEqual(['applied', 'waiting', 'applied', 'applied'])
    expect(await counters()).toMatchObject({ sent: 1, delivered: 1, bounced: 2 })
    const unsubscribed = await ctx.db.many('unsubscribed', `select phone from subscribers where state = 'unsubscribed'`)
    expect(unsubscribed).toEqual([{ phone: textOf(3).phone }])
    await checkCounters()
    // its next attempt is later than the first attempt of new receipts
    const delayed = `select from receipts where outcome = 'waiting' and retry_at >= $1::timestamptz + interval '200 milliseconds'`
    expect(await ctx.db.exec('delayed', delayed, [before])).toBe(1)
    await ctx.db.exec('make_bounce_succeed', 'delete from soft_bounces')
    await settle()
    expect(await counters()).toMatchObject({ sent: 0, bounced: 3 })
  })

  test('are not tried one by one if the database is unavailable', async () => {
    for (const n of [0, 1]) await accept(n, `a${n}`)
    await store({}, {})
    let transactions = 0
    const unavailable: Db = {
      ...ctx.db,
      one: () => Promise.reject(new Error('Connection terminated unexpectedly')),
      tx: () => {
        transactions++
        return Promise.reject(new Error('Connection terminated unexpectedly'))
      },
    }
    await expect(settle(unavailable)).rejects.toThrow('terminated')
    expect(transactions).toBe(1)
    await settle()
    expect(await counters()).toMatchObject({ delivered: 2 })
  })
})

describe('chooseCandidate', () => {
  const candidate = (fields = {}) => ({
    logId: 1,
    loggedOn: '2026-03-01',
    part: 0,
    content,
    submittedAt: new Date('2026-03-01T10:00:00Z'),
    partCount: 1,
    byReference: false,
    awaitsResponse: false,
    ...fields,
  })
  const receipt = (fields: Partial<StoredReceipt>) =>
    ({ reference: null, excerpt: content.slice(0, 20), submitDate: '2603011000', ...fields }) as StoredReceipt

  test.each([
    ['the only candidate that matches', receipt({}), [candidate()], true],
    ['none of two that match', receipt({}), [candidate(), candidate({ logId: 2 })], false],
    ['none whose content differs from the excerpt', receipt({ excerpt: 'Another text' }), [candidate()], false],
    ['none for a receipt without an excerpt', receipt({ excerpt: '' }), [candidate()], false],
    [
      'none that was submitted a day after the submit date',
      receipt({ submitDate: '2602281000' }),
      [candidate()],
      false,
    ],
    ['none for a receipt without a submit date', receipt({ submitDate: null }), [candidate()], false],
    [
      'one whose submit date matches in another time zone',
      receipt({ submitDate: '260301020030' }),
      [candidate()],
      true,
    ],
    [
      'one with the reference of the receipt',
      receipt({ reference: 16, excerpt: null }),
      [candidate({ byReference: true })],
      true,
    ],
    ['none with another reference', receipt({ reference: 16 }), [candidate()], false],
  ])('returns %s', (_, given, candidates, isFound) => {
    expect(chooseCandidate(given, candidates) !== undefined).toBe(isFound)
  })

  test('returns the one of two matches that awaits its response', () => {
    const candidates = [candidate(), candidate({ logId: 2, awaitsResponse: true })]
    expect(chooseCandidate(receipt({}), candidates)?.logId).toBe(2)
  })

  test.each([
    ['the one that starts with the excerpt', content, 1],
    ['the latest if none starts with the excerpt', 'Something else', 2],
  ])('returns, of two with the same reference, %s', (_, excerpt, logId) => {
    const candidates = [candidate({ byReference: true }), candidate({ byReference: true, logId: 2, content: 'Hello' })]
    expect(chooseCandidate(receipt({ reference: 16, excerpt }), candidates)?.logId).toBe(logId)
  })

  test.each([
    ['20260301100000', true],
    ['20260301100059', true],
    ['202603011000', true],
    ['2026-03-01 10:00:00', true],
    ['20260227100000', false],
    ['202602271000', false],
    ['20261301100000', false],
    ['yesterday', false],
  ])('reads the submit date %s', (date, isFound) => {
    expect(chooseCandidate(receipt({ submitDate: date }), [candidate()]) !== undefined).toBe(isFound)
  })

  const accented = 'Café @ 5 € – ça va?'
  const gsm7 = 'Café @ $5 €, à demain'
  test.each([
    ['Latin-1', gsm7, Buffer.from('Café @ $5 ', 'latin1'), true],
    ['GSM-7', gsm7, encodeGsm7(gsm7).subarray(0, 20), true],
    ['UTF-8', gsm7, Buffer.from(gsm7).subarray(0, 20), true],
    ['UTF-8, cut inside a character', gsm7, Buffer.from(gsm7).subarray(0, 4), true],
    ['UTF-8 of a text outside GSM-7', accented, Buffer.from(accented).subarray(0, 20), true],
    ['GSM-7 of another text', gsm7, encodeGsm7('Cafè @ $5 €'), false],
    ['UTF-8 of another text', gsm7, Buffer.from('Cafè @ $5 €'), false],
  ])('reads an excerpt in %s', (_, text, octets, isFound) => {
    // as stored: one character per octet, without NUL
    const excerpt = octets.toString('latin1').replaceAll('\0', '')
    expect(chooseCandidate(receipt({ excerpt }), [candidate({ content: text })]) !== undefined).toBe(isFound)
  })
})

test.each([
  ['2611281200', '2026-11-28T12:00:59Z'],
  ['261128120007', '2026-11-28T12:00:07Z'],
  ['20261128120007', '2026-11-28T12:00:07Z'],
  ['2026-11-28 12:00:07', '2026-11-28T12:00:07Z'],
  ['2026-11-28T12:00:07.250Z', '2026-11-28T12:00:07Z'],
  ['2026-11-28T12:00:07+01:00', '2026-11-28T12:00:07Z'],
  ['26-11-28 12:00', '2026-11-28T12:00:59Z'],
  ['2611281200+01', '2026-11-28T12:00:59Z'],
  ['261128120007 -0800', '2026-11-28T12:00:07Z'],
  ['261128120007 UTC', '2026-11-28T12:00:07Z'],
  // the absolute time of SMPP, with tenths of a second and quarters of an hour
  ['261128120007004+', '2026-11-28T12:00:07Z'],
])('%s is the date %s, in any zone', (date, time) => {
  expect(new Date(readReceiptDate(date) ?? 0).toISOString()).toBe(time.replace('Z', '.000Z'))
})

test.each(['', '0000000000', '000000000000', '00000000000000', '2613281200', '26112812', 'yesterday'])(
  '%j is no date',
  (date) => {
    expect(readReceiptDate(date)).toBeUndefined()
  },
)
