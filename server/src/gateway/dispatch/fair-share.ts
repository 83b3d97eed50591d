import type { Chunk } from '../../log/chunk.ts'

type Place = Pick<Chunk, 'accountId' | 'messageId' | 'id'>
type Account = { served: number; messages: Map<number, number> }

/** Decides whose turn it is: accounts share evenly what can be sent, and so do the broadcasts of one account. */
export class FairShare {
  #accounts = new Map<number, Account>()

  /** Sets the leased broadcasts. A new one begins where the others are: it has nothing to make up for. */
  follow(inHand: Place[]): void {
    const before = this.#accounts
    this.#accounts = new Map()
    for (const { accountId, messageId } of inHand) {
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

  count({ accountId, messageId }: Place, texts: number): void {
    const account = this.#accounts.get(accountId)
    if (!account) return
    account.served += texts
    account.messages.set(messageId, (account.messages.get(messageId) ?? 0) + texts)
  }

  /** Negative when `a` is to be served before `b`. */
  compare(a: Place, b: Place): number {
    if (a.messageId === b.messageId) return a.id - b.id
    if (a.accountId === b.accountId) return this.#ofMessage(a) - this.#ofMessage(b) || a.id - b.id
    return this.#ofAccount(a) - this.#ofAccount(b) || a.id - b.id
  }

  #ofAccount({ accountId }: Place): number {
    return this.#accounts.get(accountId)?.served ?? 0
  }

  #ofMessage({ accountId, messageId }: Place): number {
    return this.#accounts.get(accountId)?.messages.get(messageId) ?? 0
  }
}

const lowest = (served: number[]) => (served.length === 0 ? 0 : Math.min(...served))
