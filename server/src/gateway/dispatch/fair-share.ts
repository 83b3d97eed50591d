import type { Chunk } from '../../log/chunk.ts'

type ChunkKey = Pick<Chunk, 'accountId' | 'messageId' | 'id'>
/** Numbers of texts counted for an account, and for each of its broadcasts. */
type Account = { served: number; messages: Map<number, number> }

/** Determines which broadcast is next: accounts share the throughput equally, and so do the broadcasts of one account. */
export class FairShare {
  #accounts = new Map<number, Account>()

  /** Sets the leased broadcasts. A new one starts with the lowest count of the others, so it does not catch up on their texts. */
  setBroadcasts(leased: ChunkKey[]): void {
    const before = this.#accounts
    this.#accounts = new Map()
    for (const { accountId, messageId } of leased) {
      const known = before.get(accountId)
      let account = this.#accounts.get(accountId)
      if (!account) {
        account = {
          served: known?.served ?? lowest([...before.values()].map((each) => each.served)),
          messages: new Map(),
        }
        this.#accounts.set(accountId, account)
      }
      const served = known?.messages.get(messageId) ?? lowest([...(known?.messages.values() ?? [])])
      account.messages.set(messageId, served)
    }
  }

  /** Counts marked texts of a broadcast. */
  count({ accountId, messageId }: ChunkKey, texts: number): void {
    const account = this.#accounts.get(accountId)
    if (!account) return
    account.served += texts
    account.messages.set(messageId, (account.messages.get(messageId) ?? 0) + texts)
  }

  /** Returns a negative number if `a` comes before `b`. Chunks of one broadcast are in ascending order of ids. */
  compare(a: ChunkKey, b: ChunkKey): number {
    if (a.messageId === b.messageId) return a.id - b.id
    if (a.accountId === b.accountId) return this.#ofMessage(a) - this.#ofMessage(b) || a.id - b.id
    return this.#ofAccount(a) - this.#ofAccount(b) || a.id - b.id
  }

  #ofAccount({ accountId }: ChunkKey): number {
    return this.#accounts.get(accountId)?.served ?? 0
  }

  #ofMessage({ accountId, messageId }: ChunkKey): number {
    return this.#accounts.get(accountId)?.messages.get(messageId) ?? 0
  }
}

/** Determines which account's urgent text is next: accounts with urgent texts have equal shares. */
export class AccountTurns {
  #served = new Map<number, number>()

  /** Sets the accounts that have urgent texts. A new one starts with the lowest count of the others. */
  setAccounts(ids: Iterable<number>): void {
    const before = this.#served
    this.#served = new Map()
    for (const id of ids) this.#served.set(id, before.get(id) ?? lowest([...before.values()]))
  }

  /** Counts marked texts of an account. */
  count(id: number, texts: number): void {
    this.#served.set(id, (this.#served.get(id) ?? 0) + texts)
  }

  /** Returns the one of these accounts that is next; 0 if there are none. */
  first(ids: Iterable<number>): number {
    let [first, least] = [0, Number.POSITIVE_INFINITY]
    for (const id of ids) {
      const served = this.#served.get(id) ?? 0
      if (served < least) [first, least] = [id, served]
    }
    return first
  }
}

const lowest = (served: number[]) => (served.length === 0 ? 0 : Math.min(...served))
