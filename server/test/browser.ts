import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll } from 'vitest'

// A real Chromium for tests, from the npm package @sparticuz/chromium: nothing has to be installed or downloaded.

/** Provides a headless Chromium to a test file, which makes a new context for each test. */
export function useBrowser(): { readonly browser: Browser } {
  let browser: Browser | undefined
  beforeAll(async () => {
    browser = await launchBrowser()
  })
  afterAll(() => browser?.close())
  return {
    get browser() {
      if (!browser) throw new Error('the browser can be used only inside a test')
      return browser
    },
  }
}

/** Starts a headless Chromium; the error of a failed start says what is missing. */
export async function launchBrowser(): Promise<Browser> {
  const given = process.env.CARILLON_TEST_CHROMIUM
  if (given) return chromium.launch({ executablePath: given })
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(
      `@sparticuz/chromium contains no Chromium for ${process.platform} ${process.arch}: set CARILLON_TEST_CHROMIUM to the path of a Chromium or Chrome`,
    )
  }
  const folder = await unpack()
  writeFontSettings(folder)
  // the package has all libraries and fonts that a minimal system lacks, so pages look the same on every machine
  const env = {
    ...process.env,
    LD_LIBRARY_PATH: join(folder, 'al2023', 'lib'),
    FONTCONFIG_FILE: join(folder, 'fonts.conf'),
  }
  try {
    return await chromium.launch({ executablePath: join(folder, 'chromium'), env: env as Record<string, string> })
  } catch (error) {
    throw new Error(
      `The Chromium in ${folder} does not start: delete that folder, or set CARILLON_TEST_CHROMIUM to the path of another Chromium`,
      { cause: error },
    )
  }
}

const modules = fileURLToPath(new URL('../../node_modules', import.meta.url))
const unpackScript = "import chromium from '@sparticuz/chromium'; await chromium.executablePath()"

/** Unpacks the package once per installation, and returns the folder; a folder with its final name is complete. */
async function unpack(): Promise<string> {
  const manifest = join(dirname(createRequire(import.meta.url).resolve('@sparticuz/chromium')), '..', 'package.json')
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }
  const cache = join(modules, '.cache')
  const folder = join(cache, `chromium-${version}`)
  if (existsSync(folder)) return folder
  mkdirSync(cache, { recursive: true })
  const unfinished = mkdtempSync(join(cache, 'chromium-'))
  try {
    // the package unpacks into the temporary directory, and its libraries only on this platform
    const env = { ...process.env, TMPDIR: unfinished, AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x' }
    await promisify(execFile)(process.execPath, ['--input-type=module', '-e', unpackScript], {
      cwd: dirname(modules),
      env,
    })
    renameSync(unfinished, folder)
  } catch (error) {
    // another worker may have been faster
    if (!existsSync(folder)) throw error
  } finally {
    rmSync(unfinished, { recursive: true, force: true })
  }
  return folder
}

/**
 * Writes settings of fontconfig for the fonts of the package, whose own settings name folders of AWS Lambda. They name the
 * folder, so they are written again if the checkout was moved or copied: without fonts, Chromium ends itself.
 */
function writeFontSettings(folder: string): void {
  const folders = `<dir>${folder}/fonts</dir><cachedir>${folder}/font-cache</cachedir>`
  const settings = `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>${folders}</fontconfig>`
  const path = join(folder, 'fonts.conf')
  if (existsSync(path) && readFileSync(path, 'utf8') === settings) return
  writeFileSync(`${path}.${process.pid}`, settings)
  renameSync(`${path}.${process.pid}`, path)
}

/** Serves pages (HTML by path) on a port of their own, as a foreign site does; `origin` returns its origin for a host name. */
export async function servePages(pages: Record<string, string>) {
  const server = createServer((req, res) => {
    const page = pages[req.url ?? '']
    res.writeHead(page === undefined ? 404 : 200, { 'content-type': 'text/html; charset=utf-8' }).end(page)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    origin: (host: string) => `http://${host}:${port}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
