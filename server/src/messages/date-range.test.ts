import fc from 'fast-check'
import { expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { readDays } from './messages.schema.ts'

const api = useApi()

const dayMs = 86_400_000
const dayOf = (time: number) => new Date(time).toISOString().slice(0, 10).replaceAll('-', '')

/** Instants within 80 days around New Year, with more midnights and leap days than a uniform distribution has. */
const first = Date.UTC(2027, 11, 20)
const instant = fc.oneof(
  fc.nat(80 * 86_400).map((second) => first + second * 1_000),
  fc.tuple(fc.nat(80), fc.constantFrom(-1_000, 0, 1_000)).map(([day, ms]) => first + day * dayMs + ms),
)
const bound = fc.option(instant.map(dayOf), { nil: undefined })

test('a range includes both of its UTC days, and either may be missing', () => {
  fc.assert(
    fc.property(bound, bound, instant, (start_date, end_date, time) => {
      const { from, to } = readDays({ start_date, end_date })
      const isIncluded = (from === null || time >= from.getTime()) && (to === null || time < to.getTime())
      const day = dayOf(time)
      expect(isIncluded).toBe(
        (start_date === undefined || day >= start_date) && (end_date === undefined || day <= end_date),
      )
    }),
  )
})

test('rejects strings that are not calendar dates', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.nat(99_999_999).map((n) => String(n).padStart(8, '0')),
      ),
      (text) => {
        const [, year, month, day] = /^(\d{4})(\d\d)(\d\d)$/.exec(text) ?? []
        const lastOfMonth = new Date(0)
        lastOfMonth.setUTCFullYear(Number(year), Number(month), 0)
        const isDay =
          Number(month) >= 1 && Number(month) <= 12 && Number(day) >= 1 && Number(day) <= lastOfMonth.getUTCDate()
        const read = () => readDays({ start_date: text })
        if (isDay || text === '') expect(read).not.toThrow()
        else expect(read).toThrow('is not a date')
      },
    ),
  )
})

test('the sent collection contains only messages within the range', async () => {
  const { owner, db } = api
  const list = await make.list(db, { accountId: owner.accountId, shortCodeId: owner.shortCode.id })
  const { body } = await owner.post(`/lists/${list.id}/messages`, { message: { content: 'Hello' } })
  const { id } = body.message as { id: number }
  await fc.assert(
    fc.asyncProperty(bound, bound, instant, async (start_date, end_date, time) => {
      await db.exec('send_then', `update messages set status = 'sent', sent_at = $2 where id = $1`, [
        id,
        new Date(time),
      ])
      const days = Object.entries({ start_date, end_date }).filter(([, day]) => day !== undefined) as [string, string][]
      const { body: page } = await owner.get(`/lists/${list.id}/messages?${new URLSearchParams(days)}`)
      const day = dayOf(time)
      const isIncluded = (start_date === undefined || day >= start_date) && (end_date === undefined || day <= end_date)
      expect(page).toMatchObject({ count: isIncluded ? 1 : 0, messages: isIncluded ? [{ id }] : [] })
    }),
    { numRuns: 60 },
  )
})
