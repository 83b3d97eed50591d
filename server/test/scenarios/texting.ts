import { formatPhoneNumber } from '../../src/sms/phone-number.ts'
import { waitFor } from '../wait-for.ts'
import type { Installation } from './installation.ts'

/** Creates a list and imports these subscribers. */
export async function makeList(installation: Installation, name: string, phones: readonly number[]): Promise<number> {
  const created = await installation.call('POST', '/lists', { list: { name } })
  const listId = (created.body.list as { id: number }).id
  const csv = `phone_number\n${phones.map((phone) => formatPhoneNumber(phone)).join('\n')}\n`
  const queued = await installation.call('POST', `/lists/${listId}/imports`, csv)
  if (queued.status !== 202) throw new Error(`the import was rejected: ${JSON.stringify(queued.body)}`)
  const { id } = queued.body.import as { id: number }
  const added = await waitFor(
    async () => {
      const { body } = await installation.call('GET', `/lists/${listId}/imports/${id}`)
      const state = body.import as { status: string; added: number }
      return state.status === 'done' ? state.added : undefined
    },
    { timeoutMs: 30_000, what: 'the import to be done' },
  )
  if (added !== phones.length) throw new Error(`${added} of ${phones.length} subscribers were added`)
  return listId
}

/** Sends a broadcast to the list and returns the message's id. */
export async function sendBroadcast(installation: Installation, listId: number, content: string): Promise<number> {
  const sent = await installation.call('POST', `/lists/${listId}/messages`, { message: { content } })
  if (sent.status !== 200) throw new Error(`the broadcast was rejected: ${JSON.stringify(sent.body)}`)
  return (sent.body.message as { id: number }).id
}
