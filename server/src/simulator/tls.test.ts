import { expect, test } from 'vitest'
import { makeAuthority } from '../../test/certificates.ts'
import { receiptsOf, submit, textTo, useSimulator } from '../../test/simulator.ts'
import { waitFor } from '../../test/wait-for.ts'

const authority = makeAuthority()
const simulator = useSimulator({ tls: authority.issue('127.0.0.1') })

test('a text sent over the TLS port gets its receipt over the other port', async () => {
  const sender = await simulator.bind({
    port: simulator.tlsPort() ?? 0,
    tls: { ca: authority.cert },
    bind: 'transmitter',
  })
  const receiver = await simulator.bind({ bind: 'receiver' })
  const { message_id } = await submit(sender, textTo('12125550199'))
  await waitFor(() => receiver.delivered.length === 1)
  expect(receiptsOf(receiver)).toMatchObject([{ message_id }])
  expect((await simulator.control('POST', '/binds/drop')).body).toEqual({ dropped: 2 })
})

test('responding false applies to the TLS port, too', async () => {
  const secure = await simulator.bind({
    port: simulator.tlsPort() ?? 0,
    tls: { ca: authority.cert },
    responseDeadlineMs: 80,
  })
  await simulator.control('PATCH', '/settings', { responding: false })
  await expect(submit(secure, textTo('12125550199'))).rejects.toThrow('no response')
})
