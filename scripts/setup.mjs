// Runs before `npm start`, `npm test` and others, on any installed Node (20 or newer) and before packages are installed:
// installs the packages if node_modules does not match the lock file, and builds the console if its sources changed.
// If there is nothing to do, it prints nothing.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const at = (...parts) => join(root, ...parts)
const needsConsole = ['start', 'role', 'test'].includes(process.argv[2]) && existsSync(at('console', 'index.html'))

const lockFile = at('package-lock.json')
const installStamp = at('node_modules', '.carillon-install')
const buildStamp = at('node_modules', '.carillon-console')
const pinnedNode = at('node_modules', '.bin', process.platform === 'win32' ? 'node.cmd' : 'node')
const consoleParts = ['index.html', 'package.json', 'tsconfig.json', 'vite.config.ts', 'public', 'src']

/** A failure with an explanation for the user. */
class SetupError extends Error {}

async function main() {
  if (Number(process.versions.node.split('.')[0]) < 20) {
    throw new SetupError(`Node ${process.versions.node} is too old: install Node 20 or newer (https://nodejs.org).`)
  }
  if (isReady()) return
  const release = await acquireLock()
  try {
    if (!isInstalled()) await install()
    if (needsConsole && !isBuilt()) await build()
  } finally {
    release()
  }
}

function isReady() {
  return isInstalled() && (!needsConsole || isBuilt())
}

// ── packages ──

function isInstalled() {
  if (!existsSync(pinnedNode)) return false
  if (readOrEmpty(installStamp) === installKey()) return true
  if (!isInstalledByHand()) return false
  writeFileSync(installStamp, installKey())
  return true
}

function installKey() {
  return hash(readFileSync(lockFile), process.platform, process.arch)
}

/** Returns whether node_modules matches the lock file after an npm run by hand, according to npm's record. */
function isInstalledByHand() {
  const wanted = packagesOf(lockFile)
  const found = packagesOf(at('node_modules', '.package-lock.json'))
  if (!wanted || !found) return false
  const isSame = (path) => JSON.stringify(found[path]) === JSON.stringify(wanted[path])
  const paths = Object.keys(wanted).filter((path) => path.startsWith('node_modules/'))
  return (
    Object.keys(found).every((path) => path in wanted) &&
    paths.every((path) => (path in found ? isSame(path) : wanted[path].optional === true)) &&
    paths.filter((path) => isForThisPlatform(wanted[path])).every((path) => path in found)
  )
}

function packagesOf(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages
  } catch {
    return undefined
  }
}

/** Returns whether a package contains binaries for this platform; such packages are optional, but must be installed. */
function isForThisPlatform({ os, cpu, libc }) {
  return os?.includes(process.platform) === true && cpu?.includes(process.arch) === true && libc === undefined
}

async function install() {
  console.log('Installing packages (npm ci); the first installation takes about a minute.')
  // with NODE_ENV=production npm would omit the build tools of the console
  await npm(['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund', '--loglevel=error'], 'npm ci')
  if (!existsSync(pinnedNode)) {
    throw new SetupError(
      `There is no Node 26 package for ${process.platform} ${process.arch}. Carillon runs on Linux and macOS (x64, arm64) and Windows (x64).`,
    )
  }
  writeFileSync(installStamp, installKey())
}

// ── console ──

function isBuilt() {
  return existsSync(at('console', 'dist', 'index.html')) && readOrEmpty(buildStamp) === buildKey()
}

function buildKey() {
  const files = consoleParts.flatMap((part) => filesOf(at('console', part))).sort()
  return hash(readFileSync(lockFile), ...files.flatMap((file) => [file.slice(root.length), readFileSync(file)]))
}

function filesOf(path) {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (!stat) return []
  return stat.isDirectory() ? readdirSync(path).flatMap((name) => filesOf(join(path, name))) : [path]
}

async function build() {
  console.log('Building the console.')
  const key = buildKey()
  await npm(['run', 'build', '--workspace=console', '--silent'], 'Building the console')
  writeFileSync(buildStamp, key)
}

// ── npm ──

/** Runs npm and prints its output only if it fails. */
async function npm(args, what) {
  const cli = process.env.npm_execpath
  const isNpmCli = cli !== undefined && basename(cli) === 'npm-cli.js'
  // npm's own Node, because `npm ci` removes the pinned one while it runs
  const [command, first] = isNpmCli ? [process.env.npm_node_execpath ?? process.execPath, [cli]] : ['npm', []]
  const child = spawn(command, [...first, ...args], {
    cwd: root,
    env: npmEnv(),
    stdio: ['ignore', 'pipe', 'pipe'],
    shell: !isNpmCli && process.platform === 'win32', // npm.cmd
  })
  let output = ''
  child.stdout.on('data', (bytes) => (output += bytes))
  child.stderr.on('data', (bytes) => (output += bytes))
  const code = await new Promise((resolve) => {
    child.once('error', (e) => resolve(e.message))
    child.once('close', (exitCode, by) => resolve(by ?? exitCode))
  })
  if (code === 0) return
  const lines = output.trim().split('\n').slice(0, 25) // then npm prints its usage
  throw new SetupError(`${what} failed (${code}).${hintFor(output)}\n\n${lines.join('\n')}`)
}

/** Removes the outer npm's variables, which the inner npm would read as options; the user's settings remain. */
function npmEnv() {
  const foreign =
    /^(npm_(lifecycle|package|command|config_(local_prefix|loglevel|workspaces?|omit|include|json))|NODE_ENV$)/i
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)))
}

function hintFor(output) {
  if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ECONNRESET/.test(output)) {
    return ' The package registry cannot be reached: check the network and the proxy settings of npm.'
  }
  if (/ENOSPC/.test(output)) return ' The disk is full.'
  if (/EACCES|EPERM/.test(output)) return ` This account may not write below ${root}.`
  return ''
}

// ── one at a time ──

const lockDir = at('.carillon-setup')
const staleMs = 15_000

/**
 * Waits for another running setup, and returns a function that releases the lock. A running setup touches the lock
 * directory, so a stale one is from a killed setup.
 */
async function acquireLock() {
  for (let logged = false; ; logged = true) {
    try {
      mkdirSync(lockDir)
      break
    } catch (e) {
      if (e.code !== 'EEXIST') throw new SetupError(`${root} cannot be written to: ${e.message}`)
    }
    const touched = statSync(lockDir, { throwIfNoEntry: false })?.mtimeMs
    if (touched !== undefined && Date.now() - touched > staleMs) {
      const aside = `${lockDir}.${process.pid}`
      try {
        renameSync(lockDir, aside)
        rmSync(aside, { recursive: true, force: true })
      } catch {
        // another setup removed it first
      }
      continue
    }
    if (!logged) console.log('Another setup is running; waiting for it.')
    await sleep(200)
  }
  const touch = setInterval(() => utimesSync(lockDir, new Date(), new Date()), 2_000)
  return () => {
    clearInterval(touch)
    rmSync(lockDir, { recursive: true, force: true })
  }
}

function hash(...parts) {
  const sum = createHash('sha256')
  for (const part of parts) sum.update(part).update('\0')
  return sum.digest('hex')
}

function readOrEmpty(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

try {
  await main()
} catch (e) {
  console.error(e instanceof SetupError ? `\n${e.message}\n` : e)
  process.exit(1)
}
