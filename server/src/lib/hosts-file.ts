import type { LookupAddress } from 'node:dns'
import { readFile, stat } from 'node:fs/promises'
import { isIP } from 'node:net'

/** The names of a file in the format of /etc/hosts; a change of the file has an effect from the next look-up on. */
export class HostsFile {
  readonly #path: string
  #version: string | undefined
  #names = new Map<string, LookupAddress[]>()

  constructor(path: string) {
    this.#path = path
  }

  /** Returns the addresses of a name in lower case, none if the file does not have it or cannot be read. */
  async addressesOf(name: string): Promise<LookupAddress[]> {
    const version = await stat(this.#path).then(
      ({ ino, size, mtimeMs }) => `${ino} ${size} ${mtimeMs}`,
      () => undefined,
    )
    if (version !== this.#version) {
      const text = version === undefined ? '' : await readFile(this.#path, 'utf8').catch(() => '')
      this.#names = readHosts(text)
      this.#version = version
    }
    return this.#names.get(name) ?? []
  }
}

/** Returns the addresses of each name, in lower case; a line has an address, its names and a comment. */
export function readHosts(text: string): Map<string, LookupAddress[]> {
  const names = new Map<string, LookupAddress[]>()
  for (const line of text.split('\n')) {
    const [address = '', ...aliases] = line.replace(/#.*/, '').trim().split(/\s+/)
    const family = isIP(address)
    if (family === 0) continue
    for (const alias of aliases) {
      const name = alias.toLowerCase().replace(/\.$/, '')
      const addresses = names.get(name) ?? []
      if (!addresses.some((each) => each.address === address)) names.set(name, [...addresses, { address, family }])
    }
  }
  return names
}
