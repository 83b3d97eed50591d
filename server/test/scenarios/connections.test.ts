import { execFile } from 'node:child_process'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { commandStatus } from '../../src/smpp/pdu/command-status.ts'
import { createServer } from '../../src/smpp/server.ts'
import { findProcess, inheritedEnv, makeScratch, processesOf, startCarillon } from '../carillon-process.ts'
import { waitFor } from '../wait-for.ts'

const bin = (name: string) => fileURLToPath(new URL(`../../src/bin/${name}`, import.meta.url))

test.skipIf(process.platform !== 'linux')(
  'production starts without a connection, binds to one added while it runs, and binds again after a restart',
  { timeout: 60_000 },
  async () => {
    const binds: string[] = []
    const smsc = createServer({
      onBind: (_, { system_id, password }) => {
        binds.push(`${system_id} ${password}`)
        const isCorrect = password === 'swordfish'
        return { command_status: isCorrect ? commandStatus.ESME_ROK : commandStatus.ESME_RINVPASWD }
      },
      onSession: () => {},
    })
    const port = await smsc.listen(0, '127.0.0.1')
    onTestFinished(() => smsc.close())
    const scratch = makeScratch()
    onTestFinished(() => scratch.remove())
    const dataDir = join(scratch.path, 'data')
    const env = { CARILLON_MODE: 'production' }

    async function carillon(...args: string[]): Promise<string> {
      const all = { ...inheritedEnv(), ...env, CARILLON_DATA_DIR: dataDir, INIT_CWD: scratch.path }
      return (await promisify(execFile)(process.execPath, [bin('carillon.ts'), ...args], { env: all })).stdout
    }
    const start = async () => {
      const running = startCarillon({ dataDir, env, script: bin('start.ts') })
      const apiPort = await running.ready()
      const readiness = async () => (await fetch(`http://127.0.0.1:${apiPort}/readyz`)).json() as Promise<Readiness>
      const isReady = () => waitFor(async () => (await readiness()).status === 'ready', { timeoutMs: 10_000 })
      return { running, readiness, isReady }
    }
    type Readiness = { status: string; problems: string[] }

    const first = await start()
    await waitFor(async () => /^No connection is configured/.test((await first.readiness()).problems.join()))
    const key = readFileSync(join(dataDir, 'secret.key'), 'utf8').trim()
    expect(statSync(join(dataDir, 'secret.key')).mode & 0o777).toBe(0o600)

    writeFileSync(join(scratch.path, 'password'), 'sturgeon\n')
    const options = ['--host', '127.0.0.1', '--port', String(port), '--system-id', 'cedar', '--serves-all', 'yes']
    await carillon('connection', 'add', 'Cedar SMS', ...options, '--password-file', 'password')
    await waitFor(() => binds.includes('cedar sturgeon'), { timeoutMs: 5_000 })
    await waitFor(async () => (await carillon('connection', 'show', 'Cedar SMS')).includes('ESME_RINVPASWD'))
    writeFileSync(join(scratch.path, 'password'), 'swordfish\n')
    await carillon('connection', 'set', 'Cedar SMS', '--password-file', 'password')
    await first.isReady()
    expect(await carillon('connection', 'list')).toContain('1 of 1')

    first.running.process.kill('SIGTERM')
    await first.running.exit
    const second = await start()
    await second.isReady()
    const environ = readFileSync(`/proc/${findProcess(dataDir, 'gateway.ts')}/environ`, 'utf8')
    expect(environ).toContain(`CARILLON_SECRET_KEY=${key}`)
    second.running.process.kill('SIGTERM')
    await second.running.exit
    const logs = ['supervisor', 'gateway', 'api', 'worker'].map((role) =>
      readFileSync(join(dataDir, 'log', `${role}.log`), 'utf8'),
    )
    for (const secret of [key, 'swordfish', 'sturgeon']) {
      expect(first.running.output() + second.running.output() + logs.join('')).not.toContain(secret)
    }
    expect(processesOf(dataDir)).toEqual([])
  },
)
