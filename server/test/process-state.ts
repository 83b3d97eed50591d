import { afterAll, expect, vi } from 'vitest'

// Most test files share their process with the files before them, so what a file changes for the whole process would decide the
// results of later files. This setup file reports it as a failure of the file that did not restore it.

/** Returns the state of the process that tests change. */
function processState() {
  const umask = process.umask(0o077)
  process.umask(umask)
  const mockable = { 'Date.now': Date.now, 'performance.now': performance.now, 'Math.random': Math.random, fetch }
  const mocked = Object.entries(mockable).filter(([, value]) => vi.isMockFunction(value))
  return { directory: process.cwd(), umask, hasFakeTimers: vi.isFakeTimers(), mocked: mocked.map(([name]) => name) }
}

// setup files are imported before each test file
const before = processState()
const environment = { ...process.env }

afterAll(() => {
  const names = Object.keys({ ...environment, ...process.env })
  // the names only, because a value may be a secret
  const changedVariables = names.filter((name) => environment[name] !== process.env[name])
  expect({ ...processState(), changedVariables }, 'what this file changed for the whole process').toEqual({
    ...before,
    changedVariables: [],
  })
})
