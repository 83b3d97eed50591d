import { expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { waitFor } from '../../test/wait-for.ts'
import { makeLogger } from '../system/logger.ts'

type Line = { msg: string; status?: number; account?: number; omitted?: number }
const lines: Line[] = []
const write = (line: string) => void lines.push(JSON.parse(line))
const api = useApi({ log: makeLogger({ role: 'api' }, 'info', { write }) as never })

test('an account that is rejected all the time has few lines, and all lines of other requests remain', async () => {
  const { accountId } = api.owner
  for (let n = 0; n < 200; n++) {
    await api.owner.get('/lists/999')
    if (n % 20 === 0) await api.owner.get('/accounts/me')
    if (n % 100 === 0) await api.stranger.get('/lists/999')
  }
  const completed = (account: number, status: number) =>
    lines.filter((line) => line.msg === 'request completed' && line.account === account && line.status === status)
  const numbers = () => lines.flatMap((line) => (line.account === accountId ? (line.omitted ?? []) : []))
  await waitFor(() => completed(accountId, 404).length + numbers().reduce((sum, one) => sum + one, 0) === 200)
  expect(completed(accountId, 404).length).toBeLessThanOrEqual(20 * (numbers().length + 1))
  expect(completed(accountId, 404).length).toBeLessThan(200)
  expect(completed(accountId, 200)).toHaveLength(10)
  expect(completed(api.stranger.accountId, 404)).toHaveLength(2)
})
