// `npm test`: runs the tests of server and console on the pinned Node. Arguments are passed to vitest:
// `npm test -- server/src/sms` runs the tests of a folder, `npm test -- -t 'opt-out'` those with that title.
import { spawn } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { makeTemporaryFolder } from './temporary-folder.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const pinned = join(root, 'node_modules', '.bin', 'node')
const node = process.platform !== 'win32' && existsSync(pinned) ? pinned : process.execPath
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')

// the tests start hundreds of processes: with compiled code from the first one, each start takes half the CPU time
const cache = process.env.NODE_COMPILE_CACHE ?? join(root, 'node_modules', '.cache', 'node')

// paths are relative to the root of the repository, as an editor or a shell completes them
const args = process.argv.slice(2).map((arg) => arg.replace(/^(\.\/)?server\//, ''))

// the long form of the faults writes to a disk, as production does
const keepsFolder = process.env.TMPDIR !== undefined || process.env.CARILLON_TEST_FORM === 'long'
const folder = keepsFolder ? undefined : makeTemporaryFolder(process.pid)
const removeFolder = () => folder && rmSync(folder, { recursive: true, force: true, maxRetries: 5 })

const env = { ...process.env, NODE_COMPILE_CACHE: cache, ...(folder ? { TMPDIR: folder } : {}) }
const child = spawn(node, [vitest, 'run', '--root', 'server', ...args], { cwd: root, env, stdio: 'inherit' })
for (const name of ['SIGTERM', 'SIGHUP']) process.on(name, () => child.kill(name))
process.on('SIGINT', () => {}) // the terminal also signals vitest, which cleans up
child.once('error', (e) => {
  console.error(`Failed to start the tests: ${e.message}`)
  removeFolder()
  process.exit(1)
})
child.once('exit', (code, by) => {
  removeFolder()
  process.exit(by ? 128 + constants.signals[by] : code)
})
