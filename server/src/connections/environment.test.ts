import { expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { readEnv } from '../config/config.ts'
import { Secret } from '../config/secret.ts'
import { changeConnection } from './changes.ts'
import { type ConnectionRow, findConnection } from './connections.queries.ts'
import { ensureEnvironmentConnection } from './environment.ts'

// Changes to the connection of CARILLON_SMPP_URL.

const api = useApi()

const config = readEnv({
  CARILLON_SECRET_KEY: 'ca'.repeat(32),
})

async function ensureRow(query: string = '?window=25') {
  const { smpp } = readEnv({ CARILLON_SMPP_URL: `smpp://carillon:swordfish@127.0.0.1:2775${query}` })
  if (!smpp) throw new Error('CARILLON_SMPP_URL is not set')
  const id = await ensureEnvironmentConnection({ db: api.db, clock: api.rt.clock, config }, smpp)
  return (await findConnection(api.db, id)) as ConnectionRow
}

test.each([
  [{ host: '127.0.0.2' }, 'host'],
  [{ port: 2776 }, 'port'],
  [{ tls: true }, 'tls'],
  [{ systemId: 'other' }, 'system_id'],
  [{ password: new Secret('swordfish') }, 'password'],
  [{ name: 'Other' }, 'name'],
  [{ window: 26 }, 'window'],
])('rejects %j, because CARILLON_SMPP_URL sets it', async (change, field) => {
  const row = await ensureRow()
  const changing = changeConnection({ db: api.db, clock: api.rt.clock, config }, row.id, { mps: 3, ...change })
  await expect(changing).rejects.toMatchObject({
    details: { [`connection.${field}`]: ['is set by CARILLON_SMPP_URL; change it there'] },
  })
  expect(await findConnection(api.db, row.id)).toEqual(row)
})

test('accepts changes of settings that the URL does not have', async () => {
  const row = await ensureRow()
  const same = { host: row.host ?? '', window: 25, systemId: 'carillon', name: 'default' }
  const change = { ...same, mps: 3, slots: 4, charset: 'latin1' as const }
  expect(await changeConnection({ db: api.db, clock: api.rt.clock, config }, row.id, change)).toMatchObject({
    mps: 3,
    slots: 4,
  })
  const response = await api.owner.put(`/connections/${row.id}`, { connection: { enabled: false } })
  expect(response.body.connection).toMatchObject({ window: 25, enabled: false, from_environment: true })
  expect(await ensureRow()).toMatchObject({ window: 25, mps: 3, slots: 4, charset: 'latin1', enabled: false })
})

test.each([
  ['window', 30],
  ['mps', 50],
  ['slots', 3],
])(
  'rejects a change of %s in every process, after a gateway start with it in the URL and until a start without it',
  async (field, value) => {
    const { id } = await ensureRow('?window=25&mps=200&binds=2')
    const put = () => api.owner.put(`/connections/${id}`, { connection: { [field]: value } })
    expect(await put()).toMatchObject({
      status: 422,
      body: { details: { [`connection.${field}`]: ['is set by CARILLON_SMPP_URL; change it there'] } },
    })
    expect(await ensureRow('?window=25&mps=200&binds=2')).toMatchObject({ window: 25, mps: 200, slots: 2, version: 2 })
    await ensureRow('')
    expect((await put()).body.connection).toMatchObject({ [field]: value })
    expect(await ensureRow('')).toMatchObject({ [field]: value })
  },
)
