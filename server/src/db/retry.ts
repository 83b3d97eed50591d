import { isRaceLost } from './pg-errors.ts'

/** Runs a transaction, and retries it up to four times after a deadlock or serialization failure. */
export async function retryLostRaces<T>(transaction: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await transaction()
    } catch (error) {
      if (!isRaceLost(error) || attempt === 5) throw error
    }
  }
}
