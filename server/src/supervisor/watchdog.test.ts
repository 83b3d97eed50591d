import { spawn } from 'node:child_process'
import { Readable } from 'node:stream'
import { afterEach, expect, test } from 'vitest'
import { identify, isRunning, killGroup, type ProcessId } from './processes.ts'
import { guardSupervisor, type KillList } from './watchdog.ts'

const started: ProcessId[] = []

afterEach(() => {
  for (const { pid } of started.splice(0)) killGroup(pid)
})

function startRole(): ProcessId {
  const { pid = 0 } = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], {
    stdio: 'ignore',
    detached: true,
  })
  const id = identify(pid)
  if (!id) throw new Error('the process did not start')
  started.push(id)
  return id
}

const listOf = (...roles: ProcessId[]) => JSON.stringify({ roles, clusterName: undefined } satisfies KillList)

test('ends the processes of its first list if the supervisor is killed before it writes to the pipe', async () => {
  const role = startRole()
  await guardSupervisor(Readable.from([]), listOf(role))
  expect(isRunning(role)).toBe(false)
})

test('ends the processes of the last complete list', async () => {
  const [replaced, role] = [startRole(), startRole()]
  await guardSupervisor(Readable.from([`${listOf(role)}\n`, listOf(replaced).slice(0, -3)]), listOf(replaced))
  expect([isRunning(replaced), isRunning(role)]).toEqual([true, false])
})

test('ends nothing after a release', async () => {
  const role = startRole()
  const released = JSON.stringify({ roles: [role], clusterName: undefined, released: true } satisfies KillList)
  await guardSupervisor(Readable.from([`${released}\n`]), listOf(role))
  expect(isRunning(role)).toBe(true)
})
