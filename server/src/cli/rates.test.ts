import { describe, expect, test } from 'vitest'
import { useCli } from '../../test/cli.ts'
import { make } from '../../test/make.ts'

const cli = useCli()
const { run, json } = cli

describe('rates', () => {
  test('are set, corrected, listed and removed', async () => {
    const { id: accountId } = await make.account(cli.database.db)
    expect(await run('rate set --price 0.0079 --since 2031-05-06')).toBe(
      'A part costs $0.0079 for all accounts, sms, carrier any, since 2031-05-06.',
    )
    await run('rate set --price $0.008 --since 5/6/2031 --source', 'the invoice')
    await run(`rate set --price 0.004 --since 2031-05-06 --account ${accountId} --carrier at&t`)
    const { rates } = await json('rate list')
    expect(rates).toEqual([
      {
        id: expect.any(Number),
        account_id: null,
        channel: 'sms',
        carrier: null,
        price: '0.008',
        since: '2031-05-06',
        source: 'the invoice',
      },
      expect.objectContaining({ account_id: accountId, carrier: 383, price: '0.004' }),
    ])
    expect(await run('rate list')).toContain('AT&T (383)')
    await run(`rate remove ${rates[0].id}`)
    expect((await json('rate list')).rates).toHaveLength(1)
    await expect(run(`rate remove ${rates[0].id}`)).rejects.toThrow(`There is no rate ${rates[0].id}.`)
  })

  test.each([
    ['rate set', /^--price is required/],
    ['rate set --price -1', /price/],
    ['rate set --price 0.0000001', /^--price must be dollars such as 0.0079, not 0.0000001$/],
    ['rate set --price 1e2', /^--price must be dollars/],
    ['rate set --price 1 --carrier Pigeon', /^--carrier must be a carrier of the table/],
    ['rate set --price 1 --carrier 99999', /^--carrier must be/],
    ['rate set --price 1 --since yesterday', /^--since must be a day/],
    ['rate set --price 1 --channel rcs', /^--channel must be sms or mms, not rcs$/],
  ])('are not changed by "%s"', async (line, reason) => {
    await expect(run(line)).rejects.toThrow(reason)
    expect((await json('rate list')).rates).toEqual([])
  })
})
