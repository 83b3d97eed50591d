import type { Config } from '../config/config.ts'
import { DirectoryStore } from './directory-store.ts'
import type { FileStore } from './file-store.ts'
import { S3Client } from './s3-client.ts'
import { S3Store } from './s3-store.ts'

type Located = Pick<Config, 'filesDir' | 's3' | 'extraCaFile'>

const stores = new WeakMap<Located, FileStore>()

/** Returns the store of this installation: a bucket if one is set, or a directory. */
export function fileStoreOf(config: Located): FileStore {
  const known = stores.get(config)
  if (known) return known
  const { s3, filesDir, extraCaFile } = config
  const store = s3 ? new S3Store(new S3Client(s3, { extraCaFile }), s3) : new DirectoryStore(filesDir)
  stores.set(config, store)
  return store
}
