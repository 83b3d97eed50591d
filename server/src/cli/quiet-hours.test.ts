import { describe, expect, test } from 'vitest'
import { useCli } from '../../test/cli.ts'
import { make } from '../../test/make.ts'

const cli = useCli()
const { run, json } = cli

describe('quiet hours', () => {
  const hoursOf = async (state: string) => {
    const { hours } = await json('quiet-hours list')
    return hours.filter((row: { state: string }) => row.state === state)
  }

  test('of a state are set with their source and removed', async () => {
    await run(
      'quiet-hours set --state FL --source',
      'SB 1',
      '--as-of',
      '2031-05-06',
      '--hours',
      '1-5 09:00-18:00, 7 10:00-24:00',
    )
    const row = { state: 'FL', source: 'SB 1', as_of: '2031-05-06', own: false }
    expect(await hoursOf('FL')).toEqual([
      { ...row, weekdays: [1, 2, 3, 4, 5], from: '09:00', to: '18:00' },
      { ...row, weekdays: [7], from: '10:00', to: '24:00' },
    ])
    expect(await run('quiet-hours list')).toMatch(/^FL +Sun +10:00 +24:00 +2031-05-06 +SB 1$/m)
    await run('quiet-hours set --state FL --source repealed --hours none')
    expect(await hoursOf('FL')).toEqual([])
    expect(await hoursOf('GA')).toEqual([])
  })

  test('of an account apply to the texts that quiet-hours keep sets, and quiet-hours list shows them', async () => {
    const { id } = await make.account(cli.database.db)
    expect(await json(`quiet-hours keep --account ${id} --broadcasts on`)).toEqual({
      account_id: id,
      broadcasts: true,
      transactional: false,
    })
    expect(await run(`quiet-hours keep --account ${id} --broadcasts off --transactional on`)).toBe(
      `Account ${id}: broadcasts are sent at any hour, texts to given numbers observe quiet hours.`,
    )
    expect(await run(`quiet-hours list --account ${id}`)).toContain('47 CFR 64.1200')
  })

  test.each([
    ['quiet-hours set --state Florida --source x --hours none', /^--state must be two capital letters, not Florida$/],
    [
      'quiet-hours set --state ZZ --source x --hours none',
      /^--state must be a state of the United States or US, not ZZ$/,
    ],
    ['quiet-hours set --state US --source x --hours none', /^--hours of US cannot be none$/],
    ['quiet-hours set --state FL --source x --hours 09:00-18:00', /^--hours must be such as 1-5 09:00-18:00, or none/],
    ['quiet-hours set --state FL --source x --as-of now --hours none', /^--as-of must be a day/],
    ['quiet-hours keep --account 999', /^There is no account 999\.$/],
  ])('are not changed by "%s"', async (line, reason) => {
    const before = await hoursOf('FL')
    await expect(run(line)).rejects.toThrow(reason)
    expect(await hoursOf('FL')).toEqual(before)
  })

  test.each([
    '1-5 18:00-09:00',
    '5-1 09:00-18:00',
    '8 09:00-18:00',
    '1 9:00-18:00',
    '1-5 09:00-12:00, 5-6 14:00-18:00',
    '',
  ])('are not changed by the malformed hours "%s"', async (hours) => {
    await expect(run('quiet-hours set --state FL --source x --hours', hours)).rejects.toThrow(/^--hours/)
  })

  test.each([
    ['production', true],
    ['sandbox', false],
  ])('apply to broadcasts of a new account in %s mode: %s', async (mode, applies) => {
    await cli.database.db.exec('set_mode', 'update installation set mode = $1', [mode])
    const { account } = await json('account create --email new@cedar.example --short-code 33733')
    const sql = 'select quiet_hours from accounts where id = $1'
    expect(await cli.database.db.one('quiet_hours', sql, [account.id])).toEqual({ quiet_hours: applies })
  })
})
